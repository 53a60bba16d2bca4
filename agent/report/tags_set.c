#include "aws/ec2.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "report/show.h"
#include "report/tags.h"

/* Longest text before it is cut to a tag's 256 characters. */
#define TEXT_MAX (8 * 1024)

const char *const tag_keys[TAG_COUNT] = {"dsagent:status",     "dsagent:progress", "dsagent:error",   "dsagent:recipe",
					 "dsagent:updated-at", "dsagent:ready-at", "dsagent:version", "dsagent:gpu"};

/* Redacted, on one line, cut to EC2's 256 characters. */
static void set_value(struct tag_set *set, enum tag_name name, const char *text) {
	AUTO_BUF struct buf redacted = BUF_INIT(TEXT_MAX), clean = BUF_INIT(TEXT_MAX);
	log_redact(text, &redacted);
	show_clean(buf_str(&redacted), &clean);
	size_t n = str_utf8_prefix(buf_str(&clean), EC2_TAG_VALUE_MAX);
	if (n >= TAG_VALUE_SIZE) n = TAG_VALUE_SIZE - 1;
	memcpy(set->values[name], buf_str(&clean), n);
	set->values[name][n] = '\0';
}

static void set_time(struct tag_set *set, enum tag_name name, int64_t at_ms) {
	char iso[CLOCK_ISO8601_SIZE];
	set_value(set, name, at_ms ? clock_iso8601(at_ms, iso) : "");
}

void tag_set_fill(const struct run_view *view, struct tag_set *ret_set) {
	char progress[TAG_VALUE_SIZE];
	*ret_set = (struct tag_set){.is_final = view->ended_at_ms != 0 || view->status == RUN_REBOOTING};
	(void)snprintf(ret_set->run_id, sizeof ret_set->run_id, "%s", view->run_id);
	set_value(ret_set, TAG_STATUS, run_status_name(view->status));
	set_value(ret_set, TAG_PROGRESS, run_view_progress(view, progress, sizeof progress));
	/* empty values are sent too: an error or a ready time of an earlier run must not stay */
	set_value(ret_set, TAG_ERROR, view->error);
	set_value(ret_set, TAG_RECIPE, view->recipe);
	set_time(ret_set, TAG_UPDATED_AT, view->updated_at_ms);
	set_time(ret_set, TAG_READY_AT, view->ready_at_ms);
	set_value(ret_set, TAG_VERSION, view->version);
	set_value(ret_set, TAG_GPU, view->gpu);
}

bool tag_set_differs(const struct tag_set *a, const struct tag_set *b) {
	for (size_t i = 0; i < TAG_COUNT; i++)
		if (i != TAG_UPDATED_AT && !str_eq(a->values[i], b->values[i])) return true;
	return a->is_final != b->is_final;
}

void tag_board_put(struct tag_board *board, const struct tag_set *set) {
	unsigned next = atomic_load(&board->version) + 1;
	board->sets[next % 2] = *set;
	atomic_store(&board->version, next);
}

bool tag_board_get(const struct tag_board *board, struct tag_set *ret_set) {
	unsigned version = atomic_load(&board->version);
	while (version) {
		*ret_set = board->sets[version % 2];
		unsigned now = atomic_load(&board->version);
		if (now == version) return true; /* else it may have been overwritten while it was read */
		version = now;
	}
	return false;
}
