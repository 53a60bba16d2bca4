#include "base/err.h"
#include "base/parse.h"
#include "fmt/diag.h"
#include "recipe/step.h"
#include "steps/steps.h"
#include "steps/system.h"

/** hostname(7): one label has at most 63 characters, Linux takes 64 in all. */
#define LABEL_MAX 63
#define HOSTNAME_MAX 64
/** mkswap(8) refuses less than ten pages; less than this is surely a slip of the unit. */
#define SWAP_MIN (16LL * 1024 * 1024)

const char *const system_limit_types[] = {"both", "soft", "hard", NULL};

/* limits.conf(5), <item> */
static const char *const limit_items[] = {"core",     "data",  "fsize",	     "memlock",	 "nofile",    "rss",
					  "stack",    "cpu",   "nproc",	     "as",	 "maxlogins", "maxsyslogins",
					  "priority", "locks", "sigpending", "msgqueue", "nice",      "rtprio"};

static const struct field swap_fields[] = {
	{.name = "size",
	 .kind = FIELD_SIZE,
	 .offset = offsetof(struct system_swap, size_bytes),
	 .help = "its size, such as 4G",
	 .is_required = true},
	{.name = "path",
	 .kind = FIELD_TEXT,
	 .offset = offsetof(struct system_swap, path),
	 .help = "the swap file",
	 .fallback = "/swapfile"},
	{0},
};
static const struct shape swap_shape = {
	.fields = swap_fields, .size = sizeof(struct system_swap), .scalar_field = "size"};

static const struct field limit_fields[] = {
	{.name = "domain",
	 .kind = FIELD_TEXT,
	 .offset = offsetof(struct system_limit, domain),
	 .help = "a user, @group or *",
	 .fallback = "*"},
	{.name = "type",
	 .kind = FIELD_CHOICE,
	 .offset = offsetof(struct system_limit, type),
	 .help = "which of the two limits",
	 .choices = system_limit_types,
	 .fallback = "both"},
	{.name = "item",
	 .kind = FIELD_TEXT,
	 .offset = offsetof(struct system_limit, item),
	 .help = "what is limited: nofile, memlock, nproc, …",
	 .is_required = true},
	{.name = "value",
	 .kind = FIELD_TEXT,
	 .offset = offsetof(struct system_limit, value),
	 .help = "a number, or unlimited",
	 .is_required = true},
	{0},
};
static const struct shape limit_shape = {.fields = limit_fields, .size = sizeof(struct system_limit)};

#define SYSTEM_FIELD(n, k, member, text)                                                                               \
	.name = n, .kind = k, .offset = offsetof(struct system_params, member), .help = text

static const struct field system_fields[] = {
	{SYSTEM_FIELD("swap", FIELD_STRUCT, swap, "a swap file: its size, or {size, path}"), .shape = &swap_shape,
	 .presence = offsetof(struct system_params, has_swap)},
	{SYSTEM_FIELD("timezone", FIELD_TEXT, timezone, "such as Europe/Berlin")},
	{SYSTEM_FIELD("locale", FIELD_TEXT, locale, "such as en_US.UTF-8; made where it is missing")},
	{SYSTEM_FIELD("hostname", FIELD_TEXT, hostname, "kept over reboots, and found in /etc/hosts")},
	{SYSTEM_FIELD("sysctl", FIELD_MAP, sysctl, "kernel parameters, such as {vm.swappiness: 10}; now and at boot")},
	{SYSTEM_FIELD("limits", FIELD_ITEMS, limits,
		      "resource limits of logins (services have their own in `service`)"),
	 .shape = &limit_shape},
	{0},
};

static bool is_hostname(const char *s) {
	size_t len = strlen(s);
	if (!len || len > HOSTNAME_MAX || s[0] == '.' || s[len - 1] == '.') return false;
	while (*s) {
		size_t label = strcspn(s, "."), good = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
								 "0123456789-");
		if (!label || label > LABEL_MAX || good < label || s[0] == '-' || s[label - 1] == '-') return false;
		s += label + (s[label] == '.');
	}
	return true;
}

static void check_limits(const struct system_params *p, const struct yml_node *node, struct diags *diags) {
	const struct system_limit *limits = p->limits.items;
	size_t count = sizeof limit_items / sizeof *limit_items;
	for (size_t i = 0; i < p->limits.count; i++) {
		const struct system_limit *l = &limits[i];
		bool is_known = !l->item || step_text_is_open(l->item);
		struct err err;
		int64_t n;
		for (size_t j = 0; j < count && l->item; j++) is_known = is_known || str_eq(l->item, limit_items[j]);
		const char *near = is_known ? NULL : str_nearest(l->item, limit_items, count);
		if (!is_known)
			diag_add(diags, node, "limits: there is no item '%s'%s%s%s", l->item,
				 near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
		if (l->domain && strpbrk(l->domain, " \t\r\n#"))
			diag_add(diags, node, "limits: '%s' is no user, @group or *", l->domain);
		if (l->value && !step_text_is_open(l->value) && !str_eq(l->value, "unlimited") &&
		    parse_i64(l->value, -20, INT64_MAX, &n, &err) < 0)
			diag_add(diags, node, "limits: value '%s' is neither a number nor unlimited", l->value);
	}
}

static void check_paths(const struct system_params *p, const struct yml_node *node, struct diags *diags) {
	const char *path = p->has_swap ? p->swap.path : NULL;
	if (path && !step_text_is_open(path) && (path[0] != '/' || strpbrk(path, " \t\r\n#\\") || str_ends(path, "/")))
		diag_add(diags, node, "swap: path '%s' is not absolute, or has blanks in it", path);
	if (p->has_swap && p->swap.size_bytes && p->swap.size_bytes < SWAP_MIN)
		diag_add(diags, node, "swap: %lld bytes is too little; sizes are such as 4G",
			 (long long)p->swap.size_bytes);
	if (p->timezone && !step_text_is_open(p->timezone) &&
	    (p->timezone[0] == '/' || strstr(p->timezone, "..") || strpbrk(p->timezone, " \t\r\n")))
		diag_add(diags, node, "'%s' is no time zone, such as Europe/Berlin", p->timezone);
	if (p->locale && !step_text_is_open(p->locale) &&
	    p->locale[strspn(p->locale, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.@-")])
		diag_add(diags, node, "'%s' is no locale, such as en_US.UTF-8", p->locale);
}

static void system_check(const void *params, const struct yml_node *node, struct diags *diags) {
	const struct system_params *p = params;
	if (!p->has_swap && !p->timezone && !p->locale && !p->hostname && !p->sysctl.count && !p->limits.count)
		diag_add(diags, node, "system needs one of swap, timezone, locale, hostname, sysctl, limits");
	check_paths(p, node, diags);
	if (p->hostname && !step_text_is_open(p->hostname) && !is_hostname(p->hostname))
		diag_add(diags, node, "'%s' is no host name: letters, digits and - between dots", p->hostname);
	for (size_t i = 0; i < p->sysctl.count; i++)
		if (!p->sysctl.keys[i][0] || strpbrk(p->sysctl.keys[i], " \t\r\n=#;") ||
		    strstr(p->sysctl.keys[i], "..") || strpbrk(p->sysctl.values[i], "\r\n"))
			diag_add(diags, node, "sysctl: '%s' is no kernel parameter, such as vm.swappiness",
				 p->sysctl.keys[i]);
	check_limits(p, node, diags);
}

static void system_resources(const void *params, const struct facts *facts, struct arena *arena, struct strs *names) {
	strs_add_once(names, "system"); /* several steps share the drop-ins */
}

static int system_probe(const void *params, struct step_ctx *ctx, struct changes *changes, struct err *err) {
	static const system_probe_fn parts[] = {system_timezone_probe, system_locale_probe, system_hostname_probe,
						system_sysctl_probe, system_limits_probe};
	const struct system_params *p = params;
	int r = p->has_swap ? system_swap_probe(p, ctx, changes, err) : 0;
	for (size_t i = 0; r == 0 && i < sizeof parts / sizeof *parts; i++) r = parts[i](p, ctx, changes, err);
	return r;
}

static int system_apply(const void *params, struct step_ctx *ctx, const struct changes *changes, struct err *err) {
	static const system_apply_fn parts[] = {system_timezone_apply, system_locale_apply, system_hostname_apply,
						system_sysctl_apply, system_limits_apply};
	const struct system_params *p = params;
	int r = p->has_swap ? system_swap_apply(p, ctx, err) : 0;
	for (size_t i = 0; r == 0 && i < sizeof parts / sizeof *parts; i++) r = parts[i](p, ctx, err);
	return r;
}

const struct step_type step_system = {
	.name = "system",
	.summary = "swap file, time zone, locale, host name, kernel parameters, limits",
	.example = "- name: Room to breathe\n"
		   "  system:\n"
		   "    swap: 4G\n"
		   "    timezone: Europe/Berlin\n"
		   "    sysctl: {vm.swappiness: 10}\n"
		   "    limits: [{item: nofile, value: 65536}]\n",
	.shape = {.fields = system_fields, .size = sizeof(struct system_params)},
	.timeout_ms = 15LL * 60 * 1000,
	.check = system_check,
	.resources = system_resources,
	.probe = system_probe,
	.apply = system_apply,
};
