#include "report/word.h"

#include "base/buf.h"
#include "base/log.h"
#include "base/str.h"
#include "report/show.h"

/* Longest text before it is cut. */
#define TEXT_MAX (8 * 1024)

/* Redacted, on one line, cut at a character boundary. */
static void set_text(char *field, size_t size, const char *text) {
	AUTO_BUF struct buf redacted = BUF_INIT(TEXT_MAX), clean = BUF_INIT(TEXT_MAX);
	log_redact(text, &redacted);
	show_clean(buf_str(&redacted), &clean);
	const char *s = buf_str(&clean);
	size_t n = strlen(s);
	if (n >= size)
		for (n = size - 1; n > 0 && ((unsigned char)s[n] & 0xc0) == 0x80; n--) {
		}
	memcpy(field, s, n);
	field[n] = '\0';
}

void word_fill(const struct run_view *view, struct word *ret_word) {
	char progress[WORD_TEXT_SIZE];
	*ret_word = (struct word){
		.status = view->status,
		.is_ready = view->has_gone_ready && view->status != RUN_FAILED && view->status != RUN_INTERRUPTED,
		.is_final = view->ended_at_ms != 0 || view->status == RUN_REBOOTING,
		.started_at_ms = view->started_at_ms,
		.updated_at_ms = view->updated_at_ms,
		.ready_at_ms = view->ready_at_ms,
		.ended_at_ms = view->ended_at_ms,
		.done = view->done,
		.total = view->total,
		.warnings = view->warnings,
		.percent = view->percent,
	};
	set_text(ret_word->run_id, sizeof ret_word->run_id, view->run_id);
	set_text(ret_word->recipe, sizeof ret_word->recipe, view->recipe);
	set_text(ret_word->version, sizeof ret_word->version, view->version);
	set_text(ret_word->progress, sizeof ret_word->progress, run_view_progress(view, progress, sizeof progress));
	set_text(ret_word->error, sizeof ret_word->error, view->error);
	set_text(ret_word->gpu, sizeof ret_word->gpu, view->gpu);
	set_text(ret_word->bundle, sizeof ret_word->bundle, view->bundle);
}

bool word_differs(const struct word *a, const struct word *b) {
	return a->status != b->status || a->is_ready != b->is_ready || a->is_final != b->is_final ||
	       a->ready_at_ms != b->ready_at_ms || a->warnings != b->warnings || !str_eq(a->progress, b->progress) ||
	       !str_eq(a->error, b->error) || !str_eq(a->recipe, b->recipe) || !str_eq(a->gpu, b->gpu) ||
	       !str_eq(a->bundle, b->bundle);
}

void word_put(struct word_board *board, const struct word *word) {
	unsigned next = atomic_load(&board->version) + 1;
	board->words[next % 2] = *word;
	atomic_store(&board->version, next);
}

bool word_get(const struct word_board *board, struct word *ret_word) {
	unsigned version = atomic_load(&board->version);
	while (version) {
		*ret_word = board->words[version % 2];
		unsigned now = atomic_load(&board->version);
		if (now == version) return true; /* else it may have been overwritten while it was read */
		version = now;
	}
	return false;
}
