#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/str.h"
#include "fmt/js.h"
#include "report/report.h"
#include "report/status_js.h"

#define T0 1795183800000LL /* 2026-11-20T14:10:00Z */

struct world {
	char dir[32];
	struct fs_root root;
};

static int setup(void **state) {
	struct world *w = calloc(1, sizeof *w);
	struct err err = {0};
	(void)snprintf(w->dir, sizeof w->dir, "/tmp/dsagent-status-XXXXXX");
	if (!mkdtemp(w->dir) || fs_root_open(w->dir, &w->root, &err)) return -1;
	*state = w;
	return 0;
}

static int teardown(void **state) {
	struct world *w = *state;
	struct err err = {0};
	int rc = fs_remove(&w->root, "/run", true, &err) || fs_remove(&w->root, "/log", true, &err) ||
		 fs_remove(&w->root, "/dev", true, &err);
	fs_root_clear(&w->root);
	(void)rmdir(w->dir);
	free(w);
	return rc ? -1 : 0;
}

static struct step_view example_step(void) {
	return (struct step_view){.id = "python",
				  .name = "Python 3.11",
				  .type = "python",
				  .status = STEP_RUNNING,
				  .text = "installing 14 of 61 wheels",
				  .done = 14,
				  .total = 61,
				  .waiting_for = "the dpkg lock (apt-get, pid 17)",
				  .waiting_ms = 2500,
				  .waited_ms = 700,
				  .started_at_ms = T0 + 1000,
				  .attempt = 2,
				  .changes = 3,
				  .log_path = "/log/01-python.log"};
}

static struct run_view example_view(struct step_view *step) {
	return (struct run_view){.run_id = "20261120-141000-3f9a",
				 .recipe = "daily-driver@3f9a1c2e",
				 .version = "0.1.0",
				 .started_at_ms = T0,
				 .updated_at_ms = T0 + 9000,
				 .steps = step,
				 .count = 1,
				 .total = 1,
				 .percent = 22,
				 .gpu = "ok 1x T4"};
}

#define EXAMPLE(status, ready, error)                                                                                  \
	"{\"schema\":1,\"run_id\":\"20261120-141000-3f9a\",\"recipe\":\"daily-driver@3f9a1c2e\","                      \
	"\"version\":\"0.1.0\",\"pid\":4711,\"status\":\"" status "\",\"ready\":" ready                                \
	",\"started_at\":\"2026-11-20T14:10:00Z\",\"updated_at\":\"2026-11-20T14:10:09Z\",\"ready_at\":null,"          \
	"\"ended_at\":null,\"duration_ms\":9000,\"ready_ms\":0,\"done\":0,\"total\":1,\"percent\":22,\"progress\":"    \
	"\"0/1 22% "                                                                                                   \
	"Python 3.11: waiting 2 s for the dpkg lock (apt-get, pid 17)\",\"error\":" error ",\"gpu\":\"ok 1x "          \
	"T4\",\"bundle\":null,\"warnings\":0,\"steps\":[{\"index\":1,\"id\":\"python\",\"name\":\"Python "             \
	"3.11\",\"type\":\"python\","                                                                                  \
	"\"background\":false,\"needs\":[],\"held_by\":null,\"held_what\":null,\"status\":\"running\",\"text\":"       \
	"\"installing 14 of 61 "                                                                                       \
	"wheels\",\"done\":14,"                                                                                        \
	"\"total\":61,\"unit\":null,\"bytes_per_s\":0,\"stalled_ms\":0,\"left_ms\":0,\"waiting_for\":\"the dpkg lock " \
	"(apt-get, pid "                                                                                               \
	"17)\",\"waiting_ms\":2500,\"waited_ms\":700,"                                                                 \
	"\"started_at\":\"2026-11-20T14:10:01Z\",\"ended_at\":null,\"duration_ms\":8000,\"attempt\":2,"                \
	"\"changes\":3,\"error\":null,\"log\":\"/log/01-python.log\"}]}"

static void assert_js(const struct js *js, const char *expected) {
	AUTO_BUF struct buf out = BUF_INIT(64 * 1024);
	js_print(js, JS_COMPACT, &out);
	assert_string_equal(buf_str(&out), expected);
}

static void test_shape_and_back(void **state) {
	(void)state;
	struct step_view step = example_step();
	struct run_view view = example_view(&step), again;
	AUTO_ARENA struct arena arena = {0};
	AUTO_JS struct js *js = report_status_js(&view, 4711);
	assert_js(js, EXAMPLE("running", "false", "null"));
	report_status_view(js, &arena, &again);
	again.updated_at_ms = view.updated_at_ms;
	AUTO_JS struct js *twice = report_status_js(&again, 4711);
	assert_js(twice, EXAMPLE("running", "false", "null"));
}

static void write_file(const struct world *w, const char *path, const char *text) {
	struct fs_write how = {.mode = 0644, .uid = (uid_t)-1, .gid = (gid_t)-1, .is_unsynced = true};
	struct err err = {0};
	assert_int_equal(fs_mkdirs(&w->root, "/run", 0755, (uid_t)-1, (gid_t)-1, &err), 0);
	assert_int_equal(fs_write(&w->root, path, text, strlen(text), &how, &err), 0);
}

/* "running" is believed only while somebody holds the lock. */
static void test_dead_writer(void **state) {
	struct world *w = *state;
	struct err err = {0};
	struct js *js = NULL;
	int lock = -1;
	pid_t holder = 0;
	assert_int_equal(report_status_read(&w->root, "/run", &js, &err), -ERR_NOT_FOUND);
	assert_string_equal(err.msg, "nothing has run here since the machine started (no /run/status.json)");

	write_file(w, "/run/status.json", EXAMPLE("running", "false", "null"));
	assert_int_equal(fs_lock(&w->root, "/run/lock", &lock, &holder, &err), 0);
	assert_int_equal(report_status_read(&w->root, "/run", &js, &err), 0);
	assert_js(js, EXAMPLE("running", "false", "null"));
	js_free(js);

	close(lock);
	assert_int_equal(report_status_read(&w->root, "/run", &js, &err), 0);
	struct step_view step = example_step();
	struct run_view view = example_view(&step);
	AUTO_BUF struct buf expected = BUF_INIT(64 * 1024);
	view.status = RUN_INTERRUPTED;
	(void)snprintf(view.error, sizeof view.error,
		       "dsagent ended without a word: killed, or the machine went down; `dsagent apply` goes on");
	step.status = STEP_PENDING;
	step.waiting_for[0] = '\0';
	(void)snprintf(step.text, sizeof step.text, "interrupted");
	AUTO_JS struct js *truth = report_status_js(&view, 4711);
	js_print(truth, JS_COMPACT, &expected);
	assert_js(js, buf_str(&expected));
	js_free(js);
}

static void test_bad_files(void **state) {
	struct world *w = *state;
	static const char *const rows[] = {
		"", "{", "[]", "{}", "{\"status\":7}", "{\"schema\":2,\"status\":\"ready\"}", "\xff\xfe"};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct err err = {0};
		struct js *js = NULL;
		write_file(w, "/run/status.json", rows[i]);
		assert_true(report_status_read(&w->root, "/run", &js, &err) < 0);
		assert_non_null(strstr(err.msg, "/run/status.json"));
	}
}

static void tell(struct sink *sink, enum event_type type, size_t step, const char *text, const struct run_view *view) {
	struct event event = {.type = type, .at_ms = T0, .step = step, .text = text};
	sink->event(sink, &event, view);
}

static void read_all(const struct world *w, const char *path, struct buf *out) {
	struct err err = {0};
	buf_reset(out);
	assert_int_equal(fs_read(&w->root, path, out, &err), 0);
}

static void assert_mode(const struct world *w, const char *path, mode_t mode) {
	struct stat st;
	struct err err = {0};
	assert_int_equal(fs_lstat(&w->root, path, &st, &err), 0);
	assert_int_equal(st.st_mode & 07777, mode);
}

static void test_sink(void **state) {
	struct world *w = *state;
	struct err err = {0};
	struct sink *sink = NULL;
	struct step_view step = example_step();
	struct run_view view = example_view(&step);
	AUTO_BUF struct buf text = BUF_INIT(64 * 1024), first = BUF_INIT(64 * 1024);
	assert_int_equal(report_status(&w->root, "/run", "/log", &sink, &err), 0);
	int64_t began_ms = clock_mono_ms();
	tell(sink, EVENT_RUN_STARTED, SIZE_MAX, NULL, &view);
	read_all(w, "/run/status.json", &first);
	tell(sink, EVENT_STEP_LINE, 0, "a line of output", &view);
	step.status = STEP_OK;
	step.waiting_for[0] = '\0';
	step.waiting_ms = 0;
	step.ended_at_ms = T0 + 1040;
	tell(sink, EVENT_STEP_ENDED, 0, NULL, &view);
	read_all(w, "/run/status.json", &text);
	if (clock_mono_ms() - began_ms < 200) /* a step that was in place costs no write */
		assert_string_equal(buf_str(&text), buf_str(&first));
	read_all(w, "/log/events.jsonl", &text);
	assert_string_equal(buf_str(&text), "");
	view.status = RUN_READY;
	view.has_gone_ready = true;
	view.ended_at_ms = view.ready_at_ms = T0 + 2000;
	view.done = 1;
	view.percent = 100;
	tell(sink, EVENT_RUN_ENDED, SIZE_MAX, NULL, &view);

	AUTO_JS struct js *js = NULL;
	assert_int_equal(report_status_read(&w->root, "/run", &js, &err), 0);
	assert_string_equal(js_get_str(js, "status"), "ready");
	assert_true(js_get_bool(js, "ready", false));
	assert_string_equal(js_get_str(js, "ended_at"), "2026-11-20T14:10:02Z");
	read_all(w, "/log/events.jsonl", &text);
	assert_string_equal(
		buf_str(&text),
		"{\"type\":\"run-started\",\"at\":\"2026-11-20T14:10:00Z\",\"at_ms\":1795183800000,\"since_ms\":0,"
		"\"schema\":1,\"run_id\":"
		"\"20261120-141000-3f9a\",\"recipe\":\"daily-driver@3f9a1c2e\",\"version\":\"0.1.0\",\"status\":"
		"\"running\",\"done\":0,\"total\":1,\"percent\":22,\"warnings\":0,\"error\":null}\n"
		"{\"type\":\"step-ended\",\"at\":\"2026-11-20T14:10:00Z\",\"at_ms\":1795183800000,\"since_ms\":0,"
		"\"step\":\"python\","
		"\"index\":1,\"name\":\"Python 3.11\",\"step_status\":\"ok\",\"done\":14,\"total\":61,\"attempt\":2,"
		"\"type_of_step\":\"python\",\"duration_ms\":40,\"waited_ms\":700,\"changes\":3}\n"
		"{\"type\":\"run-ended\",\"at\":\"2026-11-20T14:10:00Z\",\"at_ms\":1795183800000,\"since_ms\":0,"
		"\"schema\":1,\"run_id\":"
		"\"20261120-141000-3f9a\",\"recipe\":\"daily-driver@3f9a1c2e\",\"version\":\"0.1.0\",\"status\":"
		"\"ready\",\"done\":1,\"total\":1,\"percent\":100,\"warnings\":0,\"error\":null}\n");
	sink->close(sink);
	assert_mode(w, "/run/status.json", 0644);
	assert_mode(w, "/log/events.jsonl", 0600);
	assert_mode(w, "/log", 0700);
}

static void tell_all(struct sink *sink, const struct run_view *view) {
	for (int i = 0; i < 2000; i++) tell(sink, EVENT_WARNING, SIZE_MAX, "something that goes on and on", view);
	sink->tick(sink, view);
	tell(sink, EVENT_RUN_ENDED, SIZE_MAX, NULL, view);
	sink->close(sink);
}

/* A disk that is full: one warning, and the run goes on. A limit on the size of files gives the same answers. */
static void test_no_room(void **state) {
	struct world *w = *state;
	struct err err = {0};
	struct sink *sink = NULL;
	struct step_view step = example_step();
	struct run_view view = example_view(&step);
	struct rlimit before, tight = {.rlim_cur = 64};
	int fds[2], saved = dup(STDERR_FILENO);
	char said[4096] = "";
	assert_int_equal(report_status(&w->root, "/run", "/log", &sink, &err), 0);
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	tight.rlim_max = before.rlim_max;
	(void)signal(SIGXFSZ, SIG_IGN);
	(void)dup2(fds[1], STDERR_FILENO);
	(void)setrlimit(RLIMIT_FSIZE, &tight);
	tell_all(sink, &view);
	(void)setrlimit(RLIMIT_FSIZE, &before);
	(void)dup2(saved, STDERR_FILENO);
	close(saved);
	close(fds[1]);
	ssize_t n = read(fds[0], said, sizeof said - 1);
	close(fds[0]);
	assert_true(n > 0);
	assert_non_null(strstr(said, "the report of this run has gaps from here on: "));
	assert_ptr_equal(strchr(said, '\n'), said + n - 1); /* one line */
}

static void test_console(void **state) {
	struct world *w = *state;
	struct err err = {0};
	struct step_view step = example_step();
	struct run_view view = example_view(&step);
	AUTO_BUF struct buf text = BUF_INIT(64 * 1024);
	assert_int_equal(fs_mkdirs(&w->root, "/dev", 0755, (uid_t)-1, (gid_t)-1, &err), 0);
	struct fs_write how = {.mode = 0600, .uid = (uid_t)-1, .gid = (gid_t)-1, .is_unsynced = true};
	assert_int_equal(fs_write(&w->root, "/dev/console", "", 0, &how, &err), 0);
	struct sink *sink = report_console(&w->root, true);
	tell(sink, EVENT_RUN_STARTED, SIZE_MAX, NULL, &view);
	tell(sink, EVENT_STEP_LINE, 0, "not here", &view);
	tell(sink, EVENT_STEP_RETRY, 0, "attempt 1 of 2 failed:\nno route", &view);
	step.status = STEP_FAILED;
	step.ended_at_ms = T0 + 3000;
	(void)snprintf(step.error, sizeof step.error, "%0300d", 1);
	tell(sink, EVENT_STEP_ENDED, 0, NULL, &view);
	view.status = RUN_FAILED;
	(void)snprintf(step.error, sizeof step.error, "no wheel");
	tell(sink, EVENT_RUN_ENDED, SIZE_MAX, NULL, &view);
	sink->close(sink);
	read_all(w, "/dev/console", &text);
	AUTO_ARENA struct arena arena = {0};
	assert_string_equal(buf_str(&text),
			    arena_printf(&arena,
					 "dsagent: daily-driver@3f9a1c2e started, 1 step\r\n"
					 "dsagent: [1/1] Python 3.11: attempt 1 of 2 failed: no route\r\n"
					 "dsagent: [1/1] Python 3.11: failed after 2.0 s: %0*d\r\n"
					 "dsagent: failed: step 1 'Python 3.11': no wheel\r\n",
					 (int)(200 - 2 - strlen("dsagent: [1/1] Python 3.11: failed after 2.0 s: ")),
					 0));
}

int main(void) {
	(void)unsetenv("JOURNAL_STREAM");
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_shape_and_back, setup, teardown),
		cmocka_unit_test_setup_teardown(test_dead_writer, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_files, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sink, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_room, setup, teardown),
		cmocka_unit_test_setup_teardown(test_console, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
