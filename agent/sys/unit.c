/*
 * systemctl(1), journalctl(1). Ordering facts: cloud-final.service is After=multi-user.target on Debian and Ubuntu and
 * everywhere since cloud-init 24.4, so a job started from within it that is ordered after multi-user.target would wait
 * for the very script that waits for it (cloud-init #2728, #4068).
 */
#include "sys/unit.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/parse.h"
#include "sys/machine.h"

/** A question to systemd; on a loaded box at boot it may take seconds. */
#define ASK_MS (60 * 1000)
/** Enabling and reloading run the generators. */
#define DO_MS (2 * 60 * 1000)
#define SHOW_MAX (64 * 1024)
/** A service that starts is watched this long: what fails at once (a bad option, a port in use) fails within it. */
#define SETTLE_MS 1500
#define SETTLE_EVERY_MS 100
#define JOURNAL_LINES "10"
#define JOURNAL_MAX (64 * 1024)
#define JOURNAL_TAIL 700

static const char cloud_init_dir[] = "/run/cloud-init", cloud_init_result[] = "/run/cloud-init/result.json";

static int no_systemd(struct err *err) {
	return err_set(err, ERR_UNSUPPORTED,
		       "systemd does not run here (a container or chroot): give the step `when: facts.has_systemd`");
}

static bool runs_systemd(const struct machine *m) { return fs_exists(m->root, "/run/systemd/system"); }

static void set_field(struct unit_state *s, const char *key, const char *value) {
	static const struct {
		const char *key;
		size_t offset, size;
	} fields[] = {
		{"LoadState", offsetof(struct unit_state, load), sizeof s->load},
		{"ActiveState", offsetof(struct unit_state, active), sizeof s->active},
		{"SubState", offsetof(struct unit_state, sub), sizeof s->sub},
		{"UnitFileState", offsetof(struct unit_state, file), sizeof s->file},
		{"Result", offsetof(struct unit_state, result), sizeof s->result},
		{"Type", offsetof(struct unit_state, type), sizeof s->type},
	};
	for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
		if (str_eq(key, fields[i].key))
			(void)snprintf((char *)s + fields[i].offset, fields[i].size, "%s", value); /* words; cut */
	if (str_eq(key, "ExecMainExitTimestampMonotonic")) s->has_run = !str_eq(value, "0") && value[0];
	if (str_eq(key, "NeedDaemonReload")) s->needs_reload = str_eq(value, "yes");
	if (str_eq(key, "Job")) s->has_job = !str_eq(value, "0") && value[0];
}

/* A tree that is no system of its own has no systemd to ask, and the host's must not be asked instead. */
static bool can_run(const struct machine *m) { return fs_root_is_host(m->root) || m->root->is_system; }

/* `is-enabled` reads the links, so it works in an image too; it exits 1 for "disabled". */
static int show_offline(const struct machine *m, const char *unit, struct unit_state *ret_state, struct err *err) {
	const char *argv[] = {"systemctl", "is-enabled", "--", unit, NULL};
	AUTO_EXEC_RESULT struct exec_result result = {0};
	struct machine_command cmd = {.argv = argv, .timeout_ms = ASK_MS, .stdout_max = SHOW_MAX, .is_quiet = true};
	*ret_state = (struct unit_state){.is_offline = true};
	if (!can_run(m)) return 0;
	int r = machine_run(m, &cmd, &result, err);
	if (r < 0) return r == -ERR_NOT_FOUND ? no_systemd(err) : r;
	set_field(ret_state, "UnitFileState", str_trim(arena_strdup(m->arena, buf_str(&result.out))));
	return 0;
}

int unit_show(const struct machine *m, const char *unit, struct unit_state *ret_state, struct err *err) {
	const char *argv[] = {
		"systemctl",
		"show",
		("--property=LoadState,ActiveState,SubState,UnitFileState,Result,Type,NeedDaemonReload,Job,"
		 "ExecMainExitTimestampMonotonic"),
		"--",
		unit,
		NULL};
	AUTO_EXEC_RESULT struct exec_result result = {0};
	AUTO_STRS struct strs lines = {0};
	struct machine_command cmd = {.argv = argv, .timeout_ms = ASK_MS, .stdout_max = SHOW_MAX, .is_quiet = true};
	if (!runs_systemd(m) || !can_run(m)) return show_offline(m, unit, ret_state, err);
	int r = machine_check(m, &cmd, &result, err);
	if (r < 0) return r;
	*ret_state = (struct unit_state){0};
	str_split(buf_str(&result.out), "\n", m->arena, &lines);
	for (size_t i = 0; i < lines.count; i++) {
		char *line = arena_strdup(m->arena, lines.items[i]), *equals = strchr(line, '=');
		if (!equals) continue;
		*equals = '\0';
		set_field(ret_state, line, equals + 1);
	}
	return 0;
}

bool unit_is_up(const struct unit_state *s) {
	if (str_eq(s->sub, "auto-restart")) return false; /* between two failures */
	if (str_eq(s->active, "active") || str_eq(s->active, "activating") || str_eq(s->active, "reloading"))
		return true;
	bool has_done = str_eq(s->type, "oneshot") && s->has_run && str_eq(s->result, "success");
	return has_done || (s->has_job && !str_eq(s->active, "failed"));
}

bool unit_is_enabled(const struct unit_state *s) {
	return str_starts(s->file, "enabled") || str_eq(s->file, "static") || str_eq(s->file, "alias") ||
	       str_eq(s->file, "generated") || str_eq(s->file, "indirect");
}

bool unit_must_not_block(const struct machine *m) {
	AUTO_BUF struct buf cgroup = BUF_INIT(SHOW_MAX);
	struct err ignored = {0};
	if (fs_exists(m->root, cloud_init_dir) && !fs_exists(m->root, cloud_init_result)) return true;
	return fs_read(m->root, "/proc/self/cgroup", &cgroup, &ignored) == 0 &&
	       strstr(buf_str(&cgroup), "cloud-final.service");
}

static int systemctl(const struct machine *m, const char *verb, bool no_block, const char *unit, struct err *err) {
	if (!can_run(m)) return no_systemd(err);
	const char *argv[] = {"systemctl", verb, unit, no_block ? "--no-block" : NULL, NULL};
	if (!unit) argv[2] = NULL;
	struct machine_command cmd = {.argv = argv, .timeout_ms = unit && !no_block ? 0 : DO_MS};
	return machine_check(m, &cmd, NULL, err);
}

int unit_reload(const struct machine *m, struct err *err) {
	return runs_systemd(m) ? systemctl(m, "daemon-reload", false, NULL, err) : 0;
}

int unit_do(const struct machine *m, const char *verb, const char *unit, struct err *err) {
	return systemctl(m, verb, false, unit, err);
}

/* The last whole lines within max bytes: an error's text has room for no more. */
static const char *last_lines(const char *text, size_t max) {
	size_t len = strlen(text);
	if (len <= max) return text;
	const char *tail = text + len - max, *line = strchr(tail, '\n');
	return line ? line + 1 : tail;
}

int unit_start_later(const struct machine *m, const char *unit, struct err *err) {
	struct err ignored = {0}; /* a unit that has not failed cannot be reset */
	if (systemctl(m, "reset-failed", false, unit, &ignored)) log_debug("%s", ignored.msg);
	return systemctl(m, "start", true, unit, err);
}

/* The last lines of a unit's journal in the arena, "" when there are none. */
static const char *journal(const struct machine *m, const char *unit, struct arena *arena) {
	const char *argv[] = {"journalctl", "--no-pager", "--quiet", "--output=cat", ("--lines=" JOURNAL_LINES),
			      "--unit",	    unit,	  NULL};
	AUTO_EXEC_RESULT struct exec_result result = {0};
	struct err ignored = {0};
	struct machine_command cmd = {.argv = argv, .timeout_ms = ASK_MS, .stdout_max = JOURNAL_MAX, .is_quiet = true};
	if (machine_check(m, &cmd, &result, &ignored) < 0) return "";
	return last_lines(str_trim(arena_strdup(arena, buf_str(&result.out))), JOURNAL_TAIL);
}

/* What became of it, in the journal's words. */
static int explain(const struct machine *m, const char *verb, const char *unit, const struct unit_state *s,
		   struct err *err) {
	const char *lines = journal(m, unit, m->arena);
	bool has_lines = lines[0] != '\0';
	return err_set(err, ERR_COMMAND, "%s does not %s (%s, %s)%s%s", unit, str_eq(verb, "stop") ? "stop" : "run",
		       s->sub[0] ? s->sub : s->active, s->result, has_lines ? "; its journal ends: " : "",
		       has_lines ? lines : "; its journal is empty");
}

/* A unit that was just started: up, and still up a moment later. */
static int settle(const struct machine *m, const char *verb, const char *unit, struct err *err) {
	int64_t until_ms = clock_mono_ms() + SETTLE_MS;
	for (;;) {
		struct unit_state s;
		int r = unit_show(m, unit, &s, err);
		if (r < 0) return r;
		if (!unit_is_up(&s)) return explain(m, verb, unit, &s, err);
		if (str_eq(s.active, "inactive") || clock_mono_ms() >= until_ms ||
		    machine_left_ms(m) <= SETTLE_EVERY_MS)
			return 0;
		clock_sleep_ms(SETTLE_EVERY_MS);
	}
}

int unit_job(const struct machine *m, const char *verb, const char *unit, struct err *err) {
	struct unit_state s = {0};
	bool no_block = unit_must_not_block(m);
	if (!runs_systemd(m)) return no_systemd(err);
	machine_note(m, 0, 0, "%s %s", verb, unit);
	int r = systemctl(m, verb, no_block, unit, err);
	if (r == -ERR_COMMAND) {
		struct err ignored = {0};
		if (unit_show(m, unit, &s, &ignored) == 0 && !str_eq(s.load, "not-found"))
			return explain(m, verb, unit, &s, err);
	}
	if (r < 0 || no_block || str_eq(verb, "stop")) return r;
	return settle(m, verb, unit, err);
}
