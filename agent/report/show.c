#include "report/show.h"

#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/str.h"

/* What goes on for less after the box was ready is not worth a word. */
#define BACKGROUND_MIN_MS 1000

/* Narrower than this nothing can be read: such a terminal wraps. */
#define WIDTH_MIN 20

static bool is_continuation(unsigned char c) { return (c & 0xc0) == 0x80; }

/* The bytes of the escape sequence at s (ECMA-48: CSI, OSC, or ESC and one more byte), the ESC included. */
static size_t escape_length(const char *s) {
	size_t n = 1;
	if (s[1] == '[') {
		for (n = 2; s[n] && !(s[n] >= '@' && s[n] <= '~'); n++) {
		}
		return s[n] ? n + 1 : n;
	}
	if (s[1] == ']') {
		for (n = 2; s[n] && s[n] != '\a' && s[n] != '\033'; n++) {
		}
		return s[n] == '\a' ? n + 1 : s[n] == '\033' && s[n + 1] ? n + 2 : n;
	}
	return s[1] ? 2 : 1;
}

/* Columns of the character that starts at s, and its bytes. Ranges: Unicode's EastAsianWidth.txt, W and F in the large.
 */
static size_t char_columns(const char *s, size_t *ret_bytes) {
	const unsigned char *u = (const unsigned char *)s;
	size_t n = u[0] < 0x80 ? 1 : u[0] >= 0xf0 ? 4 : u[0] >= 0xe0 ? 3 : u[0] >= 0xc0 ? 2 : 1;
	uint32_t c = n == 1 ? u[0] : u[0] & (0x7fu >> n);
	size_t i = 1;
	for (; i < n && is_continuation(u[i]); i++) c = c << 6 | (u[i] & 0x3f);
	*ret_bytes = i;
	if (i < n) return 1; /* not UTF-8: a terminal shows one sign for it */
	if (c >= 0x300 && c <= 0x36f) return 0;
	bool is_wide = (c >= 0x1100 && c <= 0x115f) || (c >= 0x2e80 && c <= 0xa4cf) || (c >= 0xac00 && c <= 0xd7a3) ||
		       (c >= 0xf900 && c <= 0xfaff) || (c >= 0xfe30 && c <= 0xfe6f) || (c >= 0xff00 && c <= 0xff60) ||
		       (c >= 0xffe0 && c <= 0xffe6) || (c >= 0x1f300 && c <= 0x1faff) || (c >= 0x20000 && c <= 0x3fffd);
	return is_wide ? 2 : 1;
}

/* U+202A to U+202E and U+2066 to U+2069 turn the direction of what follows: text that reads as another. */
static bool is_bidi(const char *s) {
	const unsigned char *u = (const unsigned char *)s;
	if (u[0] != 0xe2) return false;
	return (u[1] == 0x80 && u[2] >= 0xaa && u[2] <= 0xae) || (u[1] == 0x81 && u[2] >= 0xa6 && u[2] <= 0xa9);
}

void show_clean(const char *text, struct buf *out) {
	for (const char *s = text; *s;) {
		unsigned char c = (unsigned char)*s;
		if (c == '\033') {
			s += escape_length(s);
			continue;
		}
		if (c == 0xc2 && (unsigned char)s[1] >= 0x80 && (unsigned char)s[1] < 0xa0) { /* C1 controls */
			s += 2;
			continue;
		}
		if (is_bidi(s)) {
			s += 3;
			continue;
		}
		size_t bytes = 1;
		if (c >= 0x80) {
			(void)char_columns(s, &bytes);
			if (!str_is_utf8(s, bytes)) bytes = 0;
		}
		if (c == '\t' || c == '\n' || c == '\r')
			buf_addc(out, ' ');
		else if (bytes == 0) /* a terminal of another encoding would take 0x9b for an escape sequence */
			buf_addc(out, '?');
		else if (c >= 0x20 && c != 0x7f)
			buf_add(out, s, bytes);
		s += bytes ? bytes : 1;
	}
}

size_t show_fit(const char *text, size_t columns) {
	size_t at = 0, used = 0;
	while (text[at]) {
		size_t bytes = 0, wide = char_columns(text + at, &bytes);
		if (used + wide > columns) break;
		used += wide;
		at += bytes;
	}
	return at;
}

size_t show_columns(const char *text) {
	size_t used = 0;
	for (size_t at = 0, bytes = 0; text[at]; at += bytes) used += char_columns(text + at, &bytes);
	return used;
}

char *show_duration(int64_t ms, char text[SHOW_DURATION_SIZE]) {
	AUTO_ARENA struct arena arena = {0};
	if (ms < 0) ms = 0; /* the wall clock was set back */
	if (ms < 1000)
		(void)snprintf(text, SHOW_DURATION_SIZE, "%lld ms", (long long)ms);
	else
		(void)snprintf(text, SHOW_DURATION_SIZE, "%s", str_duration(ms, &arena));
	return text;
}

char *show_seconds(int64_t ms, char text[SHOW_DURATION_SIZE]) {
	AUTO_ARENA struct arena arena = {0};
	(void)snprintf(text, SHOW_DURATION_SIZE, "%s", str_seconds(ms, &arena));
	return text;
}

static bool is_utf8_locale(void) {
	static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		const char *value = getenv(names[i]);
		if (value && *value) return strcasestr(value, "UTF-8") || strcasestr(value, "utf8");
	}
	return false;
}

struct show_style show_style_of(int fd) {
	struct show_style style = {.is_utf8 = is_utf8_locale()};
	const char *name = getenv("TERM");
	if (isatty(fd) != 1) return style;
	struct winsize size = {0};
	(void)ioctl(fd, TIOCGWINSZ, &size); /* stays zero when it cannot tell */
	/* the last column is left free: some terminals wrap there */
	style.width = size.ws_col > WIDTH_MIN ? size.ws_col - 1U : size.ws_col ? WIDTH_MIN : SHOW_WIDTH_FALLBACK;
	style.rows = size.ws_row ? size.ws_row : SHOW_ROWS_FALLBACK;
	style.is_terminal = !str_is_empty(name) && !str_eq(name, "dumb");
	style.has_color = style.is_terminal && str_is_empty(getenv("NO_COLOR"));
	return style;
}

/* The steps of the run in words: "3 changed, 9 in place, 1 skipped". */
static void add_counts(const struct run_view *view, struct buf *out) {
	size_t counts[STEP_SKIPPED + 1] = {0};
	static const struct {
		enum step_status status;
		const char *word;
	} parts[] = {{STEP_CHANGED, "changed"},	       {STEP_OK, "in place"},	  {STEP_FAILED, "failed"},
		     {STEP_WARNED, "optional failed"}, {STEP_SKIPPED, "skipped"}, {STEP_PENDING, "not done"}};
	for (size_t i = 0; i < view->count; i++) counts[view->steps[i].status]++;
	const char *sep = "";
	for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
		if (!counts[parts[i].status]) continue;
		buf_addf(out, "%s%zu %s", sep, counts[parts[i].status], parts[i].word);
		sep = ", ";
	}
}

static const struct step_view *first_with(const struct run_view *view, enum step_status status) {
	for (size_t i = 0; i < view->count; i++)
		if (view->steps[i].status == status) return &view->steps[i];
	return NULL;
}

static void add_failure(const struct run_view *view, bool is_root, struct buf *out) {
	const struct step_view *step = first_with(view, STEP_FAILED);
	if (step) {
		buf_addf(out, "failed: step %zu '%s': ", (size_t)(step - view->steps) + 1, step->name);
		show_clean(step->error, out);
		buf_adds(out, "\n  ");
		add_counts(view, out);
		buf_addc(out, '\n');
		if (step->log_path[0]) buf_addf(out, "  log: %s\n", step->log_path);
	} else {
		buf_adds(out, "failed: ");
		show_clean(view->error, out);
		buf_addc(out, '\n');
	}
	buf_addf(out,
		 "  next: `%sdsagent apply` with the same recipe tries again what failed; what is in place is left "
		 "alone\n",
		 is_root ? "sudo " : "");
}

static void add_warned(const struct run_view *view, struct buf *out) {
	for (size_t i = 0; i < view->count; i++) {
		if (view->steps[i].status != STEP_WARNED) continue;
		buf_addf(out, "  optional step %zu '%s' failed: ", i + 1, view->steps[i].name);
		show_clean(view->steps[i].error, out);
		buf_addc(out, '\n');
		if (view->steps[i].log_path[0]) buf_addf(out, "    log: %s\n", view->steps[i].log_path);
	}
}

static void add_success(const struct run_view *view, struct buf *out) {
	char took[SHOW_DURATION_SIZE];
	int64_t all_ms = view->ended_at_ms - view->started_at_ms,
		ready_ms = view->ready_at_ms ? view->ready_at_ms - view->started_at_ms : all_ms;
	(void)show_duration(ready_ms, took);
	size_t in_place = 0, skipped = 0;
	for (size_t i = 0; i < view->count; i++) {
		in_place += view->steps[i].status == STEP_OK;
		skipped += view->steps[i].status == STEP_SKIPPED;
	}
	if (in_place + skipped == view->count && view->status == RUN_READY) {
		buf_addf(out, "nothing to do: %zu step%s in place", in_place, in_place == 1 ? "" : "s");
		if (skipped) buf_addf(out, ", %zu skipped", skipped);
		buf_addf(out, " (%s)\n", took);
		return;
	}
	buf_addf(out, "%s in %s", view->status == RUN_READY ? "ready" : "ready with warnings", took);
	if (all_ms - ready_ms >= BACKGROUND_MIN_MS)
		buf_addf(out, ", background steps done after %s", show_duration(all_ms, took));
	buf_adds(out, ": ");
	add_counts(view, out);
	buf_addc(out, '\n');
	add_warned(view, out);
}

void show_summary(const struct run_view *view, bool is_root, struct buf *out) {
	switch (view->status) {
	case RUN_RUNNING: break;
	case RUN_READY:
	case RUN_READY_WITH_WARNINGS: add_success(view, out); break;
	case RUN_FAILED: add_failure(view, is_root, out); break;
	case RUN_REBOOTING: buf_adds(out, "rebooting: the run goes on by itself afterwards\n"); break;
	case RUN_INTERRUPTED:
		buf_adds(out, "interrupted: ");
		add_counts(view, out);
		buf_addf(out, "\n  next: `%sdsagent apply` with the same recipe goes on from here\n",
			 is_root ? "sudo " : "");
		break;
	}
}

void show_label(const struct run_view *view, size_t step, struct buf *out) {
	buf_addf(out, "[%zu/%zu] %s: ", step + 1, view->count, view->steps[step].name);
}

bool show_fd_is_journal(int fd) {
	unsigned long long dev = 0, ino = 0;
	struct stat st;
	const char *stream = getenv("JOURNAL_STREAM");
	if (!stream || sscanf(stream, "%llu:%llu", &dev, &ino) != 2 || fstat(fd, &st) != 0) return false;
	return (unsigned long long)st.st_dev == dev && (unsigned long long)st.st_ino == ino;
}
