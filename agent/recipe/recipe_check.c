#include "recipe/recipe_impl.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/log.h"
#include "fmt/diag.h"

/* A name with its variables; what is longer leaves nothing for an id. */
#define NAME_TEXT_MAX (64 * 1024)
#define ID_MAX 64
/* Longest circle that is printed in full; the rest of a longer one is left out. */
#define CIRCLE_TEXT_MAX 2000

static bool is_id(const char *id) {
	static const char inner[] = "abcdefghijklmnopqrstuvwxyz0123456789_-";
	return *id && *id != '_' && *id != '-' && id[strspn(id, inner)] == '\0' && strlen(id) <= ID_MAX;
}

/* "Python 3.11" → "python-3-11"; "" when nothing of it can stand in an id. */
static char *slug(const char *name, struct arena *arena) {
	char *id = arena_alloc(arena, ID_MAX + 1);
	size_t len = 0;
	for (; *name && len < ID_MAX; name++) {
		char c = *name;
		if (c >= 'A' && c <= 'Z') c = (char)(c - 'A' + 'a');
		if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (c == '_' && len)) {
			id[len++] = c;
		} else if (len && id[len - 1] != '-') {
			id[len++] = '-';
		}
	}
	while (len && id[len - 1] == '-') id[--len] = '\0';
	return id;
}

static const struct recipe_step *find(const struct recipe_load *load, const char *id, size_t before) {
	for (size_t i = 0; i < before; i++) {
		if (str_eq(load->steps.items[i].common.id, id)) return &load->steps.items[i];
	}
	return NULL;
}

static void check_given(struct recipe_load *load, size_t i) {
	const char *id = load->steps.items[i].common.id;
	const struct yml_node *at = yml_get(load->steps.items[i].node, "id");
	if (!is_id(id)) {
		const char *better = slug(id, load->arena);
		diag_add(load->diags, at,
			 "id '%.80s' must be a-z, 0-9, '_' and '-', at most %d, a letter or digit first%s%s%s", id,
			 ID_MAX, *better ? "; take '" : "", better, *better ? "'" : "");
	}
	const struct recipe_step *other = find(load, id, i);
	if (other) {
		diag_add(load->diags, at, "id '%s' is taken by the step at %s:%u", id, other->node->file,
			 other->node->line);
	}
}

/* Steps that could not be bound keep the id they would have had: no message about it follows from another. */
static const char *text_of(const struct recipe_step *step, const char *key) {
	if (step->node->kind != YML_MAP) return NULL;
	const struct yml_node *node = yml_get(step->node, key);
	return node && node->kind == YML_SCALAR && !yml_is_null(node) ? node->text : NULL;
}

static const char *free_id(struct recipe_load *load, const char *wish) {
	const char *id = wish;
	for (size_t n = 2; find(load, id, load->steps.count); n++) {
		AUTO_FREE char *suffix = mem_printf("-%zu", n);
		size_t keep = strlen(wish) + strlen(suffix) > ID_MAX ? ID_MAX - strlen(suffix) : strlen(wish);
		id = arena_printf(load->arena, "%.*s%s", (int)keep, wish, suffix);
	}
	return id;
}

void recipe_check_ids(struct recipe_load *load) {
	/* Given ids first: an id made of a name makes way for them, wherever they stand. */
	for (size_t i = 0; i < load->steps.count; i++) {
		struct recipe_step *step = &load->steps.items[i];
		step->common.id = text_of(step, "id");
		if (step->common.id) check_given(load, i);
	}
	for (size_t i = 0; i < load->steps.count; i++) {
		struct recipe_step *step = &load->steps.items[i];
		const char *name = text_of(step, "name"), *type = step->type ? step->type->name : "step";
		if (!step->common.id) {
			AUTO_BUF struct buf shown = BUF_INIT(NAME_TEXT_MAX); /* an id becomes a file's name */
			log_redact(name ? name : type, &shown);
			const char *wish = slug(buf_str(&shown), load->arena);
			step->common.id = free_id(load, *wish ? wish : type);
		}
		if (str_is_empty(step->common.name)) step->common.name = step->common.id;
	}
}

size_t recipe_step_above(const struct recipe_step *steps, size_t i) {
	while (i-- > 0) {
		if (!steps[i].common.is_background) return i;
	}
	return SIZE_MAX;
}

static void unknown_need(struct recipe_load *load, const char *need, const struct yml_node *at) {
	AUTO_STRS struct strs ids = {0};
	for (size_t i = 0; i < load->steps.count; i++) {
		const struct step_common *c = &load->steps.items[i].common;
		strs_add(&ids, c->id);
		if (!str_eq(c->name, need)) continue;
		diag_add(load->diags, at, "needs '%s', which is a name; the id of that step is '%s'", need, c->id);
		return;
	}
	const char *near = str_nearest(need, ids.items, ids.count);
	if (near) {
		diag_add(load->diags, at, "needs '%s', but no step has that id; did you mean '%s'?", need, near);
	} else {
		diag_add(load->diags, at, "needs '%s', but no step has that id; the ids are %s", need,
			 strs_join(&ids, ", ", load->arena));
	}
}

/* The edges of the graph, one row of it at a time: what step i waits for. */
static size_t waits_for(const struct recipe_load *load, size_t i, size_t k) {
	const struct step_common *c = &load->steps.items[i].common;
	if (!load->steps.items[i].type) return SIZE_MAX; /* not bound: nothing is known of it */
	if (!c->has_needs) return k == 0 ? recipe_step_above(load->steps.items, i) : SIZE_MAX;
	if (k >= c->needs.count) return SIZE_MAX;
	const struct recipe_step *needed = find(load, c->needs.items[k], load->steps.count);
	return needed ? (size_t)(needed - load->steps.items) : SIZE_MAX - 1;
}

struct search {
	struct recipe_load *load;
	unsigned char *state; /* per step: 0 new, 1 on the way, 2 done */
	size_t *way;
	size_t depth;
};

static void report_circle(struct search *s, size_t back) {
	AUTO_BUF struct buf text = BUF_INIT(CIRCLE_TEXT_MAX);
	const struct recipe_step *steps = s->load->steps.items;
	size_t start = s->depth, explicit_at = back, below = SIZE_MAX;
	while (s->way[start - 1] != back) start--;
	for (size_t i = start - 1; i < s->depth; i++) {
		const struct step_common *c = &steps[s->way[i]].common;
		buf_addf(&text, "%s → ", c->id);
		if (!c->has_needs) below = s->way[i];
		if (c->has_needs && !steps[explicit_at].common.has_needs) explicit_at = s->way[i];
	}
	buf_adds(&text, steps[back].common.id);
	if (below != SIZE_MAX) {
		size_t above = recipe_step_above(steps, below);
		buf_addf(&text, " ('%s' waits for '%s' because it stands below it; `needs: []` ends that)",
			 steps[below].common.id, steps[above].common.id);
	}
	const struct yml_node *at = yml_get(steps[explicit_at].node, "needs");
	diag_add(s->load->diags, at ? at : steps[back].node, "needs form a circle: %s", buf_str(&text));
}

/* Depth first; the depth is at most the number of steps, RECIPE_STEPS_MAX. */
static void visit(struct search *s, size_t i) {
	s->state[i] = 1;
	s->way[s->depth++] = i;
	for (size_t k = 0;; k++) {
		size_t next = waits_for(s->load, i, k);
		if (next == SIZE_MAX) break;
		if (next == SIZE_MAX - 1 || next == i) continue; /* unknown or itself: said already */
		if (s->state[next] == 1) report_circle(s, next);
		if (s->state[next] == 0) visit(s, next);
	}
	s->depth--;
	s->state[i] = 2;
}

void recipe_check_needs(struct recipe_load *load) {
	for (size_t i = 0; i < load->steps.count; i++) {
		const struct step_common *c = &load->steps.items[i].common;
		const struct yml_node *needs = c->has_needs ? yml_get(load->steps.items[i].node, "needs") : NULL;
		for (size_t k = 0; needs && k < c->needs.count; k++) {
			const struct yml_node *at = needs->kind == YML_SEQ ? needs->items[k] : needs;
			if (str_eq(c->needs.items[k], c->id)) {
				diag_add(load->diags, at, "step '%s' needs itself", c->id);
			} else if (!find(load, c->needs.items[k], load->steps.count)) {
				unknown_need(load, c->needs.items[k], at);
			}
		}
	}
	struct search s = {.load = load};
	s.state = arena_alloc(load->arena, load->steps.count);
	s.way = arena_alloc(load->arena, load->steps.count * sizeof *s.way);
	for (size_t i = 0; i < load->steps.count; i++) {
		if (s.state[i] == 0) visit(&s, i);
	}
}
