#include "sys/disk_mounts.h"

#include <sys/sysmacros.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/parse.h"
#include "base/str.h"

/** A box with containers has some hundred mounts of 200 bytes. */
#define MOUNTINFO_MAX (4 * 1024 * 1024)
#define FIELDS_MAX 12

/* Blank-separated fields of one line, "\040" and the like decoded. Returns how many. */
static size_t split(const char *line, size_t len, struct arena *arena, const char *fields[FIELDS_MAX]) {
	size_t n = 0;
	const char *end = line + len;
	while (n < FIELDS_MAX) {
		while (line < end && (*line == ' ' || *line == '\t')) line++;
		if (line == end) break;
		char *out = arena_alloc(arena, (size_t)(end - line) + 1);
		fields[n++] = out;
		for (; line < end && *line != ' ' && *line != '\t'; line++) {
			bool is_octal = *line == '\\' && end - line > 3 && line[1] >= '0' && line[1] <= '3' &&
					line[2] >= '0' && line[2] <= '7' && line[3] >= '0' && line[3] <= '7';
			*out++ = is_octal ? (char)((line[1] - '0') * 64 + (line[2] - '0') * 8 + line[3] - '0') : *line;
			if (is_octal) line += 3;
		}
	}
	return n;
}

static bool parse_number(const char *text, struct arena *arena, dev_t *ret_dev) {
	int64_t major_number, minor_number;
	struct err ignored;
	const char *colon = strchr(text, ':');
	if (!colon ||
	    parse_i64(arena_dup(arena, text, (size_t)(colon - text)), 0, INT32_MAX, &major_number, &ignored) ||
	    parse_i64(colon + 1, 0, INT32_MAX, &minor_number, &ignored))
		return false;
	*ret_dev = makedev((unsigned)major_number, (unsigned)minor_number);
	return true;
}

static void add_mount(struct mounts *mounts, const struct mount *mount, struct arena *arena) {
	mounts->items = arena_grow(arena, mounts->items, mounts->count, &mounts->cap, sizeof *mounts->items);
	mounts->items[mounts->count++] = *mount;
}

/* "36 35 98:0 /root /mount/point rw,noatime …" */
void mounts_parse(const char *text, struct arena *arena, struct mounts *ret_mounts) {
	while (*text) {
		const char *fields[FIELDS_MAX];
		size_t len = strcspn(text, "\n");
		struct mount mount;
		if (split(text, len, arena, fields) >= 5 && parse_number(fields[2], arena, &mount.dev)) {
			mount.path = fields[4];
			add_mount(ret_mounts, &mount, arena);
		}
		text += len + (text[len] == '\n');
	}
}

int mounts_read(struct arena *arena, struct mounts *ret_mounts, struct err *err) {
	AUTO_FS_ROOT struct fs_root host = {.fd = -1};
	AUTO_BUF struct buf text = BUF_INIT(MOUNTINFO_MAX);
	int rc = fs_root_open(NULL, &host, err);
	if (!rc) rc = fs_read(&host, "/proc/self/mountinfo", &text, err);
	if (rc) return rc;
	mounts_parse(buf_str(&text), arena, ret_mounts);
	return 0;
}

const struct mount *mounts_at(const struct mounts *mounts, const char *path) {
	for (size_t i = mounts->count; i > 0; i--)
		if (str_eq(mounts->items[i - 1].path, path)) return &mounts->items[i - 1];
	return NULL;
}

const struct mount *mounts_of(const struct mounts *mounts, dev_t dev) {
	for (size_t i = 0; i < mounts->count; i++)
		if (mounts->items[i].dev == dev) return &mounts->items[i];
	return NULL;
}

/* The entry on a line; false for a comment or a blank one. */
static bool parse_entry(const char *line, size_t len, struct arena *arena, struct fstab_entry *ret_entry) {
	const char *fields[FIELDS_MAX];
	size_t n = split(line, len, arena, fields);
	if (n < 3 || fields[0][0] == '#') return false;
	*ret_entry = (struct fstab_entry){fields[0], fields[1], fields[2], n > 3 ? fields[3] : "defaults"};
	return true;
}

bool fstab_find(const char *text, const char *path, struct arena *arena, struct fstab_entry *ret_entry) {
	bool is_found = false;
	while (*text) {
		size_t len = strcspn(text, "\n");
		struct fstab_entry entry;
		if (parse_entry(text, len, arena, &entry) && str_eq(entry.path, path)) {
			*ret_entry = entry;
			is_found = true;
		}
		text += len + (text[len] == '\n');
	}
	return is_found;
}

bool fstab_has_option(const char *options, const char *word) {
	size_t len = strlen(word);
	for (const char *at = options; *at; at += strcspn(at, ","), at += *at == ',')
		if (strncmp(at, word, len) == 0 && (at[len] == ',' || at[len] == '\0')) return true;
	return false;
}

static void add_field(struct buf *out, const char *text) {
	for (; *text; text++) {
		if (strchr(" \t\n\\", *text))
			buf_addf(out, "\\%03o", (unsigned)(unsigned char)*text);
		else
			buf_addc(out, *text);
	}
}

/* fsck in the second pass, as for every file system but the root's (fstab(5)). */
static void add_entry(struct buf *out, const struct fstab_entry *entry) {
	const char *fields[] = {entry->source, entry->path, entry->type, entry->options};
	for (size_t i = 0; i < 4; i++) {
		add_field(out, fields[i]);
		buf_addc(out, ' ');
	}
	buf_adds(out, "0 2\n");
}

void fstab_set(const char *text, const struct fstab_entry *entry, struct buf *out) {
	AUTO_ARENA struct arena arena = {0};
	bool is_set = false;
	while (*text) {
		size_t len = strcspn(text, "\n");
		struct fstab_entry other;
		if (parse_entry(text, len, &arena, &other) && str_eq(other.path, entry->path)) {
			if (!is_set) add_entry(out, entry);
			is_set = true;
		} else {
			buf_add(out, text, len);
			buf_addc(out, '\n');
		}
		text += len + (text[len] == '\n');
	}
	if (!is_set) add_entry(out, entry);
}
