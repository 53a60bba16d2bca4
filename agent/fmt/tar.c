#include "fmt/tar.h"

#include "base/buf.h"
#include "base/err.h"

#define BLOCK 512
/* Size in octal digits of 11 places: 8 GB. */
#define SIZE_MAX_BYTES ((size_t)8 * 1024 * 1024 * 1024 - 1)

/* IEEE Std 1003.1, "ustar Interchange Format". */
struct header {
	char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type, link[100], magic[6],
		version[2], user[32], group[32], major[8], minor[8], prefix[155], pad[12];
};

/* Octal digits and a NUL at the end. */
static void put(char *field, size_t size, uint64_t value) {
	field[size - 1] = '\0';
	for (size_t i = size - 1; i-- > 0; value /= 8) field[i] = (char)('0' + value % 8);
}

static void add_checksum(struct header *h) {
	unsigned sum = 0;
	memset(h->checksum, ' ', sizeof h->checksum);
	for (size_t i = 0; i < sizeof *h; i++) sum += ((const unsigned char *)h)[i];
	put(h->checksum, sizeof h->checksum - 1, sum); /* and the space stays */
}

static void pad(struct buf *out) {
	static const char zeros[BLOCK];
	if (out->len % BLOCK) buf_add(out, zeros, BLOCK - out->len % BLOCK);
}

int tar_add(const char *name, const void *data, size_t len, mode_t mode, int64_t mtime_s, struct buf *out,
	    struct err *err) {
	struct header h = {.type = '0', .magic = "ustar", .version = {'0', '0'}};
	size_t name_len = strlen(name);
	if (name_len == 0 || name_len > TAR_NAME_MAX)
		return err_set(err, ERR_INVALID, "'%.120s' cannot be a name in a tar archive", name);
	if (len > SIZE_MAX_BYTES) return err_set(err, ERR_LIMIT, "%s is too large for a tar archive", name);
	_Static_assert(sizeof h == BLOCK, "a header is one block");
	memcpy(h.name, name, name_len); /* all of its 100 bytes may be used: no NUL then */
	put(h.mode, sizeof h.mode, mode & 07777);
	put(h.uid, sizeof h.uid, 0);
	put(h.gid, sizeof h.gid, 0);
	put(h.size, sizeof h.size, len);
	put(h.mtime, sizeof h.mtime, mtime_s > 0 ? (uint64_t)mtime_s : 0);
	add_checksum(&h);
	buf_add(out, &h, sizeof h);
	buf_add(out, data, len);
	pad(out);
	return 0;
}

void tar_end(struct buf *out) {
	static const char zeros[2 * BLOCK];
	buf_add(out, zeros, sizeof zeros);
}
