/*
 * One large object by ranges of one version, several at once, into a file that is its journal's. Reference: Amazon S3
 * API Reference, GetObject (Range, If-Match), HeadObject (x-amz-checksum-mode: a GET of a range names no checksum of
 * the whole); S3 User Guide, "Performance guidelines".
 */
#include <stdio.h>
#include <sys/sysinfo.h>

#include "aws/s3_ranges_private.h"
#include "base/mem.h"

/** Larger files go past the page cache; so do those that would push out half of what is free. */
#define DIRECT_MIN ((int64_t)1024 * 1024 * 1024)

/** 10,000 parts of 5 GiB make 49 TiB (S3 User Guide, "Amazon S3 multipart upload limits"): more is a server in error.
 */
#define OBJECT_MAX ((int64_t)1 << 50)

void s3_ranges_look_later(struct s3_ranges *r) {
	struct s3 *s3 = r->g->op.s3;

	if (r->is_listed) return;
	r->is_listed = true;
	r->next = s3->ready;
	s3->ready = r;
}

void s3_ranges_fail(struct s3_ranges *r, enum s3_next_step step, const struct err *err) {
	if (r->err.code == ERR_NONE) {
		r->err = *err;
		r->step = step;
	}
	s3_ranges_look_later(r);
}

void s3_ranges_free(struct s3_ranges *r) {
	struct s3 *s3;

	if (!r) return;
	s3 = r->g->op.s3;
	for (struct s3_ranges **at = &s3->ready; *at; at = &(*at)->next)
		if (*at == r) {
			*at = r->next;
			break;
		}
	s3_drop(&r->head);
	for (size_t i = 0; i < S3_RANGE_SLOTS; i++) {
		s3_drop(&r->slots[i].request);
		if (r->slots[i].piece && s3->writer) s3_writer_give_back(r->slots[i].piece);
	}
	if (r->has_journal) s3_journal_close(&r->journal);
	s3_window_clear(&r->window);
	free(r);
}

/** Ranges that are on the disk are noted, free slots begin others. */
static void go_on(struct s3_ranges *r) {
	for (size_t i = 0; i < S3_RANGE_SLOTS; i++) {
		struct s3_range *slot = &r->slots[i];

		if (slot->is_busy && slot->is_received && slot->writing == 0) {
			s3_window_done(&r->window, slot->index, slot->crc);
			s3_journal_note(&r->journal, &r->window, slot->index);
			slot->is_busy = false;
		}
		if (!slot->is_busy) s3_range_begin(r, slot);
	}
}

/** Nothing more is asked for or comes; true when nothing is being written either. */
static bool is_quiet(struct s3_ranges *r) {
	bool is_quiet = true;

	for (size_t i = 0; i < S3_RANGE_SLOTS; i++) {
		s3_drop(&r->slots[i].request);
		is_quiet = is_quiet && r->slots[i].writing == 0;
	}
	return is_quiet;
}

/** Takes the ranges away from the operation; what it does then is its own. */
static struct s3_getting *dismantle(struct s3_ranges *r) {
	struct s3_getting *g = r->g;

	g->op.s3->stats.done_bytes -= r->counted;
	g->ranges = NULL;
	s3_ranges_free(r);
	return g;
}

static void give_up(struct s3_ranges *r) {
	struct err err = r->err;
	enum s3_next_step step = r->step;
	bool is_useless = step != S3_STEP_NONE || err.code == ERR_NO_SPACE;
	struct s3_getting *g;

	if (!is_quiet(r)) return;
	if (r->has_journal && is_useless) s3_journal_drop(&r->journal);
	g = dismantle(r);
	if (step == S3_STEP_RESTART && s3_restart(g)) return;
	if (step == S3_STEP_WHOLE) {
		g->has_no_ranges = true;
		s3_send(&g->request);
		return;
	}
	s3_got(g, &err);
}

static void complete(struct s3_ranges *r) {
	struct s3_getting *g = r->g;
	struct err err = {0};
	int rc = 0;

	if (g->check.how == S3_CHECK_CRC) {
		s3_check_set_crc(&g->check, s3_window_crc(&r->window, g->check.kind));
		rc = s3_check_end(&g->check, &err);
		g->is_verified = true;
	}
	if (rc) {
		s3_ranges_fail(r, S3_STEP_RESTART, &err); /* what is on the disk is not the object */
		give_up(r);
		return;
	}
	g->file = r->journal.file;
	r->journal.file.is_open = false;
	rc = s3_commit(g, &err);
	s3_journal_end(&r->journal);
	r->counted = 0;
	g = dismantle(r);
	s3_got(g, rc ? &err : NULL);
}

void s3_ranges_look(struct s3 *s3) {
	s3_writer_collect(s3->writer);
	while (s3->ready) {
		struct s3_ranges *r = s3->ready;

		s3->ready = r->next;
		r->is_listed = false;
		if (r->err.code == ERR_NONE) go_on(r);
		if (r->err.code != ERR_NONE)
			give_up(r);
		else if (s3_window_is_complete(&r->window))
			complete(r);
	}
}

static bool wants_direct(int64_t size) {
	struct sysinfo info;

	if (size >= DIRECT_MIN) return true;
	return sysinfo(&info) == 0 && (uint64_t)size > ((uint64_t)info.freeram + info.bufferram) * info.mem_unit / 2;
}

static int open_journal(struct s3_ranges *r, struct err *err) {
	struct s3_getting *g = r->g;
	const struct s3_journal_of of = {
		.key = g->spec.key,
		.etag = g->etag,
		.dir_fd = g->spec.dir_fd,
		.name = g->spec.name,
		.has_crc = g->check.how == S3_CHECK_CRC,
		.kind = g->check.kind,
		.is_direct = wants_direct(g->size),
	};

	if (g->size > OBJECT_MAX)
		return err_set(err, ERR_LIMIT, "it is said to have %lld bytes, more than any object can",
			       (long long)g->size);
	if (!g->op.s3->writer && s3_writer_new(g->op.s3->http, &g->op.s3->writer, err) != 0) return -(int)err->code;
	s3_window_init(&r->window, g->size, s3_range_size(g->size, g->etag));
	if (s3_journal_open(&r->journal, &of, &r->window, err) != 0) return -(int)err->code;
	r->has_journal = true;
	for (size_t i = 0; i < r->window.count; i++)
		if (r->window.marks[i].is_done) r->counted += s3_window_len(&r->window, i);
	g->op.s3->stats.done_bytes += r->counted;
	return 0;
}

/** Size and ETag are known: the file, then the first ranges. */
static void begin(struct s3_ranges *r) {
	struct err err = {0};

	if (open_journal(r, &err) != 0)
		s3_ranges_fail(r, S3_STEP_NONE, &err);
	else
		s3_ranges_look_later(r);
}

static int prepare_head(struct s3_request *request, struct arena *arena, struct strs *headers, struct err *err) {
	struct s3_getting *g = ((struct s3_ranges *)request->op->owner)->g;

	(void)err;
	s3_add_condition(g, arena, headers);
	if (s3_verifies(g)) strs_add(headers, "x-amz-checksum-mode: ENABLED");
	return 0;
}

static int on_head_answer(struct s3_request *request, const struct http_response *answer, struct err *err) {
	struct s3_ranges *r = request->op->owner;
	struct s3_version version;

	s3_read_version(answer, &version);
	if (!s3_is_same_version(r->g, answer, &version))
		return err_set(err, ERR_CANCELLED, "the object was replaced meanwhile");
	if (s3_verifies(r->g)) s3_check_begin(&r->g->check, answer);
	if (r->g->check.how == S3_CHECK_SHA256) s3_check_clear(&r->g->check); /* cannot be made of those of ranges */
	return 0;
}

static void on_head_end(struct s3_request *request, struct err *err) {
	struct s3_ranges *r = request->op->owner;
	bool has_changed = r->g->has_changed || request->failure.status == 412;

	if (!err)
		begin(r);
	else
		s3_ranges_fail(r, has_changed ? S3_STEP_RESTART : S3_STEP_NONE, err);
}

void s3_ranges_begin(struct s3_getting *g) {
	struct s3_ranges *r = mem_zalloc(sizeof *r);

	g->ranges = r;
	r->g = g;
	r->op = (struct s3_op){.s3 = g->op.s3, .owner = r};
	for (size_t i = 0; i < S3_RANGE_SLOTS; i++) s3_range_set_up(r, &r->slots[i]);
	r->head = (struct s3_request){
		.op = &r->op,
		.lane = S3_LANE_CONTROL,
		.method = "HEAD",
		.key = g->spec.key,
		.query = {g->request.query[0], g->request.query[1]},
		.on_prepare = prepare_head,
		.on_answer = on_head_answer,
		.on_end = on_head_end,
	};
	if (s3_verifies(g) || !*g->etag)
		s3_send(&r->head);
	else
		begin(r);
}
