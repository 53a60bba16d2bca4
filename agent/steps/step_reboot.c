/*
 * A reboot. The step only asks the supervisor for it (machine_publish): what runs ends first, the state is written, the
 * reports say so. After the boot the same recipe is applied again, by dsagent.service or by hand, and this step is done
 * because the boot id has changed since it was begun.
 */
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fs.h"
#include "recipe/facts.h"
#include "recipe/step.h"
#include "steps/steps.h"
#include "steps/text_file.h"

/** needs-restarting looks at every process and package. */
#define NEEDS_RESTARTING_MS (5 * 60 * 1000)
#define OUTPUT_MAX (256 * 1024)
/** Names of packages that are shown as the cause. */
#define CAUSE_MAX 120

struct reboot_params {
	bool when_needed;
	const char *reason;
};

static const struct field reboot_fields[] = {
	{.name = "reason",
	 .kind = FIELD_TEXT,
	 .offset = offsetof(struct reboot_params, reason),
	 .help = "why, for the reports",
	 .fallback = "the recipe asks for it"},
	{.name = "when_needed",
	 .kind = FIELD_BOOL,
	 .offset = offsetof(struct reboot_params, when_needed),
	 .help = "only if an installed update needs it (/run/reboot-required, or needs-restarting with dnf); else once "
		 "per "
		 "content"},
	{0},
};

static void reboot_resources(const void *params, const struct facts *facts, struct arena *arena, struct strs *names) {
	strs_add_once(names, "packages"); /* never in the middle of a transaction */
}

/* Debian's update-notifier and unattended-upgrades write the file, and the packages that asked for it beside it. */
static int probe_debian(struct step_ctx *ctx, const char **ret_cause, struct err *err) {
	const char *packages;
	AUTO_STRS struct strs names = {0};
	AUTO_STRS struct strs once = {0};
	*ret_cause = NULL;
	if (!fs_exists(ctx->machine.root, "/run/reboot-required")) return 0;
	int r = text_file_read(ctx, "/run/reboot-required.pkgs", &packages, err);
	if (r < 0) return r;
	str_split(packages ? packages : "", "\n", ctx->arena, &names);
	for (size_t i = 0; i < names.count; i++) strs_add_once(&once, names.items[i]);
	*ret_cause = once.count
			     ? arena_printf(ctx->arena, "updated: %.*s", CAUSE_MAX, strs_join(&once, ", ", ctx->arena))
			     : "an update asks for it";
	return 0;
}

/* dnf-utils: `needs-restarting -r` exits 1 and says so when the kernel or a core library is newer than what runs. */
static int probe_dnf(struct step_ctx *ctx, const char **ret_cause, struct err *err) {
	const char *argv[] = {"needs-restarting", "-r", NULL};
	AUTO_EXEC_RESULT struct exec_result result = {0};
	struct machine_command cmd = {
		.argv = argv, .timeout_ms = NEEDS_RESTARTING_MS, .stdout_max = OUTPUT_MAX, .is_quiet = true};
	*ret_cause = NULL;
	int r = machine_run(&ctx->machine, &cmd, &result, err);
	if (r == -ERR_NOT_FOUND)
		return err_set(
			err, ERR_NOT_FOUND,
			"whether a reboot is needed cannot be told without needs-restarting: add a step `packages: "
			"[dnf-utils]` above");
	if (r < 0) return r;
	if (result.exit_code == 0) return 0;
	if (result.exit_code != 1 || !strstr(buf_str(&result.out), "eboot"))
		return err_set(err, ERR_COMMAND, "needs-restarting -r ended with exit status %d: %s", result.exit_code,
			       buf_str(&result.tail));
	*ret_cause = "the kernel or a core library was updated";
	return 0;
}

static int find_cause(const struct reboot_params *p, struct step_ctx *ctx, const char **ret_cause, struct err *err) {
	*ret_cause = ctx->is_done ? NULL : p->reason;
	if (!p->when_needed) return 0;
	bool is_dnf = str_eq(ctx->facts->os.package_manager, "dnf");
	return is_dnf ? probe_dnf(ctx, ret_cause, err) : probe_debian(ctx, ret_cause, err);
}

static int reboot_probe(const void *params, struct step_ctx *ctx, struct changes *changes, struct err *err) {
	const char *cause;
	int r = find_cause(params, ctx, &cause, err);
	if (r == 0 && cause) changes_add(changes, ctx->arena, NULL, "reboot (%s)", cause);
	return r;
}

static int reboot_apply(const void *params, struct step_ctx *ctx, const struct changes *changes, struct err *err) {
	const char *cause;
	int r = find_cause(params, ctx, &cause, err);
	if (r < 0 || !cause) return r;
	if (!fs_root_is_host(ctx->machine.root))
		return err_set(err, ERR_UNSUPPORTED, "%s is no running machine: it cannot be rebooted",
			       ctx->machine.root->path);
	if (!ctx->facts->os.has_systemd)
		return err_set(err, ERR_UNSUPPORTED,
			       "systemd does not run here (a container or chroot): give the step `when: "
			       "facts.has_systemd`");
	if (geteuid() != 0) return err_set(err, ERR_DENIED, "a reboot needs root: run sudo dsagent apply");
	machine_publish(&ctx->machine, "reboot", cause);
	return 0;
}

const struct step_type step_reboot = {
	.name = "reboot",
	.summary = "a reboot, at once or only if an update needs it; the run goes on after it, at most 3 times",
	.example = "- name: New kernel\n"
		   "  reboot: {when_needed: true}\n",
	.shape = {.fields = reboot_fields, .size = sizeof(struct reboot_params), .scalar_field = "reason"},
	.is_imperative = true,
	.is_done_by_reboot = true,
	.timeout_ms = 10LL * 60 * 1000,
	.resources = reboot_resources,
	.probe = reboot_probe,
	.apply = reboot_apply,
};
