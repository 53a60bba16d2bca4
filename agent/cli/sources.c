/*
 * Formats: sources.list(5), both its forms; dnf.conf(5) for repositories. Both are read as far as hosts go.
 */
#include "cli/sources.h"

#include <strings.h>

#include "aws/call.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/fs.h"
#include "recipe/facts.h"
#include "recipe/plan.h"

#define FILE_MAX_BYTES (1024 * 1024)
#define HOSTS_MAX 16

/* "https://host:8443" of a URL of http or https, without user and password; NULL for anything else. */
static const char *origin_of(const char *url, struct arena *arena) {
	const char *scheme = strncasecmp(url, "https://", 8) == 0  ? "https://"
			     : strncasecmp(url, "http://", 7) == 0 ? "http://"
								   : NULL;
	if (!scheme) return NULL;
	const char *host = url + strlen(scheme);
	size_t len = strcspn(host, "/?# \t\"'");
	const char *at = memrchr(host, '@', len);
	if (at) {
		len -= (size_t)(at + 1 - host);
		host = at + 1;
	}
	if (len == 0 || memchr(host, '$', len) || memchr(host, '{', len)) return NULL;
	return arena_printf(arena, "%s%.*s", scheme, (int)len, host);
}

static void add_origin(const char *url, struct arena *arena, struct strs *origins) {
	const char *origin = origin_of(url, arena);
	if (origin && origins->count < HOSTS_MAX) strs_add_once(origins, origin);
}

typedef void (*line_fn)(const char *line, struct arena *arena, struct strs *origins);

static void each_line(const struct fs_root *root, const char *path, line_fn fn, struct arena *arena,
		      struct strs *origins) {
	AUTO_BUF struct buf text = BUF_INIT(FILE_MAX_BYTES);
	struct err ignored = {0};
	if (fs_read(root, path, &text, &ignored)) return;
	for (const char *line = buf_str(&text); *line;) {
		size_t n = strcspn(line, "\n");
		char *copy = arena_dup(arena, line, n);
		fn(str_trim(copy), arena, origins);
		line += n + (line[n] == '\n');
	}
}

static void each_file(const struct fs_root *root, const char *dir, const char *suffix, line_fn fn, struct arena *arena,
		      struct strs *origins) {
	AUTO_STRS struct strs names = {0};
	struct err ignored = {0};
	if (fs_list(root, dir, arena, &names, &ignored)) return;
	for (size_t i = 0; i < names.count; i++)
		if (str_ends(names.items[i], suffix))
			each_line(root, arena_printf(arena, "%s/%s", dir, names.items[i]), fn, arena, origins);
}

/* "deb [arch=amd64] https://host/debian bookworm main" */
static void list_line(const char *line, struct arena *arena, struct strs *origins) {
	if (!str_starts(line, "deb ") && !str_starts(line, "deb\t")) return;
	const char *at = line + 4 + strspn(line + 4, " \t");
	if (*at == '[') at += strcspn(at, "]") + (strchr(at, ']') != NULL);
	add_origin(at + strspn(at, " \t"), arena, origins);
}

/* "URIs: https://host/debian …" */
static void stanza_line(const char *line, struct arena *arena, struct strs *origins) {
	AUTO_STRS struct strs words = {0};
	if (strncasecmp(line, "URIs:", 5) != 0) return;
	str_split(line + 5, " \t", arena, &words);
	for (size_t i = 0; i < words.count; i++) add_origin(words.items[i], arena, origins);
}

static void dnf_line(const char *line, struct arena *arena, struct strs *origins) {
	static const char *const keys[] = {"baseurl", "mirrorlist", "metalink"};
	const char *equals = strchr(line, '=');
	for (size_t i = 0; equals && i < sizeof keys / sizeof *keys; i++)
		if (str_starts(line, keys[i])) add_origin(equals + 1 + strspn(equals + 1, " \t"), arena, origins);
}

void sources_of_packages(const struct fs_root *root, const struct facts *facts, struct arena *arena,
			 struct strs *ret_origins) {
	if (str_eq(facts->os.package_manager, "apt")) {
		each_line(root, "/etc/apt/sources.list", list_line, arena, ret_origins);
		each_file(root, "/etc/apt/sources.list.d", ".list", list_line, arena, ret_origins);
		each_file(root, "/etc/apt/sources.list.d", ".sources", stanza_line, arena, ret_origins);
	} else if (str_eq(facts->os.package_manager, "dnf")) {
		each_file(root, "/etc/yum.repos.d", ".repo", dnf_line, arena, ret_origins);
	}
}

/* apt.conf(5): "Acquire::http::Proxy …;", dnf.conf(5): "proxy=…". */
static void proxy_line(const char *line, struct arena *arena, struct strs *found) {
	bool is_comment = line[0] == '#' || str_starts(line, "//");
	for (const char *p = line; !is_comment && *p; p++)
		if (strncasecmp(p, "proxy", 5) == 0) strs_add_once(found, "proxy");
}

bool sources_have_proxy(const struct fs_root *root, const char *const *env) {
	static const char *const names[] = {"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"};
	AUTO_ARENA struct arena arena = {0};
	AUTO_STRS struct strs found = {0};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (aws_env(env, names[i])) return true;
	each_line(root, "/etc/apt/apt.conf", proxy_line, &arena, &found);
	each_file(root, "/etc/apt/apt.conf.d", "", proxy_line, &arena, &found);
	each_line(root, "/etc/dnf/dnf.conf", proxy_line, &arena, &found);
	return found.count > 0;
}

struct walk {
	struct sources *sources;
	const struct plan_step *step;
	const struct fs_root *root;
	const struct facts *facts;
	const char *const *env;
	bool is_plain;
};

static bool is_required(const struct plan_step *step) {
	return !step->common.is_optional && !step->common.is_background && step->common.on_error == STEP_ON_ERROR_STOP;
}

static void add(struct walk *w, enum source_kind kind, const char *url) {
	struct sources *s = w->sources;
	for (size_t i = 0; i < s->count; i++) {
		if (s->items[i].kind != kind || !str_eq(s->items[i].url, url)) continue;
		s->items[i].is_required = s->items[i].is_required || is_required(w->step);
		return;
	}
	s->items = arena_grow(s->arena, s->items, s->count, &s->cap, sizeof *s->items);
	s->items[s->count++] = (struct source){.kind = kind,
					       .url = url,
					       .step = w->step->index,
					       .is_required = is_required(w->step),
					       .is_plain = w->is_plain};
}

static void add_url(struct walk *w, const char *field, const char *url) {
	const char *origin = origin_of(url, w->sources->arena);
	bool is_sync = str_eq(w->step->type->name, "sync");
	if (origin)
		add(w, SOURCE_WEB, origin);
	else if (str_starts(url, "s3://") && !str_eq(field, "to"))
		add(w, is_sync || str_ends(url, "/") ? SOURCE_S3_PREFIX : SOURCE_S3_OBJECT, url);
}

/* A sync that pays for its requests or goes to another endpoint is not what we would ask. */
static bool is_plain_field(const struct field *f, const void *slot) {
	if (str_eq(f->name, "request_payer"))
		return f->kind == FIELD_BOOL ? !*(const bool *)slot : !*(void *const *)slot;
	if (str_eq(f->name, "endpoint_url") || str_eq(f->name, "endpoint") || str_eq(f->name, "region"))
		return str_is_empty(*(const char *const *)slot);
	return true;
}

static void walk_shape(struct walk *w, const struct shape *shape, const void *params);

static void walk_field(struct walk *w, const struct field *f, const void *slot) {
	const struct strs *list = slot;
	const struct field_items *items = slot;
	switch (f->kind) {
	case FIELD_TEXT:
		if (*(const char *const *)slot) add_url(w, f->name, *(const char *const *)slot);
		break;
	case FIELD_TEXTS:
		for (size_t i = 0; i < list->count; i++) add_url(w, f->name, list->items[i]);
		break;
	case FIELD_ITEMS:
		for (size_t i = 0; i < items->count; i++)
			walk_shape(w, f->shape, (const char *)items->items + i * f->shape->size);
		break;
	case FIELD_STRUCT: walk_shape(w, f->shape, slot); break;
	case FIELD_BOOL:
	case FIELD_INT:
	case FIELD_DURATION:
	case FIELD_SIZE:
	case FIELD_MODE:
	case FIELD_CHOICE:
	case FIELD_MAP: break;
	}
}

static void walk_shape(struct walk *w, const struct shape *shape, const void *params) {
	for (const struct field *f = shape->fields; f->name; f++)
		if (!is_plain_field(f, (const char *)params + f->offset)) w->is_plain = false;
	for (const struct field *f = shape->fields; f->name; f++) walk_field(w, f, (const char *)params + f->offset);
}

static void pip_line(const char *line, struct arena *arena, struct strs *origins) {
	if (str_starts(line, "index-url") && strchr(line, '=')) {
		const char *value = strchr(line, '=') + 1;
		strs_add(origins, arena_strdup(arena, value + strspn(value, " \t")));
	}
}

static const char *python_index(struct walk *w) {
	static const char *const names[] = {"PIP_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX_URL"};
	AUTO_STRS struct strs found = {0};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (aws_env(w->env, names[i])) return aws_env(w->env, names[i]);
	each_line(w->root, "/etc/pip.conf", pip_line, w->sources->arena, &found);
	return found.count ? found.items[0] : "https://pypi.org";
}

/* What a type fetches from without naming it. */
static void add_default(struct walk *w) {
	static const struct {
		const char *type, *url;
	} defaults[] = {{"r", "https://cloud.r-project.org"}, {"conda", "https://conda.anaconda.org"}};
	const char *type = w->step->type->name;
	AUTO_STRS struct strs origins = {0};
	if (str_eq(type, "python")) {
		const char *origin = origin_of(python_index(w), w->sources->arena);
		if (origin) add(w, SOURCE_WEB, origin);
	}
	for (size_t i = 0; i < sizeof defaults / sizeof *defaults; i++)
		if (str_eq(type, defaults[i].type)) add(w, SOURCE_WEB, defaults[i].url);
	if (!str_eq(type, "packages")) return;
	sources_of_packages(w->root, w->facts, w->sources->arena, &origins);
	for (size_t i = 0; i < origins.count; i++) add(w, SOURCE_PACKAGES, origins.items[i]);
}

/* A check asks by itself, a repository's address is its package manager's affair when the step has run. */
static bool is_fetched(const struct plan_step *step) {
	return !str_eq(step->type->name, "check") && !str_eq(step->type->name, "run");
}

void sources_of_plan(const struct plan *plan, const struct fs_root *root, const struct facts *facts,
		     const char *const *env, struct sources *ret_sources) {
	for (size_t i = 0; i < plan->count; i++) {
		struct walk w = {.sources = ret_sources,
				 .step = &plan->steps[i],
				 .root = root,
				 .facts = facts,
				 .env = env,
				 .is_plain = true};
		if (w.step->skip_reason || !is_fetched(w.step)) continue;
		size_t before = ret_sources->count;
		walk_shape(&w, &w.step->type->shape, w.step->params);
		if (ret_sources->count == before) add_default(&w); /* else it names its own */
	}
}
