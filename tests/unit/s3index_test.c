#include "fs_fixture.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "aws/s3index.h"
#include "aws/s3index_record.h"

#define OWNER "aws\nbucket\np/\n/data"
#define MD5 "0123456789abcdef0123456789abcdef"

static int open_dir(const struct fixture *f) {
	struct err err;
	int fd = -1;
	assert_int_equal(fs_open(&f->root, "/", O_RDONLY | O_DIRECTORY, 0, &fd, &err), 0);
	return fd;
}

static struct s3index_writer *writer_of(int dir) {
	struct s3index_writer *w = NULL;
	struct err err;
	if (s3index_write(dir, "x.index", OWNER, &w, &err)) fail_msg("%s", err.msg);
	return w;
}

static void commit(struct s3index_writer *w) {
	struct err err;
	if (s3index_commit(w, &err)) fail_msg("%s", err.msg);
}

static struct s3index *index_of(int dir) {
	struct s3index *index = NULL;
	struct err err;
	if (s3index_open(dir, "x.index", OWNER, &index, &err)) fail_msg("%s", err.msg);
	return index;
}

/* Everything that an entry may hold comes back as it was. */
static void keeps_entries(void **state) {
	static const struct s3index_entry entries[] = {
		{"a", 0, 0, 0, ""},
		{"a/b", 5, 1700000000123000000, 1700000000123, MD5},
		{"a/bc", 1LL << 50, -1, 1, MD5 "-10000"},
		{"a/bcd", 1, INT64_MAX, INT64_MAX / 1000000, MD5 "-0001"},
		{"b", 1, INT64_MIN, INT64_MIN, "0123456789ABCDEF0123456789abcdef"},
		{"b\xff", 1, 1, 1, "any-\xc3\xa9"},
		{"c", 1, 1, 1, MD5 "x"},
	};
	struct fixture *f = *state;
	int dir AUTO_CLOSE = open_dir(f);
	struct s3index_writer *w = writer_of(dir);
	size_t count = sizeof entries / sizeof *entries;
	for (size_t i = 0; i < count; i++) s3index_keep(w, &entries[i]);
	commit(w);
	struct s3index *index = index_of(dir);
	assert_int_equal(s3index_count(index), count);
	for (size_t i = 0; i <= count; i++) {
		struct s3index_entry e;
		struct err err;
		bool has = false;
		assert_int_equal(s3index_next(index, &e, &has, &err), 0);
		assert_int_equal(has, i < count);
		if (!has) break;
		assert_string_equal(e.path, entries[i].path);
		assert_string_equal(e.etag, entries[i].etag);
		assert_int_equal(e.size, entries[i].size);
		assert_int_equal(e.mtime_ns, entries[i].mtime_ns);
		assert_int_equal(e.modified_at_ms, entries[i].modified_at_ms);
	}
	s3index_close(index);
}

#define MANY 30000

static void entry_of(unsigned i, char path[32], struct s3index_entry *e) {
	(void)snprintf(path, 32, "d%03u/%08u", i / 100, i);
	*e = (struct s3index_entry){path, (int64_t)i, (int64_t)i * 1000000, (int64_t)i, MD5};
}

/* Kept ones in order, others in any order and in several pieces: one sorted whole, of equal paths the new one. */
static void merges_what_comes_in_any_order(void **state) {
	struct fixture *f = *state;
	int dir AUTO_CLOSE = open_dir(f);
	struct s3index_writer *w = writer_of(dir);
	struct s3index_entry e;
	char path[32];
	for (unsigned i = 0; i < MANY; i += 3) {
		entry_of(i, path, &e);
		s3index_keep(w, &e);
	}
	for (unsigned i = MANY; i-- > 0;) {
		entry_of(i, path, &e);
		if (i == 300) e.size = 77; /* kept too, but changed since */
		if (i % 3 || i == 300) s3index_add(w, &e);
	}
	commit(w);
	struct s3index *index = index_of(dir);
	assert_int_equal(s3index_count(index), MANY);
	for (unsigned i = 0; i < MANY; i++) {
		struct s3index_entry got;
		struct err err;
		bool has = false;
		assert_int_equal(s3index_next(index, &got, &has, &err), 0);
		entry_of(i, path, &e);
		assert_true(has);
		assert_string_equal(got.path, path);
		assert_int_equal(got.size, i == 300 ? 77 : i);
	}
	for (unsigned row = 0; row <= MANY / S3INDEX_STRIDE; row++) {
		char *split AUTO_FREE = s3index_split(index, row);
		entry_of((row + 1) * S3INDEX_STRIDE - 1, path, &e);
		if (row < MANY / S3INDEX_STRIDE)
			assert_string_equal(split, path);
		else
			assert_null(split);
	}
	s3index_close(index);
	AUTO_ARENA struct arena arena = {0};
	assert_string_equal(names_in(&f->root, "/", &arena), "x.index"); /* no temporary file is left */
}

/* Whatever byte of it changes, wherever it is cut: it is no index, and nothing else happens. */
static void notices_damage(void **state) {
	struct fixture *f = *state;
	int dir AUTO_CLOSE = open_dir(f);
	struct s3index_writer *w = writer_of(dir);
	struct buf b AUTO_BUF = BUF_INIT(1 << 20);
	struct s3index_entry e;
	struct s3index *index = NULL;
	struct err err;
	char path[32];
	for (unsigned i = 0; i < 10; i++) {
		entry_of(i, path, &e);
		s3index_keep(w, &e);
	}
	commit(w);
	assert_int_equal(s3index_open(dir, "absent", OWNER, &index, &err), -ERR_NOT_FOUND);
	assert_int_equal(s3index_open(dir, "x.index", "another", &index, &err), -ERR_STATE);
	assert_string_equal(err.msg, "it belongs to another sync");
	assert_int_equal(fs_read(&f->root, "/x.index", &b, &err), 0);
	for (size_t i = 0; i < b.len; i++) {
		b.data[i] ^= 1;
		assert_int_equal(fs_write(&f->root, "/x.index", b.data, b.len, &plain, &err), 0);
		b.data[i] ^= 1;
		assert_int_equal(s3index_open(dir, "x.index", OWNER, &index, &err), -ERR_STATE);
		assert_int_equal(fs_write(&f->root, "/x.index", b.data, i, &plain, &err), 0);
		assert_int_equal(s3index_open(dir, "x.index", OWNER, &index, &err), -ERR_STATE);
	}
	assert_int_equal(fs_write(&f->root, "/x.index", b.data, b.len, &plain, &err), 0);
	s3index_close(index_of(dir));
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(keeps_entries, setup, teardown),
		cmocka_unit_test_setup_teardown(merges_what_comes_in_any_order, setup, teardown),
		cmocka_unit_test_setup_teardown(notices_damage, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
