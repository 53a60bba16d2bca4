#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gpu_tree.h"
#include "sys/gpu_files.h"

/* Healthy machines, what is on the bus (checks 1 to 3), and files full of junk. */

#define SECURE_BOOT "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"

static const struct gpu_row rows[] = {
	{"healthy T4", GPU_BASE_T4, {{0}}, {0}, "ok 1x T4 driver 580.105.08 cuda 13.0\n"},
	{"healthy A10G, four of them, open module, two-part version",
	 GPU_BASE_A10G,
	 {{0}},
	 {0},
	 "ok 4x A10G driver 595.80 cuda 13.2\n"},
	{"healthy H100, eight of them",
	 GPU_BASE_H100,
	 {{0}},
	 {.gpus = 8, .is_required = true},
	 "ok 8x H100 driver 580.105.08 cuda 13.0\n"
	 "info efa: 1 EFA interface with a driver\n"},
	{"no GPU and none expected", GPU_BASE_BARE, {{0}}, {0}, "none\n"},
	{"no GPU but the recipe wants one",
	 GPU_BASE_BARE,
	 {{0}},
	 {.is_required = true},
	 "fail gpu-none replace\n"
	 "fail gpu-none replace: The recipe asks for an NVIDIA GPU and m7i.large has none. Launch an instance type "
	 "with one, such as g6.xlarge [m7i.large]\n"},
	{"no GPU but the type has one",
	 GPU_BASE_BARE,
	 {{GPU_DMI, "g5.xlarge\n"}},
	 {0},
	 "fail gpu-none replace\n"
	 "fail gpu-none replace: g5.xlarge should have 1 NVIDIA GPU, the PCI bus shows none: the host's GPU is "
	 "missing. Stop and start the instance, or terminate and relaunch it; a reboot keeps the same host "
	 "[g5.xlarge]\n"
	 "warn ephemeral replace: g5.xlarge should have 250 GB of NVMe instance store, it has none. Stop and start the "
	 "instance, or relaunch it [0 disks 'Amazon EC2 NVMe Instance Storage']\n"},
	{"no GPU, no type, and one wanted",
	 GPU_BASE_BARE,
	 {{GPU_DMI, "HVM domU\n"}},
	 {.gpus = 1},
	 "fail gpu-none replace\n"
	 "fail gpu-none replace: The recipe asks for an NVIDIA GPU and this machine has none. Launch an instance type "
	 "with one, such as g6.xlarge [this machine]\n"},
	{"one of eight is not on the bus",
	 GPU_BASE_H100,
	 {{GPU_PCI "0000:53:00.0", NULL}},
	 {.gpus = 8},
	 "fail gpu-count replace\n"
	 "fail gpu-count replace: 8 GPUs expected on p5.48xlarge, 7 on the bus: a hardware fault. Stop and start the "
	 "instance, or terminate and relaunch it; a reboot keeps the same host [GPUs in /sys/bus/pci/devices: 7]\n"
	 "info efa: 1 EFA interface with a driver\n"},
	{"the recipe wants more than the type has",
	 GPU_BASE_A10G,
	 {{0}},
	 {.gpus = 8},
	 "fail gpu-count replace\n"
	 "fail gpu-count replace: The recipe asks for 8 GPUs, this machine has 4. Launch an instance type with 8, or "
	 "change 'gpus' in the recipe [GPUs in /sys/bus/pci/devices: 4]\n"},
	{"a type that the table does not know",
	 GPU_BASE_T4,
	 {{GPU_DMI, "g9z.metal-24xl\n"}},
	 {0},
	 "ok 1x T4 driver 580.105.08 cuda 13.0\n"
	 "info gpu-count: How many GPUs g9z.metal-24xl should have is not in the table; 1 found [GPUs in "
	 "/sys/bus/pci/devices: 1]\n"},
	{"a card that the table does not know",
	 GPU_BASE_T4,
	 {{GPU_DMI, "g9z.xlarge\n"}, {GPU_PCI "0000:00:1e.0/device", "0x2fff\n"}},
	 {.gpus = 1},
	 "ok 1x 10de:2fff driver 580.105.08 cuda 13.0\n"},
	{"another model than the type has",
	 GPU_BASE_T4,
	 {{GPU_PCI "0000:00:1e.0/device", "0x27b8\n"}},
	 {0},
	 "warn gpu-model 1x L4 driver 580.105.08 cuda 13.0\n"
	 "warn gpu-model: GPU 0000:00:1e.0 is L4 (10de:27b8); g4dn.xlarge should have T4 (10de:1eb8) "
	 "[0000:00:1e.0]\n"},
	{"a fractional type",
	 GPU_BASE_T4,
	 {{GPU_DMI, "g6f.large\n"}, {GPU_PCI "0000:00:1e.0/device", "0x27b8\n"}},
	 {0},
	 "ok 1x L4 driver 580.105.08 cuda 13.0\n"
	 "info gpu-count: g6f.large has a part of one L4 and needs the GRID driver [GPUs in /sys/bus/pci/devices: "
	 "1]\n"},
	{"Neuron",
	 GPU_BASE_BARE,
	 {{GPU_DMI, "inf2.24xlarge\n"},
	  {GPU_PCI "0000:10:1e.0/vendor", "0x1d0f\n"},
	  {GPU_PCI "0000:10:1e.0/class", "0x088000\n"},
	  {GPU_PCI "0000:10:1e.0/device", "0x7264\n"},
	  {GPU_PCI "0000:20:1e.0/vendor", "0x1d0f\n"},
	  {GPU_PCI "0000:20:1e.0/class", "0x088000\n"},
	  {GPU_PCI "0000:20:1e.0/device", "0x7264\n"},
	  {"/sys/module/neuron/version", "2.21.37.0\n"}},
	 {0},
	 "none neuron\n"
	 "info neuron: 2 AWS Neuron devices (Inf2), driver 2.21.37.0\n"},
	{"Neuron without its module",
	 GPU_BASE_BARE,
	 {{GPU_PCI "0000:10:1e.0/vendor", "0x1d0f\n"},
	  {GPU_PCI "0000:10:1e.0/class", "0x088000\n"},
	  {GPU_PCI "0000:10:1e.0/device", "0x7164\n"}},
	 {0},
	 "none neuron\n"
	 "info neuron: 1 AWS Neuron device (Trn1), the neuron module is not loaded: install aws-neuronx-dkms and the "
	 "headers of the running kernel\n"},
	{"AMD",
	 GPU_BASE_BARE,
	 {{GPU_DMI, "g4ad.xlarge\n"},
	  {GPU_PCI "0000:00:1e.0/vendor", "0x1002\n"},
	  {GPU_PCI "0000:00:1e.0/class", "0x038000\n"},
	  {GPU_PCI "0000:00:1e.0/device", "0x7362\n"}},
	 {0},
	 "none amd\n"
	 "info gpu-amd: 1 AMD GPU on the bus; only NVIDIA GPUs are checked\n"},
};

static void machines_are_judged_by_their_bus(void **state) { gpu_rows_check(rows, sizeof rows / sizeof *rows); }

/* Every file of the healthiest machine, filled with bytes of no meaning, and made a folder. */
static void junk_everywhere(void **state) {
	static const char *const paths[] = {
		GPU_DMI,
		GPU_PCI "0000:50:00.0/vendor",
		GPU_PCI "0000:50:00.0/class",
		GPU_PCI "0000:50:00.0/device",
		GPU_PCI "0000:50:00.0/driver",
		"/proc/sys/kernel/osrelease",
		"/sys/module/nvidia/version",
		"/sys/module/nvidia/initstate",
		"/proc/driver/nvidia/version",
		GPU_LIB "libcuda.so.1",
		GPU_LIB "libnvidia-ml.so.1",
		"/dev/kmsg",
		"/dev/nvidiactl",
		GPU_FM,
		"/etc/environment",
		"/etc/group",
		"/etc/profile.d/x.sh",
		"/proc/mounts",
		"/proc/swaps",
		"/sys/block/nvme1n1/device/model",
		"/sys/block/nvme1n1/size",
		"/sys/kernel/security/lockdown",
		SECURE_BOOT,
		GPU_DEP,
		"/var/log/fabricmanager.log",
		"/sys/class/infiniband",
		"/sys/class/infiniband/x",
		"/etc/systemd/system/multi-user.target.wants",
		"/sys/module/neuron/version",
	};
	char junk[8192];
	for (size_t i = 0; i < sizeof junk - 1; i++) junk[i] = (char)(1 + i * 31 % 255);
	junk[sizeof junk - 1] = '\0';
	for (int as_folder = 0; as_folder < 2; as_folder++) {
		for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
			AUTO_ARENA struct arena arena = {0};
			struct exec_user user = {.name = "ubuntu", .home = "/home/ubuntu", .uid = 1000, .gid = 1000};
			struct gpu_want want = {.user = &user};
			struct gpu_report r = {.arena = &arena};
			struct err err = {0};
			struct tree t;
			char path[256], verdict[257];
			tree_open(&t);
			gpu_tree_fill(&t, GPU_BASE_H100, NULL);
			gpu_tree_file(&t, paths[i], NULL);
			(void)snprintf(path, sizeof path, "%s%s", paths[i], as_folder ? "/junk" : "");
			gpu_tree_file(&t, path, junk);
			struct machine m = {
				.root = &t.root, .arena = &arena, .deadline_at_ms = clock_mono_ms() + 60 * 1000};
			if (gpu_check_files(&m, &want, &r, &err)) fail_msg("%s: %s", path, err.msg);
			gpu_verdict(&r, verdict, sizeof verdict);
			for (const char *c = verdict; *c; c++)
				if (*c < ' ' || *c > '~') fail_msg("%s: %s", path, verdict);
			tree_close(&t);
		}
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(machines_are_judged_by_their_bus),
		cmocka_unit_test(junk_everywhere),
	};
	return cmocka_run_group_tests_name("gpu_bus", tests, NULL, NULL);
}
