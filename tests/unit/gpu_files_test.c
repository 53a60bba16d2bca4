#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gpu_tree.h"
#include "sys/gpu_files.h"

/* Module, libraries and device nodes: checks 4 to 11. */

#define DEP_WITH                                                                                                       \
	"kernel/net/x.ko.zst:\nupdates/dkms/nvidia-uvm.ko.zst: "                                                       \
	"updates/dkms/nvidia.ko.zst\nupdates/dkms/nvidia.ko.zst:\n"
#define DEP_WITHOUT "kernel/drivers/net/nvidia.ko.d/x.ko:\nkernel/fs/xnvidia.ko: a/nvidia.ko\nkernel/net/y.ko.zst:\n"

static const struct gpu_row rows[] = {
	{"nouveau owns the GPU",
	 GPU_BASE_UNDRIVEN,
	 {{GPU_PCI "0000:00:1e.0/driver", "->../../../../bus/pci/drivers/nouveau"},
	  {"/sys/module/nouveau/refcnt", "1\n"}},
	 {.wait_ms = 60000},
	 "fail drv-nouveau fix\n"
	 "fail drv-nouveau fix: nouveau owns the GPU, so NVIDIA's driver cannot. Blacklist it: `printf 'blacklist "
	 "nouveau\\noptions nouveau modeset=0\\n' | sudo tee /etc/modprobe.d/nouveau-off.conf && sudo update-initramfs "
	 "-u`, then reboot [0000:00:1e.0]\n"},
	{"vfio owns the GPU",
	 GPU_BASE_T4,
	 {{GPU_PCI "0000:00:1e.0/driver", "->../../drivers/vfio-pci"}},
	 {0},
	 "fail drv-foreign fix\n"
	 "fail drv-foreign fix: The driver vfio-pci owns GPU 0000:00:1e.0, so NVIDIA's cannot use it. Unbind it in "
	 "/sys/bus/pci/drivers/vfio-pci, or take it out of the boot configuration [0000:00:1e.0]\n"},
	{"the kernel was changed",
	 GPU_BASE_UNDRIVEN,
	 {{GPU_DEP, DEP_WITHOUT},
	  {"/lib/modules/6.8.0-1018-aws/modules.dep", DEP_WITH},
	  {"/lib/modules/6.8.0-1019-aws/modules.dep", DEP_WITHOUT},
	  {"/lib/modules/6.5.0-1099-aws/modules.dep", "kernel/nvidia-580/nvidia.ko: a.ko\n"}},
	 {.wait_ms = 60000},
	 "fail drv-nomodule fix\n"
	 "fail drv-nomodule fix: No NVIDIA module was built for the running kernel 6.8.0-1021-aws (built for: "
	 "6.5.0-1099-aws, 6.8.0-1018-aws). Run `sudo apt install linux-headers-$(uname -r) && sudo dkms autoinstall`, "
	 "then reboot; or boot a kernel that has it [/lib/modules/6.8.0-1021-aws/modules.dep names no nvidia.ko]\n"},
	{"the kernel was changed, and its folder is gone, AL2023",
	 GPU_BASE_UNDRIVEN,
	 {{"/usr/bin/apt-get", NULL}, {"/lib/modules/6.1.1/modules.dep", "extra/nvidia.ko.xz:\n"}},
	 {0},
	 "fail drv-nomodule fix\n"
	 "fail drv-nomodule fix: No NVIDIA module was built for the running kernel 6.8.0-1021-aws (built for: 6.1.1). "
	 "Run `sudo dnf install kernel-devel-$(uname -r) && sudo dkms autoinstall`, then reboot; or boot a kernel that "
	 "has it [/lib/modules/6.8.0-1021-aws/modules.dep is absent]\n"},
	{"an image without any driver",
	 GPU_BASE_UNDRIVEN,
	 {{GPU_DEP, DEP_WITHOUT}},
	 {.wait_ms = 60000},
	 "fail drv-nomodule fix\n"
	 "fail drv-nomodule fix: No NVIDIA driver is installed: no kernel of this image has its module. Use a Deep "
	 "Learning AMI, or install the driver [/lib/modules/6.8.0-1021-aws/modules.dep names no nvidia.ko]\n"},
	{"DKMS has not built it",
	 GPU_BASE_UNDRIVEN,
	 {{GPU_DEP, DEP_WITHOUT}, {"/var/lib/dkms/nvidia/580.105.08/source/dkms.conf", ""}},
	 {.wait_ms = 20},
	 "fail drv-nomodule fix\n"
	 "fail drv-nomodule fix: No NVIDIA module was built for the running kernel 6.8.0-1021-aws (built for: no "
	 "kernel). Run `sudo apt install linux-headers-$(uname -r) && sudo dkms autoinstall`, then reboot; or boot a "
	 "kernel that has it [/lib/modules/6.8.0-1021-aws/modules.dep names no nvidia.ko]\n"},
	{"secure boot by the log",
	 GPU_BASE_UNDRIVEN,
	 {{GPU_DEP, DEP_WITH},
	  {"/dev/kmsg", GPU_LOG_HEALTHY "3,900,9300000,-;Loading of unsigned module is rejected\n"}},
	 {0},
	 "fail drv-secureboot fix\n"
	 "fail drv-secureboot fix: UEFI Secure Boot is on and the NVIDIA module is not signed by an enrolled key. Use "
	 "an AMI without Secure Boot, or enrol the key that DKMS signs with (`sudo mokutil --import`) [Loading of "
	 "unsigned module is rejected]\n"},
	{"secure boot by lockdown",
	 GPU_BASE_UNDRIVEN,
	 {{GPU_DEP, DEP_WITH}, {"/sys/kernel/security/lockdown", "none [integrity] confidentiality\n"}},
	 {0},
	 "fail drv-secureboot fix\n"
	 "fail drv-secureboot fix: UEFI Secure Boot is on and the NVIDIA module is not signed by an enrolled key. Use "
	 "an AMI without Secure Boot, or enrol the key that DKMS signs with (`sudo mokutil --import`) [Secure Boot is "
	 "on]\n"},
	{"secure boot is on and all is well",
	 GPU_BASE_T4,
	 {{"/sys/kernel/security/lockdown", "none [integrity] confidentiality\n"}},
	 {0},
	 "ok 1x T4 driver 580.105.08 cuda 13.0\n"
	 "info drv-secureboot: UEFI Secure Boot is on; the NVIDIA module is signed for it\n"},
	{"the module is there and not loaded",
	 GPU_BASE_UNDRIVEN,
	 {{GPU_DEP, DEP_WITH}},
	 {0},
	 "fail drv-unloaded fix\n"
	 "fail drv-unloaded fix: The NVIDIA kernel module is not loaded. Run `sudo modprobe nvidia`; `sudo dmesg` says "
	 "why it fails [/sys/module/nvidia is absent]\n"},
	{"nothing is known of the module",
	 GPU_BASE_UNDRIVEN,
	 {{0}},
	 {0},
	 "fail drv-unloaded fix\n"
	 "fail drv-unloaded fix: The NVIDIA kernel module is not loaded. Run `sudo modprobe nvidia`; `sudo dmesg` says "
	 "why it fails [/sys/module/nvidia is absent]\n"},
	{"the module is still coming",
	 GPU_BASE_T4,
	 {{"/proc/driver", NULL}, {"/sys/module/nvidia/initstate", "coming\n"}},
	 {0},
	 "fail drv-unloaded reboot\n"
	 "fail drv-unloaded reboot: The NVIDIA kernel module has not finished starting. `sudo dmesg` says how far it "
	 "came; reboot [/sys/module/nvidia/initstate is coming]\n"},
	{"an upgrade ran under the module",
	 GPU_BASE_T4,
	 {{GPU_LIB "libcuda.so.1", "->libcuda.so.580.126.09"}, {GPU_LIB "libcuda.so.580.126.09", ""}},
	 {0},
	 "fail drv-mismatch reboot\n"
	 "fail drv-mismatch reboot: Driver 580.105.08 is loaded but the libraries are 580.126.09: an upgrade ran after "
	 "the module was loaded. Reboot. To prevent it: `sudo apt-mark hold 'nvidia-*' 'libnvidia-*'` "
	 "[/usr/lib/x86_64-linux-gnu/libcuda.so.580.126.09]\n"},
	{"only NVML was upgraded, by way of alternatives, AL2023",
	 GPU_BASE_A10G,
	 {{"/usr/lib64/libnvidia-ml.so.1", "->/etc/alternatives/nvml"},
	  {"/etc/alternatives/nvml", "->../../usr/lib64/libnvidia-ml.so.595.91.07"},
	  {"/usr/lib64/libnvidia-ml.so.595.91.07", ""}},
	 {0},
	 "fail drv-mismatch reboot\n"
	 "fail drv-mismatch reboot: Driver 595.80 is loaded but the libraries are 595.91.07: an upgrade ran after the "
	 "module was loaded. Reboot. To prevent it: `sudo dnf versionlock add 'nvidia*' 'kmod-nvidia*'` "
	 "[/etc/alternatives/../../usr/lib64/libnvidia-ml.so.595.91.07]\n"},
	{"a program of another version, the machine is well",
	 GPU_BASE_T4,
	 {{"/dev/kmsg",
	   "[  12.1] NVRM: API mismatch: the client 'nvidia-smi' (pid 1234)\n[  12.1] NVRM: has the version 550.54.15, "
	   "but "
	   "this kernel module has\n[  12.1] NVRM: the version 580.105.08.  Please make sure that this\n"}},
	 {0},
	 "ok 1x T4 driver 580.105.08 cuda 13.0\n"
	 "info drv-mismatch: A program came with NVIDIA libraries of another version than the loaded driver "
	 "580.105.08: an old container image, or a program started before an upgrade [NVRM: API mismatch: the client "
	 "'nvidia-smi' (pid 1234) has the version 550.54.15, but this kernel module has the version 580.105.08.  "
	 "Please make sure that this]\n"},
	{"libcuda is nowhere",
	 GPU_BASE_T4,
	 {{"/usr/lib", NULL}},
	 {0},
	 "warn drv-nolib 1x T4 driver 580.105.08 cuda 13.0\n"
	 "warn drv-nolib fix: Driver 580.105.08 is loaded but libcuda.so.1 is in no folder of the system: CUDA "
	 "programs need it. Install the libraries of the same version [/usr/lib/x86_64-linux-gnu]\n"},
	{"libraries in a loop of links",
	 GPU_BASE_T4,
	 {{GPU_LIB "libcuda.so.1", "->libcuda.so.2"}, {GPU_LIB "libcuda.so.2", "->libcuda.so.1"}},
	 {0},
	 "warn drv-nolib 1x T4 driver 580.105.08 cuda 13.0\n"
	 "warn drv-nolib fix: Driver 580.105.08 is loaded but libcuda.so.1 is in no folder of the system: CUDA "
	 "programs need it. Install the libraries of the same version [/usr/lib/x86_64-linux-gnu]\n"},
	{"no nodes",
	 GPU_BASE_T4,
	 {{"/dev/nvidia-uvm", NULL}, {"/dev/nvidia0", NULL}},
	 {0},
	 "warn drv-uvm 1x T4 driver 580.105.08 cuda 13.0\n"
	 "warn drv-uvm fix: CUDA device nodes are missing: /dev/nvidia-uvm, /dev/nvidia0. Run `sudo modprobe "
	 "nvidia_uvm` and `sudo nvidia-modprobe -u -c=0` [/dev/nvidia-uvm, /dev/nvidia0]\n"},
	{"no nodes, but nvidia-modprobe makes them",
	 GPU_BASE_T4,
	 {{"/dev/nvidia-uvm", NULL}, {"/usr/bin/nvidia-modprobe", ""}},
	 {0},
	 "ok 1x T4 driver 580.105.08 cuda 13.0\n"
	 "info drv-uvm: CUDA device nodes are missing: /dev/nvidia-uvm. nvidia-modprobe makes them when they are first "
	 "needed [/dev/nvidia-uvm]\n"},
	{"version by /proc only, junk in /sys",
	 GPU_BASE_A10G,
	 {{"/sys/module/nvidia/version", "\x01\xff\x7f\n"}},
	 {0},
	 "ok 4x A10G driver 595.80 cuda 13.2\n"},
};

static void machines_are_judged_by_their_files(void **state) { gpu_rows_check(rows, sizeof rows / sizeof *rows); }

static void nodes_that_the_user_may_not_open(void **state) {
	static const struct {
		const char *name;
		mode_t mode;
		gid_t gid;
		const char *group_file;
		size_t findings;
	} users[] = {
		{"everybody may", 0666, 7, "", 0},
		{"the user's own group", 0660, 1000, "", 0},
		{"a group that the user is in", 0660, 44, "root:x:0:\nvideo:x:44:adm,ubuntu\n", 0},
		{"a group that the user is not in", 0660, 44, "video:x:44:ubuntux\nubuntu:x:1000:\n", 1},
		{"nobody", 0600, 44, "video:x:44:ubuntu\n", 1},
	};
	if (geteuid()) {
		print_message("skipped: giving files to a group needs root\n");
		skip();
	}
	for (size_t i = 0; i < sizeof users / sizeof *users; i++) {
		AUTO_ARENA struct arena arena = {0};
		struct exec_user user = {.name = "ubuntu", .home = "/home/ubuntu", .uid = 1000, .gid = 1000};
		struct gpu_want want = {.user = &user};
		struct gpu_report r = {.arena = &arena};
		struct err err = {0};
		struct tree t;
		tree_open(&t);
		gpu_tree_fill(&t, GPU_BASE_T4, NULL);
		tree_write(&t, "/etc/group", users[i].group_file, 0644);
		assert_int_equal(fs_chown(&t.root, "/dev/nvidia0", 0, users[i].gid, &err), 0);
		assert_int_equal(fs_chmod(&t.root, "/dev/nvidia0", users[i].mode, &err), 0);
		struct machine m = {.root = &t.root, .arena = &arena, .deadline_at_ms = clock_mono_ms() + 60 * 1000};
		assert_int_equal(gpu_check_files(&m, &want, &r, &err), 0);
		if (r.finding_count != users[i].findings) fail_msg("%s: %zu findings", users[i].name, r.finding_count);
		if (r.finding_count) {
			assert_string_equal(r.findings[0].code, "drv-uvm");
			assert_string_equal(
				r.findings[0].text,
				"CUDA device nodes are not writable by ubuntu: /dev/nvidia0. Add the user to the "
				"group that owns them, or unset NVreg_DeviceFileMode in /etc/modprobe.d");
		}
		tree_close(&t);
	}
}

/* A module that comes while the gate waits for it: the listener of the wait puts it there. */
struct boot {
	struct tree tree;
	int waits, comes_at;
	char told[256];
};

static void on_wait(const char *what, int64_t waited_ms, void *arg) {
	struct boot *b = arg;
	if (!b->waits) (void)snprintf(b->told, sizeof b->told, "%s %lld", what, (long long)waited_ms);
	if (++b->waits == b->comes_at) gpu_tree_driver(&b->tree, "580.105.08", GPU_LIB, false);
}

static void a_module_that_appears_is_waited_for(void **state) {
	static const struct {
		const char *name, *dep;
		int comes_at;
		int64_t wait_ms, left_ms;
		const char *verdict, *told;
	} boots[] = {
		{"it comes", DEP_WITH, 2, 60000, 60000, "ok 1x A10G driver 580.105.08 cuda 13.0",
		 "the NVIDIA kernel module 0"},
		{"it does not come", DEP_WITH, 0, 300, 60000, "fail drv-unloaded fix", "the NVIDIA kernel module 0"},
		{"the step's time ends first", DEP_WITH, 0, 60000, 300, "fail drv-unloaded fix",
		 "the NVIDIA kernel module 0"},
		{"not waited for", DEP_WITH, 1, 0, 60000, "fail drv-unloaded fix", ""},
		{"it cannot come", DEP_WITHOUT, 1, 60000, 60000, "fail drv-nomodule fix", ""},
	};
	for (size_t i = 0; i < sizeof boots / sizeof *boots; i++) {
		AUTO_ARENA struct arena arena = {0};
		struct boot b = {.comes_at = boots[i].comes_at};
		struct gpu_want want = {.wait_ms = boots[i].wait_ms};
		struct gpu_report r = {.arena = &arena};
		struct gpu_file files[GPU_FILES_MAX] = {{GPU_DEP, boots[i].dep}, {"/dev/nvidia0", ""}};
		struct err err = {0};
		char verdict[257];
		tree_open(&b.tree);
		gpu_tree_fill(&b.tree, GPU_BASE_UNDRIVEN, files);
		struct machine m = {.root = &b.tree.root,
				    .arena = &arena,
				    .on_wait = on_wait,
				    .arg = &b,
				    .deadline_at_ms = clock_mono_ms() + boots[i].left_ms};
		assert_int_equal(gpu_check_files(&m, &want, &r, &err), 0);
		gpu_verdict(&r, verdict, sizeof verdict);
		if (!str_eq(verdict, boots[i].verdict)) fail_msg("%s: %s", boots[i].name, verdict);
		if (!str_eq(b.told, boots[i].told)) fail_msg("%s: told '%s'", boots[i].name, b.told);
		tree_close(&b.tree);
	}
}

static const char *const versions[][2] = {
	{"580.105.08", "580.105.08"},
	{"595.80", "595.80"},
	{"NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.173.02  Tue Jun 23 08:38:17 UTC 2026", "580.173.02"},
	{"NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  595.45.04  Release Build  (user@host)  2026",
	 "595.45.04"},
	{"NVRM version: NVIDIA UNIX Open Kernel Module for aarch64  610.43  Release Build", "610.43"},
	{"NVRM version: NVIDIA UNIX Kernel\nGCC version: gcc 13.3.0", ""},
	{"580", ""},
	{"580.", ""},
	{"580.1.2.3", ""},
	{"v580.105.08", ""},
	{"580.105.08-1", ""},
	{"1111111111111111111111111111111111111111.2", ""},
	{"", ""},
};

static void versions_are_found(void **state) {
	for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
		char version[GPU_VERSION_SIZE] = "x";
		bool is_found = gpu_files_version(versions[i][0], version);
		if (!str_eq(version, versions[i][1]) || is_found != (version[0] != '\0'))
			fail_msg("'%s': '%s'", versions[i][0], version);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(machines_are_judged_by_their_files),
		cmocka_unit_test(nodes_that_the_user_may_not_open),
		cmocka_unit_test(a_module_that_appears_is_waited_for),
		cmocka_unit_test(versions_are_found),
	};
	return cmocka_run_group_tests_name("gpu_files", tests, NULL, NULL);
}
