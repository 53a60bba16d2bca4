#include "engine/state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/str.h"
#include "base/vec.h"
#include "fmt/js.h"
#include "recipe/plan.h"

/* A recipe has at most 500 steps; a box that has seen a thousand recipes is not a box. */
#define STATE_BYTES_MAX (8 * 1024 * 1024)
#define STATE_VERSION 1

struct record {
	char *recipe, *id, *hash, *instance_id, *boot_id;
	enum state_mark mark;
	int64_t at_ms;
};

struct state {
	const struct fs_root *root;
	char *dir;
	char *instance_id, *boot_id;
	char *reboot_hash, *reboot_cause; /* of the recipe that reboots; NULL when none does */
	int64_t reboots;
	VEC(struct record) records;
};

static const char *const mark_names[] = {[STATE_RUNNING] = "running", [STATE_OK] = "ok", [STATE_FAILED] = "failed"};

static void record_clear(struct record *r) {
	free(r->recipe);
	free(r->id);
	free(r->hash);
	free(r->instance_id);
	free(r->boot_id);
}

static void clear_reboots(struct state *state) {
	free(state->reboot_hash);
	free(state->reboot_cause);
	state->reboot_hash = state->reboot_cause = NULL;
	state->reboots = 0;
}

void state_free(struct state *state) {
	if (!state) return;
	for (size_t i = 0; i < state->records.count; i++) record_clear(&state->records.items[i]);
	vec_clear(&state->records);
	free(state->dir);
	free(state->instance_id);
	free(state->boot_id);
	clear_reboots(state);
	free(state);
}

static struct record *find(const struct state *state, const char *recipe, const char *id) {
	for (size_t i = 0; i < state->records.count; i++) {
		struct record *r = &state->records.items[i];
		if (str_eq(r->recipe, recipe) && str_eq(r->id, id)) return r;
	}
	return NULL;
}

static int load_record(struct state *state, const struct js *js, struct err *err) {
	const char *mark = js_get_str(js, "status");
	const char *recipe = js_get_str(js, "recipe"), *id = js_get_str(js, "id"), *hash = js_get_str(js, "hash");
	if (!mark || !recipe || !id || !hash) return err_set(err, ERR_STATE, "a step lacks recipe, id, hash or status");
	struct record r = {.mark = STATE_FAILED};
	for (size_t i = 0; i < sizeof mark_names / sizeof *mark_names; i++)
		if (str_eq(mark, mark_names[i])) r.mark = (enum state_mark)i;
	r.recipe = mem_strdup(recipe);
	r.id = mem_strdup(id);
	r.hash = mem_strdup(hash);
	r.instance_id = mem_strdup(js_get_str(js, "instance_id"));
	r.boot_id = mem_strdup(js_get_str(js, "boot_id"));
	r.at_ms = js_get_int(js, "at_ms", 0);
	vec_push(&state->records, r);
	return 0;
}

static int load(struct state *state, const struct buf *text, struct err *err) {
	struct js *js AUTO_JS = NULL;
	int rc = js_parse(text->data, text->len, &js, err);
	if (rc) return rc;
	if (js_get_int(js, "version", 0) != STATE_VERSION)
		return err_set(err, ERR_STATE, "version is not %d: written by another dsagent", STATE_VERSION);
	const struct js *reboots = js_get(js, "reboots"), *steps = js_get(js, "steps");
	if (js_get_str(reboots, "recipe_hash") && str_eq(js_get_str(reboots, "instance_id"), state->instance_id)) {
		state->reboot_hash = mem_strdup(js_get_str(reboots, "recipe_hash"));
		state->reboot_cause = mem_strdup(js_get_str(reboots, "cause"));
		state->reboots = js_get_int(reboots, "count", 0);
	}
	for (size_t i = 0; i < js_count(steps); i++) {
		rc = load_record(state, js_at(steps, i), err);
		if (rc) return rc;
	}
	return 0;
}

static void forget_all(struct state *state) {
	for (size_t i = 0; i < state->records.count; i++) record_clear(&state->records.items[i]);
	state->records.count = 0;
	clear_reboots(state);
}

int state_open(const struct fs_root *root, const char *dir, const struct state_machine *machine,
	       struct state **ret_state, bool *ret_was_damaged, struct err *err) {
	struct buf text AUTO_BUF = BUF_INIT(STATE_BYTES_MAX);
	char *path AUTO_FREE = mem_printf("%s/state.json", dir);
	struct state *state = mem_zalloc(sizeof *state);
	state->root = root;
	state->dir = mem_strdup(dir);
	state->instance_id = mem_strdup(machine->instance_id);
	state->boot_id = mem_strdup(machine->boot_id);
	bool was_damaged = false;
	int rc = fs_read(root, path, &text, err);
	if (rc == -ERR_NOT_FOUND) {
		rc = 0;
	} else if (!rc && load(state, &text, err)) {
		was_damaged = true;
		forget_all(state);
		char *aside AUTO_FREE = mem_printf("%s.damaged", path);
		rc = fs_write(root, aside, text.data, text.len,
			      &(struct fs_write){.mode = 0600, .uid = (uid_t)-1, .gid = (gid_t)-1}, err);
	}
	if (rc) {
		state_free(state);
		return err_wrap(err, "state file %s", path);
	}
	*ret_state = state;
	*ret_was_damaged = was_damaged;
	return 0;
}

bool state_is_done(const struct state *state, const char *recipe, const struct plan_step *step) {
	const struct record *r = find(state, recipe, step->common.id);
	if (!r) return false;
	bool same_content = str_eq(r->hash, step->hash);
	bool same_instance = str_eq(r->instance_id, state->instance_id);
	if (r->mark == STATE_RUNNING && step->type && step->type->is_done_by_reboot)
		return same_content && same_instance && !str_eq(r->boot_id, state->boot_id);
	if (r->mark != STATE_OK) return false;
	switch ((enum step_frequency)step->common.frequency) {
	case STEP_ON_CHANGE: return same_content && same_instance;
	case STEP_PER_INSTANCE: return same_instance;
	case STEP_PER_BOOT: return same_content && same_instance && str_eq(r->boot_id, state->boot_id);
	case STEP_ALWAYS: return false;
	}
	return false;
}

bool state_has_failed(const struct state *state, const char *recipe, const struct plan_step *step) {
	const struct record *r = find(state, recipe, step->common.id);
	return r && r->mark != STATE_OK && str_eq(r->instance_id, state->instance_id);
}

static int save(const struct state *state, struct err *err) {
	struct js *js AUTO_JS = js_object();
	js_set_int(js, "version", STATE_VERSION);
	if (state->reboot_hash) {
		struct js *reboots = js_object();
		js_set_str(reboots, "recipe_hash", state->reboot_hash);
		js_set_str(reboots, "instance_id", state->instance_id);
		js_set_int(reboots, "count", state->reboots);
		js_set_str(reboots, "cause", state->reboot_cause);
		js_set(js, "reboots", reboots);
	}
	struct js *steps = js_array();
	for (size_t i = 0; i < state->records.count; i++) {
		const struct record *r = &state->records.items[i];
		struct js *step = js_object();
		js_set_str(step, "recipe", r->recipe);
		js_set_str(step, "id", r->id);
		js_set_str(step, "hash", r->hash);
		js_set_str(step, "status", mark_names[r->mark]);
		js_set_str(step, "instance_id", r->instance_id);
		js_set_str(step, "boot_id", r->boot_id);
		js_set_int(step, "at_ms", r->at_ms);
		js_push(steps, step);
	}
	js_set(js, "steps", steps);
	struct buf text AUTO_BUF = BUF_INIT(STATE_BYTES_MAX);
	js_print(js, JS_INDENTED, &text);
	buf_addc(&text, '\n');
	int rc = buf_check(&text, "state.json", err);
	if (rc) return rc;
	char *path AUTO_FREE = mem_printf("%s/state.json", state->dir);
	return fs_write(state->root, path, text.data, text.len,
			&(struct fs_write){.mode = 0600, .uid = (uid_t)-1, .gid = (gid_t)-1}, err);
}

int state_mark(struct state *state, const char *recipe, const struct plan_step *step, enum state_mark mark,
	       struct err *err) {
	struct record *r = find(state, recipe, step->common.id);
	if (r && r->mark == mark && str_eq(r->hash, step->hash) && str_eq(r->instance_id, state->instance_id) &&
	    str_eq(r->boot_id, state->boot_id))
		return 0;
	if (!r) {
		struct record fresh = {.recipe = mem_strdup(recipe), .id = mem_strdup(step->common.id)};
		vec_push(&state->records, fresh);
		r = &state->records.items[state->records.count - 1];
	}
	free(r->hash);
	free(r->instance_id);
	free(r->boot_id);
	r->hash = mem_strdup(step->hash);
	r->instance_id = mem_strdup(state->instance_id);
	r->boot_id = mem_strdup(state->boot_id);
	r->mark = mark;
	r->at_ms = clock_now_ms();
	int rc = save(state, err);
	return rc ? err_wrap(err, "writing down that step '%s' is %s", step->common.id, mark_names[mark]) : 0;
}

int64_t state_reboots(const struct state *state, const char *recipe_hash) {
	return state->reboot_hash && str_eq(state->reboot_hash, recipe_hash) ? state->reboots : 0;
}

int state_note_reboot(struct state *state, const char *recipe_hash, const char *cause, struct err *err) {
	int64_t count = state_reboots(state, recipe_hash) + 1;
	clear_reboots(state);
	state->reboot_hash = mem_strdup(recipe_hash);
	state->reboot_cause = mem_strdup(cause);
	state->reboots = count;
	int rc = save(state, err);
	return rc ? err_wrap(err, "writing down that the machine is rebooted") : 0;
}

int state_forget_reboots(struct state *state, struct err *err) {
	if (!state->reboot_hash) return 0;
	clear_reboots(state);
	int rc = save(state, err);
	return rc ? err_wrap(err, "forgetting the reboots of this recipe") : 0;
}
