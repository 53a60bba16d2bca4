#include "steps/unit_want.h"

#include "base/err.h"
#include "recipe/step.h"
#include "steps/text_file.h"
#include "sys/unit.h"

#define UNIT_MODE 0644

static struct text_file unit_file(const struct unit_want *want, struct arena *arena) {
	return (struct text_file){
		.path = arena_printf(arena, "%s/%s", UNIT_DIR, want->unit), .content = want->text, .mode = UNIT_MODE};
}

static void probe_state(const struct unit_want *want, const struct unit_state *s, struct step_ctx *ctx,
			struct changes *changes) {
	struct arena *arena = ctx->arena;
	if (want->is_enabled && !unit_is_enabled(s)) changes_add(changes, arena, NULL, "enable %s", want->unit);
	if (!want->is_enabled && str_starts(s->file, "enabled"))
		changes_add(changes, arena, NULL, "disable %s", want->unit);
	if (want->run == UNIT_STARTED && !unit_is_up(s))
		changes_add(changes, arena, NULL, "start %s%s", want->unit,
			    str_eq(s->active, "failed") || str_eq(s->sub, "auto-restart") ? " (it has failed)" : "");
	if (want->run == UNIT_STOPPED && unit_is_up(s) && !str_eq(s->active, "inactive"))
		changes_add(changes, arena, NULL, "stop %s", want->unit);
}

int unit_want_probe(const struct unit_want *want, struct step_ctx *ctx, struct changes *changes, struct err *err) {
	struct text_file file = unit_file(want, ctx->arena);
	struct unit_state s = {0};
	size_t before = changes->count;
	int r = want->text ? text_file_probe(&file, ctx, changes, err) : 0;
	if (r == 0) r = unit_show(&ctx->machine, want->unit, &s, err);
	if (r < 0) return r;
	bool is_up = unit_is_up(&s);
	if (want->run == UNIT_STARTED && is_up && (changes->count > before || (want->text && s.needs_reload)))
		changes_add(changes, ctx->arena, NULL, "restart %s%s", want->unit,
			    changes->count > before ? "" : " (systemd runs an older version of its file)");
	probe_state(want, &s, ctx, changes);
	return 0;
}

/* A masked unit is a link to /dev/null: somebody meant it. */
static int refuse_masked(const struct unit_want *want, struct err *err) {
	return err_set(err, ERR_INVALID, "%s is masked: `systemctl unmask %s` if it is to run", want->unit, want->unit);
}

static int run(const struct unit_want *want, bool is_stale, struct step_ctx *ctx, const struct unit_state *s,
	       struct err *err) {
	const struct machine *m = &ctx->machine;
	bool is_up = unit_is_up(s), must_queue = unit_must_not_block(m);
	int r = 0;
	/* Queued jobs replace one another: a stop followed by a start would be no restart. */
	if (is_stale && is_up && !must_queue && want->run == UNIT_STARTED) r = unit_job(m, "stop", want->unit, err);
	if (r == 0 && is_stale) r = unit_reload(m, err);
	if (r == 0 && want->is_enabled != unit_is_enabled(s))
		r = unit_do(m, want->is_enabled ? "enable" : "disable", want->unit, err);
	if (r < 0 || want->run == UNIT_LEFT) return r;
	if (want->run == UNIT_STOPPED) return is_up ? unit_job(m, "stop", want->unit, err) : 0;
	if (is_up && !is_stale) return 0;
	if (str_eq(s->active, "failed")) r = unit_do(m, "reset-failed", want->unit, err);
	return r < 0 ? r : unit_job(m, must_queue && is_up ? "restart" : "start", want->unit, err);
}

int unit_want_apply(const struct unit_want *want, struct step_ctx *ctx, struct err *err) {
	struct text_file file = unit_file(want, ctx->arena);
	struct unit_state s;
	bool has_written = false;
	int r = unit_show(&ctx->machine, want->unit, &s, err);
	if (r == 0 && str_eq(s.load, "masked") && want->run == UNIT_STARTED) return refuse_masked(want, err);
	if (r == 0 && want->text) r = text_file_apply(&file, ctx, &has_written, err);
	return r < 0 ? r : run(want, has_written || (want->text && s.needs_reload), ctx, &s, err);
}
