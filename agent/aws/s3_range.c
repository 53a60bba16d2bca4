/*
 * One range of a large object: asked for, received into pieces, written. Reference: Amazon S3 API Reference, GetObject
 * (Range, If-Match).
 */
#include "aws/s3_ranges_private.h"

static struct s3_range *slot_of(void *request) { return (struct s3_range *)request; /* its first member */ }

static int on_prepare(struct s3_request *request, struct arena *arena, struct strs *headers, struct err *err) {
	struct s3_range *slot = slot_of(request);
	const struct s3_window *w = &slot->ranges->window;
	int64_t offset = s3_window_offset(w, slot->index), first = offset + slot->received;
	int64_t last = offset + s3_window_len(w, slot->index) - 1;

	(void)err;
	s3_add_condition(slot->ranges->g, arena, headers);
	strs_add(headers, arena_printf(arena, "Range: bytes=%lld-%lld", (long long)first, (long long)last));
	return 0;
}

static int on_head(const struct http_response *head, void *arg, struct err *err) {
	struct s3_range *slot = slot_of(arg);
	struct s3_getting *g = slot->ranges->g;
	struct s3_version version;

	s3_read_version(head, &version);
	if (head->status != 206) {
		(void)err_set(err, ERR_REMOTE, "the server sent the whole object where a range was asked for");
		s3_ranges_fail(slot->ranges, S3_STEP_WHOLE, err);
	} else if (!s3_is_same_version(g, head, &version)) {
		(void)err_set(err, ERR_CANCELLED, "the object was replaced meanwhile");
	} else if (version.start != s3_window_offset(&slot->ranges->window, slot->index) + slot->received) {
		(void)err_set(err, ERR_REMOTE, "the server sent another range than it was asked for");
	}
	return -(int)err->code;
}

static void on_written(struct s3_piece *piece) {
	struct s3_range *slot = piece->arg;

	slot->writing--;
	if (piece->job.rc)
		s3_ranges_fail(slot->ranges, S3_STEP_NONE, &piece->job.err);
	else
		s3_ranges_look_later(slot->ranges);
}

static void write_piece(struct s3_range *slot) {
	slot->writing++;
	s3_writer_write(slot->piece);
	slot->piece = NULL;
}

static struct s3_piece *new_piece(struct s3_range *slot) {
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
	struct s3_range *slot = slot_of(arg);
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
	struct s3_range *slot = slot_of(request);

	(void)answer;
	if (slot->received == s3_window_len(&slot->ranges->window, slot->index)) return 0;
	(void)err_set(err, ERR_NET, "the answer ended too early");
	err->is_retryable = true;
	return -(int)err->code;
}

static void on_end(struct s3_request *request, struct err *err) {
	struct s3_range *slot = slot_of(request);
	struct s3_ranges *r = slot->ranges;
	bool has_changed = r->g->has_changed || request->failure.status == 412;

	if (err) {
		r->g->request.failure = request->failure;
		s3_ranges_fail(r, has_changed ? S3_STEP_RESTART : S3_STEP_NONE, err);
		return;
	}
	if (slot->piece) write_piece(slot);
	slot->is_received = true;
	s3_ranges_look_later(r);
}

void s3_range_begin(struct s3_ranges *r, struct s3_range *slot) {
	size_t index;

	if (!s3_window_begin(&r->window, &index)) return;
	slot->index = index;
	slot->received = 0;
	slot->crc = CRC_INIT;
	slot->is_busy = true;
	slot->is_received = false;
	s3_send(&slot->request);
}

void s3_range_set_up(struct s3_ranges *r, struct s3_range *slot) {
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
