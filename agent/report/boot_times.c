#include "report/boot_times.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/exec.h"
#include "base/fs.h"
#include "base/parse.h"
#include "base/str.h"
#include "fmt/js.h"

#define CLOUD_INIT_MAX (256 * 1024)
#define SYSTEMCTL_MAX (16 * 1024)
#define SYSTEMCTL_MS (5 * 1000)
/* Instances with much memory or their own hardware take that long to their kernel. */
#define LAUNCH_MAX_MS (60LL * 60 * 1000)
/* pendingTime has whole seconds, and the clock of the instance is not yet set. */
#define LAUNCH_SLACK_MS 5000

static void add(struct boot_times *t, const char *name, int64_t from_ms, int64_t to_ms) {
	if (t->count == BOOT_PHASES_MAX || to_ms < from_ms) return;
	t->phases[t->count++] = (struct boot_phase){name, from_ms, to_ms};
}

static void read_boot(const struct fs_root *root, struct boot_times *t) {
	char line[64];
	fs_read_line(root, "/proc/uptime", line, sizeof line);
	char *end = line;
	double up_s = strtod(line, &end); /* "350735.47 234388.90": nothing strict is needed of the kernel */
	if (end != line && up_s >= 0) t->booted_at_ms = clock_now_ms() - (int64_t)(up_s * 1000);
}

/* A pending time that lies long before this boot is that of another one: the instance was rebooted since. */
static void read_launch(const char *pending_time, struct boot_times *t) {
	struct err ignored = {0};
	int64_t at_s = 0;
	if (str_is_empty(pending_time) || parse_time(pending_time, &at_s, &ignored) || !t->booted_at_ms) return;
	int64_t before_ms = t->booted_at_ms - at_s * 1000;
	if (before_ms < -LAUNCH_SLACK_MS || before_ms > LAUNCH_MAX_MS) return;
	t->launched_at_ms = at_s * 1000;
	if (before_ms > 0) add(t, "EC2 launch", t->launched_at_ms, t->booted_at_ms);
}

/* Microseconds of "NAME=123456", 0 where it is missing. */
static int64_t stamp_ms(const char *text, const char *name) {
	const char *at = strstr(text, name);
	return at ? strtoll(at + strlen(name), NULL, 10) / 1000 : 0; /* as above */
}

static void read_systemd(const char *const *env, struct boot_times *t) {
	static const char *const argv[] = {"systemctl",
					   "show",
					   "--property=InitRDTimestampMonotonic",
					   "--property=UserspaceTimestampMonotonic",
					   "--property=FinishTimestampMonotonic",
					   NULL};
	AUTO_EXEC_RESULT struct exec_result result = {0};
	struct exec_spec spec = {.argv = argv, .env = env, .timeout_ms = SYSTEMCTL_MS, .stdout_max = SYSTEMCTL_MAX};
	struct err ignored = {0}; /* another init, or none */
	if (!t->booted_at_ms || exec_check(&spec, &result, &ignored)) return;
	const char *text = buf_str(&result.out);
	int64_t initrd_ms = stamp_ms(text, "InitRDTimestampMonotonic="),
		user_ms = stamp_ms(text, "UserspaceTimestampMonotonic="),
		end_ms = stamp_ms(text, "FinishTimestampMonotonic="), boot_ms = t->booted_at_ms;
	if (!user_ms) return;
	add(t, "kernel", boot_ms, boot_ms + (initrd_ms ? initrd_ms : user_ms));
	if (initrd_ms) add(t, "initrd", boot_ms + initrd_ms, boot_ms + user_ms);
	if (end_ms) add(t, "systemd", boot_ms + user_ms, boot_ms + end_ms);
}

static void add_stage(const struct js *v1, const char *key, const char *name, struct boot_times *t) {
	const struct js *stage = js_get(v1, key);
	double start_s = js_get_real(stage, "start", 0), end_s = js_get_real(stage, "finished", 0);
	if (start_s > 0 && end_s >= start_s) add(t, name, (int64_t)(start_s * 1000), (int64_t)(end_s * 1000));
}

static void read_cloud_init(const struct fs_root *root, struct boot_times *t) {
	static const char *const paths[] = {"/run/cloud-init/status.json", "/var/lib/cloud/data/status.json"};
	for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
		AUTO_BUF struct buf text = BUF_INIT(CLOUD_INIT_MAX);
		AUTO_JS struct js *js = NULL;
		struct err ignored = {0}; /* no cloud-init here */
		if (fs_read(root, paths[i], &text, &ignored) || js_parse(buf_str(&text), text.len, &js, &ignored))
			continue;
		const struct js *v1 = js_get(js, "v1");
		add_stage(v1, "init-local", "cloud-init: local", t);
		add_stage(v1, "init", "cloud-init: network", t);
		add_stage(v1, "modules-config", "cloud-init: config", t);
		add_stage(v1, "modules-final", "cloud-init: final", t);
		return;
	}
}

void boot_times_read(const struct fs_root *root, const char *const *env, const char *pending_time,
		     struct boot_times *ret_times) {
	*ret_times = (struct boot_times){0};
	read_boot(root, ret_times);
	read_launch(pending_time, ret_times);
	read_systemd(env, ret_times);
	read_cloud_init(root, ret_times);
}
