/*
 * Fabric Manager. Without it CUDA ends in error 802 on machines with NVSwitches, whatever nvidia-smi says. A single GPU
 * of such a generation (p5.4xlarge) has no fabric to manage, and on GB200 it runs outside of the instance.
 */
#include <fcntl.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fs.h"
#include "sys/gpu_files.h"

#define UNIT "nvidia-fabricmanager.service"
/* How long it may take to start after the module: it trains every link. */
#define START_MS (60 * 1000)
#define LOG "/var/log/fabricmanager.log"
/* Newest part of its log that is looked at. */
#define LOG_MAX ((off_t)256 * 1024)
#define GB200 0x2941

/* systemd removes the cgroup of a unit that has stopped. */
static bool is_running(const struct gpu_scan *s) {
	static const char *const groups[] = {"/sys/fs/cgroup/system.slice/" UNIT "/cgroup.procs",
					     "/sys/fs/cgroup/systemd/system.slice/" UNIT "/cgroup.procs"};
	char line[32];
	for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
		fs_read_line(s->m->root, groups[i], line, sizeof line);
		if (line[0]) return true;
	}
	return false;
}

static bool is_installed(const struct gpu_scan *s) {
	static const char *const paths[] = {"/usr/lib/systemd/system/" UNIT, "/lib/systemd/system/" UNIT,
					    "/etc/systemd/system/" UNIT, "/usr/bin/nv-fabricmanager"};
	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
		if (fs_exists(s->m->root, paths[i])) return true;
	return false;
}

static bool is_enabled(const struct gpu_scan *s) {
	struct err ignored;
	struct stat st;
	return !fs_lstat(s->m->root, "/etc/systemd/system/multi-user.target.wants/" UNIT, &st, &ignored);
}

static void read_log(const struct gpu_scan *s, struct buf *b) {
	AUTO_CLOSE int fd = -1;
	struct err ignored;
	char chunk[16 * 1024];
	struct stat st;
	if (fs_open(s->m->root, LOG, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, &fd, &ignored)) return;
	if (fstat(fd, &st) || !S_ISREG(st.st_mode)) return;
	off_t at = st.st_size > LOG_MAX ? st.st_size - LOG_MAX : 0;
	while (!b->has_overflowed) {
		ssize_t n = pread(fd, chunk, sizeof chunk, at);
		if (n <= 0) return;
		buf_add(b, chunk, (size_t)n);
		at += n;
	}
}

/*
 * Its last words on "fabric manager NVIDIA GPU driver interface version X don't match with driver version Y", if Y is
 * the driver that is loaded: the log is older than this boot. NULL if there are none.
 */
static const char *mismatch_of(const struct gpu_scan *s, struct buf *b) {
	static const char said[] = "driver interface version ", against[] = "driver version ";
	char manager[GPU_VERSION_SIZE], driver[GPU_VERSION_SIZE];
	const char *found = NULL;
	read_log(s, b);
	for (size_t i = 0; i < b->len; i++)
		if (!b->data[i]) b->data[i] = ' ';
	for (const char *at = strstr(buf_str(b), said); at; at = strstr(at + 1, said)) {
		const char *version = at + strlen(said), *other = strstr(version, against);
		const char *line_end = strchr(version, '\n');
		if (!other || (line_end && other > line_end)) continue;
		(void)snprintf(manager, sizeof manager, "%.*s", (int)strspn(version, "0123456789."), version);
		other += strlen(against);
		(void)snprintf(driver, sizeof driver, "%.*s", (int)strspn(other, "0123456789."), other);
		for (size_t n = strlen(driver); n && driver[n - 1] == '.'; n--) driver[n - 1] = '\0';
		found = str_eq(driver, s->r->driver) && !str_eq(manager, driver) ? arena_strdup(s->r->arena, manager)
										 : NULL;
	}
	return found;
}

static const char *install_command(const struct gpu_scan *s) {
	const char *driver = s->r->driver;
	if (gpu_files_has_apt(s))
		return arena_printf(s->r->arena, "apt install 'nvidia-fabricmanager-%.*s=%s*'",
				    (int)strcspn(driver, "."), driver, driver);
	return arena_printf(s->r->arena, "dnf install 'nvidia-fabric*manager-%s*'", driver);
}

static void add_down(struct gpu_scan *s) {
	AUTO_BUF struct buf b = BUF_INIT((size_t)LOG_MAX + 64 * 1024);
	const char *manager = mismatch_of(s, &b);
	const char *driver = s->r->driver;
	if (manager)
		gpu_add(s->r, "fm-mismatch", GPU_FAIL, GPU_REMEDY_FIX, LOG,
			"Fabric Manager %s does not fit driver %s and has stopped. Run `sudo %s`, then `sudo systemctl "
			"restart nvidia-fabricmanager`",
			manager, driver, install_command(s));
	else
		gpu_add(s->r, "fm-down", GPU_FAIL, GPU_REMEDY_FIX, UNIT,
			"%s needs NVIDIA Fabric Manager, and it is not running: CUDA will fail with error 802. Run "
			"`sudo "
			"systemctl enable --now nvidia-fabricmanager`; `journalctl -u nvidia-fabricmanager` says why "
			"it "
			"stopped",
			s->r->instance_type[0] ? s->r->instance_type : "A machine with NVSwitches");
}

void gpu_files_fabric(struct gpu_scan *s) {
	bool has_fabric = s->type && s->type->has_nvswitch && s->type->gpus > 1;
	unsigned id = s->r->count ? s->r->devices[0].device_id : 0;
	if ((!s->nvswitches && !has_fabric) || id == GB200 || s->foreign_driver) return;
	if (is_running(s)) return;
	if (!is_installed(s)) {
		gpu_add(s->r, "fm-missing", GPU_FAIL, GPU_REMEDY_FIX, UNIT,
			"%s needs NVIDIA Fabric Manager, and it is not installed: CUDA will fail with error 802. Use a "
			"Deep "
			"Learning AMI, or install nvidia-fabricmanager of version %s",
			s->r->instance_type[0] ? s->r->instance_type : "A machine with NVSwitches", s->r->driver);
		return;
	}
	/* At boot systemd starts it after the module: what is enabled gets its time. */
	if (is_enabled(s) && gpu_files_wait(s, is_running, START_MS, "NVIDIA Fabric Manager")) return;
	add_down(s);
}
