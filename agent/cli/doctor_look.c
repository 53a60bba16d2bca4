#include <sys/timex.h>

#include "aws/call.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/parse.h"
#include "cli/context.h"
#include "cli/doctor.h"
#include "fmt/js.h"
#include "recipe/facts.h"
#include "recipe/plan.h"
#include "sys/locks.h"
#include "sys/machine.h"
#include "sys/pkg.h"

#define MB (1000LL * 1000)
/* Below this apt, pip and logs fail, whatever the recipe takes. */
#define DISK_FAIL_BYTES (500 * MB)
/* Without a recipe: a data-science environment takes some 5 GB. */
#define DISK_WARN_BYTES (5000 * MB)
#define MEMINFO_MAX (64 * 1024)
/* 2026-01-01: an earlier clock is wrong, and TLS and AWS refuse it. */
#define CLOCK_EARLIEST_S 1767225600LL

/* What steps of a type bring, by experience: the base, and each thing that is named. */
static const struct {
	const char *type;
	int64_t disk_bytes, memory_bytes;
} type_needs[] = {
	{"packages", 300 * MB, 0},	 {"python", 900 * MB, 1000 * MB}, {"r", 900 * MB, 1500 * MB},
	{"conda", 2500 * MB, 1500 * MB}, {"jupyter", 0, 300 * MB},
};

/* Wheels that alone are larger than all the rest; with CUDA's libraries where they bring them. */
static const struct {
	const char *word;
	int64_t disk_bytes;
} large[] = {
	{"torch", 6000 * MB}, {"tensorflow", 2500 * MB},    {"jax", 3000 * MB},
	{"gpu", 6000 * MB},   {"deep-learning", 8000 * MB},
};

static int64_t large_bytes(const struct strs *names) {
	int64_t bytes = 0;
	for (size_t i = 0; i < names->count; i++)
		for (size_t k = 0; k < sizeof large / sizeof *large; k++)
			if (str_starts(names->items[i], large[k].word) && large[k].disk_bytes > bytes)
				bytes = large[k].disk_bytes;
	return bytes;
}

static int64_t step_large_bytes(const struct plan_step *step) {
	int64_t bytes = 0;
	for (const struct field *f = step->type->shape.fields; f->name; f++) {
		if (f->kind != FIELD_TEXTS) continue;
		int64_t found = large_bytes((const struct strs *)((const char *)step->params + f->offset));
		if (found > bytes) bytes = found;
	}
	return bytes;
}

/*
 * What the plan will take, roughly, by the size of what its steps are known to bring: bytes on disk, and memory that
 * builds need. Nothing is known of data and downloads.
 */
struct needs {
	int64_t disk_bytes, memory_bytes;
};

static struct needs needs_of(const struct plan *plan) {
	struct needs needs = {0};
	for (size_t i = 0; i < plan->count; i++) {
		const struct plan_step *step = &plan->steps[i];
		if (step->skip_reason) continue;
		for (size_t k = 0; k < sizeof type_needs / sizeof *type_needs; k++) {
			if (!str_eq(step->type->name, type_needs[k].type)) continue;
			needs.disk_bytes += type_needs[k].disk_bytes + step_large_bytes(step);
			if (type_needs[k].memory_bytes > needs.memory_bytes)
				needs.memory_bytes = type_needs[k].memory_bytes;
		}
	}
	return needs;
}

static void look_at_metadata(const struct doctor *d, struct rows *rows) {
	const struct facts *f = d->facts;
	if (f->has_instance)
		rows_add(rows, "metadata", ROW_OK, NULL, "%s, %s in %s", f->instance.instance_id,
			 f->instance.instance_type, f->instance.availability_zone);
	else if (f->metadata_error[0])
		rows_add(rows, "metadata", ROW_FAIL,
			 "turn on IMDSv2: aws ec2 modify-instance-metadata-options --http-endpoint enabled "
			 "--http-put-response-hop-limit 2 (2 hops are what a container needs)",
			 "%s", f->metadata_error);
	else
		rows_add(rows, "metadata", ROW_NONE, NULL, "not on EC2");
}

/* The kernel knows whether chrony or timesyncd has set it: adjtimex(2), STA_UNSYNC. */
static void look_at_clock(struct rows *rows) {
	struct timex tx = {0};
	char now[CLOCK_ISO8601_SIZE];
	int state = adjtimex(&tx);
	(void)clock_iso8601(clock_now_ms(), now);
	if (clock_now_ms() / 1000 < CLOCK_EARLIEST_S)
		rows_add(rows, "clock", ROW_FAIL,
			 "set the clock: AWS and TLS refuse one that is off by more than 5 minutes", "%s", now);
	else if (state < 0 || (tx.status & STA_UNSYNC))
		rows_add(rows, "clock", ROW_WARN,
			 "start chronyd or systemd-timesyncd; on EC2 the time server is 169.254.169.123",
			 "%s, not synchronised", now);
	else
		rows_add(rows, "clock", ROW_OK, NULL, "%s", now);
}

static const char *bytes_text(int64_t bytes, struct arena *arena) {
	return str_bytes((unsigned long long)(bytes > 0 ? bytes : 0), arena);
}

static void look_at_disk(const struct doctor *d, struct rows *rows) {
	struct err err = {0};
	int64_t free_bytes = 0, wanted = d->plan ? needs_of(d->plan).disk_bytes : DISK_WARN_BYTES;
	const char *remedy = "enlarge the root volume, or remove what is not needed";
	if (fs_free_bytes(d->root, "/", &free_bytes, &err)) {
		rows_add(rows, "disk", ROW_FAIL, NULL, "%s", err.msg);
		return;
	}
	const char *has = bytes_text(free_bytes, rows->arena), *takes = bytes_text(wanted, rows->arena);
	if (free_bytes < DISK_FAIL_BYTES)
		rows_add(rows, "disk", ROW_FAIL, remedy, "%s free on /", has);
	else if (free_bytes < wanted && d->plan)
		rows_add(rows, "disk", ROW_WARN, remedy, "%s free on /, and the recipe takes about %s and its data",
			 has, takes);
	else if (free_bytes < wanted)
		rows_add(rows, "disk", ROW_WARN, remedy, "%s free on /", has);
	else
		rows_add(rows, "disk", ROW_OK, NULL, "%s free on /", has);
}

/* A line "NAME:   12345 kB" of /proc/meminfo in bytes, 0 if it is not there. */
static int64_t meminfo(const char *text, const char *name) {
	const char *at = strstr(text, name);
	char digits[24] = "";
	int64_t kib = 0;
	struct err ignored = {0};
	if (!at) return 0;
	at += strlen(name) + strspn(at + strlen(name), ": \t");
	(void)snprintf(digits, sizeof digits, "%.*s", (int)strspn(at, "0123456789"), at);
	return parse_i64(digits, 0, INT64_MAX / 1024, &kib, &ignored) ? 0 : kib * 1024;
}

static void look_at_memory(const struct doctor *d, struct rows *rows) {
	AUTO_BUF struct buf text = BUF_INIT(MEMINFO_MAX);
	AUTO_FS_ROOT struct fs_root host = {.fd = -1};
	struct err ignored = {0};
	int64_t wanted = d->plan ? needs_of(d->plan).memory_bytes : 0;
	if (fs_root_open(NULL, &host, &ignored) || fs_read(&host, "/proc/meminfo", &text, &ignored)) return;
	int64_t available = meminfo(buf_str(&text), "MemAvailable"), swap = meminfo(buf_str(&text), "SwapFree");
	const char *has = bytes_text(available, rows->arena), *more = bytes_text(swap, rows->arena);
	if (available + swap < wanted)
		rows_add(rows, "memory", ROW_WARN,
			 "a swap file helps while packages are built: `system: {swap: 2G}` as the recipe's first step",
			 "%s available and %s swap free, and the recipe needs about %s while it builds", has, more,
			 bytes_text(wanted, rows->arena));
	else
		rows_add(rows, "memory", ROW_OK, NULL, "%s available, %s swap free", has, more);
}

static void look_at_locks(const struct doctor *d, struct rows *rows) {
	const struct pkg_manager *manager = pkg_manager(d->facts->os.package_manager);
	struct machine m = {.root = d->root, .env = d->env, .arena = rows->arena};
	struct lock_holder holder = {0};
	if (!manager) return;
	for (const char *const *path = manager->lock_paths; *path; path++) {
		if (!locks_held(&m, *path, &holder)) continue;
		rows_add(rows, "locks", ROW_WARN, "apply waits for it up to 10 minutes and kills nobody",
			 "the %s is held by %s (pid %d)", manager->lock_name, holder.comm[0] ? holder.comm : "somebody",
			 (int)holder.pid);
		return;
	}
	rows_add(rows, "locks", ROW_OK, NULL, "the %s is free", manager->lock_name);
}

static void look_at_run(const struct doctor *d, struct rows *rows) {
	AUTO_JS struct js *js = NULL;
	bool is_system = false;
	struct err ignored = {0};
	if (context_status(d->ctx, &js, &is_system, &ignored)) return;
	const char *status = js_get_str(js, "status"), *error = js_get_str(js, "error");
	if (str_eq(status, "running"))
		rows_add(rows, "run", ROW_NONE, NULL, "a run is at work (pid %lld); apply waits for its end",
			 (long long)js_get_int(js, "pid", 0));
	else if (str_eq(status, "failed") || str_eq(status, "interrupted"))
		rows_add(rows, "run", ROW_WARN, "`dsagent logs` shows what its steps wrote; apply tries again",
			 "the last run ended as %s%s%s", status, error ? ": " : "", error ? error : "");
	else
		rows_add(rows, "run", ROW_OK, NULL, "the last run ended as %s", status ? status : "?");
}

static bool plan_has(const struct plan *plan, const char *type) {
	for (size_t i = 0; plan && i < plan->count; i++)
		if (!plan->steps[i].skip_reason && str_eq(plan->steps[i].type->name, type)) return true;
	return false;
}

static void look_at_systemd(const struct doctor *d, struct rows *rows) {
	bool is_wanted = plan_has(d->plan, "service") || plan_has(d->plan, "jupyter");
	if (d->facts->os.has_systemd)
		rows_add(rows, "systemd", ROW_OK, NULL, "runs");
	else if (is_wanted)
		rows_add(rows, "systemd", ROW_WARN, "apply on a machine that systemd has booted",
			 "does not run here: the recipe's services are enabled and not started");
	else
		rows_add(rows, "systemd", ROW_NONE, NULL, "does not run here");
}

void doctor_look(const struct doctor *d, struct rows *rows) {
	look_at_metadata(d, rows);
	look_at_clock(rows);
	look_at_disk(d, rows);
	look_at_memory(d, rows);
	look_at_locks(d, rows);
	look_at_run(d, rows);
	look_at_systemd(d, rows);
}
