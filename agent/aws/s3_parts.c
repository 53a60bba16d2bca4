/*
 * The parts of a multipart upload, several at once. References: Amazon S3 API Reference, UploadPart; S3 User Guide,
 * "Amazon S3 multipart upload limits" (5 MiB to 5 GiB each but the last, at most 10,000).
 */
#include "aws/s3_parts.h"

#include "aws/s3_check.h"
#include "base/mem.h"
#include "base/parse.h"

#define MIB ((int64_t)1024 * 1024)
#define READERS 4		/* at once: what a volume has cold comes by latency, and without TLS is hashed */
#define STREAM_GROWS_AFTER 2000 /* parts of one size */
#define STREAM_DOUBLINGS_MAX 6

int64_t s3_part_size(int64_t size) {
	int64_t least = (size + S3_PARTS_MAX - 1) / S3_PARTS_MAX;

	return least <= S3_PART_SIZE ? S3_PART_SIZE : (least + MIB - 1) / MIB * MIB;
}

int64_t s3_stream_part_size(size_t index) {
	size_t doublings = index / STREAM_GROWS_AFTER;

	return S3_PART_SIZE << (doublings < STREAM_DOUBLINGS_MAX ? doublings : STREAM_DOUBLINGS_MAX);
}

bool s3_parts_etag(const struct s3_parts *parts, char etag[S3_ETAG_MAX]) {
	AUTO_FREE unsigned char *all = mem_zalloc(parts->parts.count * MD5_SIZE);
	unsigned char digest[MD5_SIZE];
	struct err ignored;
	char hex[2 * MD5_SIZE + 1];

	for (size_t i = 0; i < parts->parts.count; i++)
		if (parse_hex(parts->parts.items[i].etag, all + i * MD5_SIZE, MD5_SIZE, &ignored) != 0) return false;
	digest_md5(all, parts->parts.count * MD5_SIZE, digest);
	(void)snprintf(etag, S3_ETAG_MAX, "%s-%zu", digest_hex(digest, sizeof digest, hex), parts->parts.count);
	return true;
}

static struct s3_part_slot *slot_of(void *request) { return request; }

static bool is_stream(const struct s3_parts *parts) { return !parts->p->spec.name; }

void s3_parts_free(struct s3_parts *parts) {
	if (!parts) return;
	s3_drop(&parts->control);
	for (size_t i = 0; i < S3_PART_SLOTS; i++) {
		s3_drop(&parts->slots[i].request);
		free(parts->slots[i].data);
	}
	for (size_t i = 0; i < parts->parts.count; i++) free(parts->parts.items[i].etag);
	vec_clear(&parts->parts);
	buf_clear(&parts->body);
	free(parts->listed.etag);
	free(parts->upload_id);
	strs_clear(&parts->stale);
	free(parts);
}

static int on_source(size_t offset, void *data, size_t size, size_t *ret_len, void *arg, struct err *err) {
	struct s3_part_slot *slot = slot_of(arg);

	if (size > S3_READ_SIZE) size = S3_READ_SIZE;
	if (s3_read_at(slot->parts->p, data, size, slot->offset + (int64_t)offset, err) != 0) return -(int)err->code;
	*ret_len = size;
	return 0;
}

static int on_prepare(struct s3_request *r, struct arena *arena, struct strs *headers, struct err *err) {
	struct s3_part_slot *slot = slot_of(r);
	struct s3_putting *p = slot->parts->p;

	(void)err;
	r->body = slot->data;
	r->body_len = (size_t)slot->size;
	r->on_source = slot->data ? NULL : on_source;
	r->payload_hash = s3_payload_hash(&slot->sums);
	s3_add_checksum_header(p, slot->sums.crc, arena, headers);
	return 0;
}

static int on_answer(struct s3_request *r, const struct http_response *answer, struct err *err) {
	struct s3_part_slot *slot = slot_of(r);
	struct s3_part *part = &slot->parts->parts.items[slot->index];
	struct s3_version version;

	s3_read_version(answer, &version);
	if (!*version.etag) return err_set(err, ERR_REMOTE, "the answer to a part has no ETag");
	free(part->etag);
	part->etag = mem_strdup(version.etag);
	part->crc = slot->sums.crc;
	part->has_crc = s3_sends_checksum(slot->parts->p->op.s3);
	return 0;
}

static void on_end(struct s3_request *r, struct err *err) {
	struct s3_part_slot *slot = slot_of(r);
	struct s3_parts *parts = slot->parts;

	slot->is_busy = false;
	if (err) {
		s3_parts_fail(parts, err);
		return;
	}
	parts->done++;
	parts->p->op.s3->stats.done_bytes += parts->parts.items[slot->index].size;
	s3_parts_go(parts);
}

void s3_parts_fail(struct s3_parts *parts, const struct err *err) {
	parts->err = *err;
	parts->has_failed = true;
	for (size_t i = 0; i < S3_PART_SLOTS; i++) s3_drop(&parts->slots[i].request);
	if (parts->reading == 0) s3_upload_abort(parts); /* else once the readers have let go of them */
}

static struct s3_part_slot *slot_of_job(struct s3_job *job) {
	return (struct s3_part_slot *)(void *)((char *)job - offsetof(struct s3_part_slot, reading));
}

/** By a reader: a file is read twice, the second time from memory. */
static int read_part(struct s3_job *job, struct err *err) {
	struct s3_part_slot *slot = slot_of_job(job);

	if (!slot->data) return s3_sums_read(slot->parts->p, slot->offset, slot->size, &slot->sums, err);
	s3_sums_of(&slot->sums, slot->data, (size_t)slot->size);
	return 0;
}

static void on_read(struct s3_job *job) {
	struct s3_part_slot *slot = slot_of_job(job);
	struct s3_parts *parts = slot->parts;

	parts->reading--;
	if (parts->has_failed && parts->reading == 0)
		s3_upload_abort(parts);
	else if (!parts->has_failed && job->rc)
		s3_parts_fail(parts, &job->err);
	else if (!parts->has_failed)
		s3_send(&slot->request);
}

/** As many as requests at most; false when there are none. */
static bool have_readers(struct s3 *s3, struct err *err) {
	unsigned jobs = s3->options.jobs;

	return s3->readers ||
	       s3_worker_new(s3->http, jobs > 0 && jobs < READERS ? jobs : READERS, &s3->readers, err) == 0;
}

/** False when there are no readers. */
static bool send_part(struct s3_parts *parts, struct s3_part_slot *slot, size_t index, int64_t offset,
		      struct err *err) {
	struct s3 *s3 = parts->p->op.s3;

	slot->index = index;
	slot->offset = offset;
	slot->size = parts->parts.items[index].size;
	slot->is_busy = true;
	parts->parts.items[index].is_begun = true;
	(void)snprintf(slot->number, sizeof slot->number, "%zu", index + 1);
	slot->request.query[3] = parts->upload_id;
	s3_sums_begin(s3, &slot->sums);
	if (!slot->sums.wants_hash && !slot->sums.wants_crc) {
		s3_send(&slot->request);
		return true;
	}
	if (!have_readers(s3, err)) return false;
	slot->reading = (struct s3_job){.work = read_part, .on_done = on_read};
	parts->reading++;
	s3_worker_submit(s3->readers, &slot->reading);
	return true;
}

/** The next part of the file that is not there yet; false when all are begun. */
static bool begin_file_part(struct s3_parts *parts, struct s3_part_slot *slot, struct err *err) {
	while (parts->next < parts->parts.count && parts->parts.items[parts->next].is_begun) parts->next++;
	if (parts->next == parts->parts.count) return false;
	return send_part(parts, slot, parts->next, (int64_t)parts->next * parts->part_size, err);
}

/** Reads the next part of the stream, unless it is the first, which was read already; false at its end. */
static bool begin_stream_part(struct s3_parts *parts, struct s3_part_slot *slot, struct err *err) {
	size_t size = (size_t)s3_stream_part_size(parts->parts.count), len = 0;
	bool is_first = parts->parts.count == 0;

	if (parts->has_all) return false;
	if (parts->parts.count == S3_PARTS_MAX) {
		(void)err_set(err, ERR_LIMIT, "the stream is longer than %d parts hold", S3_PARTS_MAX);
		return false;
	}
	free(slot->data);
	slot->data = is_first ? parts->p->body : mem_resize(NULL, size, 1);
	if (is_first) parts->p->body = NULL;
	if (is_first)
		len = size;
	else if (s3_read_stream(parts->p, slot->data, size, &len, err) != 0)
		return false;
	parts->has_all = len < size;
	if (len == 0) return false;
	vec_push(&parts->parts, ((struct s3_part){.size = (int64_t)len}));
	if (!is_first) parts->p->size += (int64_t)len;
	return send_part(parts, slot, parts->parts.count - 1, 0, err);
}

void s3_parts_go(struct s3_parts *parts) {
	size_t slots = is_stream(parts) ? S3_STREAM_SLOTS : S3_PART_SLOTS;
	struct err err = {0};

	for (size_t i = 0; i < slots; i++) {
		struct s3_part_slot *slot = &parts->slots[i];

		if (slot->is_busy) continue;
		if (!(is_stream(parts) ? begin_stream_part(parts, slot, &err) : begin_file_part(parts, slot, &err)))
			break;
	}
	if (err.code == ERR_NONE && parts->done == parts->parts.count && (!is_stream(parts) || parts->has_all)) {
		if (s3_check_unchanged(parts->p, &err) == 0) s3_upload_complete(parts);
	}
	if (err.code != ERR_NONE) s3_parts_fail(parts, &err);
}

static void set_up_slot(struct s3_parts *parts, struct s3_part_slot *slot) {
	slot->parts = parts;
	slot->request = (struct s3_request){
		.op = &parts->op,
		.lane = S3_LANE_BULK,
		.method = "PUT",
		.key = parts->p->spec.key,
		.query = {"partNumber", slot->number, "uploadId"},
		.body_max = HTTP_ERROR_BODY_MAX,
		.on_prepare = on_prepare,
		.on_answer = on_answer,
		.on_end = on_end,
	};
}

void s3_parts_begin(struct s3_putting *p) {
	struct s3_parts *parts = mem_zalloc(sizeof *parts);
	int64_t left = is_stream(&(struct s3_parts){.p = p}) ? 0 : p->size;

	p->parts = parts;
	parts->p = p;
	parts->op = (struct s3_op){.s3 = p->op.s3, .owner = parts};
	parts->part_size = s3_part_size(p->size);
	for (; left > 0; left -= parts->part_size)
		vec_push(&parts->parts, ((struct s3_part){.size = left < parts->part_size ? left : parts->part_size}));
	for (size_t i = 0; i < S3_PART_SLOTS; i++) set_up_slot(parts, &parts->slots[i]);
	s3_upload_open(parts);
}
