/*
 * Certain is: a bucket or object that the role may not read, or that is not there, when no command runs before that
 * could change it; and package repositories of which no name can be resolved, where packages are missing and none lie
 * in apt's or dnf's cache. A step that is optional or in the background is never a reason.
 */
#include "cli/preflight.h"

#include "aws/call.h"
#include "aws/fetch.h"
#include "aws/s3_one.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/mem.h"
#include "cli/context.h"
#include "cli/doctor.h"
#include "engine/state.h"
#include "engine/worker.h"
#include "io/http.h"
#include "io/retry.h"
#include "recipe/facts.h"
#include "recipe/plan.h"

#define DEADLINE_MS 5000
#define REQUEST_MS 3000
#define PROBE_MS 4000
/* Names of a network that is just coming up: by hand one look is enough. */
#define RESOLVE_HAND_MS 1000
#define RESOLVE_BOOT_MS 4000
#define RESOLVE_PAUSE_MS 250

/* All sources of one kind that one step needs. */
struct candidate {
	struct context *ctx;
	const struct preflight *p;
	const struct sources *sources;
	const struct source *source; /* S3: the one; packages: the first of that step */
};

enum place { IN_PLACE, MISSING, UNKNOWN };

static enum place probe(const struct candidate *c, struct arena *arena) {
	const struct preflight *p = c->p;
	const struct plan_step *step = &p->plan->steps[c->source->step];
	struct worker_task task = {.step = step,
				   .facts = p->facts,
				   .root = p->root,
				   .fetch = p->fetch,
				   .env = p->env,
				   .lock = p->lock,
				   .is_done = state_is_done(p->state, p->plan->recipe_name, step),
				   .timeout_ms = PROBE_MS};
	struct changes changes = {0};
	struct err err = {0};
	if (worker_probe(&task, &changes, arena, &err)) return UNKNOWN;
	return changes.count ? MISSING : IN_PLACE;
}

/* A denial or an absence that is S3's own word; a network that fails may be up a minute later. */
static void try_s3(void *arg, struct rows *rows) {
	const struct candidate *c = arg;
	struct aws *aws = NULL;
	struct err err = {0};
	bool is_prefix = c->source->kind == SOURCE_S3_PREFIX;
	if (context_aws(c->ctx, &aws, &err)) return;
	int rc = is_prefix ? s3_one_may_list(aws, c->source->url, &retry_once, REQUEST_MS, &err)
			   : s3_one_may_get(aws, c->source->url, &retry_once, REQUEST_MS, &err);
	if ((rc != -ERR_DENIED && rc != -ERR_NOT_FOUND) || !strstr(err.msg, "HTTP ")) return;
	/* A probe that lists S3 fails in it: only one that finds all in place (`creates`, `frequency`) needs no S3. */
	if (probe(c, rows->arena) == IN_PLACE) return;
	rows_add(rows, "s3", ROW_FAIL, NULL, "%s", err.msg);
}

static const char *resolve_one(const char *origin, int64_t until_ms, struct arena *arena) {
	for (;;) {
		const char *why = doctor_resolve(origin, arena);
		if (!why || clock_mono_ms() >= until_ms) return why;
		clock_sleep_ms(RESOLVE_PAUSE_MS);
	}
}

static bool has_cached_packages(const struct fs_root *root) {
	static const char *const dirs[] = {"/var/cache/apt/archives", "/var/cache/dnf"};
	AUTO_ARENA struct arena arena = {0};
	struct err ignored = {0};
	bool is_found = false;
	for (size_t i = 0; i < sizeof dirs / sizeof *dirs && !is_found; i++) {
		AUTO_STRS struct strs names = {0};
		if (fs_list(root, dirs[i], &arena, &names, &ignored)) continue;
		for (size_t k = 0; k < names.count && !is_found; k++)
			is_found = str_ends(names.items[k], ".deb") || str_eq(dirs[i], "/var/cache/dnf");
	}
	return is_found;
}

static void try_packages(void *arg, struct rows *rows) {
	const struct candidate *c = arg;
	int64_t patience_ms = c->ctx->is_at_boot ? RESOLVE_BOOT_MS : RESOLVE_HAND_MS;
	int64_t until_ms = clock_mono_ms() + patience_ms;
	const char *why = NULL;
	if (has_cached_packages(c->p->root)) return;
	for (size_t i = 0; i < c->sources->count; i++) {
		if (c->sources->items[i].kind != SOURCE_PACKAGES) continue;
		why = resolve_one(c->sources->items[i].url, until_ms, rows->arena);
		if (!why) return; /* one that answers may have all that is missing */
	}
	if (why && probe(c, rows->arena) == MISSING) rows_add(rows, "dns", ROW_FAIL, NULL, "%s", why);
}

/* True if a command or another step that does as it likes comes first. */
static bool may_change_before(const struct plan *plan, size_t step) {
	for (size_t i = 0; i < step; i++)
		if (!plan->steps[i].skip_reason && plan->steps[i].type->is_imperative) return true;
	return false;
}

struct asking {
	struct question questions[QUESTIONS_MAX];
	struct candidate candidates[QUESTIONS_MAX];
	size_t count;
};

static void add(struct asking *a, const struct candidate *c, void (*ask)(void *, struct rows *)) {
	if (a->count == QUESTIONS_MAX) return;
	a->candidates[a->count] = *c;
	a->questions[a->count] = (struct question){"", ask, &a->candidates[a->count], ROW_OK};
	a->count++;
}

static void gather(struct context *ctx, const struct preflight *p, const struct sources *sources, struct asking *a) {
	bool has_proxy = sources_have_proxy(p->root, ctx->env), has_packages = false;
	for (size_t i = 0; i < sources->count; i++) {
		const struct source *s = &sources->items[i];
		struct candidate c = {ctx, p, sources, s};
		if (!s->is_required || !s->is_plain || may_change_before(p->plan, s->step)) continue;
		if (s->kind == SOURCE_S3_OBJECT || s->kind == SOURCE_S3_PREFIX) add(a, &c, try_s3);
		if (s->kind == SOURCE_PACKAGES && !has_proxy && !has_packages) add(a, &c, try_packages);
		has_packages = has_packages || s->kind == SOURCE_PACKAGES;
	}
}

int preflight_run(struct context *ctx, const struct preflight *p, size_t *ret_step, struct err *err) {
	AUTO_ARENA struct arena arena = {0};
	struct sources sources = {.arena = &arena};
	struct asking *a = arena_alloc(&arena, sizeof *a);
	sources_of_plan(p->plan, p->root, p->facts, ctx->env, &sources);
	gather(ctx, p, &sources, a);
	if (!a->count) return 0;
	http_disconnect(p->fetch->http);
	struct rows rows = {.arena = &arena};
	size_t first = SIZE_MAX;
	const char *why = NULL;
	rows_ask(a->questions, a->count, DEADLINE_MS, &rows);
	for (size_t i = 0; i < rows.count; i++) {
		if (rows.items[i].status != ROW_FAIL) continue;
		size_t step = a->candidates[rows.items[i].question].source->step;
		if (step >= first) continue;
		first = step;
		why = rows.items[i].text;
	}
	if (first == SIZE_MAX) return 0;
	*ret_step = first;
	return err_set(err, ERR_DENIED, "%s (found before anything was changed)", why);
}
