/* What nvidia-smi prints, and what it means. */
#include "gpu_smi_fixture.h"

struct row {
	const char *what, *type;
	size_t gpus;
	int status;
	const char *base, *more; /* more NULL: the base query is all that is asked */
	const char *found;
};

static const struct row rows[] = {
	{"T4", "g4dn.xlarge", 1, 0, GOOD_T4, MORE_T4, ""},
	{"A10G idle at x8, gen 1", "g5.xlarge", 1, 0, A10G(0, "00:1E.0"),
	 "00000000:00:1E.0, 8.6, No, No, [N/A], [N/A], None, No\n", ""},
	{"L40S, two-part version, bare N/A", "g6e.xlarge", 1, 0,
	 "0, 00000000:00:1E.0, 0x26B910DE, NVIDIA L40S, GPU-x, 595.80, 46068, 0, Enabled, P0, 63, 144.97, 350.00, 100, "
	 "Default, Enabled, Enabled, 0, 0, [N/A], [N/A], 4, 4, 16, 16, 0x0000000000000000\n",
	 MORE("No, No, N/A, N/A, None, No"), ""},
	{"H100", "p5.4xlarge", 1, 0, H100("Disabled", "0, Enabled, P0, 41, 69.85, 700.00, 0"),
	 MORE("No, No, Completed, Success, None, No"), ""},
	{"H100 with MIG", "p5.4xlarge", 1, 0, H100("Enabled", "59, Enabled, P0, 42, 71.15, 700.00, [N/A]"),
	 MORE("[N/A], [N/A], Completed, Success, None, No"),
	 "warn fix mig: GPU 0: MIG is on, so programs see slices of it; `sudo nvidia-smi -mig 0`, then reboot "
	 "[mig.mode.current = Enabled]\n"},
	{"R610's driver cell", "g4dn.xlarge", 1, 0,
	 ONE_T4("610.57.04 [Deprecated; will be removed in CUDA 14.0. Use KMD Version instead]", "15360", "0",
		"Enabled", "P8", "30", "9.00", "0", "Default", "Enabled", "Enabled", "0", "0", "No", "8", "0x1"),
	 MORE_T4, ""},
	{"CRLF and blank lines", "g4dn.xlarge", 1, 0,
	 "\r\n0, 00000000:00:1E.0, 0x1EB810DE, Tesla T4, GPU-x, 580.105.08, 15360, 0, Enabled, P8, 30, 9, 70, 0, "
	 "Default, Enabled, Enabled, 0, 0, No, [N/A], 3, 3, 8, 16, 0x1\r\n\r\n",
	 MORE_T4, ""},
	{"eight GPUs", "g5.48xlarge", 8, 0,
	 A10G(0, "00:1E.0") A10G(1, "00:1D.0") A10G(2, "00:1C.0") A10G(3, "00:1B.0") A10G(4, "00:1A.0")
		 A10G(5, "00:19.0") A10G(6, "00:18.0") A10G(7, "00:17.0"),
	 MORE("No, No, [N/A], [N/A], None, No"), ""},
	{"seven of eight, exit 0", "g5.48xlarge", 8, 0,
	 A10G(0, "00:1E.0") A10G(1, "00:1D.0") A10G(2, "00:1C.0") HANDLE A10G(4, "00:1A.0") A10G(5, "00:19.0")
		 A10G(6, "00:18.0") A10G(7, "00:17.0"),
	 MORE("No, No, [N/A], [N/A], None, No"),
	 "fail replace gpu-lost: GPU 3 (0000:00:1b.0) is on the bus, but nvidia-smi does not show it: " REPLACE
	 " [Unable to determine the device handle for GPU3: 0000:00:1B.0: Unknown Error]\n"},
	{"one lost, exit 15", "g5.xlarge", 1, 15,
	 "Unable to determine the device handle for GPU0000:00:1E.0: GPU is lost.  Reboot the system to recover this "
	 "GPU\n",
	 NULL,
	 "fail replace gpu-lost: a GPU does not answer: " REPLACE
	 " [Unable to determine the device handle for GPU0000:00:1E.0: GPU is lost.  Reboot the system to recover this "
	 "GPU]\n"},
	{"infoROM line among rows", "g5.12xlarge", 2, 14,
	 A10G(0, "00:1E.0") "WARNING: infoROM is corrupted at gpu 0000:00:1D.0\n" A10G(1, "00:1D.0"),
	 MORE("No, No, [N/A], [N/A], None, No"),
	 "warn replace inforom: a GPU's infoROM is corrupt: if jobs fail, " REPLACE
	 " [WARNING: infoROM is corrupted at gpu 0000:00:1D.0]\n"},
	{"requires reset", "g4dn.xlarge", 1, 0,
	 "0, 00000000:00:1E.0, 0x1EB810DE, Tesla T4, GPU-x, 580.105.08, 15360, [GPU requires reset], Enabled, [GPU "
	 "requires reset], [GPU requires reset], [GPU requires reset], 70.00, [GPU requires reset], Default, Enabled, "
	 "Enabled, [GPU requires reset], [GPU requires reset], No, [N/A], 3, 3, 8, 16, [GPU requires reset]\n",
	 MORE_T4, "fail reboot gpu-err: GPU 0: requires a reset; " REBOOT " [memory.used = [GPU requires reset]]\n"},
	{"is lost in a cell", "g4dn.xlarge", 1, 0,
	 ONE_T4("580.105.08", "[GPU is lost]", "[GPU is lost]", "Enabled", "P8", "30", "9.00", "0", "Default",
		"Enabled", "Enabled", "0", "0", "No", "8", "0x1"),
	 MORE_T4, "fail replace gpu-lost: GPU 0: no longer answers; " REPLACE " [memory.total = [GPU is lost]]\n"},
	{"unknown error where it matters", "g4dn.xlarge", 1, 0,
	 ONE_T4("580.105.08", "15360", "0", "Enabled", "P8", "[Unknown Error]", "9.00", "0", "Default", "Enabled",
		"Enabled", "0", "0", "No", "8", "0x1"),
	 MORE_T4,
	 "fail reboot gpu-err: GPU 0: the driver cannot read what it must know; " REBOOT
	 " [temperature.gpu = [Unknown Error]]\n"},
	{"a broken power sensor", "g4dn.xlarge", 1, 0,
	 ONE_T4("580.105.08", "15360", "0", "Enabled", "P8", "30", "ERR!", "0", "Default", "Enabled", "Enabled", "0",
		"0", "No", "8", "0x1"),
	 MORE_T4, "warn none gpu-err: GPU 0: a sensor cannot be read [power.draw = ERR!]\n"},
	{"deprecated and unsupported cells", "g4dn.xlarge", 1, 0,
	 ONE_T4("580.105.08", "15360", "[Not Supported]", "[Requested functionality has been deprecated]", "P8", "30",
		"[Insufficient Permissions]", "[n/a]", "[Function Not Found]", "[N/A]", "", "[N/A]", "N/A", "[N/A]",
		"8", "0x1"),
	 MORE_T4, ""},
	{"half of the memory", "g4dn.xlarge", 1, 0,
	 ONE_T4("580.105.08", "7680", "0", "Enabled", "P8", "30", "9", "0", "Default", "Enabled", "Enabled", "0", "0",
		"No", "8", "0x1"),
	 MORE_T4,
	 "fail replace gpu-mem: GPU 0: less memory than this instance type has; " REPLACE " [memory.total = 7680]\n"},
	{"type not in the table", "g99.xlarge", 1, 0,
	 ONE_T4("580.105.08", "7680", "0", "Enabled", "P8", "30", "9", "0", "Default", "Enabled", "Enabled", "0", "0",
		"No", "8", "0x1"),
	 MORE_T4, ""},
	{"busy", "g4dn.xlarge", 1, 0,
	 ONE_T4("580.105.08", "15360", "9000", "Enabled", "P0", "60", "60", "97", "Default", "Enabled", "Enabled", "0",
		"0", "No", "8", "0x0"),
	 MORE_T4,
	 "warn none gpu-busy: GPU 0: something uses it already; `nvidia-smi` shows what [memory.used = 9000]\n"},
	{"all kinds of small trouble", "g4dn.xlarge", 1, 0,
	 ONE_T4("580.105.08", "15360", "0", "Disabled", "P0", "86", "9", "0", "Exclusive_Process", "Enabled",
		"Disabled", "0", "7", "No", "4", "0x0000000000000048"),
	 MORE_T4,
	 "info none ecc-agg: GPU 0: uncorrectable memory errors earlier in the board's life, none since the driver was "
	 "loaded [ecc.errors.uncorrected.aggregate.total = 7]\n"
	 "warn fix ecc-off: GPU 0: ECC is off or about to change; `sudo nvidia-smi -e 1`, then reboot "
	 "[ecc.mode.current = Enabled]\n"
	 "warn replace throttle: GPU 0: slowed down by its hardware (heat or power); if it lasts, " REPLACE
	 " [clocks_throttle_reasons.active = 0x0000000000000048]\n"
	 "warn replace temp: GPU 0: hot while idle; if it lasts, " REPLACE " [temperature.gpu = 86]\n"
	 "warn replace pcie: GPU 0: its PCIe link is narrower than usual, copies to it are slow; if it "
	 "matters, " REPLACE " [pcie.link.width.current = 4]\n"
	 "warn fix compute-mode: GPU 0: not every process may use it; `sudo nvidia-smi -c DEFAULT` [compute_mode = "
	 "Exclusive_Process]\n"
	 "info fix persist: GPU 0: persistence mode is off, so each program starts 1 to 3 s later; `sudo nvidia-smi "
	 "-pm 1` [persistence_mode = Disabled]\n"},
	{"normal throttle reasons", "g4dn.xlarge", 1, 0,
	 ONE_T4("580.105.08", "15360", "0", "Enabled", "P0", "30", "9", "0", "Default", "Enabled", "Enabled", "0", "0",
		"No", "8", "0x0000000000000137"),
	 MORE_T4, ""},
	{"ECC errors and page retirement", "g4dn.xlarge", 1, 0,
	 ONE_T4("580.105.08", "15360", "0", "Enabled", "P8", "30", "9", "0", "Default", "Enabled", "Enabled", "3", "9",
		"Yes", "8", "0x1"),
	 MORE_T4,
	 "fail replace ecc-unc: GPU 0: uncorrectable memory errors since the driver was loaded; " REPLACE
	 " [ecc.errors.uncorrected.volatile.total = 3]\n"
	 "fail reboot page-retire: GPU 0: a memory page is to be retired; reboot [retired_pages.pending = Yes]\n"},
	{"row remapping and recovery", "p5.4xlarge", 1, 0, H100("Disabled", "0, Enabled, P0, 41, 69.85, 700.00, 0"),
	 MORE("Yes, Yes, N/A, N/A, Reboot, Yes"),
	 "fail replace ecc-sram: GPU 0: more memory errors than NVIDIA's threshold allows; " REPLACE
	 " [ecc.errors.uncorrected.aggregate.sram.thresholdExceeded = Yes]\n"
	 "fail replace row-remap: GPU 0: a memory repair has failed; " REPLACE " [remapped_rows.failure = Yes]\n"
	 "fail reboot row-remap: GPU 0: a memory repair is pending; reboot [remapped_rows.pending = Yes]\n"
	 "fail reboot recovery: GPU 0: the driver asks for a recovery; " REBOOT " [gpu_recovery_action = Reboot]\n"},
	{"fabric in progress where it is not known to matter", "p5.4xlarge", 1, 0,
	 H100("Disabled", "0, Enabled, P0, 41, 69.85, 700.00, 0"), MORE("No, No, In Progress, N/A, None, No"),
	 "warn fix fabric: GPU 0: the NVLink fabric is not ready: look at `systemctl status nvidia-fabricmanager`; its "
	 "version must be the driver's [fabric.state = In Progress]\n"},
	{"several GPUs, one finding", "g5.12xlarge", 3, 0,
	 "0, 00000000:00:1E.0, 0x223710DE, NVIDIA A10G, GPU-x, 580.105.08, 23028, 22, Enabled, P8, 17, 25.58, 300.00, "
	 "0, Default, Enabled, Enabled, 2, 0, [N/A], [N/A], 1, 4, 8, 16, 0x1\n" A10G(
		 1,
		 "00:1D.0") "2, 00000000:00:1C.0, 0x223710DE, NVIDIA A10G, GPU-x, 580.105.08, 23028, 22, Enabled, P8, "
			    "17, 25.58, 300.00, 0, Default, Enabled, Enabled, 1, 0, [N/A], [N/A], 1, 4, 8, 16, 0x1\n",
	 MORE("No, No, [N/A], [N/A], None, No"),
	 "fail replace ecc-unc: GPUs 0 and 2: uncorrectable memory errors since the driver was loaded; " REPLACE
	 " [ecc.errors.uncorrected.volatile.total = 2]\n"},
	{"truncated row", "g4dn.xlarge", 1, 0, "0, 00000000:00:1E.0, 0x1EB810DE, Tesla T4, GPU-x, 580.10", NULL,
	 "fail reboot smi-exec: nvidia-smi ended well, but listed no GPU: " REBOOT
	 " [0, 00000000:00:1E.0, 0x1EB810DE, Tesla T4, GPU-x, 580.10]\n"},
	{"second row truncated", "g5.12xlarge", 2, 0, A10G(0, "00:1E.0") "1, 00000000:00:1D.0, 0x2237",
	 MORE("No, No, [N/A], [N/A], None, No"),
	 "fail replace gpu-lost: GPU 1 (0000:00:1d.0) is on the bus, but nvidia-smi does not show it: " REPLACE
	 " [1, 00000000:00:1D.0, 0x2237]\n"},
	{"empty", "g4dn.xlarge", 1, 0, "", NULL,
	 "fail reboot smi-exec: nvidia-smi ended well, but listed no GPU: " REBOOT "\n"},
	{"mismatch", "g4dn.xlarge", 1, 18,
	 "Failed to initialize NVML: Driver/library version mismatch\nNVML library version: 550.144\n", NULL,
	 "fail reboot drv-mismatch: the NVIDIA libraries are of another version than the loaded driver (an upgrade "
	 "ran): reboot; `sudo apt-mark hold` on the nvidia packages prevents it [Failed to initialize NVML: "
	 "Driver/library version mismatch]\n"},
	{"no communication", "g4dn.xlarge", 1, 9,
	 "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. Make sure that the latest "
	 "NVIDIA driver is installed and running.\n\n",
	 NULL,
	 "fail reboot smi-exec: nvidia-smi cannot talk to the NVIDIA driver: look at `sudo dmesg | grep -i nvrm`, "
	 "reboot; if the driver is not installed, use a Deep Learning AMI [NVIDIA-SMI has failed because it couldn't "
	 "communicate with the NVIDIA driver. Make sure that the latest NVIDIA driver is installed and running.]\n"},
	{"no devices", "g4dn.xlarge", 1, 6, "No devices were found\n", NULL,
	 "fail reboot drv-init: the driver is loaded, but found no GPU that it can run: " REBOOT
	 " [No devices were found]\n"},
	{"no devices, exit 0", "g4dn.xlarge", 1, 0, "No devices were found\n", NULL,
	 "fail reboot drv-init: the driver is loaded, but found no GPU that it can run: " REBOOT
	 " [No devices were found]\n"},
	{"NVML unknown error", "g4dn.xlarge", 1, 255, "Failed to initialize NVML: Unknown Error\n", NULL,
	 "fail reboot smi-exec: nvidia-smi cannot reach the GPUs: in a container its device cgroup has lost them "
	 "(start it anew); else reboot [Failed to initialize NVML: Unknown Error]\n"},
	{"no permission", "g4dn.xlarge", 1, 4, "Failed to initialize NVML: Insufficient Permissions\n", NULL,
	 "fail fix smi-exec: nvidia-smi may not use the GPU: run as root, and look at the modes of /dev/nvidia* and at "
	 "the device cgroup [Failed to initialize NVML: Insufficient Permissions]\n"},
	{"library absent", "g4dn.xlarge", 1, 12,
	 "NVIDIA-SMI couldn't find libnvidia-ml.so library in your system. Please make sure that the NVIDIA Display "
	 "Driver is properly installed and present in your system.\n",
	 NULL,
	 "fail fix smi-missing: nvidia-smi does not find libnvidia-ml.so: the driver's libraries are not installed; "
	 "use a Deep Learning AMI or install the driver [NVIDIA-SMI couldn't find libnvidia-ml.so library in your "
	 "system. Please make sure that the NVIDIA Display Driver is properly installed and present in your "
	 "system.]\n"},
	{"exit 8 without a word", "g4dn.xlarge", 1, 8, "", NULL,
	 "fail replace smi-exec: a GPU lacks external power: " REPLACE "\n"},
	{"exit 10", "g4dn.xlarge", 1, 10, "Timeout\n", NULL,
	 "fail reboot gpu-hung: the driver got no answer from a GPU: " REBOOT " [Timeout]\n"},
	{"exit 77", "g4dn.xlarge", 1, 77, "something new\n", NULL,
	 "fail reboot smi-exec: nvidia-smi ended with exit status 77: " REBOOT " [something new]\n"},
	{"a shell's signal", "g4dn.xlarge", 1, 139, "", NULL,
	 "fail reboot gpu-hung: nvidia-smi was ended by signal 11 (Segmentation fault): " REBOOT "\n"},
};

static void texts_and_exits(void **state) {
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		const struct row *row = &rows[i];
		const struct gpu_want want = {0};
		struct answer answers[] = {{row->status, row->base}, {0, row->more ? HELP : NULL}, {0, row->more}, {0}};
		struct stub s;
		struct gpu_report r;
		struct err err;
		stub_open(&s, tools);
		stub_answers(&s, answers, 3);
		struct machine m = stub_machine(&s);
		report_fill(&r, &s.arena, row->type, row->gpus);
		assert_int_equal(gpu_check_smi(&m, &want, &r, &err), 0);
		if (strcmp(report_findings(&r), row->found)) {
			print_message("%s: %s", row->what, report_findings(&r));
			assert_string_equal(report_findings(&r), row->found);
		}
		AUTO_FREE char *n = tree_read(&s.tree, "/stub/n");
		assert_string_equal(n, row->more ? "3\n" : "1\n");
		stub_close(&s);
	}
}

static void queries_are_what_every_driver_knows(void **state) {
	static const struct answer answers[] = {{0, GOOD_T4}, {0, HELP}, {0, MORE_T4}, {0}};
	const struct gpu_want want = {0};
	struct stub s;
	struct gpu_report r;
	struct err err;
	stub_open(&s, tools);
	stub_answers(&s, answers, 3);
	struct machine m = stub_machine(&s);
	report_fill(&r, &s.arena, "g4dn.xlarge", 1);
	assert_int_equal(gpu_check_smi(&m, &want, &r, &err), 0);
	assert_string_equal(
		stub_calls(&s),
		"nvidia-smi "
		"--query-gpu=index,pci.bus_id,pci.device_id,name,uuid,driver_version,memory.total,memory.used,"
		"persistence_mode,pstate,temperature.gpu,power.draw,power.limit,utilization.gpu,compute_mode,"
		"ecc.mode.current,ecc.mode.pending,ecc.errors.uncorrected.volatile.total,"
		"ecc.errors.uncorrected.aggregate.total,retired_pages.pending,mig.mode.current,pcie.link.gen.current,"
		"pcie.link.gen.max,pcie.link.width.current,pcie.link.width.max,clocks_throttle_reasons.active "
		"--format=csv,noheader,nounits\n"
		"nvidia-smi --help-query-gpu\n"
		"nvidia-smi "
		"--query-gpu=pci.bus_id,compute_cap,remapped_rows.pending,remapped_rows.failure,fabric.state,"
		"fabric.status,gpu_recovery_action,ecc.errors.uncorrected.aggregate.sram.thresholdExceeded "
		"--format=csv,noheader,nounits\n");
	assert_string_equal(r.devices[0].name, "Tesla T4");
	assert_int_equal(r.devices[0].memory_mib, 15360);
	assert_string_equal(r.cuda, "13.0");
	stub_close(&s);
}

static void small_parts(void **state) {
	static const struct {
		const char *a, *b;
		int order;
	} versions[] = {{"580", "580.105.08", -1}, {"580.105.08", "580", 1}, {"595.80", "595.80", 0},
			{"9.0", "10.0", -1},	   {"13", "13.0", 0},	     {"", "1", -1}};
	for (size_t i = 0; i < sizeof versions / sizeof *versions; i++)
		assert_int_equal(gpu_version_compare(versions[i].a, versions[i].b), versions[i].order);
	static const struct {
		const char *cell, *address; /* NULL: refused */
	} addresses[] = {{"00000000:00:1E.0", "0000:00:1e.0"},
			 {"0000:A0:1C.0", "0000:a0:1c.0"},
			 {"0001:00:00.0", "0001:00:00.0"},
			 {"FFFFFFFF:00:1E.0", NULL},
			 {"00:1E.0", NULL},
			 {"0000:00:1E.0 ", NULL},
			 {"[N/A]", NULL},
			 {"", NULL},
			 {NULL, NULL}};
	for (size_t i = 0; i < sizeof addresses / sizeof *addresses; i++) {
		char address[16] = "";
		assert_int_equal(gpu_smi_address(addresses[i].cell, address), addresses[i].address != NULL);
		if (addresses[i].address) assert_string_equal(address, addresses[i].address);
	}
	assert_true(gpu_smi_knows(HELP, "fabric.state"));
	assert_false(gpu_smi_knows(HELP, "reset_status.reset_required"));
	assert_int_equal(gpu_smi_refused("Field \"uuid\" is not a valid field to query.\n"), SMI_UUID);
	assert_int_equal(gpu_smi_refused("Field \"bogus\" is not a valid field to query.\n"), SMI_FIELD_COUNT);
	assert_int_equal(gpu_smi_refused(" is not a valid field to query"), SMI_FIELD_COUNT);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts_and_exits),
		cmocka_unit_test(queries_are_what_every_driver_knows),
		cmocka_unit_test(small_parts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
