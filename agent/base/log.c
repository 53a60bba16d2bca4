#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"

/* Longest log text; journald itself cuts lines at 48 KiB (journald.conf, LineMax). */
#define LOG_TEXT_MAX (48 * 1024)

/* Longest prefix of a line, so that even a text of nothing but newlines fits. */
#define LOG_PREFIX_MAX 24

static struct {
	char *items[LOG_SECRETS_MAX];
	size_t lens[LOG_SECRETS_MAX];
	size_t count;
	bool is_first[256]; /* bytes that some secret starts with */
} secrets;

/* systemd.exec(5): $JOURNAL_STREAM is "device:inode" of the stream, to be compared with stderr's own. */
static bool is_journal(void) {
	const char *stream = getenv("JOURNAL_STREAM");
	char own[64];
	struct stat st;

	if (!stream || fstat(STDERR_FILENO, &st) < 0) return false;
	(void)snprintf(own, sizeof own, "%llu:%llu", (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
	return strcmp(own, stream) == 0;
}

static const char *level_label(enum log_level level) {
	switch (level) {
	case LOG_LEVEL_ERROR: return "error: ";
	case LOG_LEVEL_WARNING: return "warning: ";
	case LOG_LEVEL_DEBUG: return "debug: ";
	case LOG_LEVEL_NOTICE:
	case LOG_LEVEL_INFO: break;
	}
	return "";
}

static void write_all(const char *data, size_t len) {
	while (len > 0) {
		ssize_t n = write(STDERR_FILENO, data, len);

		if (n < 0 && errno == EINTR) continue;
		if (n <= 0) return; /* nobody is left to tell */
		data += n;
		len -= (size_t)n;
	}
}

/* Adds text to out by lines, each with its prefix; control characters cannot reach a terminal or fake a priority. */
static void add_lines(struct buf *out, enum log_level level, const char *text) {
	bool to_journal = is_journal();

	for (bool has_more = true; has_more;) {
		size_t n = strcspn(text, "\n");

		if (to_journal)
			buf_addf(out, "<%d>", (int)level);
		else
			buf_addf(out, "dsagent: %s", level_label(level));
		for (size_t i = 0; i < n; i++) {
			unsigned char c = (unsigned char)text[i];

			buf_addc(out, (c < 0x20 && c != '\t') || c == 0x7F ? '?' : (char)c);
		}
		buf_addc(out, '\n');
		has_more = text[n] == '\n' && text[n + 1];
		text += n + 1;
	}
}

void log_write(enum log_level level, const char *fmt, ...) {
	int saved = errno;
	struct buf text AUTO_BUF = BUF_INIT(LOG_TEXT_MAX);
	struct buf clean AUTO_BUF = BUF_INIT(LOG_TEXT_MAX);
	struct buf out AUTO_BUF = BUF_INIT(LOG_TEXT_MAX * LOG_PREFIX_MAX);
	va_list args;

	if (level == LOG_LEVEL_DEBUG && !getenv("DSAGENT_DEBUG")) return;
	va_start(args, fmt);
	buf_vaddf(&text, fmt, args);
	va_end(args);
	/* never cut: the start of a secret at the cut would no longer be known as one */
	if (text.has_overflowed) {
		buf_reset(&text);
		buf_adds(&text, "(a message above 48 KiB was left out)");
	}
	log_redact(buf_str(&text), &clean);
	add_lines(&out, level, buf_str(&clean));
	write_all(buf_str(&out), out.len);
	errno = saved;
}

static void add_one(const char *s, size_t len) {
	static const char full[] = "dsagent: too many secrets to hide, ending\n";

	if (len < LOG_SECRET_MIN) return;
	for (size_t i = 0; i < secrets.count; i++)
		if (secrets.lens[i] == len && memcmp(secrets.items[i], s, len) == 0) return;
	if (secrets.count == LOG_SECRETS_MAX) {
		write_all(full, sizeof full - 1);
		_exit(1);
	}
	secrets.items[secrets.count] = mem_dup(s, len);
	secrets.lens[secrets.count++] = len;
	secrets.is_first[(unsigned char)s[0]] = true;
}

void log_secret_add(const char *secret) {
	if (!secret) return;
	add_one(secret, strlen(secret));
	if (!strpbrk(secret, "\r\n")) return;
	for (const char *p = secret; *p;) {
		size_t n = strcspn(p, "\r\n");

		add_one(p, n);
		p += n + (p[n] != '\0');
	}
}

/* Length of the longest secret that text starts with, or 0. */
static size_t secret_at(const char *text) {
	size_t longest = 0;

	if (!secrets.is_first[(unsigned char)*text]) return 0;
	for (size_t i = 0; i < secrets.count; i++)
		if (secrets.lens[i] > longest && strncmp(text, secrets.items[i], secrets.lens[i]) == 0)
			longest = secrets.lens[i];
	return longest;
}

/* Length of the beginning of a secret that text is cut off in, or 0. */
static size_t remnant_at(const char *text) {
	static const char ellipsis[] = "\xe2\x80\xa6";
	size_t longest = 0;

	if (!secrets.is_first[(unsigned char)*text]) return 0;
	for (size_t i = 0; i < secrets.count; i++) {
		size_t n = 0;

		while (n < secrets.lens[i] && text[n] == secrets.items[i][n]) n++;
		if (n == secrets.lens[i] || n < LOG_REMNANT_MIN || n <= longest) continue;
		if (!text[n] || strncmp(text + n, ellipsis, sizeof ellipsis - 1) == 0) longest = n;
	}
	return longest;
}

size_t log_cut(const char *text, size_t len) {
	for (size_t at = 0; at < len; at++) {
		if (!secrets.is_first[(unsigned char)text[at]]) continue;
		for (size_t i = 0; i < secrets.count; i++)
			if (secrets.lens[i] > len - at && memcmp(text + at, secrets.items[i], len - at) == 0) return at;
	}
	return len;
}

void log_redact(const char *text, struct buf *out) {
	size_t plain = secrets.count ? 0 : strnlen(text, out->max - out->len);

	buf_add(out, text, plain); /* nothing to hide in it; what is above the maximum is dropped below */
	text += plain;
	while (*text) {
		size_t covered = secret_at(text);

		if (!covered) covered = remnant_at(text);
		if (!covered) {
			buf_addc(out, *text++);
			continue;
		}
		/* A secret that begins inside another one reaches further: both are hidden as one. */
		for (size_t i = 1; i < covered; i++) {
			size_t n = secret_at(text + i);

			if (i + n > covered) covered = i + n;
		}
		buf_adds(out, "***");
		text += covered;
	}
}

void log_secrets_clear(void) {
	for (size_t i = 0; i < secrets.count; i++) {
		explicit_bzero(secrets.items[i], secrets.lens[i]);
		free(secrets.items[i]);
	}
	memset(&secrets, 0, sizeof secrets);
}
