#include "sys/machine.h"

#include <stdarg.h>

#include "base/clock.h"
#include "base/err.h"

/** Longest text of a note or wait: a line on a terminal, with room for a path. */
#define MACHINE_TEXT_MAX 512

int64_t machine_left_ms(const struct machine *m) {
	int64_t left = m->deadline_at_ms - clock_mono_ms();
	return left > 0 ? left : 0;
}

const char *machine_env(const struct machine *m, const char *name) {
	size_t len = strlen(name);
	for (const char *const *e = m->env; e && *e; e++)
		if (!strncmp(*e, name, len) && (*e)[len] == '=') return *e + len + 1;
	return NULL;
}

void machine_note(const struct machine *m, int64_t done, int64_t total, const char *fmt, ...) {
	char text[MACHINE_TEXT_MAX];
	va_list args;
	if (!m->on_note) return;
	va_start(args, fmt);
	(void)vsnprintf(text, sizeof text, fmt, args); /* a note may be cut */
	va_end(args);
	m->on_note(text, done, total, m->arg);
}

void machine_progress_bytes(const struct machine *m, int64_t done, int64_t total, const char *what) {
	machine_note_fn listener = m->on_bytes ? m->on_bytes : m->on_note;
	if (listener) listener(what ? what : "", done, total, m->arg);
}

void machine_wait(const struct machine *m, int64_t waited_ms, const char *fmt, ...) {
	char text[MACHINE_TEXT_MAX];
	va_list args;
	if (!m->on_wait) return;
	va_start(args, fmt);
	(void)vsnprintf(text, sizeof text, fmt, args); /* as for a note */
	va_end(args);
	m->on_wait(text, waited_ms, m->arg);
}

void machine_publish(const struct machine *m, const char *key, const char *value) {
	if (m->on_publish) m->on_publish(key, value, m->arg);
}

/* Both listeners of one command. */
struct lines {
	const struct machine *machine;
	const struct machine_command *cmd;
};

static void on_line(enum exec_stream stream, const char *line, void *arg) {
	const struct lines *lines = arg;
	const struct machine *m = lines->machine;
	if (lines->cmd->on_line) lines->cmd->on_line(stream, line, lines->cmd->arg);
	if (m->on_line && !lines->cmd->is_quiet) m->on_line(stream, line, m->arg);
}

static bool has_name_of(const char *const *env, const char *entry) {
	size_t len = strcspn(entry, "=");
	for (; *env; env++)
		if (!strncmp(*env, entry, len) && (*env)[len] == '=') return true;
	return false;
}

/* A name given twice would be read as the first by some programs and as the last by others, so each comes once. */
static void merge_env(const struct machine *m, const char *const *extra, struct strs *ret_env) {
	for (const char *const *e = extra; *e; e++) strs_add(ret_env, *e);
	for (const char *const *e = m->env; e && *e; e++)
		if (!has_name_of(extra, *e)) strs_add(ret_env, *e);
}

typedef int (*exec_fn)(const struct exec_spec *spec, struct exec_result *ret, struct err *err);

static int run_by(exec_fn run, const struct machine *m, const struct machine_command *cmd, struct exec_result *ret,
		  struct err *err) {
	AUTO_STRS struct strs env = {0};
	struct lines lines = {.machine = m, .cmd = cmd};
	int64_t left_ms = machine_left_ms(m);
	bool has_listener = cmd->on_line || (m->on_line && !cmd->is_quiet);

	if (left_ms <= 0)
		return err_set(err, ERR_TIMEOUT, "no time is left to start '%s': the step's timeout has passed",
			       cmd->argv[0]);
	if (cmd->extra_env && cmd->extra_env[0]) merge_env(m, cmd->extra_env, &env);
	struct exec_spec spec = {
		.argv = cmd->argv,
		.label = cmd->label,
		.env = env.count ? strs_argv(&env) : m->env,
		.cwd = cmd->cwd,
		.root = m->root,
		.user = cmd->user,
		.stdin_data = cmd->stdin_data,
		.stdin_len = cmd->stdin_data ? strlen(cmd->stdin_data) : 0,
		.timeout_ms = cmd->timeout_ms > 0 && cmd->timeout_ms < left_ms ? cmd->timeout_ms : left_ms,
		.on_line = has_listener ? on_line : NULL,
		.arg = &lines,
		.stdout_max = cmd->stdout_max,
		.may_hang = cmd->may_hang,
	};
	return run(&spec, ret, err);
}

int machine_run(const struct machine *m, const struct machine_command *cmd, struct exec_result *ret, struct err *err) {
	return run_by(exec_run, m, cmd, ret, err);
}

int machine_check(const struct machine *m, const struct machine_command *cmd, struct exec_result *ret,
		  struct err *err) {
	return run_by(exec_check, m, cmd, ret, err);
}
