#include "aws/profile.h"

#include <ctype.h>
#include <limits.h>

#include "aws/call.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/str.h"
#include "fmt/keyval.h"

#define FILE_MAX (1024 * 1024)

const char *profile_name(const char *const *env) {
	const char *asked = aws_env(env, "AWS_PROFILE");

	return asked ? asked : "default";
}

char *profile_path(const char *const *env, enum profile_file file) {
	bool is_config = file == PROFILE_CONFIG;
	const char *named = aws_env(env, is_config ? "AWS_CONFIG_FILE" : "AWS_SHARED_CREDENTIALS_FILE");
	const char *home = aws_env(env, "HOME");
	char here[PATH_MAX];

	if (!named) return home ? mem_printf("%s/.aws/%s", home, is_config ? "config" : "credentials") : NULL;
	if (str_starts(named, "~/")) return home ? mem_printf("%s%s", home, named + 1) : NULL;
	if (*named == '/' || !getcwd(here, sizeof here)) return mem_strdup(named);
	return mem_printf("%s/%s", here, named);
}

/** An absent file is an empty one. */
static int read_file(const char *const *env, enum profile_file file, struct buf *text, struct err *err) {
	AUTO_FS_ROOT struct fs_root root = {.fd = -1};
	AUTO_FREE char *path = profile_path(env, file);

	if (!path) return 0;
	if (fs_root_open(NULL, &root, err) != 0) return -(int)err->code;
	if (fs_read(&root, path, text, err) != 0) {
		if (err->code != ERR_NOT_FOUND) return -(int)err->code;
		err_clear(err);
	}
	return 0;
}

/** True for "KIND NAME" with the name bare or quoted. */
static bool is_section(const char *section, const char *kind, const char *name) {
	size_t len;

	if (!str_starts(section, kind)) return false;
	section += strlen(kind);
	if (*section != ' ' && *section != '\t') return false;
	section += strspn(section, " \t");
	len = strlen(section);
	if (len >= 2 && (*section == '"' || *section == '\'') && section[len - 1] == *section) {
		section++;
		len -= 2;
	}
	return len == strlen(name) && memcmp(section, name, len) == 0;
}

/** `[NAME]` in the credentials file, `[profile NAME]` or `[default]` in the config file. */
static bool is_of_profile(const char *section, enum profile_file file, const char *name) {
	if (file == PROFILE_CREDENTIALS) return str_eq(section, name);
	return is_section(section, "profile", name) || (str_eq(name, "default") && str_eq(section, name));
}

struct reading {
	enum profile_file file;
	const char *name;
	profile_fn fn;
	void *arg;
	bool is_there;
};

static void on_setting(const char *section, const char *key, const char *value, void *arg) {
	struct reading *r = arg;

	if (!is_of_profile(section, r->file, r->name)) return;
	r->is_there = true;
	r->fn(key, value, r->arg);
}

int profile_read(const char *const *env, enum profile_file file, profile_fn fn, void *arg, bool *ret_is_there,
		 struct err *err) {
	AUTO(buf_wipe) struct buf text = BUF_INIT(FILE_MAX);
	struct reading r = {file, profile_name(env), fn, arg, false};

	if (read_file(env, file, &text, err) != 0) return -(int)err->code;
	keyval_ini(buf_str(&text), text.len, on_setting, &r);
	*ret_is_there = r.is_there;
	return 0;
}

struct filling {
	const char *const *env;
	struct arena *arena;
	const char *name, *services; /* the profile; the section of its services, or NULL */
	struct strs lines;	     /* what is added, the last that was read last */
};

static void add(struct filling *f, const char *variable, const char *value) {
	if (!*value || aws_env(f->env, variable)) return;
	strs_add(&f->lines, arena_printf(f->arena, "%s=%s", variable, value));
}

static void on_config(const char *section, const char *key, const char *value, void *arg) {
	static const struct {
		const char *key, *variable;
	} rows[] = {
		{"region", "AWS_REGION"},
		{"endpoint_url", "AWS_ENDPOINT_URL"},
		{"ignore_configured_endpoint_urls", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"},
		{"use_fips_endpoint", "AWS_USE_FIPS_ENDPOINT"},
		{"use_dualstack_endpoint", "AWS_USE_DUALSTACK_ENDPOINT"},
		{"ca_bundle", "AWS_CA_BUNDLE"},
	};
	struct filling *f = arg;

	if (!is_of_profile(section, PROFILE_CONFIG, f->name)) return;
	if (str_eq(key, "services")) f->services = arena_strdup(f->arena, value);
	if (str_eq(key, "region") && aws_env(f->env, "AWS_DEFAULT_REGION")) return;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (str_eq(key, rows[i].key)) add(f, rows[i].variable, value);
}

/** "s3.endpoint_url" is AWS_ENDPOINT_URL_S3; what env says of all services is above it. */
static void on_service(const char *section, const char *key, const char *value, void *arg) {
	struct filling *f = arg;
	const char *dot = strchr(key, '.');
	char *variable;

	if (!is_section(section, "services", f->services) || !dot || !str_eq(dot, ".endpoint_url")) return;
	if (aws_env(f->env, "AWS_ENDPOINT_URL")) return;
	variable = arena_printf(f->arena, "AWS_ENDPOINT_URL_%.*s", (int)(dot - key), key);
	for (char *p = variable; *p; p++) *p = *p == '-' || *p == ' ' ? '_' : (char)toupper((unsigned char)*p);
	add(f, variable, value);
}

const char *const *profile_env(const char *const *env, struct arena *arena) {
	AUTO(buf_wipe) struct buf text = BUF_INIT(FILE_MAX);
	struct filling f = {.env = env, .arena = arena, .name = profile_name(env)};
	const char **lines;
	struct err ignored;
	size_t count = 0;

	if (read_file(env, PROFILE_CONFIG, &text, &ignored) != 0) return env;
	keyval_ini(buf_str(&text), text.len, on_config, &f);
	if (f.services) keyval_ini(buf_str(&text), text.len, on_service, &f);
	while (env[count]) count++;
	lines = arena_alloc(arena, (count + f.lines.count + 1) * sizeof *lines);
	memcpy(lines, env, count * sizeof *lines);
	/* The first of a name counts in a vector, the last in a file. */
	for (size_t i = f.lines.count; i > 0; i--) lines[count++] = f.lines.items[i - 1];
	strs_clear(&f.lines);
	return lines;
}
