/* sysctl.d(5) and limits.conf(5): lines of one drop-in each, which several steps may share. */
#include "base/buf.h"
#include "base/err.h"
#include "base/fs.h"
#include "recipe/step.h"
#include "steps/system.h"
#include "steps/text_file.h"
#include "steps/text_lines.h"

#define SYSCTL_FILE "/etc/sysctl.d/90-dsagent.conf"
#define LIMITS_FILE "/etc/security/limits.d/90-dsagent.conf"
#define HEAD "# Written by dsagent: change the recipe instead.\n"
#define TOOL_MS (60 * 1000)

static struct text_lines sysctl_file(void) {
	return (struct text_lines){.path = SYSCTL_FILE, .head = HEAD, .key_of = text_key_assign};
}

static void sysctl_lines(const struct system_params *p, struct arena *arena, struct strs *lines) {
	for (size_t i = 0; i < p->sysctl.count; i++)
		strs_add(lines, arena_printf(arena, "%s = %s", p->sysctl.keys[i], p->sysctl.values[i]));
}

/* sysctl(8): dots separate unless the first separator is a slash; then dots belong to names such as eth0.1. */
static const char *proc_path(const char *key, struct arena *arena) {
	char *path = arena_printf(arena, "/proc/sys/%s", key);
	bool has_slashes = key[strcspn(key, "./")] == '/';
	for (char *c = path + strlen("/proc/sys/"); !has_slashes && *c; c++)
		if (*c == '.')
			*c = '/';
		else if (*c == '/')
			*c = '.';
	return path;
}

/* Words compared, for values such as "4096 87380 6291456" that the kernel shows with tabs. */
static const char *words_of(const char *text, struct arena *arena) {
	AUTO_STRS struct strs words = {0};
	str_split(text, " \t\n", arena, &words);
	return strs_join(&words, " ", arena);
}

/* In an image nothing runs: its kernel's values are not its own. */
static int probe_running(const struct system_params *p, struct step_ctx *ctx, struct changes *changes,
			 struct err *err) {
	if (!fs_root_is_host(ctx->machine.root)) return 0;
	for (size_t i = 0; i < p->sysctl.count; i++) {
		const char *now, *wanted = words_of(p->sysctl.values[i], ctx->arena);
		int r = text_file_read(ctx, proc_path(p->sysctl.keys[i], ctx->arena), &now, err);
		if (r < 0) return err_wrap(err, "sysctl %s", p->sysctl.keys[i]);
		if (!now)
			return err_set(err, ERR_NOT_FOUND, "this kernel has no sysctl '%s': `sysctl -a` lists them",
				       p->sysctl.keys[i]);
		now = words_of(now, ctx->arena);
		if (!str_eq(now, wanted))
			changes_add(changes, ctx->arena, NULL, "set %s to %s (now %s)", p->sysctl.keys[i], wanted, now);
	}
	return 0;
}

int system_sysctl_probe(const struct system_params *p, struct step_ctx *ctx, struct changes *changes, struct err *err) {
	AUTO_STRS struct strs lines = {0};
	struct text_lines file = sysctl_file();
	if (!p->sysctl.count) return 0;
	sysctl_lines(p, ctx->arena, &lines);
	int r = text_lines_probe(&file, &lines, ctx, changes, err);
	return r < 0 ? r : probe_running(p, ctx, changes, err);
}

int system_sysctl_apply(const struct system_params *p, struct step_ctx *ctx, struct err *err) {
	AUTO_STRS struct strs lines = {0};
	struct text_lines file = sysctl_file();
	struct changes running = {0};
	const char *argv[] = {"sysctl", "-p", SYSCTL_FILE, NULL};
	struct machine_command cmd = {.argv = argv, .timeout_ms = TOOL_MS};
	if (!p->sysctl.count) return 0;
	sysctl_lines(p, ctx->arena, &lines);
	int r = probe_running(p, ctx, &running, err); /* an unknown key reaches no file */
	if (r == 0) r = text_lines_apply(&file, &lines, ctx, NULL, err);
	return r < 0 || !running.count ? r : machine_check(&ctx->machine, &cmd, NULL, err);
}

/* domain, type and item are the key: "* soft nofile". */
static const char *limit_key(const char *line, struct arena *arena) {
	AUTO_STRS struct strs words = {0};
	if (!text_key_word(line, arena)) return NULL;
	str_split(line, " \t", arena, &words);
	if (words.count < 4) return NULL;
	return arena_printf(arena, "%s %s %s", words.items[0], words.items[1], words.items[2]);
}

static struct text_lines limits_file(void) {
	return (struct text_lines){.path = LIMITS_FILE, .head = HEAD, .key_of = limit_key};
}

static void limit_lines(const struct system_params *p, struct arena *arena, struct strs *lines) {
	static const char *const words[] = {"-", "soft", "hard"}; /* as system_limit_types */
	const struct system_limit *limits = p->limits.items;
	for (size_t i = 0; i < p->limits.count; i++)
		strs_add(lines, arena_printf(arena, "%s %s %s %s", limits[i].domain, words[limits[i].type],
					     limits[i].item, limits[i].value));
}

int system_limits_probe(const struct system_params *p, struct step_ctx *ctx, struct changes *changes, struct err *err) {
	AUTO_STRS struct strs lines = {0};
	struct text_lines file = limits_file();
	if (!p->limits.count) return 0;
	limit_lines(p, ctx->arena, &lines);
	return text_lines_probe(&file, &lines, ctx, changes, err);
}

int system_limits_apply(const struct system_params *p, struct step_ctx *ctx, struct err *err) {
	AUTO_STRS struct strs lines = {0};
	struct text_lines file = limits_file();
	if (!p->limits.count) return 0;
	limit_lines(p, ctx->arena, &lines);
	return text_lines_apply(&file, &lines, ctx, NULL, err);
}
