#include "cli/boot_unit.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/exec.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/str.h"
#include "cli/context.h"
#include "cli/packaged.h"
#include "engine/run.h"
#include "recipe/recipe.h"
#include "sys/machine.h"

#define SERVICE_BINARY "/usr/bin/dsagent"
/* What `systemctl enable` makes of WantedBy=multi-user.target. */
#define ENABLED_LINK UNIT_DIR "/multi-user.target.wants/dsagent.service"
/* Questions and a reload during a busy boot take seconds. */
#define SYSTEMD_MS (3LL * 60 * 1000)
#define PATH_BYTES_MAX 4096
/* Ours has 2 KB; a longer one is somebody else's. */
#define UNIT_BYTES_MAX (64 * 1024)

bool boot_has_systemd(const struct fs_root *root) {
	return (fs_root_is_host(root) || root->is_system) && fs_exists(root, "/run/systemd/system");
}

int boot_machine(struct context *ctx, const struct fs_root *root, struct machine *ret_machine, struct err *err) {
	const struct facts *facts = NULL;
	int rc = context_facts(ctx, &facts, err);
	if (rc) return rc;
	*ret_machine = (struct machine){.root = root,
					.env = run_environment(facts, ctx->env, &ctx->arena),
					.deadline_at_ms = clock_mono_ms() + SYSTEMD_MS,
					.arena = &ctx->arena};
	return 0;
}

const char *boot_own_path(struct context *ctx, const struct fs_root *root) {
	char path[PATH_BYTES_MAX];
	ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
	path[n > 0 ? n : 0] = '\0';
	const char *slash = strrchr(path, '/');
	bool is_own = slash && str_starts(slash, "/dsagent") && !str_ends(path, " (deleted)");
	if (is_own || exec_find(root, "dsagent", path, sizeof path)) return arena_strdup(&ctx->arena, path);
	return SERVICE_BINARY;
}

int boot_write_packaged(struct context *ctx, const struct fs_root *root, const char *packaged, const char *path,
			mode_t mode, struct err *err) {
	struct fs_write how = {.mode = mode, .uid = (uid_t)-1, .gid = (gid_t)-1};
	const char *binary = strstr(packaged, SERVICE_BINARY);
	if (!binary) return err_set(err, ERR_STATE, "this dsagent was built with a %s that does not start it", path);
	const char *text = arena_printf(&ctx->arena, "%.*s%s%s", (int)(binary - packaged), packaged,
					boot_own_path(ctx, root), binary + strlen(SERVICE_BINARY));
	const char *dir = arena_dup(&ctx->arena, path, (size_t)(strrchr(path, '/') - path));
	int rc = fs_mkdirs(root, dir, 0755, (uid_t)-1, (gid_t)-1, err);
	return rc ? rc : fs_write(root, path, text, strlen(text), &how, err);
}

/* Any path of the program may stand in it, as boot_write_packaged has put it there. */
static bool is_as_written(const struct fs_root *root) {
	AUTO_BUF struct buf text = BUF_INIT(UNIT_BYTES_MAX);
	struct err ignored = {0}; /* what cannot be read is not ours */
	const char *binary = strstr(packaged_service, SERVICE_BINARY);
	if (!binary || fs_read(root, BOOT_UNIT, &text, &ignored)) return false;
	const char *is = buf_str(&text), *tail = binary + strlen(SERVICE_BINARY);
	size_t head = (size_t)(binary - packaged_service), len = strlen(is), tail_len = strlen(tail);
	if (len <= head + tail_len || strncmp(is, packaged_service, head) != 0 || !str_ends(is, tail)) return false;
	return is[head] == '/' && strcspn(is + head, " \t\n") == len - head - tail_len;
}

static int remove_one(const struct fs_root *root, const char *path, struct strs *removed, struct err *err) {
	int rc = fs_remove(root, path, false, err);
	if (!rc) strs_add(removed, path);
	return rc;
}

/* With the unit its link leads nowhere; one that leads to a package's unit is not ours. */
static int remove_unit(const struct fs_root *root, struct strs *removed, struct err *err) {
	struct err ignored = {0}; /* then it was never enabled */
	struct stat st;
	int rc = remove_one(root, BOOT_UNIT, removed, err);
	if (rc || fs_lstat(root, ENABLED_LINK, &st, &ignored) || !S_ISLNK(st.st_mode) || fs_exists(root, ENABLED_LINK))
		return rc;
	return remove_one(root, ENABLED_LINK, removed, err);
}

int boot_forget_unit(struct context *ctx, const struct fs_root *root, struct strs *removed, struct err *err) {
	AUTO_STRS struct strs recipes = {0};
	struct machine m;
	struct stat st;
	int rc = fs_lstat(root, BOOT_UNIT, &st, err);
	if (rc == -ERR_NOT_FOUND) return 0;
	if (!rc) rc = fs_list(root, RECIPE_DIR, &ctx->arena, &recipes, err);
	if (rc) return rc;
	if (!S_ISREG(st.st_mode) || !is_as_written(root)) {
		log_warning(BOOT_UNIT " stays: it is not what this dsagent writes there; remove it if the image shall "
				      "not have it");
		return 0;
	}
	if (recipes.count) {
		log_warning(BOOT_UNIT " stays: it starts what " RECIPE_DIR " still holds (%s%s)", recipes.items[0],
			    recipes.count > 1 ? " and more" : "");
		return 0;
	}
	rc = remove_unit(root, removed, err);
	if (rc || !boot_has_systemd(root)) return rc;
	rc = boot_machine(ctx, root, &m, err);
	return rc ? rc : unit_reload(&m, err);
}
