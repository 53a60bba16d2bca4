#include <string.h>

#include "base/exec.h"
#include "base/str.h"
#include "engine/run.h"
#include "recipe/facts.h"
#include "recipe/schema.h"

/*
 * Commands get a defined environment, not whatever user-data, sudo or a login shell happened to have (peers: missing
 * HOME and PATH are a classic failure). Of ours only what steers network, certificates, package indexes and AWS passes.
 */
static const char *const passed_names[] = {
	"TMPDIR",	 "TZ",		 "http_proxy",	       "https_proxy",	 "no_proxy",
	"HTTP_PROXY",	 "HTTPS_PROXY",	 "NO_PROXY",	       "all_proxy",	 "ALL_PROXY",
	"SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO"};
static const char *const passed_prefixes[] = {"AWS_", "PIP_", "UV_", "XDG_"};

#define PATH_DEFAULT "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

static bool is_passed(const char *entry) {
	size_t n = strcspn(entry, "=");
	for (size_t i = 0; i < sizeof passed_names / sizeof *passed_names; i++)
		if (strlen(passed_names[i]) == n && strncmp(entry, passed_names[i], n) == 0) return true;
	for (size_t i = 0; i < sizeof passed_prefixes / sizeof *passed_prefixes; i++)
		if (str_starts(entry, passed_prefixes[i])) return true;
	return false;
}

/* Takes the list over. */
static const char *const *in_arena(struct strs *list, struct arena *arena) {
	size_t bytes = (list->count + 1) * sizeof(char *);
	const char *const *copy = memcpy(arena_alloc(arena, bytes), strs_argv(list), bytes);
	strs_clear(list);
	return copy;
}

const char *const *run_environment(const struct facts *facts, const char *const *env, struct arena *arena) {
	struct strs out = {0};
	const char *path = NULL;
	for (const char *const *e = env; *e; e++) {
		if (str_starts(*e, "PATH=")) path = *e;
		if (is_passed(*e)) strs_add(&out, *e);
	}
	strs_add(&out, path ? path : "PATH=" PATH_DEFAULT);
	strs_add(&out, arena_printf(arena, "HOME=%s", facts->home));
	strs_add(&out, arena_printf(arena, "USER=%s", facts->user));
	strs_add(&out, arena_printf(arena, "LOGNAME=%s", facts->user));
	strs_add(&out, "LANG=C.UTF-8");
	strs_add(&out, "DEBIAN_FRONTEND=noninteractive");
	return in_arena(&out, arena);
}

static bool is_name(const char *entry, const char *name) {
	size_t n = strlen(name);
	return strncmp(entry, name, n) == 0 && entry[n] == '=';
}

/* Variables that describe the caller's home and must not follow into another user's process. */
static bool is_personal(const char *entry) {
	static const char *const names[] = {"HOME", "USER", "LOGNAME", "SHELL"};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (is_name(entry, names[i])) return true;
	return str_starts(entry, "XDG_");
}

static bool is_overridden(const char *entry, const struct field_map *own) {
	for (size_t i = 0; i < own->count; i++)
		if (is_name(entry, own->keys[i])) return true;
	return false;
}

const char *const *run_step_environment(const char *const *env, const struct field_map *own,
					const struct exec_user *user, struct arena *arena) {
	struct strs out = {0};
	for (const char *const *e = env; *e; e++)
		if (!(user && is_personal(*e)) && !is_overridden(*e, own)) strs_add(&out, *e);
	if (user) {
		strs_add(&out, arena_printf(arena, "HOME=%s", user->home));
		strs_add(&out, arena_printf(arena, "USER=%s", user->name));
		strs_add(&out, arena_printf(arena, "LOGNAME=%s", user->name));
		strs_add(&out, arena_printf(arena, "SHELL=%s", user->shell));
	}
	for (size_t i = 0; i < own->count; i++)
		strs_add(&out, arena_printf(arena, "%s=%s", own->keys[i], own->values[i]));
	return in_arena(&out, arena);
}
