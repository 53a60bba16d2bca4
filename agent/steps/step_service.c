#include "base/err.h"
#include "fmt/diag.h"
#include "recipe/step.h"
#include "steps/steps.h"
#include "steps/unit_want.h"
#include "sys/unit.h"

/** systemd.unit(5): a unit's name has at most 255 characters. */
#define UNIT_NAME_MAX 255

struct service_params {
	const char *name, *unit, *description, *user, *directory;
	struct strs command, after;
	struct field_map env, settings;
	int type, restart, state;
	bool is_enabled, has_type, has_restart;
};

static const char *const types[] = {"exec", "simple", "oneshot", "notify", "forking", NULL};
static const char *const restarts[] = {"on-failure", "always", "no", NULL};
static const char *const states[] = {"started", "stopped", "as-is", NULL}; /* enum unit_run */

#define SERVICE_FIELD(n, k, member, text)                                                                              \
	.name = n, .kind = k, .offset = offsetof(struct service_params, member), .help = text

static const struct field service_fields[] = {
	{SERVICE_FIELD("name", FIELD_TEXT, name, "the unit, such as `scorer`; .service is added"), .is_required = true},
	{SERVICE_FIELD("command", FIELD_TEXTS, command,
		       "what it runs, by its absolute path: a list of words, or text as in ExecStart")},
	{SERVICE_FIELD("unit", FIELD_TEXT, unit, "instead of command and the like: the whole text of the unit")},
	{SERVICE_FIELD("description", FIELD_TEXT, description, "one line for people; default: the name")},
	{SERVICE_FIELD("user", FIELD_TEXT, user, "account that it runs as; default: run_as, else root")},
	{SERVICE_FIELD("directory", FIELD_TEXT, directory, "directory that it runs in")},
	{SERVICE_FIELD("environment", FIELD_MAP, env, "variables of its environment; every user can read them")},
	{SERVICE_FIELD("type", FIELD_CHOICE, type, "when it counts as started"), .choices = types, .fallback = "exec",
	 .presence = offsetof(struct service_params, has_type)},
	{SERVICE_FIELD("restart", FIELD_CHOICE, restart, "when systemd starts it again"), .choices = restarts,
	 .presence = offsetof(struct service_params, has_restart)},
	{SERVICE_FIELD("after", FIELD_TEXTS, after, "units that it starts after")},
	{SERVICE_FIELD("settings", FIELD_MAP, settings, "further lines of [Service], such as {MemoryHigh: 4G}")},
	{SERVICE_FIELD("enabled", FIELD_BOOL, is_enabled, "whether it starts at boot"), .fallback = "true"},
	{SERVICE_FIELD("state", FIELD_CHOICE, state, "whether it runs now; as-is: as it happens to be"),
	 .choices = states, .fallback = "started"},
	{0},
};

static const char suffixes[][10] = {".socket", ".timer", ".mount", ".path", ".target", ".slice"};

static void check_name(const struct service_params *p, const struct yml_node *node, struct diags *diags) {
	if (!p->name || step_text_is_open(p->name)) return;
	/* systemd.unit(5), "valid unit names" */
	size_t good = strspn(p->name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:-_.\\@");
	if (!p->name[0] || p->name[good] || p->name[0] == '-' || p->name[0] == '.' || strlen(p->name) > UNIT_NAME_MAX)
		diag_add(diags, node, "'%s' is no name of a unit: letters, digits and : - _ . @", p->name);
	for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++)
		if (str_ends(p->name, suffixes[i]) && p->command.count)
			diag_add(diags, node, "'%s' is no service: write its text with `unit`", p->name);
}

/* A line break in a value would be a line of its own in the unit. */
static void check_lines(const struct service_params *p, const struct yml_node *node, struct diags *diags) {
	const char *texts[] = {p->description, p->user, p->directory,
			       p->command.count == 1 ? p->command.items[0] : NULL};
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		if (texts[i] && strpbrk(texts[i], "\r\n"))
			diag_add(diags, node, "'%.*s…' holds a line break: give the whole unit with `unit`",
				 (int)strcspn(texts[i], "\r\n"), texts[i]);
	for (size_t i = 0; i < p->settings.count; i++)
		if (strpbrk(p->settings.keys[i], "\r\n=[# ") || strpbrk(p->settings.values[i], "\r\n"))
			diag_add(diags, node, "settings: '%s' is no key of a unit", p->settings.keys[i]);
	for (size_t i = 0; i < p->after.count; i++)
		if (strpbrk(p->after.items[i], "\r\n\t ") || !strchr(p->after.items[i], '.'))
			diag_add(diags, node, "after: '%s' is no unit, such as network.target", p->after.items[i]);
}

static void service_check(const void *params, const struct yml_node *node, struct diags *diags) {
	const struct service_params *p = params;
	bool has_fields = p->command.count || p->description || p->user || p->directory || p->env.count ||
			  p->settings.count || p->after.count || p->has_restart || p->has_type;
	check_name(p, node, diags);
	check_lines(p, node, diags);
	if (p->unit && has_fields)
		diag_add(diags, node, "unit is the whole text: command, user, environment and the like belong in it");
	else if (has_fields && !p->command.count)
		diag_add(diags, node, "command is missing: what the service runs");
	if (p->unit && !step_text_is_open(p->unit) && !strchr(p->unit, '['))
		diag_add(diags, node, "unit has no section such as [Service]");
	if (p->command.count && p->command.items[0][0] != '/' && !step_text_is_open(p->command.items[0]) &&
	    !strchr("-@:+!", p->command.items[0][0]))
		diag_add(diags, node, "command '%s' is not an absolute path: systemd takes no other",
			 p->command.items[0]);
	if (p->directory && p->directory[0] != '/' && !step_text_is_open(p->directory))
		diag_add(diags, node, "directory '%s' is not absolute", p->directory);
}

static const char *unit_name(const struct service_params *p, struct arena *arena) {
	for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++)
		if (str_ends(p->name, suffixes[i])) return p->name;
	return str_ends(p->name, ".service") ? p->name : arena_printf(arena, "%s.service", p->name);
}

static void service_resources(const void *params, const struct facts *facts, struct arena *arena, struct strs *names) {
	strs_add_once(names, arena_printf(arena, "unit:%s", unit_name(params, arena)));
}

static const char *wanted_text(const struct service_params *p, const struct step_ctx *ctx) {
	if (p->unit) return str_ends(p->unit, "\n") ? p->unit : arena_printf(ctx->arena, "%s\n", p->unit);
	if (!p->command.count) return NULL;
	bool is_oneshot = str_eq(types[p->type], "oneshot");
	struct unit_service s = {
		.description = p->description ? p->description : p->name,
		.command = p->command.count == 1 ? p->command.items[0] : NULL,
		.argv = &p->command,
		.user = p->user	    ? p->user
			: ctx->user ? ctx->user->name
				    : NULL,
		.directory = p->directory,
		.type = types[p->type],
		/* Older systemd refuses any other restart for a one-shot. */
		.restart = is_oneshot && !p->has_restart ? "no" : restarts[p->restart],
		.env_keys = p->env.keys,
		.env_values = p->env.values,
		.env_count = p->env.count,
		.set_keys = p->settings.keys,
		.set_values = p->settings.values,
		.set_count = p->settings.count,
		.after = &p->after,
	};
	if (s.command) s.argv = NULL;
	return unit_text(&s, ctx->arena);
}

static struct unit_want wanted(const struct service_params *p, const struct step_ctx *ctx) {
	return (struct unit_want){.unit = unit_name(p, ctx->arena),
				  .text = wanted_text(p, ctx),
				  .is_enabled = p->is_enabled,
				  .run = (enum unit_run)p->state};
}

static int service_probe(const void *params, struct step_ctx *ctx, struct changes *changes, struct err *err) {
	struct unit_want want = wanted(params, ctx);
	return unit_want_probe(&want, ctx, changes, err);
}

static int service_apply(const void *params, struct step_ctx *ctx, const struct changes *changes, struct err *err) {
	struct unit_want want = wanted(params, ctx);
	return unit_want_apply(&want, ctx, err);
}

const struct step_type step_service = {
	.name = "service",
	.summary = "a systemd service: its unit written, enabled, started; a failure shows its journal",
	.example = "- name: Scoring API\n"
		   "  service:\n"
		   "    name: scorer\n"
		   "    command: [/opt/ds/bin/python, -m, scorer, --port, \"8000\"]\n"
		   "    user: ubuntu\n"
		   "    environment: {OMP_NUM_THREADS: 4}\n",
	.shape = {.fields = service_fields, .size = sizeof(struct service_params), .scalar_field = "name"},
	.timeout_ms = 10LL * 60 * 1000,
	.check = service_check,
	.resources = service_resources,
	.probe = service_probe,
	.apply = service_apply,
};
