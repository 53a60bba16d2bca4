#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fs.h"
#include "base/log.h"
#include "engine/run_internal.h"

/* One chatty step must not fill the disk: past this its log ends with a line that says so. */
#define LOG_BYTES_MAX (64LL * 1024 * 1024)

static void open_log(struct run *run, size_t index) {
	struct step_run *s = &run->steps[index];
	const char *path = run->view.steps[index].log_path;
	struct err err = {0};
	int rc = fs_mkdirs(run->options->root, run->options->log_dir, 0700, (uid_t)-1, (gid_t)-1, &err);
	if (!rc)
		rc = fs_open(run->options->root, path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW, 0600, &s->log_fd,
			     &err);
	if (rc) {
		s->log_fd = -1;
		s->log_bytes = LOG_BYTES_MAX + 1; /* said once, not tried again */
		log_warning("no log for step '%s': %s", run->view.steps[index].id, err.msg);
	}
}

void step_log(struct run *run, size_t index, const char *line) {
	struct step_run *s = &run->steps[index];
	if (s->log_bytes > LOG_BYTES_MAX) return;
	if (s->log_fd < 0) open_log(run, index);
	if (s->log_fd < 0) return;
	struct buf text AUTO_BUF = BUF_INIT(2 * FRAME_TEXT_MAX);
	log_redact(line, &text);
	buf_addc(&text, '\n');
	s->log_bytes += (int64_t)text.len;
	if (s->log_bytes > LOG_BYTES_MAX) {
		buf_reset(&text);
		buf_adds(&text, "(the log ends here: it is longer than 64 MiB)\n");
	}
	ssize_t n = write(s->log_fd, text.data, text.len);
	if (n < 0) s->log_bytes = LOG_BYTES_MAX + 1; /* a full disk: the work will say so itself */
}

void step_log_close(struct run *run, size_t index) {
	struct step_run *s = &run->steps[index];
	if (s->log_fd >= 0) (void)close(s->log_fd); /* a log: nothing depends on its last bytes */
	s->log_fd = -1;
}
