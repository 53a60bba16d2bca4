#include "report/story.h"

#include "base/arena.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "fmt/js.h"
#include "report/lines.h"
#include "report/status_js.h"

/* As many as a recipe may have. */
#define STEPS_MAX 500
/* Two tellings of one wait lie no further apart. */
#define STRETCH_GAP_MS 3000

/* What is known of a step while its events are read. */
struct reading {
	struct story_step told;
	char fetching[160];	/* what it fetches now, or "" */
	int64_t fetching_since; /* ms since the run began */
};

struct telling {
	struct story *story;
	struct arena *arena;
	struct reading *steps; /* STEPS_MAX */
	bool has_status;       /* the view is status.json's: events add times and changes only */
	bool has_end;
	int64_t began_at_ms; /* wall clock of the first event, for those of a version that had no since_ms */
};

static const char *const kind_names[STORY_KINDS] = {"installs", "downloads", "S3", "GPU checks", "other work"};

const char *story_kind_name(enum story_kind kind) { return kind_names[kind]; }

static enum story_kind kind_of(const char *type) {
	static const struct {
		const char *type;
		enum story_kind kind;
	} kinds[] = {{"packages", STORY_INSTALL}, {"repo", STORY_INSTALL},	{"python", STORY_INSTALL},
		     {"r", STORY_INSTALL},	  {"conda", STORY_INSTALL},	{"jupyter", STORY_INSTALL},
		     {"sync", STORY_S3},	  {"download", STORY_DOWNLOAD}, {"nvidia", STORY_GPU}};
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
		if (str_eq(kinds[i].type, type)) return kinds[i].kind;
	return STORY_OTHER;
}

/* What steps say of themselves while they wait for the network. */
static bool is_fetching(const char *text) {
	static const char *const words[] = {"downloading ", "fetching ", "refreshing the package index"};
	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
		if (str_starts(text, words[i])) return true;
	return false;
}

static const char *dup_text(const struct telling *t, const struct js *event, const char *key) {
	const char *text = js_get_str(event, key);
	return arena_strdup(t->arena, text ? text : "");
}

static void set_field(char *field, size_t size, const struct js *event, const char *key) {
	const char *text = js_get_str(event, key);
	if (text) (void)snprintf(field, size, "%s", text);
}

static void add_stretch(const struct telling *t, struct story_step *s, struct story_stretch new) {
	struct story_stretch *last = s->stretch_count ? &s->stretches[s->stretch_count - 1] : NULL;
	if (last && new.from_ms < last->to_ms) new.from_ms = last->to_ms;
	if (new.to_ms <= new.from_ms) return;
	*(new.doing == STORY_WAITING ? &s->waited_ms : &s->fetched_ms) += new.to_ms - new.from_ms;
	bool is_same = last && last->doing == new.doing &&new.from_ms - last->to_ms < STRETCH_GAP_MS &&
		       (new.doing == STORY_FETCHING || str_eq(last->what, new.what));
	if (is_same) {
		last->to_ms = new.to_ms;
		return;
	}
	if (s->stretch_count == STORY_STRETCHES_MAX) {
		s->stretches_left_out++;
		return;
	}
	s->stretches = arena_grow(t->arena, s->stretches, s->stretch_count, &s->stretch_cap, sizeof *s->stretches);
	new.what = arena_strdup(t->arena, new.what);
	s->stretches[s->stretch_count++] = new;
}

static void add_change(const struct telling *t, struct story_step *s, const struct js *event) {
	if (s->change_count == STORY_CHANGES_MAX) {
		s->changes_left_out++;
		return;
	}
	const char *diff = js_get_str(event, "diff");
	size_t n = diff ? strlen(diff) : 0;
	if (n > STORY_DIFF_BYTES_MAX)
		n = STORY_DIFF_BYTES_MAX; /* a character cut in two is cleaned where it is shown */
	s->changes = arena_grow(t->arena, s->changes, s->change_count, &s->change_cap, sizeof *s->changes);
	s->changes[s->change_count++] = (struct story_change){.what = dup_text(t, event, "text"),
							      .diff = n ? arena_dup(t->arena, diff, n) : NULL};
}

static void on_end(const struct telling *t, struct reading *r, struct step_view *v, const struct js *event) {
	int64_t waited_ms = js_get_int(event, "waited_ms", 0);
	if (waited_ms > r->told.waited_ms) r->told.waited_ms = waited_ms; /* waits too short to be told of */
	r->told.kind = kind_of(js_get_str(event, "type_of_step"));
	if (t->has_status) return;
	v->type = dup_text(t, event, "type_of_step");
	v->changes = (size_t)js_get_int(event, "changes", 0);
	v->waited_ms = waited_ms;
	v->started_at_ms = t->began_at_ms + r->told.from_ms;
	v->ended_at_ms = v->started_at_ms + js_get_int(event, "duration_ms", 0);
	set_field(v->error, sizeof v->error, event, "error");
	set_field(v->log_path, sizeof v->log_path, event, "log");
	if (!v->error[0]) set_field(v->text, sizeof v->text, event, "text");
	if (v->status == STEP_CHANGED && !v->text[0] && r->told.change_count)
		(void)snprintf(v->text, sizeof v->text, "%s", r->told.changes[0].what);
}

static enum step_status status_of(const char *word) {
	for (int s = STEP_PENDING; s <= (int)STEP_SKIPPED; s++)
		if (str_eq(word, step_status_name((enum step_status)s))) return (enum step_status)s;
	return STEP_PENDING;
}

/* What the view of an older run knows of a step is what its events say. */
static struct step_view *view_of(struct telling *t, size_t index, const struct js *event) {
	struct run_view *view = &t->story->view;
	struct step_view *v = &view->steps[index];
	if (t->has_status) return v;
	for (; view->count <= index; view->count++)
		view->steps[view->count] = (struct step_view){.id = "", .name = "", .type = ""};
	if (!v->name[0]) {
		v->id = dup_text(t, event, "step");
		v->name = dup_text(t, event, "name");
	}
	v->status = status_of(js_get_str(event, "step_status"));
	return v;
}

static void on_step(struct telling *t, const char *type, const struct js *event, int64_t since_ms) {
	int64_t index = js_get_int(event, "index", 0) - 1;
	int64_t known = t->has_status ? (int64_t)t->story->view.count : STEPS_MAX;
	if (index < 0 || index >= known) return;
	struct reading *r = &t->steps[index];
	struct step_view *v = view_of(t, (size_t)index, event);
	const char *text = js_get_str(event, "text");
	if (!r->told.has_run) r->told.from_ms = since_ms;
	r->told.has_run = true;
	r->told.to_ms = since_ms;
	if (r->fetching[0])
		add_stretch(t, &r->told,
			    (struct story_stretch){r->fetching_since, since_ms, STORY_FETCHING, r->fetching});
	r->fetching[0] = '\0';
	if (str_eq(type, event_type_name(EVENT_STEP_CHANGE)))
		add_change(t, &r->told, event);
	else if (str_eq(type, event_type_name(EVENT_STEP_WAITING))) {
		const char *what = js_get_str(event, "waiting_for");
		add_stretch(t, &r->told,
			    (struct story_stretch){since_ms - js_get_int(event, "waiting_ms", 0), since_ms,
						   STORY_WAITING, what ? what : "something"});
	} else if (str_eq(type, event_type_name(EVENT_STEP_PROGRESS)) && text && is_fetching(text)) {
		(void)snprintf(r->fetching, sizeof r->fetching, "%s", text);
		r->fetching_since = since_ms;
	} else if (str_eq(type, event_type_name(EVENT_STEP_ENDED)))
		on_end(t, r, v, event);
}

static void on_warning(struct telling *t, const struct js *event) {
	struct story *s = t->story;
	if (s->warning_count == STORY_WARNINGS_MAX)
		s->warnings_left_out++;
	else
		s->warnings[s->warning_count++] = dup_text(t, event, "text");
}

static void on_run(struct telling *t, const char *type, const struct js *event, int64_t since_ms) {
	struct run_view *v = &t->story->view;
	bool is_ready = str_eq(type, event_type_name(EVENT_RUN_READY)),
	     is_end = str_eq(type, event_type_name(EVENT_RUN_ENDED));
	int64_t at_ms = js_get_int(event, "at_ms", 0);
	t->has_end |= is_end;
	/* the wall clock as it was last: NTP may have set it since the begin */
	t->began_at_ms = at_ms - since_ms;
	if (t->has_status) return;
	if (!v->run_id[0]) {
		v->run_id = dup_text(t, event, "run_id");
		v->recipe = dup_text(t, event, "recipe");
		v->version = dup_text(t, event, "version");
	}
	for (int s = RUN_RUNNING; s <= (int)RUN_INTERRUPTED; s++)
		if (str_eq(js_get_str(event, "status"), run_status_name((enum run_status)s)))
			v->status = (enum run_status)s;
	v->started_at_ms = t->began_at_ms;
	bool is_well = v->status == RUN_READY || v->status == RUN_READY_WITH_WARNINGS;
	if (is_well && (is_ready || is_end) && !v->ready_at_ms) v->ready_at_ms = at_ms;
	v->has_gone_ready = v->ready_at_ms != 0;
	if (is_end) v->ended_at_ms = at_ms;
	v->done = (size_t)js_get_int(event, "done", 0);
	v->total = (size_t)js_get_int(event, "total", 0);
	v->percent = (int)js_get_int(event, "percent", 0);
	v->warnings = (size_t)js_get_int(event, "warnings", 0);
	set_field(v->error, sizeof v->error, event, "error");
}

static void on_line(const char *line, size_t len, void *arg) {
	struct telling *t = arg;
	struct story *story = t->story;
	AUTO_JS struct js *event = NULL;
	struct err ignored = {0}; /* cut short by a full disk or a power cut: the others tell the story */
	const char *type = line && !js_parse(line, len, &event, &ignored) ? js_get_str(event, "type") : NULL;
	if (!type) {
		story->damaged++;
		return;
	}
	int64_t at_ms = js_get_int(event, "at_ms", 0);
	if (!story->events++) t->began_at_ms = at_ms;
	int64_t since_ms = js_get_int(event, "since_ms", at_ms - t->began_at_ms);
	if (since_ms > story->length_ms) story->length_ms = since_ms;
	if (since_ms < 0) since_ms = 0;
	if (js_get_str(event, "step") && !str_eq(type, event_type_name(EVENT_WARNING)))
		on_step(t, type, event, since_ms);
	else if (str_eq(type, event_type_name(EVENT_WARNING)))
		on_warning(t, event);
	else if (str_starts(type, "run-"))
		on_run(t, type, event, since_ms);
}

/* A run whose last word is missing: of the newest one status.json has told the truth already. */
static void finish(struct telling *t) {
	struct run_view *v = &t->story->view;
	if (!t->has_status && !t->has_end) {
		v->status = RUN_INTERRUPTED;
		v->ready_at_ms = 0;
		for (size_t i = 0; i < v->count; i++)
			if (v->steps[i].status == STEP_RUNNING) v->steps[i].status = STEP_PENDING;
	}
	t->story->steps = arena_alloc(t->arena, (v->count + 1) * sizeof *t->story->steps);
	for (size_t i = 0; i < v->count; i++) {
		struct story_step *s = &t->story->steps[i];
		*s = t->steps[i].told;
		s->view = &v->steps[i];
		if (s->kind == STORY_INSTALL) s->kind = kind_of(v->steps[i].type); /* one that has not ended */
		if (v->steps[i].status == STEP_SKIPPED) s->has_run = false;
		if (v->steps[i].status == STEP_RUNNING) s->to_ms = t->story->length_ms;
	}
}

int story_read(const struct fs_root *root, const char *log_dir, const struct js *status, struct arena *arena,
	       struct story *ret_story, struct err *err) {
	struct story story = {.view = {.run_id = "", .recipe = "", .version = "", .status = RUN_INTERRUPTED}};
	struct telling t = {.story = &story, .arena = arena};
	const char *slash = strrchr(log_dir, '/'), *run_id = slash ? slash + 1 : log_dir;
	t.steps = arena_alloc(arena, STEPS_MAX * sizeof *t.steps);
	t.has_status = status && str_eq(js_get_str(status, "run_id"), run_id);
	if (t.has_status)
		report_status_view(status, arena, &story.view);
	else
		story.view.steps = arena_alloc(arena, STEPS_MAX * sizeof *story.view.steps);
	int rc = lines_read(root, arena_printf(arena, "%s/events.jsonl", log_dir), on_line, &t, err);
	if (rc == -ERR_NOT_FOUND) return err_set(err, ERR_NOT_FOUND, "there is no run %s", run_id);
	if (rc) return rc;
	if (!story.events)
		return err_set(err, ERR_STATE, "run %s has written no events: %s/events.jsonl is empty or damaged",
			       run_id, log_dir);
	finish(&t);
	*ret_story = story;
	return 0;
}

int64_t story_work_ms(const struct story_step *step) {
	int64_t ms = step->to_ms - step->from_ms - step->waited_ms - step->fetched_ms;
	return step->has_run && ms > 0 ? ms : 0;
}

void story_sum(const struct story *story, struct story_sums *ret_sums) {
	*ret_sums = (struct story_sums){0};
	for (size_t i = 0; i < story->view.count; i++) {
		const struct story_step *s = &story->steps[i];
		ret_sums->waited_ms += s->waited_ms;
		ret_sums->kinds_ms[s->kind == STORY_S3 ? STORY_S3 : STORY_DOWNLOAD] += s->fetched_ms;
		ret_sums->kinds_ms[s->kind] += story_work_ms(s);
	}
}

size_t story_blame(const struct story *story, size_t *order) {
	size_t count = 0;
	for (size_t i = 0; i < story->view.count; i++) {
		const struct story_step *s = &story->steps[i];
		if (!s->has_run) continue;
		size_t at = count++;
		for (; at > 0; at--) {
			const struct story_step *before = &story->steps[order[at - 1]];
			if (before->to_ms - before->from_ms >= s->to_ms - s->from_ms) break;
			order[at] = order[at - 1];
		}
		order[at] = i;
	}
	return count;
}
