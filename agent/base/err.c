#include "base/err.h"

#include <errno.h>
#include <stdarg.h>

/* Cuts a text that filled its buffer so that no half UTF-8 character remains at its end. */
static void trim_half_char(char *s, size_t len) {
	size_t start = len;
	size_t want = 1;
	unsigned char lead;

	while (start > 0 && len - start < 3 && ((unsigned char)s[start - 1] & 0xC0) == 0x80) start--;
	if (start == 0) return;
	lead = (unsigned char)s[start - 1];
	if (lead >= 0xF0)
		want = 4;
	else if (lead >= 0xE0)
		want = 3;
	else if (lead >= 0xC0)
		want = 2;
	if (len - (start - 1) < want) s[start - 1] = '\0';
}

static void format_msg(char msg[ERR_MSG_MAX], const char *fmt, va_list args) FORMAT(2, 0);

static void format_msg(char msg[ERR_MSG_MAX], const char *fmt, va_list args) {
	int n = vsnprintf(msg, ERR_MSG_MAX, fmt, args);

	if (n < 0)
		msg[0] = '\0';
	else if (n >= ERR_MSG_MAX)
		trim_half_char(msg, ERR_MSG_MAX - 1);
}

/* Writes "head: tail" into err->msg; head and tail must not be err->msg itself. */
static void join_msg(struct err *err, const char *head, const char *tail) {
	int n = snprintf(err->msg, sizeof err->msg, "%s: %s", head, tail);

	if (n >= (int)sizeof err->msg) trim_half_char(err->msg, sizeof err->msg - 1);
}

int err_set(struct err *err, enum err_code code, const char *fmt, ...) {
	char msg[ERR_MSG_MAX]; /* a copy first: an argument may be err->msg */
	va_list args;

	va_start(args, fmt);
	format_msg(msg, fmt, args);
	va_end(args);
	err->code = code;
	err->is_retryable = false;
	memcpy(err->msg, msg, sizeof msg);
	return -(int)code;
}

static enum err_code code_of_errno(int errnum) {
	switch (errnum) {
	case ENOENT:
	case ENOTDIR:
	case ESRCH: return ERR_NOT_FOUND;
	case EACCES:
	case EPERM:
	case EROFS: return ERR_DENIED;
	case EBUSY:
	case EAGAIN:
	case ETXTBSY: return ERR_BUSY;
	case ENAMETOOLONG:
	case EMFILE:
	case ENFILE:
	case EFBIG:
	case E2BIG: return ERR_LIMIT;
	case ETIMEDOUT: return ERR_TIMEOUT;
	case ENOSPC:
	case EDQUOT: return ERR_NO_SPACE;
	case ENOMEM: return ERR_NO_MEMORY;
	case EINVAL:
	case EISDIR:
	case ELOOP: return ERR_INVALID;
	case ENOSYS:
	case EOPNOTSUPP: return ERR_UNSUPPORTED;
	case ECONNREFUSED:
	case ECONNRESET:
	case EHOSTUNREACH:
	case ENETUNREACH: return ERR_NET;
	case ECANCELED: return ERR_CANCELLED;
	default: return ERR_IO;
	}
}

int err_set_errno(struct err *err, int errnum, const char *fmt, ...) {
	char msg[ERR_MSG_MAX];
	va_list args;

	va_start(args, fmt);
	format_msg(msg, fmt, args);
	va_end(args);
	err->code = code_of_errno(errnum);
	err->is_retryable = false;
	join_msg(err, msg, strerror(errnum));
	return -(int)err->code;
}

int err_wrap(struct err *err, const char *fmt, ...) {
	char head[ERR_MSG_MAX];
	char tail[ERR_MSG_MAX];
	va_list args;

	va_start(args, fmt);
	format_msg(head, fmt, args);
	va_end(args);
	memcpy(tail, err->msg, sizeof tail);
	join_msg(err, head, tail);
	return -(int)err->code;
}

void err_clear(struct err *err) {
	err->code = ERR_NONE;
	err->is_retryable = false;
	err->msg[0] = '\0';
}

const char *err_code_name(enum err_code code) {
	switch (code) {
	case ERR_NONE: return "none";
	case ERR_INVALID: return "invalid";
	case ERR_NOT_FOUND: return "not-found";
	case ERR_DENIED: return "denied";
	case ERR_BUSY: return "busy";
	case ERR_LIMIT: return "limit";
	case ERR_TIMEOUT: return "timeout";
	case ERR_IO: return "io";
	case ERR_NO_SPACE: return "no-space";
	case ERR_NO_MEMORY: return "no-memory";
	case ERR_NET: return "net";
	case ERR_REMOTE: return "remote";
	case ERR_COMMAND: return "command";
	case ERR_UNSUPPORTED: return "unsupported";
	case ERR_STATE: return "state";
	case ERR_CANCELLED: return "cancelled";
	}
	return "unknown";
}
