#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <locale.h>
#include <sys/stat.h>

#include "base/str.h"
#include "io/arc.h"
#include "tree.h"

/* One entry of an archive that a test makes. */
struct member {
	const char *name; /* NULL ends */
	char type;	  /* f, d, l (to), h (hard link to), c (device), p (pipe) */
	const char *text; /* content or target */
	unsigned mode;	  /* 0: 0644 */
};

enum packing { TAR, TAR_GZ, TAR_XZ, TAR_ZST, ZIP };

static void add_member(struct archive *a, const struct member *m) {
	struct archive_entry *e = archive_entry_new();
	static const unsigned types[] = {['f'] = AE_IFREG, ['d'] = AE_IFDIR, ['l'] = AE_IFLNK,
					 ['h'] = AE_IFREG, ['c'] = AE_IFCHR, ['p'] = AE_IFIFO};
	archive_entry_set_pathname_utf8(e, m->name);
	archive_entry_set_filetype(e, types[(unsigned char)m->type]);
	archive_entry_set_perm(e, m->mode ? m->mode : 0644);
	archive_entry_set_mtime(e, 1000000000, 0);
	if (m->type == 'l') archive_entry_set_symlink(e, m->text);
	if (m->type == 'h') archive_entry_set_hardlink(e, m->text);
	if (m->type == 'f') archive_entry_set_size(e, (int64_t)strlen(m->text));
	if (archive_write_header(a, e) != ARCHIVE_OK) fail_msg("%s: %s", m->name, archive_error_string(a));
	if (m->type == 'f') assert_int_equal(archive_write_data(a, m->text, strlen(m->text)), strlen(m->text));
	archive_entry_free(e);
}

static void make(const char *path, enum packing packing, const struct member *members) {
	struct archive *a = archive_write_new();
	setlocale(LC_CTYPE, "C.UTF-8"); /* the writer needs it; the reader must do without */
	if (packing == TAR_GZ) archive_write_add_filter_gzip(a);
	if (packing == TAR_XZ) archive_write_add_filter_xz(a);
	if (packing == TAR_ZST) archive_write_add_filter_zstd(a);
	if (packing == ZIP)
		archive_write_set_format_zip(a);
	else
		archive_write_set_format_pax_restricted(a);
	assert_int_equal(archive_write_open_filename(a, path), ARCHIVE_OK);
	for (; members->name; members++) add_member(a, members);
	assert_int_equal(archive_write_close(a), ARCHIVE_OK);
	archive_write_free(a);
	setlocale(LC_CTYPE, "C");
}

/* "TYPE MODE NAME CONTENT\n" of all below dir, in the order of names. */
static void list(const struct tree *t, const char *dir, struct arena *arena, struct buf *out) {
	AUTO_STRS struct strs names = {0};
	struct err err;
	assert_int_equal(fs_list(&t->root, dir, arena, &names, &err), 0);
	for (size_t i = 0; i < names.count; i++) {
		const char *path = arena_printf(arena, "%s/%s", dir, names.items[i]);
		struct stat st;
		assert_int_equal(fs_lstat(&t->root, path, &st, &err), 0);
		AUTO_FREE char *text = S_ISREG(st.st_mode) ? tree_read(t, path) : NULL;
		char target[256] = "";
		if (S_ISLNK(st.st_mode))
			assert_true(readlink(arena_printf(arena, "%s%s", t->dir, path), target, 255) > 0);
		buf_addf(out, "%s %04o %s%s%s\n",
			 S_ISDIR(st.st_mode)   ? "d"
			 : S_ISLNK(st.st_mode) ? "l"
					       : "f",
			 S_ISLNK(st.st_mode) ? 0 : (unsigned)st.st_mode & 07777, path + strlen("/out/"),
			 text || *target ? " " : "", text ? text : target);
		if (S_ISDIR(st.st_mode)) list(t, path, arena, out);
	}
}

static struct arc_extract opened(const struct tree *t) {
	char path[128];
	(void)snprintf(path, sizeof path, "%s/out", t->dir);
	assert_int_equal(mkdir(path, 0700), 0);
	struct arc_extract x = {.dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC),
				.uid = (uid_t)-1,
				.gid = (gid_t)-1,
				.limits = {ARC_ENTRIES_MAX, 1 << 30, ARC_RATIO_MAX}};
	(void)snprintf(path, sizeof path, "%s/a", t->dir);
	x.archive_fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(x.dir_fd >= 0 && x.archive_fd >= 0);
	return x;
}

static void closed(struct arc_extract *x) {
	close(x->archive_fd);
	close(x->dir_fd);
}

static const struct member good[] = {
	{"pkg", 'd', NULL, 0700},
	{"pkg/bin/tool", 'f', "#!", 04777},
	{"./pkg/lib//\xc3\xbc", 'f', "y", 0},
	{"pkg/bin/l", 'l', "../lib", 0},
	{"top", 'f', "t", 0},
	{NULL, 0, NULL, 0},
};

static const struct {
	const char *name;
	enum packing packing;
	unsigned strip;
	const struct member members[8];
	const char *want; /* the tree, or the error */
} rows[] = {
#define WHOLE                                                                                                          \
	"d 0700 pkg\nd 0755 pkg/bin\nl 0000 pkg/bin/l ../lib\nf 0755 pkg/bin/tool #!\nd 0755 pkg/lib\n"                \
	"f 0644 pkg/lib/\xc3\xbc y\nf 0644 top t\n"
	{"strip leaves short names out",
	 TAR,
	 1,
	 {{"a/b/c", 'f', "1", 0}, {"d", 'f', "2", 0}, {0}},
	 "d 0755 b\nf 0644 b/c 1\n"},
	{"strip of everything",
	 TAR,
	 9,
	 {{"a/b", 'f', "1", 0}, {0}},
	 "it has no entry with more than 9 components (strip)"},
	{"a later entry counts", TAR, 0, {{"a", 'f', "1", 0}, {"a", 'f', "22", 0}, {0}}, "f 0644 a 22\n"},
	{"hard link", TAR, 1, {{"p/a", 'f', "1", 0}, {"p/b", 'h', "p/a", 0}, {0}}, "f 0644 a 1\nf 0644 b 1\n"},
	{"link down and up",
	 TAR,
	 0,
	 {{"a/b/l", 'l', "../../c/d", 0}, {0}},
	 "d 0755 a\nd 0755 a/b\nl 0000 a/b/l ../../c/d\n"},
	{"no entries", TAR, 0, {{0}}, "it has no entries"},
	{"climbing name",
	 TAR,
	 0,
	 {{"ok", 'f', "1", 0}, {"../evil", 'f', "2", 0}, {0}},
	 "entry '../evil' has '..' in its name: nothing of the archive is taken"},
	{"climbing in the middle",
	 ZIP,
	 0,
	 {{"a/../../evil", 'f', "2", 0}, {0}},
	 "entry 'a/../../evil' has '..' in its name: nothing of the archive is taken"},
	{"absolute name",
	 TAR,
	 0,
	 {{"/etc/evil", 'f', "2", 0}, {0}},
	 "entry '/etc/evil' has an absolute name: nothing of the archive is taken"},
	{"link out",
	 TAR,
	 0,
	 {{"a/l", 'l', "../../evil", 0}, {0}},
	 "entry 'a/l' is a link that leads out of the archive: nothing of the archive is taken"},
	{"link out by strip",
	 TAR,
	 1,
	 {{"a/b/l", 'l', "../../evil", 0}, {0}},
	 "entry 'a/b/l' is a link that leads out of the archive: nothing of the archive is taken"},
	{"link out by way of another",
	 TAR,
	 0,
	 {{"a/b/l", 'l', "../..", 0}, {"m", 'l', "a/b/l/../../..", 0}, {0}},
	 "entry 'm' is a link that leads out of the archive: nothing of the archive is taken"},
	{"absolute link",
	 TAR,
	 0,
	 {{"l", 'l', "/etc", 0}, {0}},
	 "entry 'l' is a link to an absolute name: nothing of the archive is taken"},
	{"written through a link",
	 TAR,
	 0,
	 {{"d", 'd', NULL, 0755}, {"l", 'l', "d", 0}, {"l/evil", 'f', "1", 0}, {0}},
	 "entry 'l/evil' would be written through a link or a file: nothing of the archive is taken"},
	{"hard link out",
	 TAR,
	 0,
	 {{"h", 'h', "/etc/passwd", 0}, {0}},
	 "entry 'h' has an absolute name: nothing of the archive is taken"},
	{"hard link up",
	 TAR,
	 0,
	 {{"h", 'h', "../a", 0}, {0}},
	 "entry 'h' has '..' in its name: nothing of the archive is taken"},
	{"hard link to nothing",
	 TAR,
	 0,
	 {{"h", 'h', "a", 0}, {0}},
	 "entry 'h' is a link to what is no file of the archive: nothing of the archive is taken"},
	{"hard link to a link",
	 TAR,
	 0,
	 {{"l", 'l', "x", 0}, {"h", 'h', "l", 0}, {0}},
	 "entry 'h' is a link to what is no file of the archive: nothing of the archive is taken"},
	{"device",
	 TAR,
	 0,
	 {{"dev", 'c', NULL, 0666}, {0}},
	 "entry 'dev' is a device, pipe or socket: nothing of the archive is taken"},
	{"pipe",
	 TAR,
	 0,
	 {{"fifo", 'p', NULL, 0666}, {0}},
	 "entry 'fifo' is a device, pipe or socket: nothing of the archive is taken"},
	{"file for a directory",
	 TAR,
	 0,
	 {{"a/b", 'f', "1", 0}, {"a", 'f', "2", 0}, {0}},
	 "entry 'a' is a file where the archive has a directory: nothing of the archive is taken"},
};

static void unpacks(void **state) {
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		AUTO_ARENA struct arena arena = {0};
		AUTO_BUF struct buf out = BUF_INIT(65536);
		struct tree t;
		struct err err = {0};
		tree_open(&t);
		make(arena_printf(&arena, "%s/a", t.dir), rows[i].packing, rows[i].members);
		struct arc_extract x = opened(&t);
		x.strip = rows[i].strip;
		if (arc_extract(&x, &err) == 0) list(&t, "/out", &arena, &out);
		if (!str_eq(err.code ? err.msg : buf_str(&out), rows[i].want))
			fail_msg("%s: %s", rows[i].name, err.code ? err.msg : buf_str(&out));
		closed(&x);
		tree_close(&t);
	}
}

static void every_packing(void **state) {
	for (enum packing packing = TAR; packing <= ZIP; packing++) {
		AUTO_ARENA struct arena arena = {0};
		AUTO_BUF struct buf out = BUF_INIT(65536);
		struct tree t;
		struct err err = {0};
		tree_open(&t);
		make(arena_printf(&arena, "%s/a", t.dir), packing, good);
		struct arc_extract x = opened(&t);
		if (arc_extract(&x, &err) < 0) fail_msg("%d: %s", packing, err.msg);
		list(&t, "/out", &arena, &out);
		assert_string_equal(buf_str(&out), WHOLE);
		assert_int_equal(x.entries, 5);
		assert_int_equal(x.bytes, 4);
		closed(&x);
		tree_close(&t);
	}
}

/* An archive that is cut anywhere fails, in whatever packing; plain tar has no sum over its content, but has an end. */
static void cut(void **state) {
	for (enum packing packing = TAR_GZ; packing <= ZIP; packing++) {
		AUTO_ARENA struct arena arena = {0};
		struct tree t;
		struct stat st;
		tree_open(&t);
		const char *path = arena_printf(&arena, "%s/a", t.dir);
		make(path, packing, good);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(truncate(path, st.st_size / 2), 0);
		struct arc_extract x = opened(&t);
		struct err err = {0};
		assert_int_equal(arc_extract(&x, &err), -ERR_INVALID);
		assert_true(err.msg[0]);
		closed(&x);
		tree_close(&t);
	}
}

static void nonsense(void **state) {
	struct tree t;
	struct err err = {0};
	tree_open(&t);
	tree_write(&t, "/a", "<html>not found</html>\n", 0644);
	struct arc_extract x = opened(&t);
	assert_int_equal(arc_extract(&x, &err), -ERR_INVALID);
	assert_string_equal(err.msg, "no tar or zip archive that can be read: Unrecognized archive format");
	closed(&x);
	tree_close(&t);
}

/* megabytes of zeros, packed */
static void make_bomb(const char *path, int megabytes) {
	static const char zeros[1024 * 1024];
	struct archive *a = archive_write_new();
	struct archive_entry *e = archive_entry_new();
	archive_write_add_filter_xz(a);
	archive_write_set_format_pax_restricted(a);
	assert_int_equal(archive_write_open_filename(a, path), ARCHIVE_OK);
	archive_entry_set_pathname(e, "zeros");
	archive_entry_set_filetype(e, AE_IFREG);
	archive_entry_set_perm(e, 0644);
	archive_entry_set_size(e, (int64_t)megabytes * 1024 * 1024);
	assert_int_equal(archive_write_header(a, e), ARCHIVE_OK);
	for (int i = 0; i < megabytes; i++) archive_write_data(a, zeros, sizeof zeros);
	archive_entry_free(e);
	archive_write_close(a);
	archive_write_free(a);
}

static void limits(void **state) {
	static const struct {
		struct arc_limits limits;
		const char *want;
	} bombs[] = {
		{{10, 1 << 20, 500}, "it unpacks to more than 1048576 bytes"},
		{{10, 1 << 30, 500},
		 "it grows to more than 500 times its size when unpacked, which no honest archive does"},
		{{0, 1 << 30, 500}, "it has more than 0 entries"},
		{{10, 1 << 30, 100000}, ""},
	};
	struct tree t;
	AUTO_ARENA struct arena arena = {0};
	tree_open(&t);
	make_bomb(arena_printf(&arena, "%s/a", t.dir), 80);
	for (size_t i = 0; i < sizeof bombs / sizeof *bombs; i++) {
		struct err err = {0};
		struct arc_extract x = opened(&t);
		x.limits = bombs[i].limits;
		int rc = arc_extract(&x, &err);
		assert_int_equal(rc, *bombs[i].want ? -ERR_LIMIT : 0);
		assert_string_equal(err.msg, bombs[i].want);
		closed(&x);
		assert_int_equal(fs_remove(&t.root, "/out", true, &err), 0);
	}
	tree_close(&t);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unpacks),  cmocka_unit_test(every_packing), cmocka_unit_test(cut),
		cmocka_unit_test(nonsense), cmocka_unit_test(limits),
	};
	return cmocka_run_group_tests_name("arc", tests, NULL, NULL);
}
