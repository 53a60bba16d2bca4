#pragma once
/*
 * systemd units: all talk with systemctl and journalctl, and the text of a unit. Nothing here waits for a job that may
 * itself wait for us: while cloud-init still runs, or from within it, jobs are queued (--no-block) and not waited for.
 */
#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

struct err;
struct machine;

/** Where an administrator's units are (systemd.unit(5)). */
#define UNIT_DIR "/etc/systemd/system"

/** What `systemctl show` says of a unit. */
struct unit_state {
	char load[24];	 /* "loaded", "not-found", "masked", "bad-setting" */
	char active[24]; /* "active", "inactive", "failed", "activating" */
	char sub[24];	 /* "running", "exited", "dead", "auto-restart" */
	char file[24];	 /* "enabled", "disabled", "static", "" for none */
	char result[24]; /* "success", "exit-code", "timeout" */
	char type[16];	 /* "simple", "oneshot" */
	bool needs_reload;
	bool has_run;	 /* its command has ended at least once since boot */
	bool is_offline; /* systemd does not run: only `file` is known */
	bool has_job;	 /* a job is queued: it will start or stop */
};

/** Without a running systemd (an image, a chroot) is_offline is set and only `file` is asked. */
CHECK_RESULT int unit_show(const struct machine *m, const char *unit, struct unit_state *ret_state, struct err *err);

/** Runs, is about to (a job is queued or it starts), or has done its one-shot work. */
bool unit_is_up(const struct unit_state *state);
bool unit_is_enabled(const struct unit_state *state); /* static and generated ones cannot be, and count */

/** True while a job must not be waited for: cloud-init runs, or we run inside it. */
bool unit_must_not_block(const struct machine *m);

/** `systemctl daemon-reload`, when systemd runs. */
CHECK_RESULT int unit_reload(const struct machine *m, struct err *err);

/** verb: "enable", "disable", "mask", "reset-failed": what ends at once. */
CHECK_RESULT int unit_do(const struct machine *m, const char *verb, const char *unit, struct err *err);

/**
 * verb: "start", "stop", "restart". After a start it is watched for a moment: a service that ends at once is an error
 * with the last lines of its journal.
 */
CHECK_RESULT int unit_job(const struct machine *m, const char *verb, const char *unit, struct err *err);

/** Queues a start and returns at once; earlier failures, which may forbid a start, are forgotten. */
CHECK_RESULT int unit_start_later(const struct machine *m, const char *unit, struct err *err);

/** A service as recipes describe it; the text that systemd reads is made of it. */
struct unit_service {
	const char *description;
	const char *command;	 /* ExecStart as systemd.service(5) has it, or */
	const struct strs *argv; /* a list, quoted here */
	const char *user, *directory, *type, *restart;
	const char *const *env_keys, *const *env_values; /* env_count of each */
	size_t env_count;
	const char *const *set_keys, *const *set_values; /* further lines of [Service] */
	size_t set_count;
	const struct strs *after; /* units it starts after and wants; may be NULL */
};

const char *unit_text(const struct unit_service *service, struct arena *arena);
