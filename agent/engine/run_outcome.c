/* How a step ended, in words and in the state file. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "engine/run_internal.h"
#include "engine/state.h"

static enum step_status failed_status(const struct run *run, size_t index) {
	return step_common_of(run, index)->is_optional ? STEP_WARNED : STEP_FAILED;
}

void step_fail(struct run *run, size_t index, const char *msg) {
	struct step_view *v = step_view_of(run, index);
	run_set_text(v->error, sizeof v->error, msg);
	v->status = failed_status(run, index);
	if (v->status == STEP_WARNED) {
		run->view.warnings++;
		return;
	}
	if (run->view.error[0] == '\0') {
		char *text AUTO_FREE = mem_printf("step %zu '%s' failed: %s", index + 1, v->name, msg);
		run_set_text(run->view.error, sizeof run->view.error, text);
	}
	if (step_common_of(run, index)->on_error == STEP_ON_ERROR_STOP) run->is_stopping = true;
}

/* The state file is written only where a later run asks it: nothing is recorded for a step that was in place anyway. */
static bool is_worth_recording(const struct run *run, size_t index) {
	const struct plan_step *p = &run->plan->steps[index];
	return run->steps[index].has_changes || p->type->is_imperative || p->common.frequency != STEP_ON_CHANGE;
}

void step_record(struct run *run, size_t index, enum state_mark mark) {
	const struct plan_step *p = &run->plan->steps[index];
	struct err err = {0};
	if (!is_worth_recording(run, index)) return;
	if (state_mark(run->options->state, run->plan->recipe_name, p, mark, &err) && run->fatal.code == ERR_NONE) {
		run->fatal = err;
		run->is_stopping = true;
	}
}

/* In the end a step's text says what it did, not what it was doing last. */
static void note_success(struct run *run, size_t index) {
	const struct step_run *s = &run->steps[index];
	struct step_view *v = step_view_of(run, index);
	v->status = s->has_changes ? STEP_CHANGED : STEP_OK;
	v->text[0] = '\0';
	if (s->last_word[0] != '\0')
		run_set_text(v->text, sizeof v->text, s->last_word);
	else if (v->changes > 1)
		(void)snprintf(v->text, sizeof v->text, "%.200s (+%zu more)", s->first_change, v->changes - 1);
	else if (v->changes == 1)
		(void)snprintf(v->text, sizeof v->text, "%s", s->first_change);
	run->changed += s->has_changes;
}

void step_end(struct run *run, size_t index) {
	struct step_run *s = &run->steps[index];
	struct step_view *v = step_view_of(run, index);
	s->phase = PHASE_ENDED;
	v->ended_at_ms = clock_now_ms();
	step_clear_progress(run, index);
	if (s->result.code == ERR_NONE && s->wants_reboot) {
		/* Still "running" in the state: it is done when the boot id has changed. */
		v->status = STEP_PENDING;
		run_set_text(v->text, sizeof v->text, s->first_change);
		run->wants_reboot = run->is_stopping = true;
	} else if (s->result.code == ERR_NONE) {
		note_success(run, index);
		step_record(run, index, STATE_OK);
	} else if (run->signal != 0) {
		v->status = STEP_PENDING; /* cut short, not failed: the next apply takes it up */
		run_set_text(v->text, sizeof v->text, "interrupted");
	} else if (run->is_refused) {
		if (v->error[0] == '\0') { /* else preflight has said why */
			v->status = STEP_SKIPPED;
			run_set_text(v->text, sizeof v->text, "not begun");
		}
	} else {
		step_fail(run, index, s->result.msg);
		step_record(run, index, STATE_FAILED);
	}
	if (v->error[0] != '\0') step_log(run, index, v->error);
	step_log_close(run, index);
	run_emit(run, EVENT_STEP_ENDED, index, v->error[0] != '\0' ? v->error : NULL, NULL);
}

/* A worker that ended without a result: say how. */
void step_explain_death(struct run *run, size_t index, int wait_status) {
	struct step_run *s = &run->steps[index];
	int sig = WIFSIGNALED(wait_status) ? WTERMSIG(wait_status) : 0;
	s->result.code = ERR_COMMAND;
	if (s->has_timed_out) {
		s->result.code = ERR_TIMEOUT;
		(void)snprintf(s->result.msg, sizeof s->result.msg,
			       "did not end within its timeout of %lld s and was killed",
			       (long long)(step_common_of(run, index)->timeout_ms / 1000));
	} else if (sig == SIGKILL && s->kill_stage == 0) {
		(void)snprintf(s->result.msg, sizeof s->result.msg,
			       "its process was killed from outside (signal 9), perhaps for memory: see dmesg");
	} else if (sig != 0) {
		(void)snprintf(s->result.msg, sizeof s->result.msg, "its process ended by signal %d (%s)", sig,
			       strsignal(sig));
	} else {
		(void)snprintf(s->result.msg, sizeof s->result.msg,
			       "its process ended without a result (exit status %d)", WEXITSTATUS(wait_status));
	}
}

/* A cause that a reboot does not cure would reboot the machine for ever. */
void step_refuse_loop(const struct run *run, struct step_run *s) {
	if (state_reboots(run->options->state, run->plan->hash) < RUN_REBOOTS_MAX) return;
	s->result.code = ERR_LIMIT;
	(void)snprintf(
		s->result.msg, sizeof s->result.msg,
		"the machine was rebooted %d times for this recipe and it is still necessary: %s. It counts anew when "
		"the recipe was ready once, or has changed",
		RUN_REBOOTS_MAX, run->reboot_cause);
}
