#pragma once
/*
 * Small root trees of GPU machines for the tests of the gate: a healthy machine as base, and rows of files that make it
 * something else. A text that starts with "->" is a symbolic link, NULL takes away what the base has.
 */
#include "base/str.h"
#include "sys/gpu.h"
#include "tree.h"

#define GPU_FILES_MAX 24
#define GPU_DMI "/sys/class/dmi/id/product_name"
#define GPU_PCI "/sys/bus/pci/devices/"
#define GPU_LIB "/usr/lib/x86_64-linux-gnu/"
#define GPU_KERNEL "6.8.0-1021-aws"
#define GPU_DEP "/lib/modules/" GPU_KERNEL "/modules.dep"
#define GPU_FM "/sys/fs/cgroup/system.slice/nvidia-fabricmanager.service/cgroup.procs"
#define GPU_STORE "Amazon EC2 NVMe Instance Storage        \n"

struct gpu_file {
	const char *path, *text;
};

enum gpu_base {
	GPU_BASE_BARE,	  /* Ubuntu without any GPU */
	GPU_BASE_T4,	  /* g4dn.xlarge, DLAMI */
	GPU_BASE_A10G,	  /* g5.12xlarge, AL2023, open module */
	GPU_BASE_H100,	  /* p5.48xlarge with NVSwitches, EFA and instance store */
	GPU_BASE_UNDRIVEN /* g5.xlarge whose module is not there */
};

static inline void gpu_tree_file(const struct tree *t, const char *path, const char *text) {
	struct err err = {0};
	char dir[256];
	if (!text) {
		if (fs_remove(&t->root, path, true, &err)) fail_msg("%s", err.msg);
		return;
	}
	if (strncmp(text, "->", 2)) {
		tree_write(t, path, text, str_starts(path, "/dev/nvidia") ? 0666 : 0644);
		return;
	}
	(void)snprintf(dir, sizeof dir, "%s", path);
	*strrchr(dir, '/') = '\0';
	if (fs_mkdirs(&t->root, dir, 0755, (uid_t)-1, (gid_t)-1, &err)) fail_msg("%s", err.msg);
	if (fs_symlink(&t->root, path, text + 2, &err)) fail_msg("%s", err.msg);
}

static inline void gpu_tree_card(const struct tree *t, const char *address, const char *vendor, const char *class_id,
				 const char *device, const char *driver) {
	char path[128], target[128];
	(void)snprintf(path, sizeof path, GPU_PCI "%s/vendor", address);
	gpu_tree_file(t, path, vendor);
	(void)snprintf(path, sizeof path, GPU_PCI "%s/class", address);
	gpu_tree_file(t, path, class_id);
	(void)snprintf(path, sizeof path, GPU_PCI "%s/device", address);
	gpu_tree_file(t, path, device);
	if (!driver) return;
	(void)snprintf(path, sizeof path, GPU_PCI "%s/driver", address);
	(void)snprintf(target, sizeof target, "->../../../../bus/pci/drivers/%s", driver);
	gpu_tree_file(t, path, target);
}

static inline void gpu_tree_gpus(const struct tree *t, size_t count, const char *device, const char *driver) {
	for (size_t i = 0; i < count; i++) {
		char address[32], node[32];
		(void)snprintf(address, sizeof address, "0000:%02zx:00.0", count == 1 ? 0x1e : 0x50 + i);
		if (count == 1) (void)snprintf(address, sizeof address, "0000:00:1e.0");
		gpu_tree_card(t, address, "0x10de\n", "0x030200\n", device, driver);
		(void)snprintf(node, sizeof node, "/dev/nvidia%zu", i);
		if (driver) gpu_tree_file(t, node, "");
	}
}

static inline void gpu_tree_driver(const struct tree *t, const char *version, const char *dir, bool is_open) {
	char path[128], text[160];
	(void)snprintf(text, sizeof text, "%s\n", version);
	gpu_tree_file(t, "/sys/module/nvidia/version", text);
	gpu_tree_file(t, "/sys/module/nvidia/initstate", "live\n");
	(void)snprintf(text, sizeof text, "NVRM version: NVIDIA UNIX %s  %s  Release Build\nGCC version:  gcc 13.3.0\n",
		       is_open ? "Open Kernel Module for x86_64" : "x86_64 Kernel Module", version);
	gpu_tree_file(t, "/proc/driver/nvidia/version", text);
	gpu_tree_file(t, "/sys/module/nvidia_uvm/refcnt", "0\n");
	gpu_tree_file(t, "/dev/nvidiactl", "");
	gpu_tree_file(t, "/dev/nvidia-uvm", "");
	for (int i = 0; i < 2; i++) {
		const char *name = i ? "libnvidia-ml.so" : "libcuda.so";
		(void)snprintf(path, sizeof path, "%s%s.%s", dir, name, version);
		gpu_tree_file(t, path, "\177ELF");
		(void)snprintf(text, sizeof text, "->%s.%s", name, version);
		(void)snprintf(path, sizeof path, "%s%s.1", dir, name);
		gpu_tree_file(t, path, text);
	}
}

static inline void gpu_tree_store(const struct tree *t, size_t disks, const char *sectors) {
	for (size_t i = 1; i <= disks; i++) {
		char path[96];
		(void)snprintf(path, sizeof path, "/sys/block/nvme%zun1/device/model", i);
		gpu_tree_file(t, path, GPU_STORE);
		(void)snprintf(path, sizeof path, "/sys/block/nvme%zun1/size", i);
		gpu_tree_file(t, path, sectors);
		(void)snprintf(path, sizeof path, "/sys/block/nvme%zun1/holders/dm-0", i);
		gpu_tree_file(t, path, "->../../dm-0");
	}
}

/* What the driver says when all is well. */
#define GPU_LOG_HEALTHY                                                                                                \
	"6,1,0,-;Linux version 6.8.0-1021-aws\n"                                                                       \
	"4,811,9120345,-;nvidia: loading out-of-tree module taints kernel.\n"                                          \
	"4,812,9120399,-;nvidia: module verification failed: signature and/or required key missing - tainting "        \
	"kernel\n"                                                                                                     \
	"6,813,9200001,-;nvidia-nvlink: Nvlink Core is being initialized, major device number 239\n"                   \
	" SUBSYSTEM=pci\n DEVICE=+pci:0000:00:1e.0\n"                                                                  \
	"5,814,9201112,-;NVRM: loading NVIDIA UNIX x86_64 Kernel Module  580.105.08  Wed Oct 29 23:15:11 UTC 2025\n"

static inline void gpu_tree_fill_h100(const struct tree *t) {
	static const char *const switches[] = {"0000:41:00.0", "0000:42:00.0", "0000:43:00.0", "0000:44:00.0"};
	gpu_tree_file(t, GPU_DMI, "p5.48xlarge\n");
	gpu_tree_gpus(t, 8, "0x2330\n", "nvidia");
	for (int i = 0; i < 4; i++)
		gpu_tree_card(t, switches[i], "0x10de\n", "0x068000\n", "0x22a3\n", "nvidia-nvswitch");
	gpu_tree_card(t, "0000:60:00.0", "0x1d0f\n", "0x020000\n", "0xefa2\n", "efa");
	gpu_tree_file(t, "/sys/class/infiniband/rdmap96s0/node_guid", "0\n");
	gpu_tree_file(t, "/sys/module/efa/version", "2.13.0\n");
	gpu_tree_driver(t, "580.105.08", GPU_LIB, true);
	gpu_tree_file(t, GPU_FM, "1833\n");
	gpu_tree_file(t, "/usr/lib/systemd/system/nvidia-fabricmanager.service", "[Unit]\n");
	gpu_tree_store(t, 8, "7421875000\n");
}

static inline void gpu_tree_fill(const struct tree *t, enum gpu_base base, const struct gpu_file *files) {
	gpu_tree_file(t, "/proc/sys/kernel/osrelease", GPU_KERNEL "\n");
	gpu_tree_file(t, "/dev/kmsg", GPU_LOG_HEALTHY);
	if (base != GPU_BASE_A10G) gpu_tree_file(t, "/usr/bin/apt-get", "");
	/* Every EC2 machine has an ENA card and a root volume. */
	gpu_tree_card(t, "0000:00:05.0", "0x1d0f\n", "0x020000\n", "0xec20\n", "ena");
	gpu_tree_file(t, "/sys/block/nvme0n1/device/model", "Amazon Elastic Block Store              \n");
	switch (base) {
	case GPU_BASE_BARE: gpu_tree_file(t, GPU_DMI, "m7i.large\n"); break;
	case GPU_BASE_T4:
		gpu_tree_file(t, GPU_DMI, "g4dn.xlarge\n");
		gpu_tree_gpus(t, 1, "0x1eb8\n", "nvidia");
		gpu_tree_driver(t, "580.105.08", GPU_LIB, false);
		gpu_tree_store(t, 1, "244140625\n");
		break;
	case GPU_BASE_A10G:
		gpu_tree_file(t, GPU_DMI, "g5.12xlarge\n");
		gpu_tree_gpus(t, 4, "0x2237\n", "nvidia");
		gpu_tree_driver(t, "595.80", "/usr/lib64/", true);
		gpu_tree_store(t, 1, "7421875000\n");
		break;
	case GPU_BASE_H100: gpu_tree_fill_h100(t); break;
	case GPU_BASE_UNDRIVEN:
		gpu_tree_file(t, GPU_DMI, "g5.xlarge\n");
		gpu_tree_gpus(t, 1, "0x2237\n", NULL);
		gpu_tree_store(t, 1, "488281250\n");
		break;
	}
	for (size_t i = 0; i < GPU_FILES_MAX && files && files[i].path; i++)
		gpu_tree_file(t, files[i].path, files[i].text);
}

/* Verdict and findings, one a line: "fail drv-mismatch reboot: text [evidence]". */
static inline char *gpu_report_text(const struct gpu_report *r) {
	static const char *const severities[] = {"info", "warn", "fail"};
	static const char *const remedies[] = {"", " fix", " reboot", " replace"};
	struct buf b = BUF_INIT(64 * 1024);
	char verdict[257];
	buf_addf(&b, "%s\n", gpu_verdict(r, verdict, sizeof verdict));
	for (size_t i = 0; i < r->finding_count; i++) {
		const struct gpu_finding *f = &r->findings[i];
		buf_addf(&b, "%s %s%s: %s", severities[f->severity], f->code, remedies[f->remedy], f->text);
		if (f->evidence) buf_addf(&b, " [%s]", f->evidence);
		buf_addc(&b, '\n');
	}
	return buf_take(&b);
}

struct gpu_row {
	const char *name;
	enum gpu_base base;
	struct gpu_file files[GPU_FILES_MAX];
	struct gpu_want want;
	const char *answer; /* gpu_report_text's */
};

/* Layer A on each row's tree; every difference is shown before the test fails. */
static inline void gpu_rows_check(const struct gpu_row *rows, size_t count) {
	int bad = 0;
	for (size_t i = 0; i < count; i++) {
		AUTO_ARENA struct arena arena = {0};
		struct gpu_report r = {.arena = &arena};
		struct err err = {0};
		struct tree t;
		tree_open(&t);
		gpu_tree_fill(&t, rows[i].base, rows[i].files);
		struct machine m = {.root = &t.root, .arena = &arena, .deadline_at_ms = clock_mono_ms() + 60 * 1000};
		if (gpu_check_files(&m, &rows[i].want, &r, &err)) fail_msg("%s: %s", rows[i].name, err.msg);
		AUTO_FREE char *got = gpu_report_text(&r);
		if (!str_eq(got, rows[i].answer)) {
			print_message("%s:\n--- got\n%s--- not\n%s", rows[i].name, got, rows[i].answer);
			bad++;
		}
		tree_close(&t);
	}
	assert_int_equal(bad, 0);
}
