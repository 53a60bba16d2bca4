#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "aws/s3.h"
#include "aws/s3decide.h"
#include "aws/s3index.h"
#include "aws/s3sync_private.h"
#include "aws/s3walk.h"

#define MS 1700000000123LL
#define NS (MS * 1000000)
#define MD5 "0123456789abcdef0123456789abcdef"

static const struct s3walk_entry file = {.path = "a", .kind = S3WALK_FILE, .size = 5, .mtime_ns = NS},
				 file_s = {.path = "a", .kind = S3WALK_FILE, .size = 5, .mtime_ns = NS - 123000000},
				 newer = {.path = "a", .kind = S3WALK_FILE, .size = 5, .mtime_ns = NS + 1},
				 older = {.path = "a", .kind = S3WALK_FILE, .size = 5, .mtime_ns = NS - 1},
				 longer = {.path = "a", .kind = S3WALK_FILE, .size = 6, .mtime_ns = NS},
				 linked = {.path = "a", .kind = S3WALK_LINK},
				 fifo = {.path = "a", .kind = S3WALK_SPECIAL},
				 folder = {.path = "a/", .kind = S3WALK_FOLDER};
static const struct s3_object object = {.key = "a", .size = 5, .modified_at_ms = MS, .etag = MD5},
			      parts = {.key = "a", .size = 5, .modified_at_ms = MS, .etag = MD5 "-2"},
			      opaque = {.key = "a", .size = 5, .modified_at_ms = MS, .etag = "xyz"},
			      frozen = {.key = "a", .size = 5, .modified_at_ms = MS, .etag = MD5, .is_archived = true},
			      marker = {.key = "a/", .size = 0, .modified_at_ms = MS, .etag = MD5},
			      full = {.key = "a/", .size = 1, .modified_at_ms = MS, .etag = MD5};
static const struct s3index_entry known = {"a", 5, NS, MS, MD5}, known_newer = {"a", 5, NS + 1, MS, MD5},
				  known_other = {"a", 5, NS, MS, "other"};

static const struct {
	enum s3way way;
	enum s3compare compare;
	const struct s3walk_entry *local;
	const struct s3_object *object;
	const struct s3index_entry *index;
	enum s3action action;
} rows[] = {
	/* down, strict: size, then index or equal times */
	{S3WAY_DOWN, S3COMPARE_STRICT, NULL, &object, NULL, S3DO_COPY},
	{S3WAY_DOWN, S3COMPARE_STRICT, &file, &object, NULL, S3DO_KEEP},
	{S3WAY_DOWN, S3COMPARE_STRICT, &file_s, &object, NULL, S3DO_KEEP}, /* as the AWS CLI sets it */
	{S3WAY_DOWN, S3COMPARE_STRICT, &newer, &object, NULL, S3DO_COPY},
	{S3WAY_DOWN, S3COMPARE_STRICT, &older, &object, NULL, S3DO_COPY}, /* aws-cli #599 */
	{S3WAY_DOWN, S3COMPARE_STRICT, &longer, &object, NULL, S3DO_COPY},
	{S3WAY_DOWN, S3COMPARE_STRICT, &file, &object, &known, S3DO_KEEP},
	{S3WAY_DOWN, S3COMPARE_STRICT, &newer, &object, &known_newer, S3DO_KEEP},
	{S3WAY_DOWN, S3COMPARE_STRICT, &newer, &object, &known, S3DO_COPY},	 /* changed here */
	{S3WAY_DOWN, S3COMPARE_STRICT, &file, &object, &known_other, S3DO_COPY}, /* another content of that time */
	{S3WAY_DOWN, S3COMPARE_STRICT, NULL, &object, &known, S3DO_COPY},
	/* down, other comparisons */
	{S3WAY_DOWN, S3COMPARE_SIZE, &newer, &object, NULL, S3DO_KEEP},
	{S3WAY_DOWN, S3COMPARE_SIZE, &longer, &object, NULL, S3DO_COPY},
	{S3WAY_DOWN, S3COMPARE_CHECKSUM, &newer, &object, NULL, S3DO_CHECK},
	{S3WAY_DOWN, S3COMPARE_CHECKSUM, &file, &parts, NULL, S3DO_CHECK},
	{S3WAY_DOWN, S3COMPARE_CHECKSUM, &file, &opaque, NULL, S3DO_KEEP}, /* that says nothing: time does */
	{S3WAY_DOWN, S3COMPARE_CHECKSUM, &newer, &opaque, NULL, S3DO_COPY},
	{S3WAY_DOWN, S3COMPARE_CHECKSUM, &longer, &object, NULL, S3DO_COPY},
	{S3WAY_DOWN, S3COMPARE_NOTHING, &file, &object, &known, S3DO_COPY},
	/* down, what is no plain pair of files */
	{S3WAY_DOWN, S3COMPARE_STRICT, &file, NULL, &known, S3DO_EXTRA},
	{S3WAY_DOWN, S3COMPARE_STRICT, &linked, NULL, NULL, S3DO_NOTHING},
	{S3WAY_DOWN, S3COMPARE_STRICT, &fifo, NULL, NULL, S3DO_NOTHING},
	{S3WAY_DOWN, S3COMPARE_STRICT, &folder, NULL, NULL, S3DO_NOTHING},
	{S3WAY_DOWN, S3COMPARE_STRICT, NULL, NULL, &known, S3DO_NOTHING},
	{S3WAY_DOWN, S3COMPARE_STRICT, &linked, &object, NULL, S3DO_COPY}, /* the link itself is replaced */
	{S3WAY_DOWN, S3COMPARE_STRICT, &fifo, &object, NULL, S3DO_REFUSE},
	{S3WAY_DOWN, S3COMPARE_STRICT, NULL, &frozen, NULL, S3DO_REFUSE},
	{S3WAY_DOWN, S3COMPARE_STRICT, &file, &frozen, NULL, S3DO_KEEP},
	{S3WAY_DOWN, S3COMPARE_STRICT, &longer, &frozen, NULL, S3DO_REFUSE},
	{S3WAY_DOWN, S3COMPARE_STRICT, NULL, &marker, NULL, S3DO_FOLDER},
	{S3WAY_DOWN, S3COMPARE_STRICT, &folder, &marker, NULL, S3DO_NOTHING},
	{S3WAY_DOWN, S3COMPARE_STRICT, NULL, &full, NULL, S3DO_REFUSE},
	/* up */
	{S3WAY_UP, S3COMPARE_STRICT, &file, NULL, NULL, S3DO_COPY},
	{S3WAY_UP, S3COMPARE_STRICT, &file, &object, NULL, S3DO_KEEP},
	{S3WAY_UP, S3COMPARE_STRICT, &newer, &object, &known_newer, S3DO_KEEP},
	{S3WAY_UP, S3COMPARE_STRICT, &newer, &object, &known, S3DO_CHECK}, /* only touched? */
	{S3WAY_UP, S3COMPARE_STRICT, &older, &object, NULL, S3DO_CHECK},
	{S3WAY_UP, S3COMPARE_STRICT, &newer, &parts, NULL, S3DO_COPY},
	{S3WAY_UP, S3COMPARE_STRICT, &newer, &opaque, NULL, S3DO_COPY},
	{S3WAY_UP, S3COMPARE_STRICT, &longer, &object, &known, S3DO_COPY},
	{S3WAY_UP, S3COMPARE_STRICT, NULL, &object, &known, S3DO_EXTRA},
	{S3WAY_UP, S3COMPARE_STRICT, NULL, &marker, NULL, S3DO_EXTRA},
	{S3WAY_UP, S3COMPARE_STRICT, &folder, &marker, NULL, S3DO_NOTHING},
	{S3WAY_UP, S3COMPARE_STRICT, &folder, NULL, NULL, S3DO_NOTHING},
	{S3WAY_UP, S3COMPARE_STRICT, &fifo, NULL, NULL, S3DO_REFUSE},
	{S3WAY_UP, S3COMPARE_STRICT, &linked, NULL, NULL, S3DO_REFUSE},
	{S3WAY_UP, S3COMPARE_SIZE, &newer, &object, NULL, S3DO_KEEP},
	{S3WAY_UP, S3COMPARE_NOTHING, &file, &object, &known, S3DO_COPY},
};

static void decides(void **state) {
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		const char *why = NULL;
		enum s3action action =
			s3decide(rows[i].way, rows[i].compare, rows[i].local, rows[i].object, rows[i].index, &why);
		if (action != rows[i].action) fail_msg("row %zu: %d, not %d", i, action, rows[i].action);
		assert_int_equal(action == S3DO_REFUSE, why != NULL);
	}
}

static const struct {
	int64_t extras, targets, sources, max;
	const char *said; /* "": delete */
} guards[] = {
	{0, 0, 0, -1, ""},
	{0, 10, 0, 0, ""},
	{1, 1, 1, -1, ""},
	{100, 100, 1, -1, ""},
	{101, 202, 101, -1, ""},
	{101, 201, 100, -1,
	 "nothing was deleted: 101 of 201 files of the destination are not in the source; if that is right, say "
	 "--max-delete 101"},
	{101, 201, 100, 101, ""},
	{102, 201, 100, 101, "nothing was deleted: 102 files are not in the source, more than --max-delete 101"},
	{1, 100, 99, 0, "nothing was deleted: 1 files are not in the source, more than --max-delete 0"},
	{3, 3, 0, 1000,
	 "nothing was deleted: the source is empty, which is more often a mistake than meant; 3 files of the "
	 "destination are not in it"},
};

static void guards_deletions(void **state) {
	for (size_t i = 0; i < sizeof guards / sizeof *guards; i++) {
		struct err err = {0};
		int rc = s3sync_guard(guards[i].extras, guards[i].targets, guards[i].sources, guards[i].max, &err);
		assert_string_equal(err.msg, guards[i].said);
		assert_int_equal(rc, *guards[i].said ? -ERR_DENIED : 0);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {cmocka_unit_test(decides), cmocka_unit_test(guards_deletions)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
