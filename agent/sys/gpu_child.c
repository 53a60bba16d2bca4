#include "sys/gpu_child.h"

#include "base/err.h"
#include "base/str.h"
#include "sys/gpu.h"

static void keep_line(enum exec_stream stream, const char *line, void *arg) {
	struct buf *text = arg;
	buf_adds(text, line);
	buf_addc(text, '\n');
}

int gpu_child_run(const struct machine *m, const struct machine_command *cmd, struct gpu_child *ret_child,
		  struct err *err) {
	AUTO_GPU_CHILD struct gpu_child child = {.text = BUF_INIT(GPU_CHILD_OUTPUT_MAX)};
	AUTO_EXEC_RESULT struct exec_result result = {0};
	struct machine_command quiet = *cmd;
	int64_t left_ms = machine_left_ms(m);
	quiet.may_hang = quiet.is_quiet = true;
	quiet.on_line = keep_line;
	quiet.arg = &child.text;
	int rc = machine_run(m, &quiet, &result, err);
	if (rc == -ERR_NOT_FOUND || rc == -ERR_DENIED || rc == -ERR_IO) { /* IO: what is there is no program */
		child.end = GPU_CHILD_MISSING;
		buf_adds(&child.text, err->msg);
		err_clear(err);
	} else if (rc < 0) {
		return rc;
	} else if (result.has_timed_out) {
		child.end = GPU_CHILD_HUNG;
	}
	child.exit_code = rc < 0 ? -1 : result.exit_code;
	child.limit_ms = cmd->timeout_ms < left_ms ? cmd->timeout_ms : left_ms;
	child.signal = result.signal;
	child.was_left_behind = result.was_left_behind;
	*ret_child = child;
	child.text = (struct buf){0};
	return 0;
}

void gpu_child_clear(struct gpu_child *child) {
	if (child) buf_clear(&child->text);
}

void gpu_child_add_hung(struct gpu_report *r, const struct gpu_child *child, const char *name) {
	const char *last = gpu_child_last_line(child, r->arena);
	gpu_add(r, "gpu-hung", GPU_FAIL, GPU_REMEDY_REBOOT, last[0] ? last : NULL,
		"%s did not answer within %s%s: reboot; if it returns, stop and start the instance, or relaunch it",
		name, str_duration(child->limit_ms, r->arena),
		child->was_left_behind ? " and could not be ended, it hangs in the kernel" : "");
}

const char *gpu_child_evidence(const char *line, size_t n, struct arena *arena) {
	char *text = arena_dup(arena, line, n);
	text = str_trim(text);
	for (char *c = text; *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f) *c = ' ';
	text[str_utf8_prefix(text, GPU_EVIDENCE_MAX)] = '\0';
	return text;
}

const char *gpu_child_last_line(const struct gpu_child *child, struct arena *arena) {
	const char *last = "";
	for (const char *at = buf_str(&child->text); *at;) {
		size_t n = strcspn(at, "\n");
		if (strspn(at, " \t\r") < n) last = at;
		at += at[n] ? n + 1 : n;
	}
	return gpu_child_evidence(last, strcspn(last, "\n"), arena);
}

const char *gpu_child_line_with(const struct gpu_child *child, const char *part, struct arena *arena) {
	const char *text = buf_str(&child->text), *at = strstr(text, part);
	if (!at) return NULL;
	while (at > text && at[-1] != '\n') at--;
	return gpu_child_evidence(at, strcspn(at, "\n"), arena);
}
