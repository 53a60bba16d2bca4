#pragma once
/* What the exec_*.c files share. */
#include <stddef.h>
#include <sys/types.h>

#include "base/exec.h"

/** Where commands are looked up when the environment names no PATH. */
#define EXEC_PATH_DEFAULT "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/** A started child and our ends of its pipes, all non-blocking and close-on-exec; -1 where there is none. */
struct exec_child {
	pid_t pid; /* also its process group */
	int in, out, err;
	int report; /* says what failed before the command was there; end of file when it is */
};

/** What a child tells when it cannot become the command. */
struct exec_report {
	enum exec_stage {
		EXEC_STAGE_SETUP,
		EXEC_STAGE_CHROOT,
		EXEC_STAGE_USER,
		EXEC_STAGE_CWD,
		EXEC_STAGE_EXEC,
		EXEC_STAGE_INTERPRETER
	} stage;
	int errnum;
};

CHECK_RESULT int exec_child_start(const struct exec_spec *spec, struct exec_child *ret_child, struct err *err);

/** Turns a report into an error. */
int exec_child_failed(const struct exec_spec *spec, const struct exec_report *report, struct err *err);

/** The command as one line of text for messages, at most size - 1 bytes. */
void exec_name(const struct exec_spec *spec, char *name, size_t size);

/** Splits one stream into lines. */
struct exec_lines {
	enum exec_stream stream;
	size_t len;
	char data[EXEC_LINE_MAX + 1];
};

/** Takes n bytes of output: complete lines go to spec->on_line and to tail. */
void exec_lines_add(struct exec_lines *lines, const char *data, size_t n, const struct exec_spec *spec,
		    struct buf *tail);

/** Hands out the rest, a line without a newline. */
void exec_lines_end(struct exec_lines *lines, const struct exec_spec *spec, struct buf *tail);

/** Most bytes that tail holds while output comes in. */
#define EXEC_TAIL_ROOM (4 * EXEC_TAIL_MAX)

/** Cuts tail to its last lines within EXEC_TAIL_MAX bytes. */
void exec_tail_trim(struct buf *tail);

/** The kernel's count of processes killed for memory (/proc/vmstat), -1 if it does not say. */
long long exec_oom_kills(void);
