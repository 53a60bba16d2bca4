/*
 * status.json, v1. The shape is documented in agent/README.md: members may be added, none may change its meaning.
 * Who reads it must not trust "running": a writer that was killed could not take the word back. The lock tells.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/str.h"
#include "fmt/js.h"
#include "report/report.h"
#include "report/status_js.h"

#define SCHEMA_VERSION 1
#define STATUS_FILE_MAX (2 * 1024 * 1024)
/* As many as a recipe may have. */
#define STEPS_MAX 500
/* /proc/locks: some sixty bytes a lock. */
#define PROC_LOCKS_MAX (4 * 1024 * 1024)

static void set_time(struct js *js, const char *key, int64_t at_ms) {
	char iso[CLOCK_ISO8601_SIZE];
	js_set_str(js, key, at_ms ? clock_iso8601(at_ms, iso) : NULL);
}

static struct js *step_js(const struct step_view *steps, size_t index, int64_t now_ms) {
	const struct step_view *step = &steps[index];
	struct js *js = js_object(), *needs = js_array();
	int64_t until_ms = step->ended_at_ms ? step->ended_at_ms : now_ms;
	js_set_int(js, "index", (int64_t)index + 1);
	js_set_str(js, "id", step->id);
	js_set_str(js, "name", step->name);
	js_set_str(js, "type", step->type);
	js_set_bool(js, "background", step->is_background);
	for (size_t i = 0; i < step->needs_count; i++) js_push_str(needs, steps[step->needs[i]].id);
	js_set(js, "needs", needs);
	js_set_str(js, "held_by", step->held_by ? steps[step->held_by - 1].id : NULL);
	js_set_str(js, "status", step_status_name(step->status));
	js_set_str(js, "text", step->text);
	js_set_int(js, "done", step->done);
	js_set_int(js, "total", step->total);
	js_set_str(js, "unit", step->is_bytes ? "bytes" : NULL);
	js_set_int(js, "bytes_per_s", step->bytes_per_s);
	js_set_int(js, "stalled_ms", step->stalled_ms);
	js_set_str(js, "waiting_for", step->waiting_for[0] ? step->waiting_for : NULL);
	js_set_int(js, "waiting_ms", step->waiting_ms);
	js_set_int(js, "waited_ms", step->waited_ms);
	set_time(js, "started_at", step->started_at_ms);
	set_time(js, "ended_at", step->ended_at_ms);
	js_set_int(js, "duration_ms",
		   step->started_at_ms && until_ms > step->started_at_ms ? until_ms - step->started_at_ms : 0);
	js_set_int(js, "attempt", step->attempt);
	js_set_int(js, "changes", (int64_t)step->changes);
	js_set_str(js, "error", step->error[0] ? step->error : NULL);
	js_set_str(js, "log", step->log_path);
	return js;
}

struct js *report_status_js(const struct run_view *view, int64_t pid) {
	struct js *js = js_object(), *steps = js_array();
	char progress[512];
	int64_t until_ms = view->ended_at_ms ? view->ended_at_ms : view->updated_at_ms;
	js_set_int(js, "schema", SCHEMA_VERSION);
	js_set_str(js, "run_id", view->run_id);
	js_set_str(js, "recipe", view->recipe);
	js_set_str(js, "version", view->version);
	js_set_int(js, "pid", pid);
	js_set_str(js, "status", run_status_name(view->status));
	js_set_bool(js, "ready", view->has_gone_ready && view->status != RUN_FAILED && view->status != RUN_INTERRUPTED);
	set_time(js, "started_at", view->started_at_ms);
	set_time(js, "updated_at", view->updated_at_ms);
	set_time(js, "ready_at", view->ready_at_ms);
	set_time(js, "ended_at", view->ended_at_ms);
	js_set_int(js, "duration_ms", until_ms > view->started_at_ms ? until_ms - view->started_at_ms : 0);
	js_set_int(js, "done", (int64_t)view->done);
	js_set_int(js, "total", (int64_t)view->total);
	js_set_int(js, "percent", view->percent);
	js_set_str(js, "progress", run_view_progress(view, progress, sizeof progress));
	js_set_str(js, "error", view->error[0] ? view->error : NULL);
	js_set_str(js, "gpu", view->gpu[0] ? view->gpu : NULL);
	js_set_int(js, "warnings", (int64_t)view->warnings);
	for (size_t i = 0; i < view->count; i++) js_push(steps, step_js(view->steps, i, view->updated_at_ms));
	js_set(js, "steps", steps);
	return js;
}

/* True if a line of /proc/locks (proc_locks(5)) says that somebody holds a flock on this inode. */
static bool is_in_proc_locks(ino_t inode) {
	AUTO_BUF struct buf text = BUF_INIT(PROC_LOCKS_MAX);
	AUTO_FREE char *wanted = mem_printf(":%" PRIu64 " ", (uint64_t)inode);
	struct fs_root host = {.fd = -1};
	struct err err = {0};
	bool is_held = false;
	if (fs_root_open(NULL, &host, &err)) return false;
	if (!fs_read(&host, "/proc/locks", &text, &err))
		for (const char *line = buf_str(&text); *line && !is_held;) {
			size_t n = strcspn(line, "\n");
			const char *at = strstr(line, wanted), *waiter = strstr(line, "->"),
				   *kind = strstr(line, "FLOCK");
			is_held = at && at < line + n && kind && kind < at && !(waiter && waiter < at);
			line += n + (line[n] == '\n');
		}
	fs_root_clear(&host);
	return is_held;
}

/*
 * Whether the run still has its process. The lock is looked up, not tried: trying it could make a run that starts in
 * that very moment believe that it is busy. Only where the lookup fails and the pid lives is it tried.
 */
static bool is_alive(const struct fs_root *root, const char *run_dir, int64_t pid) {
	AUTO_FREE char *path = mem_printf("%s/lock", run_dir);
	AUTO_CLOSE int fd = -1;
	struct err err = {0};
	struct stat st;
	if (fs_open(root, path, O_RDONLY, 0, &fd, &err) || fstat(fd, &st) != 0)
		return err.code == ERR_DENIED; /* cannot tell: believe the file */
	if (is_in_proc_locks(st.st_ino)) return true;
	if (pid > 0 && kill((pid_t)pid, 0) != 0 && errno == ESRCH) return false;
	return flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
}

static int64_t get_time_ms(const struct js *js, const char *key) {
	int64_t at = 0;
	struct err err = {0};
	const char *text = js_get_str(js, key);
	return text && !parse_time(text, &at, &err) ? at * 1000 : 0;
}

static const char *get_text(const struct js *js, const char *key, struct arena *arena) {
	const char *text = js_get_str(js, key);
	return arena_strdup(arena, text ? text : "");
}

static void get_field(const struct js *js, const char *key, char *field, size_t size) {
	const char *text = js_get_str(js, key);
	(void)snprintf(field, size, "%s", text ? text : "");
}

static void read_step(const struct js *js, struct arena *arena, struct step_view *ret) {
	*ret = (struct step_view){.id = get_text(js, "id", arena),
				  .name = get_text(js, "name", arena),
				  .type = get_text(js, "type", arena)};
	const char *status = js_get_str(js, "status");
	for (int s = STEP_PENDING; s <= (int)STEP_SKIPPED; s++)
		if (status && str_eq(status, step_status_name((enum step_status)s))) ret->status = (enum step_status)s;
	ret->is_background = js_get_bool(js, "background", false);
	get_field(js, "text", ret->text, sizeof ret->text);
	get_field(js, "waiting_for", ret->waiting_for, sizeof ret->waiting_for);
	get_field(js, "error", ret->error, sizeof ret->error);
	get_field(js, "log", ret->log_path, sizeof ret->log_path);
	ret->done = js_get_int(js, "done", 0);
	ret->total = js_get_int(js, "total", 0);
	ret->is_bytes = js_get_str(js, "unit") && str_eq(js_get_str(js, "unit"), "bytes");
	ret->bytes_per_s = js_get_int(js, "bytes_per_s", 0);
	ret->stalled_ms = js_get_int(js, "stalled_ms", 0);
	ret->waiting_ms = js_get_int(js, "waiting_ms", 0);
	ret->waited_ms = js_get_int(js, "waited_ms", 0);
	ret->started_at_ms = get_time_ms(js, "started_at");
	if (js_get_str(js, "ended_at")) ret->ended_at_ms = ret->started_at_ms + js_get_int(js, "duration_ms", 0);
	ret->attempt = (unsigned)js_get_int(js, "attempt", 0);
	ret->changes = (size_t)js_get_int(js, "changes", 0);
}

/* The place of a step, count if it has none. */
static size_t find_step(const struct run_view *view, const char *id) {
	size_t i = 0;
	while (i < view->count && !str_eq(view->steps[i].id, id)) i++;
	return i;
}

/* What steps say of each other, by ids: once all have one. */
static void read_links(const struct js *js, struct arena *arena, const struct run_view *view, struct step_view *ret) {
	const struct js *needs = js_get(js, "needs");
	size_t *list = arena_alloc(arena, (js_count(needs) + 1) * sizeof *list);
	for (size_t i = 0; i < js_count(needs); i++) {
		size_t need = find_step(view, js_str(js_at(needs, i)));
		if (need < view->count) list[ret->needs_count++] = need;
	}
	ret->needs = list;
	size_t holder = find_step(view, js_get_str(js, "held_by"));
	if (holder < view->count) ret->held_by = holder + 1;
}

void report_status_view(const struct js *js, struct arena *arena, struct run_view *ret_view) {
	*ret_view = (struct run_view){.run_id = get_text(js, "run_id", arena),
				      .recipe = get_text(js, "recipe", arena),
				      .version = get_text(js, "version", arena)};
	const char *status = js_get_str(js, "status");
	for (int s = RUN_RUNNING; s <= (int)RUN_INTERRUPTED; s++)
		if (status && str_eq(status, run_status_name((enum run_status)s)))
			ret_view->status = (enum run_status)s;
	ret_view->has_gone_ready = js_get_bool(js, "ready", false);
	ret_view->started_at_ms = get_time_ms(js, "started_at");
	ret_view->updated_at_ms = get_time_ms(js, "updated_at");
	ret_view->ready_at_ms = get_time_ms(js, "ready_at");
	if (js_get_str(js, "ended_at"))
		ret_view->ended_at_ms = ret_view->started_at_ms + js_get_int(js, "duration_ms", 0);
	ret_view->done = (size_t)js_get_int(js, "done", 0);
	ret_view->total = (size_t)js_get_int(js, "total", 0);
	ret_view->percent = (int)js_get_int(js, "percent", 0);
	get_field(js, "error", ret_view->error, sizeof ret_view->error);
	get_field(js, "gpu", ret_view->gpu, sizeof ret_view->gpu);
	ret_view->warnings = (size_t)js_get_int(js, "warnings", 0);
	const struct js *steps = js_get(js, "steps");
	size_t count = js_count(steps);
	ret_view->count = count < STEPS_MAX ? count : STEPS_MAX;
	ret_view->steps = arena_alloc(arena, (ret_view->count + 1) * sizeof *ret_view->steps);
	for (size_t i = 0; i < ret_view->count; i++) read_step(js_at(steps, i), arena, &ret_view->steps[i]);
	for (size_t i = 0; i < ret_view->count; i++) read_links(js_at(steps, i), arena, ret_view, &ret_view->steps[i]);
}

/* What became of a run whose process is gone: its running steps were cut short. */
static struct js *interrupted_js(const struct js *js) {
	AUTO_ARENA struct arena arena = {0};
	struct run_view view;
	report_status_view(js, &arena, &view);
	view.status = RUN_INTERRUPTED;
	view.has_gone_ready = false;
	view.ready_at_ms = 0;
	(void)snprintf(view.error, sizeof view.error,
		       "dsagent ended without a word: killed, or the machine went down; `dsagent apply` goes on");
	for (size_t i = 0; i < view.count; i++) {
		struct step_view *step = &view.steps[i];
		if (step->status != STEP_RUNNING) continue;
		step->status = STEP_PENDING;
		step->waiting_for[0] = '\0';
		(void)snprintf(step->text, sizeof step->text, "interrupted");
	}
	return report_status_js(&view, js_get_int(js, "pid", 0));
}

static int read_file(const struct fs_root *root, const char *path, struct js **ret_js, struct err *err) {
	AUTO_BUF struct buf text = BUF_INIT(STATUS_FILE_MAX);
	AUTO_JS struct js *js = NULL;
	int rc = fs_read(root, path, &text, err);
	if (rc == -ERR_NOT_FOUND)
		return err_set(err, ERR_NOT_FOUND, "nothing has run here since the machine started (no %s)", path);
	if (!rc) rc = js_parse(buf_str(&text), text.len, &js, err);
	if (rc) return err_wrap(err, "%s", path);
	if (!js_get_str(js, "status"))
		return err_set(err, ERR_STATE, "%s has no status; was it written by something else?", path);
	*ret_js = js;
	js = NULL;
	return 0;
}

static bool has_ended(const struct js *js) {
	return js_get_str(js, "ended_at") || str_eq(js_get_str(js, "status"), run_status_name(RUN_REBOOTING));
}

int report_status_read(const struct fs_root *root, const char *run_dir, struct js **ret_js, struct err *err) {
	AUTO_FREE char *path = mem_printf("%s/status.json", run_dir);
	AUTO_JS struct js *js = NULL, *again = NULL;
	int rc = read_file(root, path, &js, err);
	if (rc) return rc;
	if (has_ended(js) || is_alive(root, run_dir, js_get_int(js, "pid", 0))) {
		*ret_js = js;
		js = NULL;
		return 0;
	}
	/* It may have ended well since the file was read: its last word is written before its lock is given up. */
	rc = read_file(root, path, &again, err);
	if (rc) return rc;
	bool is_of_run = str_eq(js_get_str(again, "run_id"), js_get_str(js, "run_id"));
	if (is_of_run && !has_ended(again)) {
		*ret_js = interrupted_js(again);
		return 0;
	}
	*ret_js = again;
	again = NULL;
	return 0;
}
