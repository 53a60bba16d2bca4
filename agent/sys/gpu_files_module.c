#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fs.h"
#include "sys/gpu_files.h"

#define POLL_MS 200
#define REPORT_MS 1000
#define MODULES "/lib/modules"
/* modules.dep of a distribution's kernel is below 1 MiB. */
#define DEP_MAX ((size_t)16 * 1024 * 1024)
/* Kernels looked into for a module, and named. */
#define KERNELS_MAX 32
#define NAMED_MAX 4
/* UEFI specification, "Globally Defined Variables"; efivarfs puts 4 bytes of attributes in front. */
#define SECURE_BOOT "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"

bool gpu_files_has_apt(const struct gpu_scan *s) { return fs_exists(s->m->root, "/usr/bin/apt-get"); }

bool gpu_files_wait(struct gpu_scan *s, bool (*is_there)(const struct gpu_scan *s), int64_t limit_ms,
		    const char *what) {
	int64_t began_ms = clock_mono_ms(), reported_ms = -REPORT_MS, waited_ms = 0;
	if (limit_ms > s->want->wait_ms - s->waited_ms) limit_ms = s->want->wait_ms - s->waited_ms;
	bool is_here = is_there(s);
	while (!is_here && waited_ms < limit_ms && machine_left_ms(s->m) > 0) {
		if (waited_ms - reported_ms >= REPORT_MS) {
			machine_wait(s->m, waited_ms, "%s", what);
			reported_ms = waited_ms;
		}
		clock_sleep_ms(limit_ms - waited_ms < POLL_MS ? limit_ms - waited_ms : POLL_MS);
		waited_ms = clock_mono_ms() - began_ms;
		is_here = is_there(s);
	}
	s->waited_ms += waited_ms;
	return is_here;
}

/* Its init function has run: until then its state is "coming", and /proc/driver/nvidia is not there. */
static bool is_loaded(const struct gpu_scan *s) {
	char state[16];
	if (fs_exists(s->m->root, "/proc/driver/nvidia/version")) return true;
	if (!fs_exists(s->m->root, "/sys/module/nvidia")) return false;
	fs_read_line(s->m->root, "/sys/module/nvidia/initstate", state, sizeof state);
	return !state[0] || str_eq(state, "live");
}

/* The path before the colon of a line of modules.dep, "updates/dkms/nvidia.ko.zst". */
static bool is_module(const char *path, size_t n) {
	static const char *const names[] = {"nvidia.ko", "nvidia.ko.xz", "nvidia.ko.zst", "nvidia.ko.gz"};
	const char *slash = memrchr(path, '/', n), *name = slash ? slash + 1 : path;
	size_t len = n - (size_t)(name - path);
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (strlen(names[i]) == len && !memcmp(names[i], name, len)) return true;
	return false;
}

enum built { BUILT_UNKNOWN, BUILT_NOT, BUILT };

static enum built module_of(const struct gpu_scan *s, const char *kernel) {
	AUTO_BUF struct buf b = BUF_INIT(DEP_MAX);
	struct err ignored;
	char path[320];
	(void)snprintf(path, sizeof path, MODULES "/%s/modules.dep", kernel);
	if (fs_read(s->m->root, path, &b, &ignored)) return BUILT_UNKNOWN;
	for (const char *line = buf_str(&b), *end = line + b.len; line < end;) {
		const char *newline = memchr(line, '\n', (size_t)(end - line));
		const char *stop = newline ? newline : end;
		const char *colon = memchr(line, ':', (size_t)(stop - line));
		if (colon && is_module(line, (size_t)(colon - line))) return BUILT;
		line = stop + 1;
	}
	return BUILT_NOT;
}

/* The kernels under /lib/modules with the module: "a, b and 3 more", or "no kernel". */
static const char *built_for(const struct gpu_scan *s, struct buf *b) {
	AUTO_STRS struct strs names = {0};
	struct err ignored;
	size_t found = 0;
	if (fs_list(s->m->root, MODULES, s->r->arena, &names, &ignored)) return "no kernel";
	for (size_t i = 0; i < names.count && i < KERNELS_MAX; i++) {
		if (module_of(s, names.items[i]) != BUILT) continue;
		if (found++ < NAMED_MAX) buf_addf(b, "%s%s", b->len ? ", " : "", names.items[i]);
	}
	if (found > NAMED_MAX) buf_addf(b, " and %zu more", found - NAMED_MAX);
	return found ? buf_str(b) : "no kernel";
}

static bool has_dkms_source(const struct gpu_scan *s) {
	static const char *const dirs[] = {"/var/lib/dkms", "/usr/src"};
	for (size_t i = 0; i < sizeof dirs / sizeof *dirs; i++) {
		AUTO_STRS struct strs names = {0};
		struct err ignored;
		if (fs_list(s->m->root, dirs[i], s->r->arena, &names, &ignored)) continue;
		for (size_t k = 0; k < names.count; k++)
			if (str_starts(names.items[k], "nvidia")) return true;
	}
	return false;
}

static bool has_nouveau(const struct gpu_scan *s) {
	return str_eq(s->foreign_driver, "nouveau") || fs_exists(s->m->root, "/sys/module/nouveau");
}

void gpu_files_await(struct gpu_scan *s) {
	s->is_loaded = is_loaded(s);
	if (s->is_loaded || s->want->wait_ms <= 0) return;
	/* Nobody can load what is not there, and DKMS can build only what it has the source of. */
	if (has_nouveau(s) || (module_of(s, s->kernel) == BUILT_NOT && !has_dkms_source(s))) return;
	s->is_loaded = gpu_files_wait(s, is_loaded, s->want->wait_ms, "the NVIDIA kernel module");
}

static bool has_secure_boot(const struct gpu_scan *s) {
	AUTO_BUF struct buf b = BUF_INIT(64);
	struct err ignored;
	char lockdown[128];
	fs_read_line(s->m->root, "/sys/kernel/security/lockdown", lockdown, sizeof lockdown);
	if (strstr(lockdown, "[integrity]") || strstr(lockdown, "[confidentiality]")) return true;
	return !fs_read(s->m->root, SECURE_BOOT, &b, &ignored) && b.len == 5 && b.data[4] == 1;
}

static void add_nouveau(struct gpu_scan *s) {
	gpu_add(s->r, "drv-nouveau", GPU_FAIL, GPU_REMEDY_FIX,
		s->foreign_driver ? s->foreign_address : "/sys/module/nouveau",
		"nouveau owns the GPU, so NVIDIA's driver cannot. Blacklist it: `printf 'blacklist nouveau\\noptions "
		"nouveau modeset=0\\n' | sudo tee /etc/modprobe.d/nouveau-off.conf && sudo %s`, then reboot",
		gpu_files_has_apt(s) ? "update-initramfs -u" : "dracut --force");
}

static bool add_nomodule(struct gpu_scan *s) {
	AUTO_BUF struct buf b = BUF_INIT(1024);
	AUTO_STRS struct strs kernels = {0};
	struct err ignored;
	enum built built = module_of(s, s->kernel);
	if (fs_list(s->m->root, MODULES, s->r->arena, &kernels, &ignored) || !kernels.count) return false;
	if (built == BUILT) return false;
	const char *others = built_for(s, &b);
	const char *evidence = arena_printf(s->r->arena, MODULES "/%s/modules.dep%s", s->kernel,
					    built == BUILT_UNKNOWN ? " is absent" : " names no nvidia.ko");
	if (str_eq(others, "no kernel") && !has_dkms_source(s)) {
		gpu_add(s->r, "drv-nomodule", GPU_FAIL, GPU_REMEDY_FIX, evidence,
			"No NVIDIA driver is installed: no kernel of this image has its module. Use a Deep Learning "
			"AMI, or install the driver");
		return true;
	}
	gpu_add(s->r, "drv-nomodule", GPU_FAIL, GPU_REMEDY_FIX, evidence,
		"No NVIDIA module was built for the running kernel %s (built for: %s). Run `sudo %s-$(uname -r) && "
		"sudo dkms "
		"autoinstall`, then reboot; or boot a kernel that has it",
		s->kernel, others, gpu_files_has_apt(s) ? "apt install linux-headers" : "dnf install kernel-devel");
	return true;
}

static bool add_secure_boot(struct gpu_scan *s) {
	const struct gpu_kmsg_event *refused = gpu_files_event(s, GPU_KMSG_UNSIGNED);
	bool is_on = has_secure_boot(s);
	if (!is_on && !refused) return false;
	if (s->is_loaded) {
		if (is_on)
			gpu_add(s->r, "drv-secureboot", GPU_INFO, GPU_REMEDY_NONE, NULL,
				"UEFI Secure Boot is on; the NVIDIA module is signed for it");
		return false;
	}
	gpu_add(s->r, "drv-secureboot", GPU_FAIL, GPU_REMEDY_FIX, refused ? refused->text : "Secure Boot is on",
		"UEFI Secure Boot is on and the NVIDIA module is not signed by an enrolled key. Use an AMI without "
		"Secure "
		"Boot, or enrol the key that DKMS signs with (`sudo mokutil --import`)");
	return true;
}

static void add_unloaded(struct gpu_scan *s) {
	char state[16];
	const char *waited = "";
	fs_read_line(s->m->root, "/sys/module/nvidia/initstate", state, sizeof state);
	if (s->waited_ms >= 1000)
		waited = arena_printf(s->r->arena, " (waited %lld s)", (long long)s->waited_ms / 1000);
	if (state[0])
		gpu_add(s->r, "drv-unloaded", GPU_FAIL, GPU_REMEDY_REBOOT,
			arena_printf(s->r->arena, "/sys/module/nvidia/initstate is %s", state),
			"The NVIDIA kernel module has not finished starting%s. `sudo dmesg` says how far it came; "
			"reboot",
			waited);
	else
		gpu_add(s->r, "drv-unloaded", GPU_FAIL, GPU_REMEDY_FIX, "/sys/module/nvidia is absent",
			"The NVIDIA kernel module is not loaded%s. Run `sudo modprobe nvidia`; `sudo dmesg` says why "
			"it "
			"fails",
			waited);
}

void gpu_files_module(struct gpu_scan *s) {
	if (str_eq(s->foreign_driver, "nouveau") || (!s->is_loaded && has_nouveau(s))) {
		add_nouveau(s);
		return;
	}
	if (s->foreign_driver)
		gpu_add(s->r, "drv-foreign", GPU_FAIL, GPU_REMEDY_FIX, s->foreign_address,
			"The driver %s owns GPU %s, so NVIDIA's cannot use it. Unbind it in "
			"/sys/bus/pci/drivers/%s, or take it out of the boot configuration",
			s->foreign_driver, s->foreign_address, s->foreign_driver);
	if (s->is_loaded) {
		(void)add_secure_boot(s); /* worth a word, no more */
		return;
	}
	if (add_nomodule(s) || add_secure_boot(s) || gpu_files_add_init(s)) return;
	add_unloaded(s);
}
