/*
 * Starting what outlives us. Within cloud-final.service nothing may be waited for: our unit is ordered after it, as it
 * is on all systems after multi-user.target, so a start that is waited for would wait for the script that waits for it.
 */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/str.h"
#include "cli/boot.h"
#include "cli/boot_unit.h"
#include "cli/cli.h"
#include "cli/config.h"
#include "cli/context.h"
#include "cli/packaged.h"
#include "cli/remote.h"
#include "fmt/diag.h"
#include "recipe/facts.h"
#include "report/report.h"
#include "sys/machine.h"
#include "sys/unit.h"

#define SERVICE "dsagent.service"
/* pam_motd(8): a script that Debian and Ubuntu run at every login, a file that Amazon Linux shows. */
#define MOTD_SCRIPT "/etc/update-motd.d/99-dsagent"
#define MOTD_LINK "/etc/motd.d/99-dsagent"
/* What `apply --boot` says before it has a status to say it in. */
#define LOG_PATH "/var/lib/dsagent/boot.log"
/* A script of user-data waits for it, and cloud-init for the script. */
#define COMPLAIN_MS (15LL * 1000)

/* Where a login shows what there is; without it everything works, so nothing is said of a failure. */
static void write_motd(struct context *ctx, const struct fs_root *root) {
	const struct facts *facts = NULL;
	struct err err = {0};
	int rc = context_facts(ctx, &facts, &err);
	if (rc || fs_exists(root, MOTD_SCRIPT) || fs_exists(root, MOTD_LINK)) return;
	if (str_eq(facts->os.package_manager, "apt"))
		rc = boot_write_packaged(ctx, root, packaged_motd, MOTD_SCRIPT, 0755, &err);
	else {
		rc = fs_mkdirs(root, "/etc/motd.d", 0755, (uid_t)-1, (gid_t)-1, &err);
		if (!rc) rc = fs_symlink(root, MOTD_LINK, "/run/dsagent/motd", &err);
	}
	if (rc) log_debug("no login message: %s", err.msg);
}

static int start_service(struct context *ctx, const struct fs_root *root, struct err *err) {
	struct machine m;
	struct unit_state state;
	int rc = boot_machine(ctx, root, &m, err);
	if (!rc) rc = unit_show(&m, SERVICE, &state, err);
	if (rc) return rc;
	if (str_eq(state.load, "masked"))
		return err_set(err, ERR_STATE,
			       SERVICE " is masked, somebody does not want it to run: `systemctl unmask " SERVICE
				       "` takes that back");
	if (!str_eq(state.load, "loaded")) {
		rc = boot_write_packaged(ctx, root, packaged_service, BOOT_UNIT, 0644, err);
		if (!rc) rc = unit_reload(&m, err);
	}
	if (!rc) rc = unit_do(&m, "enable", SERVICE, err);
	return rc ? rc : unit_start_later(&m, SERVICE, err);
}

static int start_process(struct context *ctx, const struct fs_root *root, struct err *err) {
	AUTO_CLOSE int log = -1;
	const char *binary = boot_own_path(ctx, root);
	const char *argv[] = {binary, "apply", "--boot", ctx->root_dir ? "--root" : NULL, ctx->root_dir, NULL};
	posix_spawnattr_t attr;
	posix_spawn_file_actions_t files;
	pid_t pid = 0;
	int rc = fs_mkdirs(root, "/var/lib/dsagent", 0700, (uid_t)-1, (gid_t)-1, err);
	if (!rc) rc = fs_open(root, LOG_PATH, O_WRONLY | O_CREAT | O_APPEND, 0600, &log, err);
	if (rc) return rc;
	if (posix_spawnattr_init(&attr)) return err_set_errno(err, ENOMEM, "cannot start %s", binary);
	if (posix_spawn_file_actions_init(&files)) {
		(void)posix_spawnattr_destroy(&attr); /* frees memory */
		return err_set_errno(err, ENOMEM, "cannot start %s", binary);
	}
	int failed = posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSID);
	if (!failed) failed = posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	if (!failed) failed = posix_spawn_file_actions_adddup2(&files, log, STDOUT_FILENO);
	if (!failed) failed = posix_spawn_file_actions_adddup2(&files, log, STDERR_FILENO);
	if (!failed) failed = posix_spawn(&pid, binary, &files, &attr, (char *const *)argv, (char *const *)ctx->env);
	(void)posix_spawn_file_actions_destroy(&files); /* as above */
	(void)posix_spawnattr_destroy(&attr);
	return failed ? err_set_errno(err, failed, "cannot start %s", binary) : 0;
}

int boot_check_idle(struct context *ctx, const struct fs_root *root, struct err *err) {
	struct machine m;
	struct unit_state state;
	if (!boot_has_systemd(root)) return 0; /* apply waits for its turn by itself */
	int rc = boot_machine(ctx, root, &m, err);
	if (!rc) rc = unit_show(&m, SERVICE, &state, err);
	if (rc) return rc;
	if (!str_eq(state.active, "active")) return 0;
	return err_set(err, ERR_BUSY,
		       SERVICE
		       " is at work with the recipes it began with, and nothing was changed; `dsagent wait` waits "
		       "for its end, then run this again");
}

int boot_start(struct context *ctx, const struct fs_root *root, const char **ret_how, struct err *err) {
	bool is_service = boot_has_systemd(root);
	write_motd(ctx, root);
	int rc = is_service ? start_service(ctx, root, err) : start_process(ctx, root, err);
	if (rc) return rc;
	*ret_how = is_service ? SERVICE " does what it says, once the boot has ended, and at every boot"
			      : "a process in the background does what it says; systemd does not run here";
	return 0;
}

/* As a run that has failed before it began. */
static void tell(struct context *ctx, const struct fs_root *root, const char *text, struct err *err) {
	struct run_view view = {.status = RUN_FAILED, .run_id = "", .recipe = "", .version = DSAGENT_VERSION};
	struct event ended = {.type = EVENT_RUN_ENDED, .at_ms = clock_now_ms(), .step = SIZE_MAX};
	struct config config = config_load(ctx, root);
	struct remote_how how = {.config = &config, .linger_ms = COMPLAIN_MS};
	struct sink *remote = NULL;
	if (context_facts(ctx, &how.facts, err) || remote_open(ctx, &how, &remote, err) || !remote) return;
	(void)snprintf(view.error, sizeof view.error, "%s", text); /* a tag holds less by far */
	view.started_at_ms = view.updated_at_ms = view.ended_at_ms = ended.at_ms;
	remote->event(remote, &ended, &view);
	remote->close(remote);
}

void boot_complain(struct context *ctx, const struct fs_root *root, const char *text) {
	struct err err = {0};
	report_console_say(root, text);
	tell(ctx, root, text, &err);
	if (err.code) log_warning("nobody is told: %s", err.msg);
}

int boot_refuse(struct context *ctx, const struct fs_root *root, struct diags *diags) {
	int code = cli_diags(diags);
	const struct diag *first = &diags->items[0];
	const char *more = diags->count > 1 ? arena_printf(&ctx->arena, " (and %zu more)", diags->count - 1) : "";
	boot_complain(ctx, root,
		      arena_printf(&ctx->arena, "the recipe is refused, nothing was done: %s:%u:%u: %s%s", first->file,
				   first->line, first->col, first->message, more));
	return code;
}
