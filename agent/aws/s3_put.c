/*
 * One object by one PUT. References: Amazon S3 API Reference, PutObject; "Authenticating Requests" (UNSIGNED-PAYLOAD);
 * S3 User Guide, "Checking object integrity". Checksums go as plain headers: trailers break servers of others.
 */
#include <errno.h>
#include <fcntl.h>

#include "aws/s3_check.h"
#include "aws/s3_parts.h"
#include "base/mem.h"

/** A file that is not larger is read once, hashed and sent from memory. */
#define IN_MEMORY_MAX S3_READ_SIZE

static struct s3_putting *putting_of(void *request) { return (struct s3_putting *)((struct s3_request *)request)->op; }

static void free_putting(struct s3_op *op) {
	struct s3_putting *p = (struct s3_putting *)op;

	s3_parts_free(p->parts);
	s3_drop(&p->request);
	if (p->fd >= 0) (void)close(p->fd); /* only read */
	free(p->body);
	arena_clear(&p->arena);
	free(p);
}

static int open_file(struct s3_putting *p, struct err *err) {
	/* Not blocked by a FIFO that took the file's place. */
	int flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | (p->spec.follows_link ? 0 : O_NOFOLLOW);

	p->fd = openat(p->spec.dir_fd, p->spec.name, flags);
	if (p->fd < 0 && errno == ELOOP && !p->spec.follows_link)
		return err_set(err, ERR_INVALID, "'%s' is a symbolic link, and links are not followed", p->spec.name);
	if (p->fd < 0) return err_set_errno(err, errno, "cannot open '%s'", p->spec.name);
	if (fstat(p->fd, &p->st) != 0) return err_set_errno(err, errno, "cannot look at '%s'", p->spec.name);
	if (!S_ISREG(p->st.st_mode)) return err_set(err, ERR_INVALID, "'%s' is not a regular file", p->spec.name);
	p->size = p->st.st_size;
	p->done.local_mtime_ns = (int64_t)p->st.st_mtim.tv_sec * 1000000000 + p->st.st_mtim.tv_nsec;
	return 0;
}

static int changed(const struct s3_putting *p, struct err *err) {
	return err_set(err, ERR_BUSY, "'%s' changed while it was sent", p->spec.name);
}

int s3_check_unchanged(const struct s3_putting *p, struct err *err) {
	struct stat now;

	if (p->fd < 0) return 0; /* a stream */
	if (fstat(p->fd, &now) != 0) return err_set_errno(err, errno, "cannot look at '%s'", p->spec.name);
	if (now.st_size == p->st.st_size && now.st_mtim.tv_sec == p->st.st_mtim.tv_sec &&
	    now.st_mtim.tv_nsec == p->st.st_mtim.tv_nsec)
		return 0;
	return changed(p, err);
}

int s3_read_at(const struct s3_putting *p, void *data, size_t len, int64_t offset, struct err *err) {
	for (size_t got = 0; got < len;) {
		ssize_t n = pread(p->fd, (char *)data + got, len - got, offset + (int64_t)got);

		if (n < 0 && errno == EINTR) continue;
		if (n < 0) return err_set_errno(err, errno, "cannot read '%s'", p->spec.name);
		if (n == 0) return changed(p, err);
		got += (size_t)n;
	}
	return 0;
}

void s3_sums_begin(const struct s3 *s3, struct s3_sums *sums) {
	*sums = (struct s3_sums){.wants_hash = !s3_is_https(s3), .wants_crc = s3_sends_checksum(s3), .crc = CRC_INIT};
}

void s3_sums_of(struct s3_sums *sums, const void *data, size_t len) {
	if (sums->wants_hash) digest_sha256_hex(data, len, sums->hash);
	if (sums->wants_crc) sums->crc = crc_add(CRC_64NVME, sums->crc, data, len);
}

int s3_sums_read(const struct s3_putting *p, int64_t offset, int64_t len, struct s3_sums *sums, struct err *err) {
	AUTO_FREE char *piece = NULL;
	unsigned char digest[SHA256_SIZE];
	struct digest *running;
	int rc = 0;

	if (!sums->wants_hash && !sums->wants_crc) return 0;
	running = digest_new();
	piece = mem_resize(NULL, S3_READ_SIZE, 1);
	while (len > 0 && rc == 0) {
		size_t n = (uint64_t)len < S3_READ_SIZE ? (size_t)len : S3_READ_SIZE;

		rc = s3_read_at(p, piece, n, offset, err);
		if (rc) break;
		if (sums->wants_hash) digest_add(running, piece, n);
		if (sums->wants_crc) sums->crc = crc_add(CRC_64NVME, sums->crc, piece, n);
		offset += (int64_t)n;
		len -= (int64_t)n;
	}
	digest_end(running, digest);
	digest_hex(digest, sizeof digest, sums->hash);
	return rc;
}

/** Ends the PUT before it is sent. */
static int wants_parts(struct s3_putting *p, struct err *err) {
	p->wants_parts = true;
	return err_set(err, ERR_CANCELLED, "sent in parts instead");
}

int s3_read_stream(struct s3_putting *p, char *data, size_t size, size_t *ret_len, struct err *err) {
	size_t got = 0;

	while (got < size) {
		size_t n = 0;

		if (p->spec.on_read(data + got, size - got, &n, p->spec.arg, err) != 0)
			return err->code == ERR_NONE ? err_set(err, ERR_CANCELLED, "stopped by the sender")
						     : -(int)err->code;
		if (n == 0) break;
		got += n;
	}
	*ret_len = got;
	return 0;
}

/** The whole stream, if one PUT holds it. */
static int read_first(struct s3_putting *p, struct err *err) {
	size_t len = 0;

	p->body = mem_resize(NULL, (size_t)s3_stream_part_size(0), 1);
	if (s3_read_stream(p, p->body, (size_t)s3_stream_part_size(0), &len, err) != 0) return -(int)err->code;
	p->size = (int64_t)len;
	if (p->size == s3_stream_part_size(0)) return wants_parts(p, err);
	s3_sums_of(&p->sums, p->body, len);
	return 0;
}

/** Reads a small file; hashes a larger one, which is read again as it is sent. */
static int read_file(struct s3_putting *p, struct err *err) {
	if (p->fd < 0 && open_file(p, err) != 0) return -(int)err->code;
	if (p->size > S3_PART_SIZE) return wants_parts(p, err);
	if ((uint64_t)p->size > IN_MEMORY_MAX) {
		if (s3_sums_read(p, 0, p->size, &p->sums, err) != 0) return -(int)err->code;
	} else {
		free(p->body);
		p->body = mem_zalloc((size_t)p->size + 1);
		if (s3_read_at(p, p->body, (size_t)p->size, 0, err) != 0) return -(int)err->code;
		s3_sums_of(&p->sums, p->body, (size_t)p->size);
	}
	return 0;
}

const char *s3_payload_hash(const struct s3_sums *sums) { return sums->wants_hash ? sums->hash : "UNSIGNED-PAYLOAD"; }

void s3_add_object_headers(const struct s3_putting *p, struct arena *arena, struct strs *headers) {
	const struct s3_put *spec = &p->spec;
	const char *type =
		spec->content_type ? spec->content_type : s3_content_type(spec->name ? spec->name : spec->key);

	strs_add(headers, arena_printf(arena, "Content-Type: %s", type));
	if (spec->storage_class) strs_add(headers, arena_printf(arena, "x-amz-storage-class: %s", spec->storage_class));
	if (!spec->sse_kms_key) return;
	strs_add(headers, "x-amz-server-side-encryption: aws:kms");
	if (*spec->sse_kms_key)
		strs_add(headers,
			 arena_printf(arena, "x-amz-server-side-encryption-aws-kms-key-id: %s", spec->sse_kms_key));
}

void s3_add_checksum_header(const struct s3_putting *p, uint64_t crc, struct arena *arena, struct strs *headers) {
	char text[S3_CRC_TEXT_SIZE];

	if (!s3_sends_checksum(p->op.s3)) return;
	strs_add(headers, arena_printf(arena, "x-amz-checksum-crc64nvme: %s", s3_crc_text(CRC_64NVME, crc, text)));
}

static int on_source(size_t offset, void *data, size_t size, size_t *ret_len, void *arg, struct err *err) {
	struct s3_putting *p = putting_of(arg);

	if (size > S3_READ_SIZE) size = S3_READ_SIZE;
	if (s3_read_at(p, data, size, (int64_t)offset, err) != 0) return -(int)err->code;
	*ret_len = size;
	return 0;
}

static int on_prepare(struct s3_request *r, struct arena *arena, struct strs *headers, struct err *err) {
	struct s3_putting *p = putting_of(r);

	if (!p->is_read) s3_sums_begin(p->op.s3, &p->sums);
	if (!p->is_read && (p->spec.name ? read_file(p, err) : read_first(p, err)) != 0) return -(int)err->code;
	p->is_read = true;
	r->body = p->body;
	r->body_len = (size_t)p->size;
	r->on_source = p->body ? NULL : on_source;
	r->payload_hash = s3_payload_hash(&p->sums);
	s3_add_object_headers(p, arena, headers);
	s3_add_checksum_header(p, p->sums.crc, arena, headers);
	return 0;
}

void s3_read_done(const struct http_response *answer, struct s3_done *done) {
	struct s3_version version;

	s3_read_version(answer, &version);
	memcpy(done->etag, version.etag, sizeof done->etag);
	done->modified_at_ms = s3_read_date(answer, "Date");
}

static int on_answer(struct s3_request *r, const struct http_response *answer, struct err *err) {
	struct s3_putting *p = putting_of(r);

	s3_read_done(answer, &p->done);
	if (!p->done.etag[0]) {
		(void)err_set(err, ERR_REMOTE, "HTTP %d without an ETag: it was not S3 that answered", answer->status);
		err->is_retryable = true;
		return -(int)err->code;
	}
	return s3_check_unchanged(p, err);
}

void s3_put_ended(struct s3_putting *p, struct err *err) {
	p->done.size = p->size;
	if (err) (void)s3_wrap(p->op.s3, p->spec.key, err);
	if (!err) p->op.s3->stats.done_bytes += p->size;
	p->done.is_verified = !err && s3_sends_checksum(p->op.s3);
	p->spec.on_end(err ? NULL : &p->done, err, p->spec.arg);
	s3_finish(&p->op);
}

static void on_end(struct s3_request *r, struct err *err) {
	struct s3_putting *p = putting_of(r);

	if (p->wants_parts)
		s3_parts_begin(p);
	else
		s3_put_ended(p, err);
}

void s3_put(struct s3 *s3, const struct s3_put *spec) {
	struct s3_putting *p = mem_zalloc(sizeof *p);
	struct arena *arena = &p->arena;

	p->op.free = free_putting;
	p->fd = -1;
	s3_begin(s3, &p->op);
	p->spec = *spec;
	p->spec.key = arena_strdup(arena, spec->key);
	p->spec.name = arena_strdup(arena, spec->name);
	p->spec.content_type = arena_strdup(arena, spec->content_type);
	p->spec.storage_class = arena_strdup(arena, spec->storage_class);
	p->spec.sse_kms_key = arena_strdup(arena, spec->sse_kms_key);
	p->request = (struct s3_request){
		.op = &p->op,
		.lane = S3_LANE_SMALL,
		.method = "PUT",
		.key = p->spec.key,
		.body_max = HTTP_ERROR_BODY_MAX,
		.on_prepare = on_prepare,
		.on_answer = on_answer,
		.on_end = on_end,
	};
	s3_send(&p->request);
}
