#include "base/buf.h"
#include "base/err.h"
#include "base/fs.h"
#include "sys/gpu_files.h"

/* Links from libcuda.so.1 to the file: Debian goes through /etc/alternatives. */
#define LINKS_MAX 8
#define GROUP_FILE_MAX (1024 * 1024)

static const char *const library_dirs[] = {"/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64",
					   "/usr/local/nvidia/lib64"};

/* Bytes of a version of two or three parts at s, 0 if there is none. */
static size_t version_length(const char *s) {
	size_t n = strspn(s, "0123456789"), parts = n ? 1 : 0;
	while (parts && parts < 3 && s[n] == '.') {
		size_t more = strspn(s + n + 1, "0123456789");
		if (!more) return 0;
		n += 1 + more;
		parts++;
	}
	return parts >= 2 && n < GPU_VERSION_SIZE ? n : 0;
}

bool gpu_files_version(const char *text, char version[GPU_VERSION_SIZE]) {
	const char *module = strstr(text, "Module"), *s = module ? module : text;
	while (*s && *s != '\n') {
		size_t word = strcspn(s, " \t\n"), n = version_length(s);
		if (n && n == word) {
			(void)snprintf(version, GPU_VERSION_SIZE, "%.*s", (int)n, s);
			return true;
		}
		s += word;
		s += strspn(s, " \t");
	}
	version[0] = '\0';
	return false;
}

void gpu_files_read_version(struct gpu_scan *s) {
	char line[256];
	fs_read_line(s->m->root, "/sys/module/nvidia/version", line, sizeof line);
	if (gpu_files_version(line, s->r->driver)) return;
	fs_read_line(s->m->root, "/proc/driver/nvidia/version", line, sizeof line);
	(void)gpu_files_version(line, s->r->driver); /* "" when neither says it */
}

struct library {
	const char *name; /* "libcuda.so.1" */
	char path[320];	  /* the file behind it, or "" */
	char version[GPU_VERSION_SIZE];
};

/* Follows the links of dir/name by hand, since the last one's name holds the version. */
static void read_library(const struct gpu_scan *s, const char *dir, struct library *lib) {
	char path[320], target[256];
	(void)snprintf(path, sizeof path, "%s/%s", dir, lib->name);
	for (int i = 0; i < LINKS_MAX; i++) {
		gpu_files_link(s->m->root, path, target, sizeof target);
		if (!target[0]) break;
		char *slash = strrchr(path, '/');
		if (target[0] == '/')
			(void)snprintf(path, sizeof path, "%s", target);
		else
			(void)snprintf(slash + 1, sizeof path - (size_t)(slash + 1 - path), "%s", target);
		if (!strchr(path, '/')) return;
	}
	if (!fs_exists(s->m->root, path)) return;
	const char *so = strstr(strrchr(path, '/'), ".so.");
	(void)snprintf(lib->path, sizeof lib->path, "%s", path);
	if (so && !so[4 + version_length(so + 4)]) (void)gpu_files_version(so + 4, lib->version);
}

static void find_library(const struct gpu_scan *s, struct library *lib) {
	for (size_t i = 0; i < sizeof library_dirs / sizeof *library_dirs && !lib->path[0]; i++)
		read_library(s, library_dirs[i], lib);
}

static void add_mismatch(struct gpu_scan *s, const struct library *lib) {
	gpu_add(s->r, "drv-mismatch", GPU_FAIL, GPU_REMEDY_REBOOT, lib->path,
		"Driver %s is loaded but the libraries are %s: an upgrade ran after the module was loaded. Reboot. To "
		"prevent it: `sudo %s`",
		s->r->driver, lib->version,
		gpu_files_has_apt(s) ? "apt-mark hold 'nvidia-*' 'libnvidia-*'"
				     : "dnf versionlock add 'nvidia*' 'kmod-nvidia*'");
}

static void check_libraries(struct gpu_scan *s) {
	struct library libs[] = {{.name = "libcuda.so.1"}, {.name = "libnvidia-ml.so.1"}};
	const struct gpu_kmsg_event *logged = gpu_files_event(s, GPU_KMSG_MISMATCH);
	bool is_compared = false;
	for (size_t i = 0; i < sizeof libs / sizeof *libs; i++) {
		find_library(s, &libs[i]);
		if (!libs[i].version[0] || !s->r->driver[0]) continue;
		is_compared = true;
		if (str_eq(libs[i].version, s->r->driver)) continue;
		add_mismatch(s, &libs[i]);
		return;
	}
	if (!libs[0].path[0])
		gpu_add(s->r, "drv-nolib", GPU_WARN, GPU_REMEDY_FIX, library_dirs[0],
			"Driver %s is loaded but libcuda.so.1 is in no folder of the system: CUDA programs need it. "
			"Install "
			"the libraries of the same version",
			s->r->driver);
	if (logged)
		gpu_add(s->r, "drv-mismatch", is_compared ? GPU_INFO : GPU_WARN, GPU_REMEDY_NONE, logged->text,
			"A program came with NVIDIA libraries of another version than the loaded driver %s: an old "
			"container image, or a program started before an upgrade",
			s->r->driver);
}

/* True if user is in the group that owns the node, by the group file. */
static bool is_in_group(const struct gpu_scan *s, const struct exec_user *user, gid_t gid) {
	AUTO_BUF struct buf b = BUF_INIT(GROUP_FILE_MAX);
	AUTO_STRS struct strs lines = {0};
	struct err ignored;
	if (user->gid == gid) return true;
	if (fs_read(s->m->root, "/etc/group", &b, &ignored)) return false;
	str_split(buf_str(&b), "\n", s->r->arena, &lines);
	for (size_t i = 0; i < lines.count; i++) {
		AUTO_STRS struct strs fields = {0}, members = {0};
		str_split(lines.items[i], ":", s->r->arena, &fields); /* an empty password field is dropped */
		if (fields.count < 3 || strtoul(fields.items[fields.count - 2], NULL, 10) != gid) continue;
		str_split(fields.items[fields.count - 1], ",", s->r->arena, &members);
		if (strs_has(&members, user->name)) return true;
	}
	return false;
}

static bool can_write(const struct gpu_scan *s, const struct stat *st) {
	const struct exec_user *user = s->want->user;
	if ((st->st_mode & 0006) == 0006) return true;
	if (!user || user->uid == 0) return true; /* nobody in particular, or root, whom no mode stops */
	if (user->uid == st->st_uid && (st->st_mode & 0600) == 0600) return true;
	return (st->st_mode & 0060) == 0060 && is_in_group(s, user, st->st_gid);
}

/* nvidia-modprobe, which is setuid root, makes nodes when the first CUDA program asks for them. */
static void add_missing(struct gpu_scan *s, const char *nodes) {
	bool is_on_demand = fs_exists(s->m->root, "/usr/bin/nvidia-modprobe");
	gpu_add(s->r, "drv-uvm", is_on_demand ? GPU_INFO : GPU_WARN, is_on_demand ? GPU_REMEDY_NONE : GPU_REMEDY_FIX,
		nodes, "CUDA device nodes are missing: %s. %s", nodes,
		is_on_demand ? "nvidia-modprobe makes them when they are first needed"
			     : "Run `sudo modprobe nvidia_uvm` and `sudo nvidia-modprobe -u -c=0`");
}

static void check_nodes(struct gpu_scan *s) {
	AUTO_STRS struct strs nodes = {0}, missing = {0}, closed = {0};
	strs_add(&nodes, "/dev/nvidiactl");
	strs_add(&nodes, "/dev/nvidia-uvm");
	for (size_t i = 0; i < s->r->count; i++) strs_add(&nodes, arena_printf(s->r->arena, "/dev/nvidia%zu", i));
	for (size_t i = 0; i < nodes.count; i++) {
		struct err ignored;
		struct stat st;
		if (fs_lstat(s->m->root, nodes.items[i], &st, &ignored))
			strs_add(&missing, nodes.items[i]);
		else if (!can_write(s, &st))
			strs_add(&closed, nodes.items[i]);
	}
	if (missing.count) add_missing(s, strs_join(&missing, ", ", s->r->arena));
	if (!closed.count) return;
	const char *text = strs_join(&closed, ", ", s->r->arena);
	gpu_add(s->r, "drv-uvm", GPU_WARN, GPU_REMEDY_FIX, text,
		"CUDA device nodes are not writable by %s: %s. Add the user to the group that owns them, or unset "
		"NVreg_DeviceFileMode in /etc/modprobe.d",
		s->want->user->name, text);
}

void gpu_files_driver(struct gpu_scan *s) {
	check_libraries(s);
	check_nodes(s);
}
