/* Time zone (localtime(5), and /etc/timezone on Debian), locale (locale.conf(5), /etc/default/locale), hostname(5). */
#include <sys/utsname.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fs.h"
#include "recipe/facts.h"
#include "recipe/step.h"
#include "steps/system.h"
#include "steps/text_file.h"
#include "steps/text_lines.h"

#define ZONEINFO "/usr/share/zoneinfo"
#define TOOL_MS (5 * 60 * 1000)
#define LOCALES_MAX (256 * 1024)

static bool is_debian(const struct step_ctx *ctx) { return str_eq(ctx->facts->os.package_manager, "apt"); }

static struct text_file timezone_file(const struct system_params *p, struct step_ctx *ctx) {
	return (struct text_file){
		.path = "/etc/timezone", .content = arena_printf(ctx->arena, "%s\n", p->timezone), .mode = 0644};
}

/* The link is relative, as timedatectl(1) makes it; an absolute one is as good. */
static int is_zone_linked(const struct system_params *p, struct step_ctx *ctx, bool *ret_is_linked, struct err *err) {
	const char *target = "";
	int r = text_link_read(ctx->machine.root, "/etc/localtime", ctx->arena, &target, err);
	*ret_is_linked = r == 0 && str_ends(target, arena_printf(ctx->arena, ZONEINFO "/%s", p->timezone));
	err_clear(err); /* absent, or a file: it is replaced */
	return 0;
}

int system_timezone_probe(const struct system_params *p, struct step_ctx *ctx, struct changes *changes,
			  struct err *err) {
	struct text_file file = timezone_file(p, ctx);
	bool is_linked = false;
	if (!p->timezone) return 0;
	int r = is_zone_linked(p, ctx, &is_linked, err);
	if (r < 0) return r;
	if (!is_linked) changes_add(changes, ctx->arena, NULL, "set the time zone to %s", p->timezone);
	return is_debian(ctx) ? text_file_probe(&file, ctx, changes, err) : 0;
}

int system_timezone_apply(const struct system_params *p, struct step_ctx *ctx, struct err *err) {
	const struct fs_root *root = ctx->machine.root;
	struct text_file file = timezone_file(p, ctx);
	if (!p->timezone) return 0;
	if (!fs_exists(root, arena_printf(ctx->arena, ZONEINFO "/%s", p->timezone))) {
		if (!fs_exists(root, ZONEINFO))
			return err_set(err, ERR_NOT_FOUND,
				       "there are no time zones: add a step `packages: [tzdata]` above");
		return err_set(err, ERR_NOT_FOUND,
			       "there is no time zone '%s'; `ls " ZONEINFO "` shows them, such as "
			       "Europe/Berlin",
			       p->timezone);
	}
	int r = fs_symlink(root, "/etc/localtime", arena_printf(ctx->arena, "..%s/%s", ZONEINFO, p->timezone), err);
	if (r < 0 || !is_debian(ctx)) return r;
	return text_file_apply(&file, ctx, NULL, err);
}

/* "en_US.UTF-8" and locale -a's "en_US.utf8" are the same. */
static const char *plain_locale(const char *name, struct arena *arena) {
	AUTO_BUF struct buf b = BUF_INIT(256);
	const char *dot = strchr(name, '.');
	size_t head = dot ? (size_t)(dot - name) : strlen(name);
	buf_add(&b, name, head);
	for (const char *c = name + head; *c; c++)
		if (*c != '-') buf_addc(&b, *c >= 'A' && *c <= 'Z' ? (char)(*c - 'A' + 'a') : *c);
	return arena_strdup(arena, buf_str(&b));
}

static int has_locale(const struct system_params *p, struct step_ctx *ctx, bool *ret_has, struct err *err) {
	const char *argv[] = {"locale", "-a", NULL};
	AUTO_EXEC_RESULT struct exec_result result = {0};
	AUTO_STRS struct strs names = {0};
	struct machine_command cmd = {.argv = argv, .timeout_ms = TOOL_MS, .stdout_max = LOCALES_MAX, .is_quiet = true};
	const char *wanted = plain_locale(p->locale, ctx->arena);
	*ret_has = str_starts(wanted, "C.") || str_eq(wanted, "C") || str_eq(wanted, "POSIX");
	if (*ret_has) return 0;
	int r = machine_check(&ctx->machine, &cmd, &result, err);
	if (r < 0) return r;
	str_split(buf_str(&result.out), "\n", ctx->arena, &names);
	for (size_t i = 0; i < names.count; i++)
		if (str_eq(plain_locale(names.items[i], ctx->arena), wanted)) *ret_has = true;
	return 0;
}

static struct text_lines locale_file(const struct step_ctx *ctx) {
	return (struct text_lines){.path = is_debian(ctx) ? "/etc/default/locale" : "/etc/locale.conf",
				   .key_of = text_key_assign};
}

int system_locale_probe(const struct system_params *p, struct step_ctx *ctx, struct changes *changes, struct err *err) {
	AUTO_STRS struct strs lines = {0};
	struct text_lines file = locale_file(ctx);
	bool has = false;
	if (!p->locale) return 0;
	int r = has_locale(p, ctx, &has, err);
	if (r < 0) return r;
	if (!has) changes_add(changes, ctx->arena, NULL, "make the locale %s", p->locale);
	strs_add(&lines, arena_printf(ctx->arena, "LANG=%s", p->locale));
	return text_lines_probe(&file, &lines, ctx, changes, err);
}

/* Debian compiles what /etc/locale.gen names; Amazon Linux has a package for each language. */
static int make_locale(const struct system_params *p, struct step_ctx *ctx, struct err *err) {
	AUTO_STRS struct strs lines = {0};
	struct text_lines file = {.path = "/etc/locale.gen", .key_of = text_key_line};
	const char *argv[] = {"locale-gen", NULL};
	char path[256];
	struct machine_command cmd = {.argv = argv, .timeout_ms = TOOL_MS};
	const char *dot = strchr(p->locale, '.');
	if (!is_debian(ctx))
		return err_set(err, ERR_NOT_FOUND,
			       "the locale %s is not installed: add a step `packages: [glibc-langpack-%.2s]` above",
			       p->locale, p->locale);
	if (!exec_find(ctx->machine.root, "locale-gen", path, sizeof path))
		return err_set(err, ERR_NOT_FOUND,
			       "locales cannot be made without locale-gen: add a step `packages: [locales]` above");
	strs_add(&lines, arena_printf(ctx->arena, "%s %s", p->locale, dot ? dot + 1 : "ISO-8859-1"));
	int r = text_lines_apply(&file, &lines, ctx, NULL, err);
	return r < 0 ? r : machine_check(&ctx->machine, &cmd, NULL, err);
}

int system_locale_apply(const struct system_params *p, struct step_ctx *ctx, struct err *err) {
	AUTO_STRS struct strs lines = {0};
	struct text_lines file = locale_file(ctx);
	bool has = false;
	if (!p->locale) return 0;
	int r = has_locale(p, ctx, &has, err);
	if (r == 0 && !has) r = make_locale(p, ctx, err);
	strs_add(&lines, arena_printf(ctx->arena, "LANG=%s", p->locale));
	return r < 0 ? r : text_lines_apply(&file, &lines, ctx, NULL, err);
}

static struct text_file hostname_file(const struct system_params *p, struct step_ctx *ctx) {
	return (struct text_file){
		.path = "/etc/hostname", .content = arena_printf(ctx->arena, "%s\n", p->hostname), .mode = 0644};
}

/* cloud-init sets the name of the metadata again at every boot unless it is told not to. */
static struct text_file cloud_file(void) {
	return (struct text_file){.path = "/etc/cloud/cloud.cfg.d/99-dsagent-hostname.cfg",
				  .content = "preserve_hostname: true\n",
				  .mode = 0644};
}

static bool has_cloud_init(const struct step_ctx *ctx) {
	return fs_exists(ctx->machine.root, "/etc/cloud/cloud.cfg.d");
}

/* sudo and many others look their own name up: it must have an address (hostname(1), "THE FQDN"; Debian's 127.0.1.1).
 */
static const char *hosts_key(const char *line, struct arena *arena) {
	const char *key = text_key_word(line, arena);
	return str_eq(key, "127.0.1.1") ? key : NULL;
}

static int is_in_hosts(const struct system_params *p, struct step_ctx *ctx, bool *ret_is_in, struct err *err) {
	const char *text;
	AUTO_STRS struct strs lines = {0};
	*ret_is_in = false;
	int r = text_file_read(ctx, "/etc/hosts", &text, err);
	if (r < 0 || !text) return r;
	str_split(text, "\n", ctx->arena, &lines);
	for (size_t i = 0; i < lines.count; i++) {
		AUTO_STRS struct strs words = {0};
		str_split(lines.items[i], " \t", ctx->arena, &words);
		if (text_key_word(lines.items[i], ctx->arena) && strs_has(&words, p->hostname)) *ret_is_in = true;
	}
	return 0;
}

static bool is_running_name(const struct system_params *p, const struct step_ctx *ctx) {
	struct utsname name;
	return !fs_root_is_host(ctx->machine.root) || (uname(&name) == 0 && str_eq(name.nodename, p->hostname));
}

int system_hostname_probe(const struct system_params *p, struct step_ctx *ctx, struct changes *changes,
			  struct err *err) {
	if (!p->hostname) return 0;
	struct text_file file = hostname_file(p, ctx), cloud = cloud_file();
	bool is_in = false;
	int r = text_file_probe(&file, ctx, changes, err);
	if (r == 0 && has_cloud_init(ctx)) r = text_file_probe(&cloud, ctx, changes, err);
	if (r == 0) r = is_in_hosts(p, ctx, &is_in, err);
	if (r < 0) return r;
	if (!is_in) changes_add(changes, ctx->arena, NULL, "put %s into /etc/hosts", p->hostname);
	if (!is_running_name(p, ctx)) changes_add(changes, ctx->arena, NULL, "call this machine %s now", p->hostname);
	return 0;
}

int system_hostname_apply(const struct system_params *p, struct step_ctx *ctx, struct err *err) {
	if (!p->hostname) return 0;
	struct text_file file = hostname_file(p, ctx), cloud = cloud_file();
	struct text_lines hosts = {.path = "/etc/hosts", .head = "127.0.0.1 localhost\n", .key_of = hosts_key};
	AUTO_STRS struct strs lines = {0};
	bool is_in = false;
	int r = text_file_apply(&file, ctx, NULL, err);
	if (r == 0 && has_cloud_init(ctx)) r = text_file_apply(&cloud, ctx, NULL, err);
	if (r == 0) r = is_in_hosts(p, ctx, &is_in, err);
	strs_add(&lines, arena_printf(ctx->arena, "127.0.1.1 %s", p->hostname));
	if (r == 0 && !is_in) r = text_lines_apply(&hosts, &lines, ctx, NULL, err);
	if (r < 0 || is_running_name(p, ctx)) return r;
	if (sethostname(p->hostname, strlen(p->hostname)) < 0)
		return err_set(err, ERR_DENIED, "cannot set the host name (%m): it needs root");
	return 0;
}
