#include "sys/pkg.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/glob.h"
#include "io/retry.h"
#include "sys/locks.h"
#include "sys/pkg_impl.h"

/** Largest answer of a query: 100,000 names or the provides of every package of a full system. */
#define PKG_ASK_MAX (32 * 1024 * 1024)
/** A query reads local files; only a stuck disk makes it take this long. */
#define PKG_ASK_TIMEOUT_MS (2LL * 60 * 1000)
/** Between two attempts at a lock that only the tool can see. */
#define PKG_LOCK_PAUSE_MS 2000
#define PKG_PAUSE_REPORT_MS 1000

static const struct retry_policy net_policy = {
	.base_ms = 2000,
	.cap_ms = 30000,
	.budget_ms = 20LL * 60 * 1000,
	.attempts = 4,
};

const char *const pkg_kept_patterns[] = {
	"linux-*",
	"kernel",
	"kernel-*",
	"kernel6*",
	"nvidia-*",
	"libnvidia-*",
	"xserver-xorg-video-nvidia*",
	"cuda-*",
	"libcuda*",
	"cuda",
	"dkms-nvidia*",
	"kmod-nvidia*",
	"akmod-nvidia*",
	NULL,
};

bool pkg_is_kept(const char *name) {
	for (const char *const *p = pkg_kept_patterns; *p; p++)
		if (glob_match(*p, name)) return true;
	return false;
}

const struct pkg_manager *pkg_manager(const char *name) {
	static const struct pkg_manager *const all[] = {&pkg_apt, &pkg_dnf};
	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		if (str_eq(all[i]->name, name)) return all[i];
	return NULL;
}

const char *pkg_host_path(const struct machine *m, const char *path) {
	return m->root->is_system || fs_root_is_host(m->root) ? path : fs_host_path(m->root, path, m->arena);
}

void pkg_run_init(struct pkg_run *run, const struct machine *m, const struct pkg_tool *tool) {
	*run = (struct pkg_run){.machine = m, .tool = tool, .output = BUF_INIT(PKG_OUTPUT_MAX)};
}

void pkg_run_clear(struct pkg_run *run) {
	if (run) buf_clear(&run->output);
}

/* Errors stand at the end: when the buffer is full, its older half goes. */
static void keep_line(struct buf *b, const char *line) {
	size_t len = strlen(line) + 1;
	if (b->len + len > b->max) {
		size_t half = b->len / 2;
		const char *cut = memchr(b->data + half, '\n', b->len - half);
		size_t drop = cut ? (size_t)(cut - b->data) + 1 : b->len;
		memmove(b->data, b->data + drop, b->len - drop);
		buf_cut(b, b->len - drop);
	}
	buf_adds(b, line);
	buf_addc(b, '\n');
}

static void on_line(enum exec_stream stream, const char *line, void *arg) {
	struct pkg_run *run = arg;
	/* apt and dnf wait themselves for a while: that is no failure, though it reads like one. */
	if (!str_starts(line, "Waiting for ")) keep_line(&run->output, line);
	if (run->tool->on_line) run->tool->on_line(stream, line, run);
}

enum pkg_trouble pkg_classify(const struct pkg_rule *rules, const char *output) {
	for (const struct pkg_rule *rule = rules; rule->text; rule++)
		if (strstr(output, rule->text)) return rule->trouble;
	return PKG_TROUBLE_OTHER;
}

/* One start of the tool; fills run->trouble when it ended non-zero of its own. */
static int run_once(struct pkg_run *run, const char *const *argv, struct err *err) {
	AUTO_EXEC_RESULT struct exec_result result = {0};
	struct machine_command cmd = {.argv = argv, .extra_env = run->tool->env, .on_line = on_line, .arg = run};
	buf_reset(&run->output);
	run->total = run->fetched = run->unpacked = run->done = 0;
	run->trouble = PKG_TROUBLE_OTHER;
	int rc = machine_check(run->machine, &cmd, &result, err);
	if (rc == -ERR_COMMAND && result.signal == 0)
		run->trouble = pkg_classify(run->tool->rules, buf_str(&run->output));
	return rc;
}

static void pause_for(const struct machine *m, int64_t ms, const char *what) {
	int64_t began_ms = clock_mono_ms();
	for (;;) {
		int64_t waited_ms = clock_mono_ms() - began_ms, left_ms = ms - waited_ms;
		if (left_ms > machine_left_ms(m)) left_ms = machine_left_ms(m);
		if (left_ms <= 0) return;
		machine_wait(m, waited_ms, "the %s", what);
		clock_sleep_ms(left_ms < PKG_PAUSE_REPORT_MS ? left_ms : PKG_PAUSE_REPORT_MS);
	}
}

static int repair(struct pkg_run *run, struct err *err) {
	machine_note(run->machine, 0, 0, "finishing what an interrupted package run has left");
	run->has_repaired = true;
	int rc = run_once(run, run->tool->repair, err);
	return rc ? err_wrap(err, "an earlier package run was interrupted and could not be finished") : 0;
}

int pkg_run(struct pkg_run *run, const char *const *argv, struct err *err) {
	const struct pkg_tool *tool = run->tool;
	int64_t began_ms = clock_mono_ms(), net_began_ms = began_ms;
	unsigned attempt = 1;

	for (;;) {
		int64_t lock_left_ms = PKG_LOCK_WAIT_MS - (clock_mono_ms() - began_ms);
		int rc = locks_wait(run->machine, tool->lock_name, tool->lock_paths,
				    lock_left_ms > 0 ? lock_left_ms : 0, err);
		if (rc) return rc;
		rc = run_once(run, argv, err);
		if (!rc) return 0;
		if (run->trouble == PKG_TROUBLE_INTERRUPTED && tool->repair && !run->has_repaired) {
			rc = repair(run, err);
			if (rc) return rc;
		} else if (run->trouble == PKG_TROUBLE_LOCK && lock_left_ms > PKG_LOCK_PAUSE_MS) {
			pause_for(run->machine, PKG_LOCK_PAUSE_MS, tool->lock_name);
		} else if (run->trouble == PKG_TROUBLE_NET) {
			err->is_retryable = true;
			int64_t wait_ms = retry_wait_ms(&net_policy, attempt++, clock_mono_ms() - net_began_ms, 0,
							clock_random(UINT64_MAX), err);
			if (wait_ms == RETRY_STOP) return rc;
			pause_for(run->machine, wait_ms, "package mirror to answer again");
			began_ms = clock_mono_ms();
		} else {
			return rc;
		}
		if (machine_left_ms(run->machine) <= 0) return -err->code;
	}
}

int pkg_ask(const struct machine *m, const char *const *argv, const char *const *env, struct exec_result *ret,
	    struct err *err) {
	struct machine_command cmd = {
		.argv = argv,
		.extra_env = env,
		.timeout_ms = PKG_ASK_TIMEOUT_MS,
		.stdout_max = PKG_ASK_MAX,
		.is_quiet = true,
	};
	int rc = machine_run(m, &cmd, ret, err);
	if (rc) return rc;
	if (!ret->has_timed_out && ret->signal == 0) return 0;
	rc = ret->has_timed_out ? err_set(err, ERR_TIMEOUT, "'%s' did not answer within %lld s", argv[0],
					  PKG_ASK_TIMEOUT_MS / 1000)
				: err_set(err, ERR_COMMAND, "'%s' was ended by signal %d", argv[0], ret->signal);
	exec_result_clear(ret);
	*ret = (struct exec_result){0};
	return rc;
}
