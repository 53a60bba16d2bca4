#include <ctype.h>

#include "base/err.h"
#include "fmt/diag.h"
#include "fmt/js.h"
#include "recipe/facts.h"
#include "recipe/step.h"
#include "steps/steps.h"
#include "sys/pkg.h"

/** Names shown in one line of a plan; the rest is counted. */
#define PACKAGES_SHOWN_MAX 12

struct package_item {
	const char *name, *apt, *dnf;
};

struct packages_params {
	struct field_items install, remove, upgrade; /* struct package_item */
	bool update, security_updates;
	const char *releasever;
};

static const struct field item_fields[] = {
	{.name = "name",
	 .kind = FIELD_TEXT,
	 .offset = offsetof(struct package_item, name),
	 .help = "the package's name where apt and dnf agree, or the default for both"},
	{.name = "apt",
	 .kind = FIELD_TEXT,
	 .offset = offsetof(struct package_item, apt),
	 .help = "its name with apt (Ubuntu, Debian), `name=version` for one version; empty: not there"},
	{.name = "dnf",
	 .kind = FIELD_TEXT,
	 .offset = offsetof(struct package_item, dnf),
	 .help = "its name with dnf (Amazon Linux), `name-version` for one version; empty: not there"},
	{0},
};

static const struct shape item_shape = {
	.fields = item_fields, .size = sizeof(struct package_item), .scalar_field = "name"};

static const struct field packages_fields[] = {
	{.name = "install",
	 .kind = FIELD_ITEMS,
	 .offset = offsetof(struct packages_params, install),
	 .shape = &item_shape,
	 .help = "packages that must be installed; an installed one is left at its version"},
	{.name = "remove",
	 .kind = FIELD_ITEMS,
	 .offset = offsetof(struct packages_params, remove),
	 .shape = &item_shape,
	 .help = "packages that must not be installed; their configuration files stay"},
	{.name = "upgrade",
	 .kind = FIELD_ITEMS,
	 .offset = offsetof(struct packages_params, upgrade),
	 .shape = &item_shape,
	 .help = "packages that must be installed at the newest version of the repositories"},
	{.name = "update",
	 .kind = FIELD_BOOL,
	 .offset = offsetof(struct packages_params, update),
	 .help = "upgrade everything that is installed, kernel and NVIDIA packages excepted"},
	{.name = "security_updates",
	 .kind = FIELD_BOOL,
	 .offset = offsetof(struct packages_params, security_updates),
	 .help = "upgrade what has a security update, kernel and NVIDIA packages excepted"},
	{.name = "releasever",
	 .kind = FIELD_TEXT,
	 .offset = offsetof(struct packages_params, releasever),
	 .help = "Amazon Linux release to take packages from, such as 2023.12.20260930; ignored by apt"},
	{0},
};

/* NULL, or what is wrong with the name. Neither apt nor dnf is ever given an option or a pattern as a package. */
static const char *name_fault(const char *name) {
	if (step_text_is_open(name)) return NULL; /* typed later */
	if (name[0] == '-') return "begins with '-'";
	if (name[0] == '@') return "is a group: name its packages";
	if (strstr(name, "://") || str_ends(name, ".deb") || str_ends(name, ".rpm"))
		return "is a file or URL: fetch it with a `download` step and install it with a `run` step";
	if (strchr(name, '*') || strchr(name, '?') || strchr(name, '['))
		return "is a pattern: whether it is installed could not be told";
	for (const char *c = name; *c; c++) {
		if (*c == ' ' || *c == '\t' || *c == '\n' || *c == ',')
			return "is not one name: write several packages as a list, [a, b]";
		if (!isalnum((unsigned char)*c) && !strchr("+-._:~=^/()", *c))
			return "has a character that no package name has";
	}
	return NULL;
}

static void check_items(const char *field, const struct field_items *items, const struct yml_node *node,
			struct diags *diags) {
	const struct package_item *item = items->items;
	for (size_t i = 0; i < items->count; i++) {
		const char *const names[] = {item[i].name, item[i].apt, item[i].dnf};
		if (!item[i].name && !item[i].apt && !item[i].dnf)
			diag_add(diags, node, "%s: entry %zu names no package: give name, apt or dnf", field, i + 1);
		for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
			const char *fault = names[k] ? name_fault(names[k]) : NULL;
			if (fault) diag_add(diags, node, "%s: '%s' %s", field, names[k], fault);
		}
	}
}

static void packages_check(const void *params, const struct yml_node *node, struct diags *diags) {
	const struct packages_params *p = params;
	if (!p->install.count && !p->remove.count && !p->upgrade.count && !p->update && !p->security_updates)
		diag_add(diags, node,
			 "packages needs something to do: install, remove, upgrade, update or security_updates");
	check_items("install", &p->install, node, diags);
	check_items("remove", &p->remove, node, diags);
	check_items("upgrade", &p->upgrade, node, diags);
	if (p->releasever && p->releasever[strcspn(p->releasever, " \t\n/")])
		diag_add(diags, node, "releasever '%s' is no release", p->releasever);
}

static void packages_resources(const void *params, const struct facts *facts, struct arena *arena,
			       struct strs *ret_names) {
	strs_add_once(ret_names, "packages");
}

/* The names of this machine's family; entries that are not for it are left out. */
static void family_names(const struct field_items *items, const struct pkg_manager *manager, struct strs *ret_names) {
	const struct package_item *item = items->items;
	for (size_t i = 0; i < items->count; i++) {
		const char *own = str_eq(manager->name, "apt") ? item[i].apt : item[i].dnf;
		const char *name = own ? own : item[i].name;
		if (!str_is_empty(name)) strs_add_once(ret_names, name);
	}
}

/*
 * The package's own name in what a recipe may write: "name=version/release" for apt, "name-version" for dnf, told by
 * the version that is there.
 */
static const char *bare_name(const struct pkg_manager *manager, const char *asked, const char *version,
			     struct arena *arena) {
	if (str_eq(manager->name, "apt")) return arena_dup(arena, asked, strcspn(asked, "=/"));
	for (const char *dash = strchr(asked, '-'); dash; dash = strchr(dash + 1, '-')) {
		size_t len = strlen(dash + 1);
		if (str_starts(version, dash + 1) && (!version[len] || strchr("-.", version[len])))
			return arena_dup(arena, asked, (size_t)(dash - asked));
	}
	return asked;
}

/* The manifest's member for what a recipe asks for: NULL if it has none. */
static const struct js *find_locked(const struct pkg_manager *manager, const struct js *packages, const char *asked,
				    struct arena *arena, const char **ret_name) {
	const struct js *entry = js_get(packages, asked);
	*ret_name = asked;
	for (const char *end = asked + strlen(asked); !entry && end > asked; end--) {
		if (!strchr("-=/", *end) || !*end) continue;
		const char *name = arena_dup(arena, asked, (size_t)(end - asked));
		const struct js *found = js_get(packages, name);
		if (!found || !str_eq(bare_name(manager, asked, js_str(found) ? js_str(found) : "", arena), name))
			continue;
		entry = found;
		*ret_name = name;
	}
	return entry;
}

/* Names become "name=version" (apt) or "name-version" (dnf) of the manifest; what another package provides is only
 * there or not. */
static int lock_names(const struct pkg_manager *manager, const struct step_ctx *ctx, struct strs *names,
		      struct err *err) {
	AUTO_STRS struct strs unknown = {0};
	const struct js *packages = js_get(ctx->lock, "packages");
	char sign = str_eq(manager->name, "apt") ? '=' : '-';
	for (size_t i = 0; i < names->count; i++) {
		const char *name = NULL;
		const struct js *entry = find_locked(manager, packages, names->items[i], ctx->arena, &name);
		const char *version = js_str(entry);
		if (!entry) strs_add(&unknown, names->items[i]);
		if (version) names->items[i] = arena_printf(ctx->arena, "%s%c%s", name, sign, version);
	}
	if (!unknown.count) return 0;
	return err_set(err, ERR_INVALID,
		       "the manifest of --locked has no version of %s: apply without --locked once, and take the "
		       "manifest of that",
		       pkg_names_text(&unknown, PACKAGES_SHOWN_MAX, ctx->arena));
}

/* What is to be done, as probe says it and apply does it. */
struct todo {
	struct strs install, remove, upgrade, update; /* update: pending of everything, kept ones left out */
	size_t wanted;				      /* by install and upgrade */
	bool wants_index;			      /* the index is too old to know what has an update */
};

static void todo_clear(struct todo *t) {
	strs_clear(&t->install);
	strs_clear(&t->remove);
	strs_clear(&t->upgrade);
	strs_clear(&t->update);
}
#define AUTO_TODO AUTO(todo_clear)

/* NULL after an error on a system with neither apt nor dnf. */
static const struct pkg_manager *find_manager(const struct step_ctx *ctx, struct err *err) {
	const struct pkg_manager *manager = pkg_manager(ctx->facts->os.package_manager);
	if (!manager)
		(void)err_set(err, ERR_UNSUPPORTED,
			      "this system (%s%s%s) has neither apt nor dnf: packages cannot be installed here",
			      ctx->facts->os.id, ctx->facts->os.version[0] ? " " : "", ctx->facts->os.version);
	return manager;
}

/* Splits names into those that are installed by their own package, by any package, and not at all. */
static int ask_installed(const struct pkg_manager *manager, struct step_ctx *ctx, const struct strs *names,
			 struct strs *ret_own, struct strs *ret_missing, struct err *err) {
	struct pkg_installed *found = arena_alloc(ctx->arena, (names->count + 1) * sizeof *found);
	if (!names->count) return 0;
	int rc = manager->query(&ctx->machine, names, found, err);
	for (size_t i = 0; !rc && i < names->count; i++) {
		if (!found[i].version)
			strs_add(ret_missing, names->items[i]);
		else if (!found[i].is_provided)
			strs_add(ret_own, names->items[i]);
	}
	return rc;
}

static int find_updates(const struct packages_params *p, const struct pkg_manager *manager, struct step_ctx *ctx,
			const struct strs *upgradable_names, struct todo *todo, struct err *err) {
	AUTO_STRS struct strs pending = {0}, security = {0};
	if (!manager->is_index_fresh(&ctx->machine)) {
		todo->wants_index = true;
		return 0;
	}
	int rc = 0;
	if (p->update || upgradable_names->count)
		rc = manager->upgradable(&ctx->machine, false, p->releasever, &pending, err);
	if (!rc && p->security_updates && !p->update)
		rc = manager->upgradable(&ctx->machine, true, p->releasever, &security, err);
	if (rc) return rc;
	for (size_t i = 0; i < upgradable_names->count; i++)
		if (strs_has(&pending, upgradable_names->items[i]))
			strs_add_once(&todo->upgrade, upgradable_names->items[i]);
	const struct strs *all = p->update ? &pending : &security;
	for (size_t i = 0; (p->update || p->security_updates) && i < all->count; i++)
		if (!pkg_is_kept(all->items[i])) strs_add_once(&todo->update, all->items[i]);
	return 0;
}

static int find_todo(const struct packages_params *p, const struct pkg_manager *manager, struct step_ctx *ctx,
		     struct todo *todo, struct err *err) {
	AUTO_STRS struct strs install = {0}, remove = {0}, upgrade = {0}, own = {0}, ignored = {0}, present = {0};
	family_names(&p->install, manager, &install);
	family_names(&p->upgrade, manager, &upgrade);
	family_names(&p->remove, manager, &remove);
	for (size_t i = 0; i < upgrade.count; i++) strs_add_once(&install, upgrade.items[i]);
	todo->wanted = install.count;
	int rc = ctx->lock ? lock_names(manager, ctx, &install, err) : 0;
	if (!rc) rc = ask_installed(manager, ctx, &install, &own, &todo->install, err);
	if (!rc) rc = ask_installed(manager, ctx, &remove, &todo->remove, &ignored, err);
	if (rc || ctx->lock) return rc; /* the manifest's version is the newest that is wanted */
	for (size_t i = 0; i < upgrade.count; i++)
		if (!strs_has(&todo->install, upgrade.items[i])) strs_add(&present, upgrade.items[i]);
	if (!rc && (present.count || p->update || p->security_updates))
		rc = find_updates(p, manager, ctx, &present, todo, err);
	/* When the index is too old to tell, all that shall be at its newest is asked for. */
	for (size_t i = 0; !rc && todo->wants_index && i < present.count; i++)
		strs_add_once(&todo->upgrade, present.items[i]);
	return rc;
}

static int packages_probe(const void *params, struct step_ctx *ctx, struct changes *changes, struct err *err) {
	const struct packages_params *p = params;
	const struct pkg_manager *manager = find_manager(ctx, err);
	AUTO_TODO struct todo todo = {0};
	if (!manager) return -(int)err->code;
	int rc = find_todo(p, manager, ctx, &todo, err);
	if (rc) return rc;
	if (todo.install.count)
		changes_add(changes, ctx->arena, NULL, "install %s (%zu of %zu package%s missing)",
			    pkg_names_text(&todo.install, PACKAGES_SHOWN_MAX, ctx->arena), todo.install.count,
			    todo.wanted, todo.wanted == 1 ? "" : "s");
	if (todo.remove.count)
		changes_add(changes, ctx->arena, NULL, "remove %s",
			    pkg_names_text(&todo.remove, PACKAGES_SHOWN_MAX, ctx->arena));
	if (todo.upgrade.count)
		changes_add(changes, ctx->arena, NULL, "%s %s",
			    todo.wants_index ? "look for newer versions of" : "upgrade",
			    pkg_names_text(&todo.upgrade, PACKAGES_SHOWN_MAX, ctx->arena));
	if (todo.update.count)
		changes_add(changes, ctx->arena, NULL, "upgrade %zu package%s: %s", todo.update.count,
			    todo.update.count == 1 ? "" : "s",
			    pkg_names_text(&todo.update, PACKAGES_SHOWN_MAX, ctx->arena));
	else if (todo.wants_index && (p->update || p->security_updates))
		changes_add(changes, ctx->arena, NULL,
			    "refresh the package index, which is absent or older than a day, and %s",
			    p->update ? "upgrade what is outdated" : "install security updates");
	return 0;
}

static int packages_apply(const void *params, struct step_ctx *ctx, const struct changes *changes, struct err *err) {
	const struct packages_params *p = params;
	const struct pkg_manager *manager = find_manager(ctx, err);
	AUTO_TODO struct todo todo = {0};
	AUTO_STRS struct strs install = {0};
	if (!manager) return -(int)err->code;
	if (!ctx->facts->is_root)
		return err_set(err, ERR_DENIED, "installing packages needs root: run sudo dsagent apply");
	int rc = find_todo(p, manager, ctx, &todo, err);
	if (rc) return rc;
	for (size_t i = 0; i < todo.install.count; i++) strs_add_once(&install, todo.install.items[i]);
	for (size_t i = 0; i < todo.upgrade.count; i++) strs_add_once(&install, todo.upgrade.items[i]);
	struct pkg_change change = {
		.install = install,
		.remove = todo.remove,
		.upgrades_listed = todo.upgrade.count > 0,
		.upgrades_all = todo.update.count > 0 || (todo.wants_index && (p->update || p->security_updates)),
		.security_only = !p->update,
		.releasever = p->releasever,
	};
	return manager->change(&ctx->machine, &change, err);
}

/* {"packages": {NAME: VERSION}}; null for what another package provides. */
static int packages_record(const void *params, struct step_ctx *ctx, struct js *into, struct err *err) {
	const struct packages_params *p = params;
	const struct pkg_manager *manager = find_manager(ctx, err);
	AUTO_STRS struct strs names = {0};
	if (!manager) return -(int)err->code;
	family_names(&p->install, manager, &names);
	family_names(&p->upgrade, manager, &names);
	if (!names.count) return 0;
	struct pkg_installed *found = arena_alloc(ctx->arena, names.count * sizeof *found);
	int rc = manager->query(&ctx->machine, &names, found, err);
	for (size_t i = 0; !rc && i < names.count; i++) {
		const char *version = found[i].version;
		if (!version) continue;
		js_set_str(js_child(into, "packages"), bare_name(manager, names.items[i], version, ctx->arena),
			   found[i].is_provided ? NULL : version);
	}
	return rc;
}

const struct step_type step_packages = {
	.name = "packages",
	.summary = "installed, removed or upgraded packages by apt or dnf",
	.example = "- name: Build tools\n"
		   "  packages:\n"
		   "    install: [git, make, {dnf: gcc-c++, apt: g++}]\n"
		   "    remove: [nano]\n",
	.shape = {.fields = packages_fields,
		  .size = sizeof(struct packages_params),
		  .scalar_field = "install",
		  .list_field = "install"},
	.timeout_ms = 60LL * 60 * 1000,
	.check = packages_check,
	.resources = packages_resources,
	.probe = packages_probe,
	.apply = packages_apply,
	.record = packages_record,
};
