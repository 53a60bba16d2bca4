#include "report/motd.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/str.h"
#include "report/show.h"

/* A login message is read on any terminal: longer lines are cut. */
#define LINE_COLUMNS 200
#define TEXT_MAX (64 * 1024)

static void add_line(const char *text, size_t len, struct buf *out) {
	AUTO_BUF struct buf line = BUF_INIT(TEXT_MAX), clean = BUF_INIT(TEXT_MAX);
	buf_add(&line, text, len);
	show_clean(buf_str(&line), &clean);
	buf_add(out, buf_str(&clean), show_fit(buf_str(&clean), LINE_COLUMNS));
	buf_addc(out, '\n');
}

/* "JupyterLab: ssh -L …; GPU: ok 1x T4 …": how to get in, and whether it can train. */
static void add_uses(const struct run_view *view, struct buf *out) {
	AUTO_BUF struct buf line = BUF_INIT(TEXT_MAX);
	for (size_t i = 0; i < view->count; i++) {
		const struct step_view *s = &view->steps[i];
		bool is_there = s->status == STEP_OK || s->status == STEP_CHANGED;
		if (str_eq(s->type, "jupyter") && is_there && s->text[0]) buf_addf(&line, "%s: %s; ", s->name, s->text);
	}
	if (view->gpu[0]) buf_addf(&line, "GPU: %s; ", view->gpu);
	if (!line.len) return;
	buf_adds(out, "         ");
	add_line(buf_str(&line), line.len - strlen("; "), out);
}

static void add_running(const struct run_view *view, bool is_kept, struct buf *out) {
	AUTO_BUF struct buf line = BUF_INIT(TEXT_MAX);
	char text[CLOCK_ISO8601_SIZE], progress[512];
	if (is_kept)
		buf_addf(&line, "dsagent: %s began at %s; `dsagent status` says how far it is", view->recipe,
			 clock_iso8601(view->started_at_ms, text));
	else
		buf_addf(&line, "dsagent: %s", run_view_progress(view, progress, sizeof progress));
	add_line(buf_str(&line), line.len, out);
	if (!is_kept) buf_adds(out, "         follow it: dsagent status --follow\n");
}

void motd_text(const struct run_view *view, bool is_kept, bool is_root, struct buf *out) {
	AUTO_BUF struct buf summary = BUF_INIT(TEXT_MAX);
	bool is_at_work = view->status == RUN_RUNNING || view->status == RUN_REBOOTING ||
			  (!view->ended_at_ms && view->status != RUN_INTERRUPTED);
	if (is_at_work) {
		add_running(view, is_kept, out);
		return;
	}
	show_summary(view, is_root, &summary);
	buf_adds(out, "dsagent: ");
	add_line(buf_str(&summary), strcspn(buf_str(&summary), "\n"), out);
	const char *next = strstr(buf_str(&summary), "  next: ");
	if (next) {
		buf_adds(out, "       ");
		add_line(next, strcspn(next, "\n"), out);
	} else {
		add_uses(view, out);
	}
}
