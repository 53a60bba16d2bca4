#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gpu_tree.h"

/* What the kernel log says: checks 8, 9, 12 and 13. */

#define LOG(text)                                                                                                      \
	{ "/dev/kmsg", GPU_LOG_HEALTHY text }
#define XID(rest) "4,1227,437812449932,-;NVRM: Xid (PCI:0000:00:1e): " rest "\n"

static const struct gpu_row rows[] = {
	{"open module, GPU without GSP, wrapped, another record between",
	 GPU_BASE_UNDRIVEN,
	 {LOG("4,900,1,-;NVRM: The NVIDIA GPU 0000:00:1e.0 (PCI ID: 10de:1db1)\\x0aNVRM: installed in this system is "
	      "not "
	      "supported by open\n6,901,1,-;audit: type=1400\n4,902,1,-;NVRM: nvidia.ko because it does not include "
	      "the "
	      "required GPU\\x0aNVRM: System Processor (GSP).\n4,903,2,-;NVRM: The NVIDIA probe routine failed for 1 "
	      "device(s).\n4,904,2,-;NVRM: None of the NVIDIA devices were initialized.\n")},
	 {0},
	 "fail drv-unsupported fix\n"
	 "fail drv-unsupported fix: NVIDIA's open kernel module does not support V100: it needs the proprietary "
	 "driver. Use the Deep Learning AMI with the proprietary NVIDIA driver [NVRM: The NVIDIA GPU 0000:00:1e.0 "
	 "(PCI ID: 10de:1db1) installed in this system is not supported by open nvidia.ko because it does not include "
	 "the required GPU]\n"},
	{"driver too old for the GPU, plain lines",
	 GPU_BASE_T4,
	 {{"/dev/kmsg", "[    9.1] NVRM: The NVIDIA GPU 0000:00:1e.0 (PCI ID: 10de:26b9)\n[    9.1] NVRM: installed in "
			"this system is "
			"not supported by the\n[    9.1] NVRM: NVIDIA 535.183.01 driver release.\n"}},
	 {0},
	 "fail drv-unsupported fix\n"
	 "fail drv-unsupported fix: Driver 580.105.08 does not support L40S: it is too old or too new for it. Use a "
	 "current Deep Learning AMI, or install another branch of the driver [NVRM: The NVIDIA GPU 0000:00:1e.0 (PCI "
	 "ID: 10de:26b9) installed in this system is not supported by the NVIDIA 535.183.01 driver release.]\n"},
	{"RmInitAdapter failed",
	 GPU_BASE_T4,
	 {LOG("3,900,1,-;NVRM: GPU 0000:00:1e.0: RmInitAdapter failed! (0x24:0x65:1484)\n3,901,1,-;NVRM: "
	      "rm_init_adapter "
	      "failed, device minor number 0\n")},
	 {0},
	 "fail drv-init reboot\n"
	 "fail drv-init reboot: GPU 0000:00:1e.0 failed to initialise. Reboot once; if it returns, stop and start the "
	 "instance, or relaunch it [NVRM: GPU 0000:00:1e.0: RmInitAdapter failed! (0x24:0x65:1484)]\n"},
	{"the module left again",
	 GPU_BASE_UNDRIVEN,
	 {LOG("3,900,1,-;NVRM: The NVIDIA probe routine failed for 1 device(s).\n")},
	 {0},
	 "fail drv-init reboot\n"
	 "fail drv-init reboot: A GPU failed to initialise. Reboot once; if it returns, stop and start the instance, "
	 "or relaunch it [NVRM: The NVIDIA probe routine failed for 1 device(s).]\n"},
	{"a probe that nouveau prevented is nouveau's finding",
	 GPU_BASE_UNDRIVEN,
	 {{"/sys/module/nouveau/refcnt", "1\n"},
	  {GPU_PCI "0000:00:1e.0/driver", "->../nouveau"},
	  LOG("3,900,1,-;NVRM: The NVIDIA probe routine was not called for 1 device(s).\n")},
	 {0},
	 "fail drv-nouveau fix\n"
	 "fail drv-nouveau fix: nouveau owns the GPU, so NVIDIA's driver cannot. Blacklist it: `printf 'blacklist "
	 "nouveau\\noptions nouveau modeset=0\\n' | sudo tee /etc/modprobe.d/nouveau-off.conf && sudo update-initramfs "
	 "-u`, then reboot [0000:00:1e.0]\n"},
	{"Xid 79",
	 GPU_BASE_T4,
	 {LOG(XID("79, pid=1814139, name=python3, GPU has fallen off the bus."))},
	 {0},
	 "fail xid-79 replace\n"
	 "fail xid-79 replace: Xid 79 on GPU 0000:00:1e.0: the GPU has fallen off the bus. Hardware: stop and start "
	 "the instance, or terminate and relaunch it; a reboot keeps the same GPU [NVRM: Xid (PCI:0000:00:1e): 79, "
	 "pid=1814139, name=python3, GPU has fallen off the bus.]\n"},
	{"fallen off the bus over two records, no Xid",
	 GPU_BASE_T4,
	 {LOG("3,900,1,-;NVRM: The NVIDIA GPU 0000:00:1e.0\\x0aNVRM: (PCI ID: 10de:1eb8) installed in this system "
	      "has\n3,901,1,-;NVRM: fallen off the bus and is not responding to commands.\n")},
	 {0},
	 "fail xid-79 replace\n"
	 "fail xid-79 replace: Xid 79 on GPU 0000:00:1e.0: the GPU has fallen off the bus. Hardware: stop and start "
	 "the instance, or terminate and relaunch it; a reboot keeps the same GPU [NVRM: The NVIDIA GPU 0000:00:1e.0 "
	 "(PCI ID: 10de:1eb8) installed in this system has fallen off the bus and is not responding to commands.]\n"},
	{"Xid 119: the GSP does not answer, three times",
	 GPU_BASE_T4,
	 {LOG(XID(
		 "119, pid=900, name=nvidia-smi, Timeout after 45s of waiting for RPC response from GPU0 GSP! Expected "
		 "function 76 (GSP_RM_CONTROL) (0x20802096 0x4).")
		      XID("119, pid=901, name=nvidia-smi, Timeout after 45s")
			      XID("119, pid=902, name=nvidia-smi, Timeout after 45s"))},
	 {0},
	 "fail xid-119 reboot\n"
	 "fail xid-119 reboot: Xid 119 on GPU 0000:00:1e.0 (3 times): the GPU's system processor (GSP) does not "
	 "answer; every GPU program may hang. Reboot once; if it returns, stop and start the instance, or relaunch it "
	 "[NVRM: Xid (PCI:0000:00:1e): 119, pid=902, name=nvidia-smi, Timeout after 45s]\n"},
	{"Xid 154 asks for a reboot",
	 GPU_BASE_T4,
	 {LOG(XID("154, GPU recovery action changed from 0x0 (None) to 0x2 (Node Reboot Required)"))},
	 {0},
	 "fail xid-154 reboot\n"
	 "fail xid-154 reboot: Xid 154 on GPU 0000:00:1e.0: GPU recovery action changed from 0x0 (None) to 0x2 (Node "
	 "Reboot Required). Reboot once; if it returns, stop and start the instance, or relaunch it [NVRM: Xid "
	 "(PCI:0000:00:1e): 154, GPU recovery action changed from 0x0 (None) to 0x2 (Node Reboot Required)]\n"},
	{"Xid 154, and it is over",
	 GPU_BASE_T4,
	 {LOG(XID("154, GPU recovery action changed from 0x0 (None) to 0x1 (GPU Reset Required)")
		      XID("154, GPU recovery action changed from 0x1 (GPU Reset Required) to 0x0 (None)"))},
	 {0},
	 "ok 1x T4 driver 580.105.08 cuda 13.0\n"
	 "info xid-154: Xid 154 on GPU 0000:00:1e.0 (2 times): GPU recovery action changed from 0x1 (GPU Reset "
	 "Required) to 0x0 (None). That is over [NVRM: Xid (PCI:0000:00:1e): 154, GPU recovery action changed from "
	 "0x1 (GPU Reset Required) to 0x0 (None)]\n"},
	{"Xid 154, drain peers",
	 GPU_BASE_T4,
	 {LOG(XID("154, GPU recovery action changed from 0x0 (None) to 0x3 (Drain P2P)"))},
	 {0},
	 "warn xid-154 1x T4 driver 580.105.08 cuda 13.0\n"
	 "warn xid-154: Xid 154 on GPU 0000:00:1e.0: GPU recovery action changed from 0x0 (None) to 0x3 (Drain P2P). "
	 "Training may go on; watch it [NVRM: Xid (PCI:0000:00:1e): 154, GPU recovery action changed from 0x0 (None) "
	 "to 0x3 (Drain P2P)]\n"},
	{"Xid 63 is watched",
	 GPU_BASE_T4,
	 {LOG(XID("63, Row Remapper: New row marked for remapping, reset gpu to activate."))},
	 {0},
	 "warn xid-63 1x T4 driver 580.105.08 cuda 13.0\n"
	 "warn xid-63: Xid 63 on GPU 0000:00:1e.0: a faulty piece of GPU memory was recorded for repair at the next "
	 "reset. Training may go on; watch it [NVRM: Xid (PCI:0000:00:1e): 63, Row Remapper: New row marked for "
	 "remapping, reset gpu to activate.]\n"},
	{"NVLink 5, not fatal",
	 GPU_BASE_T4,
	 {LOG(XID("145, RLW_SRC_TRACK Nonfatal XC0 i0 Link 03 (0x1 0x2)"))},
	 {0},
	 "warn xid-145 1x T4 driver 580.105.08 cuda 13.0\n"
	 "warn xid-145: Xid 145 on GPU 0000:00:1e.0: an NVLink error (RLW). Training may go on; watch it [NVRM: Xid "
	 "(PCI:0000:00:1e): 145, RLW_SRC_TRACK Nonfatal XC0 i0 Link 03 (0x1 0x2)]\n"},
	{"NVLink 5, fatal",
	 GPU_BASE_T4,
	 {LOG(XID("149, NETIR_LINK_EVT Fatal XC0 i0 Link 08 (0x1 0x2)"))},
	 {0},
	 "fail xid-149 reboot\n"
	 "fail xid-149 reboot: Xid 149 on GPU 0000:00:1e.0: an NVLink error (NETIR). Reboot once; if it returns, stop "
	 "and start the instance, or relaunch it [NVRM: Xid (PCI:0000:00:1e): 149, NETIR_LINK_EVT Fatal XC0 i0 Link "
	 "08 (0x1 0x2)]\n"},
	{"a program's own",
	 GPU_BASE_T4,
	 {LOG(XID("43, pid=1814139, name=python3, Ch 00000018"))},
	 {0},
	 "ok 1x T4 driver 580.105.08 cuda 13.0\n"
	 "info xid-43: Xid 43 on GPU 0000:00:1e.0: a program's GPU channel was reset after an error of its own. No "
	 "fault of the machine [NVRM: Xid (PCI:0000:00:1e): 43, pid=1814139, name=python3, Ch 00000018]\n"},
	{"45 alone",
	 GPU_BASE_T4,
	 {LOG(XID("45, pid=1, name=python3, Ch 00000008"))},
	 {0},
	 "warn xid-45 1x T4 driver 580.105.08 cuda 13.0\n"
	 "warn xid-45: Xid 45 on GPU 0000:00:1e.0: the driver took a program off the GPU. Training may go on; watch "
	 "it [NVRM: Xid (PCI:0000:00:1e): 45, pid=1, name=python3, Ch 00000008]\n"},
	{"45 after 13",
	 GPU_BASE_T4,
	 {LOG(XID("13, pid=1, Graphics Exception: ESR") XID("45, pid=1, Ch 00000008"))},
	 {0},
	 "ok 1x T4 driver 580.105.08 cuda 13.0\n"
	 "info xid-13: Xid 13 on GPU 0000:00:1e.0: a program raised a graphics engine exception. No fault of the "
	 "machine [NVRM: Xid (PCI:0000:00:1e): 13, pid=1, Graphics Exception: ESR]\n"
	 "info xid-45: Xid 45 on GPU 0000:00:1e.0: the driver took a program off the GPU. No fault of the machine "
	 "[NVRM: Xid (PCI:0000:00:1e): 45, pid=1, Ch 00000008]\n"},
	{"one that is ignored",
	 GPU_BASE_T4,
	 {LOG(XID("141, whatever"))},
	 {0},
	 "ok 1x T4 driver 580.105.08 cuda 13.0\n"},
	{"one that the table does not know",
	 GPU_BASE_T4,
	 {LOG(XID("999, something new"))},
	 {0},
	 "warn xid-999 1x T4 driver 580.105.08 cuda 13.0\n"
	 "warn xid-999: Xid 999 on GPU 0000:00:1e.0: not in dsagent's table of Xids. Training may go on; watch it "
	 "[NVRM: Xid (PCI:0000:00:1e): 999, something new]\n"},
	{"the same on three GPUs of the old form, and other trouble on one",
	 GPU_BASE_H100,
	 {LOG("4,1,1,-;NVRM: Xid (0000:50:00): 94, Contained\n4,1,1,-;NVRM: Xid (PCI:0000:51:00): 94, pid='<unknown>', "
	      "Contained\n4,1,1,-,caller=T12;NVRM: Xid (PCI:00000000:52:00.0): 94, Contained\n4,1,1,-;NVRM: Xid "
	      "(PCI:0000:52:00): 48, pid=7, DBE\n")},
	 {0},
	 "fail xid-48 replace\n"
	 "warn xid-94: Xid 94 on GPU 0000:50:00.0, 0000:51:00.0, 0000:52:00.0: a memory error that could not be "
	 "corrected ended one program; the GPU goes on. Training may go on; watch it [NVRM: Xid "
	 "(PCI:00000000:52:00.0): 94, Contained]\n"
	 "fail xid-48 replace: Xid 48 on GPU 0000:52:00.0: a double bit error in GPU memory, which cannot be "
	 "corrected. Hardware: stop and start the instance, or terminate and relaunch it; a reboot keeps the same GPU "
	 "[NVRM: Xid (PCI:0000:52:00): 48, pid=7, DBE]\n"
	 "info efa: 1 EFA interface with a driver\n"},
	{"an NVSwitch, not fatal",
	 GPU_BASE_H100,
	 {LOG("4,1,1,-;nvidia-nvswitch0: SXid (PCI:0000:41:00.0): 12028, Non-fatal, Link 32 egress non-posted PRIV "
	      "error "
	      "(First)\n4,1,1,-;nvidia-nvswitch0: SXid (PCI:0000:41:00.0): 12028, Severity 0 Engine instance 32\n")},
	 {0},
	 "warn sxid 8x H100 driver 580.105.08 cuda 13.0\n"
	 "warn sxid: NVSwitch 0000:41:00.0 reported 2 errors, the last SXid 12028 (not fatal): jobs on several GPUs "
	 "may fail. Watch it [nvidia-nvswitch0: SXid (PCI:0000:41:00.0): 12028, Severity 0 Engine instance 32]\n"
	 "info efa: 1 EFA interface with a driver\n"},
	{"an NVSwitch, fatal",
	 GPU_BASE_H100,
	 {LOG("4,1,1,-;nvidia-nvswitch3: SXid (PCI:0000:44:00.0): 24007, Fatal, Link 46 sourcetrack timeout error\n"
	      "4,1,1,-;nvidia-nvswitch0: SXid (PCI:0000:41:00.0): 12028, Non-fatal, Link 32\n")},
	 {0},
	 "fail sxid replace\n"
	 "fail sxid replace: NVSwitch 0000:44:00.0 reported 2 errors, the last SXid 24007 (fatal): jobs on several "
	 "GPUs may fail. Stop and start the instance, or relaunch it [nvidia-nvswitch3: SXid (PCI:0000:44:00.0): "
	 "24007, Fatal, Link 46 sourcetrack timeout error]\n"
	 "info efa: 1 EFA interface with a driver\n"},
};

static void machines_are_judged_by_their_log(void **state) { gpu_rows_check(rows, sizeof rows / sizeof *rows); }

/* The class of every Xid, as the study of the public fault detectors has it. */
static const struct {
	const char *verdict; /* the code at %u */
	unsigned xids[80];
} classes[] = {
	{"fail xid-%u replace", {48, 54, 62, 64, 79, 95, 140, 142, 143, 158, 167, 171, 172}},
	{"fail xid-%u reboot", {46, 74, 109, 110, 119, 120, 136, 151, 154, 155, 156, 168}},
	{"warn xid-%u 1x T4 driver 580.105.08 cuda 13.0",
	 {45, 63, 92, 94, 121, 137, 144, 145, 146, 147, 148, 149, 150, 157, 159, 160, 161, 164, 165, 200}},
	{"ok 1x T4 driver 580.105.08 cuda 13.0",
	 {8,   11,  13,	 14,  25,  31,	32,  37,  38,  39,  40,	 41,  42,  43,	44,  60,  66,  67,  68,	 69,  70,  71,
	  72,  75,  76,	 77,  80,  82,	83,  84,  85,  86,  87,	 88,  89,  93,	96,  97,  98,  99,  100, 101, 102, 103,
	  104, 105, 106, 107, 126, 127, 128, 129, 130, 131, 132, 133, 134, 135, 139, 141, 152, 153, 162, 163}},
};

static void every_xid_has_its_class(void **state) {
	struct tree t;
	tree_open(&t);
	gpu_tree_fill(&t, GPU_BASE_T4, NULL);
	for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
		for (size_t k = 0; classes[i].xids[k]; k++) {
			AUTO_ARENA struct arena arena = {0};
			struct gpu_want want = {0};
			struct gpu_report r = {.arena = &arena};
			struct err err = {0};
			char verdict[257];
			unsigned xid = classes[i].xids[k];
			const char *at = strchr(classes[i].verdict, '%');
			const char *wanted = at ? arena_printf(&arena, "%.*s%u%s", (int)(at - classes[i].verdict),
							       classes[i].verdict, xid, at + 2)
						: classes[i].verdict;
			gpu_tree_file(&t, "/dev/kmsg",
				      arena_printf(&arena, "[ 1.0] NVRM: Xid (PCI:0000:00:1e): %u, some words\n", xid));
			struct machine m = {
				.root = &t.root, .arena = &arena, .deadline_at_ms = clock_mono_ms() + 60 * 1000};
			assert_int_equal(gpu_check_files(&m, &want, &r, &err), 0);
			gpu_verdict(&r, verdict, sizeof verdict);
			if (!str_eq(verdict, wanted)) fail_msg("Xid %u: %s", xid, verdict);
		}
	}
	tree_close(&t);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(machines_are_judged_by_their_log),
		cmocka_unit_test(every_xid_has_its_class),
	};
	return cmocka_run_group_tests_name("gpu_log", tests, NULL, NULL);
}
