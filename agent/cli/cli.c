#include "cli/cli.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "fmt/diag.h"
#include "fmt/js.h"

/* Longest text printed at once: DIAGS_MAX long lines fit well. */
#define CLI_TEXT_MAX (4 * 1024 * 1024)

int cli_fail(enum exit_code code, const struct err *err) {
	AUTO_BUF struct buf text = BUF_INIT(CLI_TEXT_MAX);
	log_redact(err->msg, &text);
	(void)fprintf(stderr, "dsagent: %s\n", buf_str(&text)); /* no better place to say so is left */
	return code;
}

int cli_diags(struct diags *diags) {
	AUTO_BUF struct buf text = BUF_INIT(CLI_TEXT_MAX), clean = BUF_INIT(CLI_TEXT_MAX);
	diags_sort(diags);
	diags_print(diags, &text);
	log_redact(buf_str(&text), &clean);
	(void)fputs(buf_str(&clean), stderr); /* as above */
	return EXIT_USAGE;
}

int cli_print(const struct buf *out) {
	struct err err = {0};
	if (buf_check(out, "the output", &err)) return cli_fail(EXIT_NO_START, &err);
	errno = 0;
	if (fwrite(out->data ? out->data : "", 1, out->len, stdout) != out->len || fflush(stdout)) {
		if (errno == EPIPE) return EXIT_OK_; /* the reader has seen enough */
		(void)err_set_errno(&err, errno, "cannot write to stdout");
		return cli_fail(EXIT_NO_START, &err);
	}
	return EXIT_OK_;
}

int cli_flush(void) {
	struct err err = {0};
	struct pollfd reader = {.fd = STDOUT_FILENO};
	if (fflush(stdout) == 0 && !ferror(stdout)) return EXIT_OK_;
	/* errno may be another call's by now. poll(2): POLLERR, the reading end of the pipe is closed. */
	if (poll(&reader, 1, 0) == 1 && (reader.revents & (POLLERR | POLLHUP))) return EXIT_OK_;
	(void)err_set(&err, ERR_IO, "cannot write all of it to stdout: is there space left?");
	return cli_fail(EXIT_NO_START, &err);
}

int cli_print_json(const struct js *js) {
	AUTO_BUF struct buf text = BUF_INIT(CLI_TEXT_MAX);
	js_print(js, JS_INDENTED, &text);
	buf_addc(&text, '\n');
	return cli_print(&text);
}
