#include "cli/s3_show.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/str.h"
#include "fmt/js.h"

/* A line: two names of S3_KEY_MAX bytes and an error. */
#define LINE_MAX_BYTES (16 * 1024)
/* Rates are of the last second or so. */
#define RATE_MS 1000

static const char *verb_name(enum s3sync_verb verb) {
	switch (verb) {
	case S3SYNC_DOWNLOAD: return "download";
	case S3SYNC_UPLOAD: return "upload";
	case S3SYNC_DELETE: return "delete";
	case S3SYNC_FOLDER: return "folder";
	case S3SYNC_OWNER: return "owner";
	case S3SYNC_NOTICE: return "notice";
	}
	return "";
}

void s3_show_begin(struct s3_show *show) {
	show->style = show_style_of(STDERR_FILENO);
	show->is_listing = show->is_dry || !show_style_of(STDOUT_FILENO).is_terminal;
	show->is_out_tty = isatty(STDOUT_FILENO);
	show->is_err_tty = isatty(STDERR_FILENO);
	show->began_ms = show->told_ms = clock_mono_ms();
}

static void erase(struct s3_show *show) {
	if (show->is_drawn) (void)fputs("\r\033[K", stderr);
	show->is_drawn = false;
}

/* A line to out, clean where a terminal shows it, secrets hidden. */
static void put_line(struct s3_show *show, FILE *out, const char *text) {
	AUTO_BUF struct buf clean = BUF_INIT(LINE_MAX_BYTES), line = BUF_INIT(LINE_MAX_BYTES);
	if (out == stdout ? show->is_out_tty : show->is_err_tty)
		show_clean(text, &clean);
	else
		buf_adds(&clean, text);
	log_redact(buf_str(&clean), &line);
	if (show->is_drawn) (void)fflush(stdout);
	erase(show);
	(void)fprintf(out, "%s\n", buf_str(&line));
}

static void put_json(struct s3_show *show, const struct js *js) {
	AUTO_BUF struct buf line = BUF_INIT(LINE_MAX_BYTES);
	js_print(js, JS_COMPACT, &line);
	put_line(show, stdout, buf_str(&line));
}

static const char *local_of(const struct s3_show *show, const char *path, struct arena *arena) {
	size_t n = strlen(show->local);
	bool has_slash = n && show->local[n - 1] == '/';
	return path ? arena_printf(arena, "%s%s%s", show->local, has_slash || !*path ? "" : "/", path) : show->local;
}

static const char *url_of(const struct s3_show *show, const char *path, struct arena *arena) {
	return path ? arena_printf(arena, "%s%s", show->url, path) : show->url;
}

/* "download: s3://b/k to ./k", "delete: ./k". */
static const char *line_of(const struct s3_show *show, const struct s3sync_event *e, struct arena *arena) {
	const char *url = url_of(show, e->path, arena), *local = local_of(show, e->path, arena);
	bool is_down = show->way == S3WAY_DOWN;
	const char *name = verb_name(e->verb);
	if (e->verb == S3SYNC_DOWNLOAD || e->verb == S3SYNC_UPLOAD)
		return arena_printf(arena, "%s: %s to %s", name, is_down ? url : local, is_down ? local : url);
	return arena_printf(arena, "%s: %s", name, is_down ? local : url);
}

static void event_json(struct s3_show *show, const struct s3sync_event *e, struct arena *arena) {
	AUTO_JS struct js *js = js_object();
	js_set_str(js, "type", e->verb == S3SYNC_NOTICE ? "notice" : e->err ? "error" : "file");
	if (e->verb != S3SYNC_NOTICE) js_set_str(js, "action", verb_name(e->verb));
	js_set_str(js, "url", url_of(show, e->path, arena));
	js_set_str(js, "path", local_of(show, e->path, arena));
	if (e->size >= 0) js_set_int(js, "size", e->size);
	if (show->is_dry) js_set_bool(js, "dry_run", true);
	if (e->err) js_set_str(js, "error", e->err->msg);
	if (e->err) js_set_str(js, "code", err_code_name(e->err->code));
	put_json(show, js);
}

void s3_show_event(const struct s3sync_event *e, struct s3_show *show) {
	AUTO_ARENA struct arena arena = {0};
	if (show->is_json) {
		event_json(show, e, &arena);
		return;
	}
	if (e->verb == S3SYNC_NOTICE) {
		put_line(show, stderr, arena_printf(&arena, "dsagent: %s", e->err ? e->err->msg : ""));
		return;
	}
	if (e->err && !e->path && e->verb == S3SYNC_DELETE) { /* of the deleting as a whole */
		put_line(show, stderr, arena_printf(&arena, "dsagent: %s", e->err->msg));
		return;
	}
	const char *line = line_of(show, e, &arena);
	if (e->err)
		put_line(show, stderr, arena_printf(&arena, "failed: %s: %s", line, e->err->msg));
	else if (show->is_listing && !show->is_quiet)
		put_line(show, stdout, arena_printf(&arena, "%s%s", show->is_dry ? "(dryrun) " : "", line));
}

static void measure(struct s3_show *show, const struct s3sync_counts *c, int64_t now) {
	int64_t ms = now - show->told_ms;
	if (ms < RATE_MS) return;
	int64_t rate = (c->done_bytes - show->told_bytes) * 1000 / ms;
	if (rate < 0) rate = 0;
	show->bytes_per_s = show->bytes_per_s ? (show->bytes_per_s + rate) / 2 : rate;
	show->told_ms = now;
	show->told_bytes = c->done_bytes;
}

/* "1,204 of 3,000 files, 41 of 63 GB, 480 MB/s, 46 s left"; totals with a '+' while the listing goes on. */
static void live_text(const struct s3_show *show, const struct s3sync_counts *c, struct buf *out) {
	AUTO_ARENA struct arena arena = {0};
	const char *more = c->is_listed ? "" : "+";
	char left[SHOW_DURATION_SIZE];
	int64_t rest = c->planned_bytes - c->done_bytes;
	if (!c->planned) {
		buf_addf(out, "comparing, %" PRId64 " in place", c->kept);
		return;
	}
	buf_addf(out, "%" PRId64 " of %" PRId64 "%s files, %s of %s%s", c->copied, c->planned, more,
		 str_bytes((unsigned long long)(c->done_bytes > 0 ? c->done_bytes : 0), &arena),
		 str_bytes((unsigned long long)c->planned_bytes, &arena), more);
	if (!show->bytes_per_s) return;
	buf_addf(out, ", %s/s", str_bytes((unsigned long long)show->bytes_per_s, &arena));
	if (c->is_listed && rest > 0) buf_addf(out, ", %s left", show_seconds(rest * 1000 / show->bytes_per_s, left));
}

static void progress_json(struct s3_show *show, const struct s3sync_counts *c) {
	AUTO_JS struct js *js = js_object();
	js_set_str(js, "type", "progress");
	js_set_int(js, "files", c->copied);
	js_set_int(js, "files_total", c->planned);
	js_set_int(js, "bytes", c->done_bytes);
	js_set_int(js, "bytes_total", c->planned_bytes);
	js_set_int(js, "bytes_per_s", show->bytes_per_s);
	js_set_bool(js, "listed", c->is_listed);
	put_json(show, js);
}

void s3_show_progress(const struct s3sync_counts *c, struct s3_show *show) {
	AUTO_BUF struct buf text = BUF_INIT(LINE_MAX_BYTES);
	int64_t now = clock_mono_ms(), told = show->told_ms;
	measure(show, c, now);
	(void)fflush(stdout); /* a reader of the pipe sees what has come so far */
	if (show->is_json && show->told_ms != told) progress_json(show, c);
	if (show->is_json || !show->style.is_terminal) return;
	show->style.width = show_style_of(STDERR_FILENO).width;
	live_text(show, c, &text);
	size_t width = show->style.width ? show->style.width - 1 : SHOW_WIDTH_FALLBACK;
	(void)fprintf(stderr, "\r%.*s\033[K", (int)show_fit(buf_str(&text), width), buf_str(&text));
	(void)fflush(stderr);
	show->is_drawn = true;
}

static void end_json(struct s3_show *show, const struct s3sync_counts *c, const struct err *stop, int64_t ms) {
	AUTO_JS struct js *js = js_object();
	js_set_str(js, "type", "summary");
	js_set_bool(js, "dry_run", show->is_dry);
	js_set_int(js, "copied", c->copied);
	js_set_int(js, "copied_bytes", c->copied_bytes);
	js_set_int(js, "in_place", c->kept);
	js_set_int(js, "deleted", c->deleted);
	js_set_int(js, "failed", c->failed);
	js_set_int(js, "requests", c->requests);
	js_set_int(js, "duration_ms", ms);
	js_set_str(js, "error", stop ? stop->msg : NULL);
	put_json(show, js);
}

static void add_count(struct buf *out, int64_t n, const char *what) {
	if (n) buf_addf(out, "%s%" PRId64 " %s", out->len ? ", " : "", n, what);
}

void s3_show_end(struct s3_show *show, const struct s3sync_counts *c, const struct err *stop) {
	AUTO_ARENA struct arena arena = {0};
	AUTO_BUF struct buf text = BUF_INIT(LINE_MAX_BYTES);
	int64_t ms = clock_mono_ms() - show->began_ms;
	char time[SHOW_DURATION_SIZE];
	bool is_down = show->way == S3WAY_DOWN;
	erase(show);
	if (show->is_json) {
		end_json(show, c, stop, ms);
		(void)fflush(stdout);
		return;
	}
	add_count(&text, c->copied,
		  show->is_dry ? (is_down ? "to download" : "to upload")
		  : is_down    ? "downloaded"
			       : "uploaded");
	if (c->copied) buf_addf(&text, " (%s)", str_bytes((unsigned long long)c->copied_bytes, &arena));
	add_count(&text, c->deleted, show->is_dry ? "to delete" : "deleted");
	add_count(&text, c->owned, show->is_dry ? "to get owner and mode" : "given owner and mode");
	add_count(&text, c->kept, "in place");
	add_count(&text, c->failed, "failed");
	if (!text.len && stop) return; /* it ended before it knew what there is to do: the error says why */
	if (!text.len) buf_adds(&text, "nothing to do");
	buf_addf(&text, " in %s", show_duration(ms, time));
	if (c->copied && !show->is_dry && ms > 0)
		buf_addf(&text, ", %s/s", str_bytes((unsigned long long)(c->copied_bytes * 1000 / ms), &arena));
	put_line(show, show->is_quiet ? stderr : stdout, buf_str(&text));
	(void)fflush(stdout);
}
