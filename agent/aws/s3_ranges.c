/*
 * One large object by ranges of one version, several at once, into a file that is its journal's. Reference: Amazon S3
 * API Reference, GetObject (Range, If-Match), HeadObject (x-amz-checksum-mode: a GET of a range names no checksum of
 * the whole); S3 User Guide, "Performance guidelines".
 */
#include <stdio.h>
#include <sys/sysinfo.h>

#include "aws/s3_get_private.h"
#include "aws/s3_journal.h"
#include "aws/s3_writer.h"
#include "base/mem.h"

/** Ranges of one object in flight: enough for the link of any one object, few enough for neighbouring writes. */
#define SLOTS 16
/** Larger files go past the page cache; so do those that would push out half of what is free. */
#define DIRECT_MIN ((int64_t)1024 * 1024 * 1024)

struct slot {
	struct s3_request request;
	struct s3_ranges *ranges;
	size_t index;
	int64_t received; /* within the range */
	uint64_t crc;
	struct s3_piece *piece;
	unsigned writing; /* pieces */
	bool is_busy;	  /* has a range */
	bool is_received; /* all of it */
};

enum next_step { STEP_NONE, STEP_WHOLE, STEP_RESTART };

struct s3_ranges {
	struct s3_getting *g;
	struct s3_op op; /* of the requests: not known to struct s3 */
	struct s3_request head;
	struct s3_window window;
	struct s3_journal journal;
	bool has_journal;
	struct slot slots[SLOTS];
	int64_t counted;	/* in done_bytes */
	struct err err;		/* the first failure; then nothing new is begun */
	enum next_step step;	/* what to do instead of failing */
	struct s3_ranges *next; /* among those to be looked at */
	bool is_listed;
};

/** The loop looks at it when no callback is at work. */
static void look_later(struct s3_ranges *r) {
	struct s3 *s3 = r->g->op.s3;

	if (r->is_listed) return;
	r->is_listed = true;
	r->next = s3->ready;
	s3->ready = r;
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
	for (size_t i = 0; i < SLOTS; i++) {
		s3_drop(&r->slots[i].request);
		if (r->slots[i].piece && s3->writer) s3_writer_give_back(s3->writer, r->slots[i].piece);
	}
	if (r->has_journal) s3_journal_close(&r->journal);
	s3_window_clear(&r->window);
	free(r);
}

static void fail(struct s3_ranges *r, enum next_step step, const struct err *err) {
	if (r->err.code == ERR_NONE) {
		r->err = *err;
		r->step = step;
	}
	look_later(r);
}

static struct slot *slot_of(void *request) { return (struct slot *)request; /* its first member */ }

static int on_prepare(struct s3_request *request, struct arena *arena, struct strs *headers, struct err *err) {
	struct slot *slot = slot_of(request);
	const struct s3_window *w = &slot->ranges->window;
	int64_t offset = s3_window_offset(w, slot->index), first = offset + slot->received;
	int64_t last = offset + s3_window_len(w, slot->index) - 1;

	(void)err;
	s3_add_condition(slot->ranges->g, arena, headers);
	strs_add(headers, arena_printf(arena, "Range: bytes=%lld-%lld", (long long)first, (long long)last));
	return 0;
}

static int on_head(const struct http_response *head, void *arg, struct err *err) {
	struct slot *slot = slot_of(arg);
	struct s3_getting *g = slot->ranges->g;
	struct s3_version version;

	s3_read_version(head, &version);
	if (head->status != 206) {
		(void)err_set(err, ERR_REMOTE, "the server sent the whole object where a range was asked for");
		fail(slot->ranges, STEP_WHOLE, err);
	} else if (!s3_is_same_version(g, head, &version)) {
		(void)err_set(err, ERR_CANCELLED, "the object was replaced meanwhile");
	} else if (version.start != s3_window_offset(&slot->ranges->window, slot->index) + slot->received) {
		(void)err_set(err, ERR_REMOTE, "the server sent another range than it was asked for");
	}
	return -(int)err->code;
}

static void on_written(struct s3_piece *piece) {
	struct slot *slot = piece->arg;

	slot->writing--;
	if (piece->rc)
		fail(slot->ranges, STEP_NONE, &piece->err);
	else
		look_later(slot->ranges);
}

static void write_piece(struct slot *slot) {
	slot->writing++;
	s3_writer_write(slot->ranges->g->op.s3->writer, slot->piece);
	slot->piece = NULL;
}

static struct s3_piece *new_piece(struct slot *slot) {
	struct s3_ranges *r = slot->ranges;
	struct s3_piece *piece = s3_writer_take(r->g->op.s3->writer);

	piece->offset = s3_window_offset(&r->window, slot->index) + slot->received;
	piece->fd = r->journal.file.fd;
	piece->direct_fd = r->journal.direct_fd;
	piece->on_written = on_written;
	piece->arg = slot;
	return piece;
}

static int on_body(const void *data, size_t len, void *arg, struct err *err) {
	struct slot *slot = slot_of(arg);
	struct s3_ranges *r = slot->ranges;
	const char *p = data;

	if (r->err.code != ERR_NONE) return err_set(err, r->err.code, "%s", r->err.msg);
	if ((int64_t)len > s3_window_len(&r->window, slot->index) - slot->received)
		return err_set(err, ERR_REMOTE, "the server sent more than it was asked for");
	if (r->g->check.how == S3_CHECK_CRC) slot->crc = crc_add(r->g->check.kind, slot->crc, data, len);
	r->g->op.s3->stats.done_bytes += (int64_t)len;
	r->counted += (int64_t)len;
	while (len > 0) {
		size_t n;

		if (!slot->piece) slot->piece = new_piece(slot);
		n = S3_PIECE_SIZE - slot->piece->len < len ? S3_PIECE_SIZE - slot->piece->len : len;
		memcpy(slot->piece->data + slot->piece->len, p, n);
		slot->piece->len += n;
		slot->received += (int64_t)n;
		p += n;
		len -= n;
		if (slot->piece->len == S3_PIECE_SIZE) write_piece(slot);
	}
	return 0;
}

static int on_answer(struct s3_request *request, const struct http_response *answer, struct err *err) {
	struct slot *slot = slot_of(request);

	(void)answer;
	if (slot->received == s3_window_len(&slot->ranges->window, slot->index)) return 0;
	(void)err_set(err, ERR_NET, "the answer ended too early");
	err->is_retryable = true;
	return -(int)err->code;
}

static void on_end(struct s3_request *request, struct err *err) {
	struct slot *slot = slot_of(request);
	struct s3_ranges *r = slot->ranges;
	bool has_changed = r->g->has_changed || request->failure.status == 412;

	if (err) {
		r->g->request.failure = request->failure;
		fail(r, has_changed ? STEP_RESTART : STEP_NONE, err);
		return;
	}
	if (slot->piece) write_piece(slot);
	slot->is_received = true;
	look_later(r);
}

static void begin_slot(struct s3_ranges *r, struct slot *slot) {
	size_t index;

	if (!s3_window_begin(&r->window, &index)) return;
	slot->index = index;
	slot->received = 0;
	slot->crc = CRC_INIT;
	slot->is_busy = true;
	slot->is_received = false;
	s3_send(&slot->request);
}

/** Ranges that are on the disk are noted, free slots begin others. */
static void go_on(struct s3_ranges *r) {
	for (size_t i = 0; i < SLOTS; i++) {
		struct slot *slot = &r->slots[i];

		if (slot->is_busy && slot->is_received && slot->writing == 0) {
			s3_window_done(&r->window, slot->index, slot->crc);
			s3_journal_note(&r->journal, &r->window, slot->index);
			slot->is_busy = false;
		}
		if (!slot->is_busy) begin_slot(r, slot);
	}
}

/** Nothing more is asked for or comes; true when nothing is being written either. */
static bool is_quiet(struct s3_ranges *r) {
	bool is_quiet = true;

	for (size_t i = 0; i < SLOTS; i++) {
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
	enum next_step step = r->step;
	bool is_useless = step != STEP_NONE || err.code == ERR_NO_SPACE;
	struct s3_getting *g;

	if (!is_quiet(r)) return;
	if (r->has_journal && is_useless) s3_journal_drop(&r->journal);
	g = dismantle(r);
	if (step == STEP_RESTART && s3_restart(g)) return;
	if (step == STEP_WHOLE) {
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
		fail(r, STEP_RESTART, &err); /* what is on the disk is not the object */
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
	if (s3->writer) s3_writer_collect(s3->writer);
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
		fail(r, STEP_NONE, &err);
	else
		look_later(r);
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
		fail(r, has_changed ? STEP_RESTART : STEP_NONE, err);
}

static void set_up_slot(struct s3_ranges *r, struct slot *slot) {
	slot->ranges = r;
	slot->request = (struct s3_request){
		.op = &r->op,
		.lane = S3_LANE_BULK,
		.method = "GET",
		.key = r->g->spec.key,
		.query = {r->g->request.query[0], r->g->request.query[1]},
		.body_max = SIZE_MAX,
		.on_prepare = on_prepare,
		.on_head = on_head,
		.on_body = on_body,
		.on_answer = on_answer,
		.on_end = on_end,
	};
}

void s3_ranges_begin(struct s3_getting *g) {
	struct s3_ranges *r = mem_zalloc(sizeof *r);

	g->ranges = r;
	r->g = g;
	r->op = (struct s3_op){.s3 = g->op.s3, .owner = r};
	for (size_t i = 0; i < SLOTS; i++) set_up_slot(r, &r->slots[i]);
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
