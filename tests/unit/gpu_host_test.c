#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gpu_tree.h"

/* Fabric Manager, the environment, disks and EFA: checks 14 to 18. */

#define FM_LOG "/var/log/fabricmanager.log"
#define FM_SAID(manager, driver)                                                                                       \
	"[Nov 20 2026 09:00:00] [ERROR] [tid 1] fabric manager NVIDIA GPU driver interface version " manager           \
	" don't match with driver version " driver ". Please update with matching NVIDIA driver package.\n"

static const struct gpu_row rows[] = {
	{"Fabric Manager is missing",
	 GPU_BASE_H100,
	 {{GPU_FM, NULL}, {"/usr/lib/systemd", NULL}},
	 {0},
	 "fail fm-missing fix\n"
	 "fail fm-missing fix: p5.48xlarge needs NVIDIA Fabric Manager, and it is not installed: CUDA will fail with "
	 "error 802. Use a Deep Learning AMI, or install nvidia-fabricmanager of version 580.105.08 "
	 "[nvidia-fabricmanager.service]\n"
	 "info efa: 1 EFA interface with a driver\n"},
	{"Fabric Manager is down",
	 GPU_BASE_H100,
	 {{GPU_FM, ""}},
	 {0},
	 "fail fm-down fix\n"
	 "fail fm-down fix: p5.48xlarge needs NVIDIA Fabric Manager, and it is not running: CUDA will fail with error "
	 "802. Run `sudo systemctl enable --now nvidia-fabricmanager`; `journalctl -u nvidia-fabricmanager` says why "
	 "it stopped [nvidia-fabricmanager.service]\n"
	 "info efa: 1 EFA interface with a driver\n"},
	{"Fabric Manager does not fit",
	 GPU_BASE_H100,
	 {{GPU_FM, NULL}, {FM_LOG, FM_SAID("580.95.05", "580.95.06") FM_SAID("580.95.05", "580.105.08")}},
	 {0},
	 "fail fm-mismatch fix\n"
	 "fail fm-mismatch fix: Fabric Manager 580.95.05 does not fit driver 580.105.08 and has stopped. Run `sudo apt "
	 "install 'nvidia-fabricmanager-580=580.105.08*'`, then `sudo systemctl restart nvidia-fabricmanager` "
	 "[/var/log/fabricmanager.log]\n"
	 "info efa: 1 EFA interface with a driver\n"},
	{"Fabric Manager did not fit an older driver",
	 GPU_BASE_H100,
	 {{GPU_FM, NULL}, {FM_LOG, FM_SAID("570.1.1", "580.95.06")}},
	 {0},
	 "fail fm-down fix\n"
	 "fail fm-down fix: p5.48xlarge needs NVIDIA Fabric Manager, and it is not running: CUDA will fail with error "
	 "802. Run `sudo systemctl enable --now nvidia-fabricmanager`; `journalctl -u nvidia-fabricmanager` says why "
	 "it stopped [nvidia-fabricmanager.service]\n"
	 "info efa: 1 EFA interface with a driver\n"},
	{"a single H100 has no fabric",
	 GPU_BASE_T4,
	 {{GPU_DMI, "p5.4xlarge\n"},
	  {GPU_PCI "0000:00:1e.0/device", "0x2330\n"},
	  {"/sys/block/nvme1n1/size", "7421875000\n"}},
	 {0},
	 "ok 1x H100 driver 580.105.08 cuda 13.0\n"},
	{"NVSwitches on a type that the table does not know",
	 GPU_BASE_H100,
	 {{GPU_DMI, "p9.48xlarge\n"}, {GPU_FM, NULL}},
	 {0},
	 "fail fm-down fix\n"
	 "info gpu-count: How many GPUs p9.48xlarge should have is not in the table; 8 found [GPUs in "
	 "/sys/bus/pci/devices: 8]\n"
	 "fail fm-down fix: p9.48xlarge needs NVIDIA Fabric Manager, and it is not running: CUDA will fail with error "
	 "802. Run `sudo systemctl enable --now nvidia-fabricmanager`; `journalctl -u nvidia-fabricmanager` says why "
	 "it stopped [nvidia-fabricmanager.service]\n"
	 "info efa: 1 EFA interface with a driver\n"},
	{"CUDA_VISIBLE_DEVICES hides all",
	 GPU_BASE_T4,
	 {{"/etc/environment", "PATH=/bin\nCUDA_VISIBLE_DEVICES=\"\"\n"}},
	 {0},
	 "warn env-cuda 1x T4 driver 580.105.08 cuda 13.0\n"
	 "warn env-cuda fix: CUDA_VISIBLE_DEVICES='' in /etc/environment hides all GPUs from CUDA programs. Remove it "
	 "[/etc/environment: CUDA_VISIBLE_DEVICES=]\n"},
	{"CUDA_VISIBLE_DEVICES hides some",
	 GPU_BASE_A10G,
	 {{"/etc/profile.d/gpu.sh", "# export CUDA_VISIBLE_DEVICES=9\nexport CUDA_VISIBLE_DEVICES='0, 1'  # two\n"}},
	 {0},
	 "warn env-cuda 4x A10G driver 595.80 cuda 13.2\n"
	 "warn env-cuda fix: CUDA_VISIBLE_DEVICES='0, 1' in /etc/profile.d/gpu.sh shows only 2 of 4 GPUs to CUDA "
	 "programs. Remove it [/etc/profile.d/gpu.sh: CUDA_VISIBLE_DEVICES=0, 1]\n"},
	{"CUDA_VISIBLE_DEVICES names one that is not there",
	 GPU_BASE_T4,
	 {{"/etc/environment", "CUDA_VISIBLE_DEVICES=1,0\n"}},
	 {0},
	 "warn env-cuda 1x T4 driver 580.105.08 cuda 13.0\n"
	 "warn env-cuda fix: CUDA_VISIBLE_DEVICES='1,0' in /etc/environment names '1', which is no GPU of this "
	 "machine: CUDA programs see only those before it. Remove it [/etc/environment: CUDA_VISIBLE_DEVICES=1,0]\n"},
	{"CUDA_VISIBLE_DEVICES that harms nobody",
	 GPU_BASE_T4,
	 {{"/etc/environment",
	   "CUDA_VISIBLE_DEVICES=0\nCUDA_LAUNCH_BLOCKING=0\nLD_LIBRARY_PATH=/usr/local/cuda/lib64\n"},
	  {"/etc/profile.d/a.sh", "export CUDA_VISIBLE_DEVICES=$MY_GPU\n"},
	  {"/etc/profile.d/b.csh", "CUDA_VISIBLE_DEVICES=-1\n"}},
	 {0},
	 "ok 1x T4 driver 580.105.08 cuda 13.0\n"},
	{"libraries that shadow the driver's",
	 GPU_BASE_T4,
	 {{"/etc/profile.d/cuda.sh", "export LD_LIBRARY_PATH=/usr/local/cuda/compat:$LD_LIBRARY_PATH\n"},
	  {"/etc/environment", "LD_LIBRARY_PATH=/usr/local/cuda/lib64/stubs\nCUDA_LAUNCH_BLOCKING=1\n"}},
	 {0},
	 "warn env-cuda 1x T4 driver 580.105.08 cuda 13.0\n"
	 "warn env-cuda fix: LD_LIBRARY_PATH='/usr/local/cuda/lib64/stubs' in /etc/environment makes programs load "
	 "CUDA's stub libraries, which know no GPU. Remove it [/etc/environment: "
	 "LD_LIBRARY_PATH=/usr/local/cuda/lib64/stubs]\n"
	 "warn env-cuda fix: CUDA_LAUNCH_BLOCKING='1' in /etc/environment makes every CUDA call wait: training is "
	 "slow. Remove it [/etc/environment: CUDA_LAUNCH_BLOCKING=1]\n"
	 "warn env-cuda fix: LD_LIBRARY_PATH='/usr/local/cuda/compat:$LD_LIBRARY_PATH' in /etc/profile.d/cuda.sh puts "
	 "CUDA's forward compatibility libraries before the driver's own: CUDA may fail with error 804. Remove it "
	 "[/etc/profile.d/cuda.sh: LD_LIBRARY_PATH=/usr/local/cuda/compat:$LD_LIBRARY_PATH]\n"},
	{"instance store that nothing uses",
	 GPU_BASE_H100,
	 {{"/sys/block/nvme3n1/holders/dm-0", NULL},
	  {"/sys/block/nvme4n1/holders/dm-0", NULL},
	  {"/sys/block/nvme5n1/holders/dm-0", NULL},
	  {"/sys/block/nvme6n1/holders/dm-0", NULL},
	  {"/proc/mounts",
	   "/dev/nvme4n1 /data xfs rw 0 0\n/dev/nvme31n1 /x xfs rw 0 0\n/dev/nvme5n1p1 /y ext4 rw 0 0\n"},
	  {"/proc/swaps", "Filename Type Size Used Priority\n/dev/nvme6n1 partition 1 0 -2\n"}},
	 {0},
	 "ok 8x H100 driver 580.105.08 cuda 13.0\n"
	 "info ephemeral: 30.4 TB of NVMe instance store on 8 disks, nvme3n1 not mounted: a fast place for data that "
	 "may be lost when the instance stops. A `volume` step mounts it [nvme3n1]\n"
	 "info efa: 1 EFA interface with a driver\n"},
	{"half of the instance store is missing",
	 GPU_BASE_H100,
	 {{"/sys/block/nvme5n1", NULL},
	  {"/sys/block/nvme6n1", NULL},
	  {"/sys/block/nvme7n1", NULL},
	  {"/sys/block/nvme8n1", NULL}},
	 {0},
	 "warn ephemeral 8x H100 driver 580.105.08 cuda 13.0\n"
	 "warn ephemeral replace: p5.48xlarge should have 30.4 TB of NVMe instance store, it has 15.2 TB. Stop and "
	 "start the instance, or relaunch it [4 disks 'Amazon EC2 NVMe Instance Storage']\n"
	 "info efa: 1 EFA interface with a driver\n"},
	{"EFA without a driver",
	 GPU_BASE_H100,
	 {{"/sys/class/infiniband", NULL}, {"/sys/module/efa", NULL}},
	 {0},
	 "warn efa 8x H100 driver 580.105.08 cuda 13.0\n"
	 "warn efa fix: 1 EFA device on the bus, 0 with a driver: the efa module is not loaded. Run `sudo modprobe "
	 "efa`, or install the EFA software of AWS [/sys/module/efa]\n"},
};

static void machines_are_judged_by_what_is_around(void **state) { gpu_rows_check(rows, sizeof rows / sizeof *rows); }

static void on_wait(const char *what, int64_t waited_ms, void *arg) {
	assert_string_equal(what, "NVIDIA Fabric Manager");
	gpu_tree_file(arg, GPU_FM, "1833\n");
}

static void an_enabled_fabric_manager_gets_its_time(void **state) {
	static const struct gpu_file files[GPU_FILES_MAX] = {
		{GPU_FM, NULL},
		{"/etc/systemd/system/multi-user.target.wants/nvidia-fabricmanager.service", "->/nowhere"}};
	AUTO_ARENA struct arena arena = {0};
	struct gpu_want want = {.wait_ms = 30000};
	struct gpu_report r = {.arena = &arena};
	struct err err = {0};
	struct tree t;
	tree_open(&t);
	gpu_tree_fill(&t, GPU_BASE_H100, files);
	struct machine m = {.root = &t.root,
			    .arena = &arena,
			    .on_wait = on_wait,
			    .arg = &t,
			    .deadline_at_ms = clock_mono_ms() + 60 * 1000};
	assert_int_equal(gpu_check_files(&m, &want, &r, &err), 0);
	assert_int_equal(gpu_severity(&r), GPU_INFO);
	tree_close(&t);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(machines_are_judged_by_what_is_around),
		cmocka_unit_test(an_enabled_fabric_manager_gets_its_time),
	};
	return cmocka_run_group_tests_name("gpu_host", tests, NULL, NULL);
}
