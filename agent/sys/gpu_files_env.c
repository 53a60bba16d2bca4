/*
 * Variables that hide GPUs from CUDA or slow it down, where a login gets them from: pam_env's /etc/environment, the
 * shell's profiles. Only plain assignments are read; no shell is run, and what is under a condition counts too.
 */
#include "base/buf.h"
#include "base/err.h"
#include "base/fs.h"
#include "sys/gpu_files.h"

#define PROFILE_DIR "/etc/profile.d"
/* Larger files are no profiles. */
#define ENV_FILE_MAX ((size_t)256 * 1024)
#define PROFILES_MAX 200

struct assignment {
	struct gpu_scan *s;
	const char *path, *name, *value;
};

static void add(const struct assignment *a, const char *consequence) {
	const char *evidence = arena_printf(a->s->r->arena, "%s: %s=%.100s", a->path, a->name, a->value);
	gpu_add(a->s->r, "env-cuda", GPU_WARN, GPU_REMEDY_FIX, evidence, "%s='%.100s' in %s %s. Remove it", a->name,
		a->value, a->path, consequence);
}

/* CUDA C++ Programming Guide, "CUDA Environment Variables": a first wrong entry hides itself and all after it. */
static void judge_visible(const struct assignment *a) {
	AUTO_STRS struct strs entries = {0}, shown = {0};
	struct arena *arena = a->s->r->arena;
	if (strchr(a->value, '$')) return; /* known only to the shell */
	str_split(a->value, ", ", arena, &entries);
	if (!entries.count || entries.items[0][0] == '-' || str_eq(a->value, "NoDevFiles")) {
		add(a, "hides all GPUs from CUDA programs");
		return;
	}
	for (size_t i = 0; i < entries.count; i++) {
		const char *e = entries.items[i];
		char *end;
		unsigned long index = strtoul(e, &end, 10);
		if (str_starts(e, "GPU-") || str_starts(e, "MIG-")) return; /* by name: which one is not known here */
		if (*e < '0' || *e > '9' || *end || index >= a->s->on_bus) {
			add(a, arena_printf(arena,
					    "names '%.40s', which is no GPU of this machine: CUDA programs see only "
					    "those before it",
					    e));
			return;
		}
		strs_add_once(&shown, e);
	}
	if (shown.count < a->s->on_bus)
		add(a, arena_printf(arena, "shows only %zu of %zu GPUs to CUDA programs", shown.count, a->s->on_bus));
}

static void judge_path(const struct assignment *a) {
	if (strstr(a->value, "/compat"))
		add(a, "puts CUDA's forward compatibility libraries before the driver's own: CUDA may fail with error "
		       "804");
	else if (strstr(a->value, "/stubs"))
		add(a, "makes programs load CUDA's stub libraries, which know no GPU");
}

static void judge(const struct assignment *a) {
	if (str_eq(a->name, "CUDA_VISIBLE_DEVICES"))
		judge_visible(a);
	else if (str_eq(a->name, "LD_LIBRARY_PATH"))
		judge_path(a);
	else if (str_eq(a->name, "CUDA_LAUNCH_BLOCKING") && str_eq(a->value, "1"))
		add(a, "makes every CUDA call wait: training is slow");
	else if (str_eq(a->name, "CUDA_DEVICE_ORDER") && !str_eq(a->value, "PCI_BUS_ID") &&
		 !str_eq(a->value, "FASTEST_FIRST"))
		add(a, "is neither PCI_BUS_ID nor FASTEST_FIRST");
}

/* "export NAME='value' # why", "setenv" is not looked at. */
static void read_assignment(struct gpu_scan *s, const char *path, char *line) {
	struct assignment a = {.s = s, .path = path};
	char *name = str_trim(line), *equals = strchr(name, '=');
	if (!equals || *name == '#') return;
	*equals = '\0';
	if (str_starts(name, "export ")) name = str_trim(name + strlen("export "));
	char *value = equals + 1;
	if (*value == '"' || *value == '\'') {
		char *end = strchr(value + 1, *value);
		if (end) *end = '\0';
		value++;
	} else
		value[strcspn(value, " \t;#")] = '\0';
	a.name = name;
	a.value = value;
	judge(&a);
}

static void read_profile(struct gpu_scan *s, const char *path) {
	AUTO_BUF struct buf b = BUF_INIT(ENV_FILE_MAX);
	struct err ignored;
	if (fs_read(s->m->root, path, &b, &ignored)) return;
	for (size_t i = 0; i < b.len; i++) /* a NUL ends a text, other bytes do not belong on a terminal */
		if ((b.data[i] < ' ' && b.data[i] != '\n' && b.data[i] != '\t') || b.data[i] > '~') b.data[i] = '?';
	for (char *line = b.data, *next; line; line = next) {
		next = strchr(line, '\n');
		if (next) *next++ = '\0';
		read_assignment(s, path, line);
	}
}

void gpu_files_env(struct gpu_scan *s) {
	static const char *const own[] = {".bashrc", ".profile", ".bash_profile"};
	AUTO_STRS struct strs names = {0};
	const struct exec_user *user = s->want->user;
	struct err ignored;
	read_profile(s, "/etc/environment");
	if (!fs_list(s->m->root, PROFILE_DIR, s->r->arena, &names, &ignored))
		for (size_t i = 0; i < names.count && i < PROFILES_MAX; i++)
			if (str_ends(names.items[i], ".sh"))
				read_profile(s, arena_printf(s->r->arena, PROFILE_DIR "/%s", names.items[i]));
	for (size_t i = 0; user && user->home && i < sizeof own / sizeof *own; i++)
		read_profile(s, arena_printf(s->r->arena, "%s/%s", user->home, own[i]));
}
