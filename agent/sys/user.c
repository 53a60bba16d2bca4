/*
 * passwd(5) and group(5) as files: a static binary has no name service switch, and a --root tree must answer for
 * itself. Accounts that only a directory service knows are therefore not found.
 */
#include "sys/user.h"

#include "base/arena.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/parse.h"
#include "base/str.h"

/** Largest passwd or group file that is read; 4 MB is some 50,000 accounts. */
#define USER_FILE_MAX (4 * 1024 * 1024)
/** name:password:uid:gid:gecos:home:shell; group files have fewer. */
#define USER_FIELDS_MAX 7
/** The largest id: (uid_t)-1 means "leave" to chown(2). */
#define USER_ID_MAX (UINT32_MAX - 1LL)

struct entry {
	char *fields[USER_FIELDS_MAX];
	int64_t id, gid; /* third and fourth field; gid -1 in a group file */
};

/* Cuts the next line of *text into an entry in place; lines that are none (comments, "+" of NIS) are skipped. */
static bool next_entry(char **text, size_t fields_min, struct entry *ret) {
	struct err ignored;
	while (**text) {
		char *line = *text, *end = line + strcspn(line, "\n");
		*text = *end ? end + 1 : end;
		*end = '\0';
		struct entry e = {.gid = -1};
		size_t count = 0;
		for (char *field = line; field && count < USER_FIELDS_MAX; count++) {
			e.fields[count] = field;
			field = strchr(field, ':');
			if (field) *field++ = '\0';
		}
		if (count < fields_min || !e.fields[0][0]) continue;
		if (parse_i64(e.fields[2], 0, USER_ID_MAX, &e.id, &ignored)) continue;
		if (fields_min > 4 && parse_i64(e.fields[3], 0, USER_ID_MAX, &e.gid, &ignored)) continue;
		*ret = e;
		return true;
	}
	return false;
}

static int read_file(const struct fs_root *root, const char *path, char **ret_text, struct err *err) {
	AUTO_BUF struct buf b = BUF_INIT(USER_FILE_MAX);
	int rc = fs_read(root, path, &b, err);
	if (rc) return rc;
	*ret_text = buf_take(&b);
	return 0;
}

static const char passwd_path[] = "/etc/passwd", group_path[] = "/etc/group";
#define PASSWD_FIELDS 7
#define GROUP_FIELDS 3

static bool is_decimal(const char *s) { return *s && !s[strspn(s, "0123456789")]; }

/* By name; else, if the name is a number, by id. A copy of the file is cut up, *text keeps it alive. */
static bool find(char *text, size_t fields_min, const char *name, struct strs *names, struct entry *ret) {
	struct err ignored;
	struct entry e, by_id = {0};
	int64_t id = -1;
	bool has_id = false;
	if (is_decimal(name) && parse_i64(name, 0, USER_ID_MAX, &id, &ignored)) id = -1;
	while (next_entry(&text, fields_min, &e)) {
		if (str_eq(e.fields[0], name)) {
			*ret = e;
			return true;
		}
		if (e.id == id && !has_id) {
			by_id = e;
			has_id = true;
		}
		strs_add(names, e.fields[0]);
	}
	if (has_id) *ret = by_id;
	return has_id;
}

static int not_found(const char *kind, const char *name, const char *path, const struct strs *names, struct err *err) {
	const char *nearest = *name ? str_nearest(name, names->items, names->count) : NULL;
	if (nearest)
		return err_set(err, ERR_NOT_FOUND, "%s '%s' is not in %s; did you mean '%s'?", kind, name, path,
			       nearest);
	return err_set(err, ERR_NOT_FOUND, "%s '%s' is not in %s", kind, name, path);
}

int user_find(const struct fs_root *root, const char *name, struct arena *arena, struct exec_user *ret_user,
	      struct err *err) {
	AUTO_FREE char *text = NULL;
	AUTO_STRS struct strs names = {0};
	struct entry e;
	int rc = read_file(root, passwd_path, &text, err);
	if (rc) return err_wrap(err, "user '%s'", name);
	if (!find(text, PASSWD_FIELDS, name, &names, &e)) return not_found("user", name, passwd_path, &names, err);
	*ret_user = (struct exec_user){
		.name = arena_strdup(arena, e.fields[0]),
		.home = arena_strdup(arena, e.fields[5][0] ? e.fields[5] : "/"),
		.shell = arena_strdup(arena, e.fields[6][0] ? e.fields[6] : "/bin/sh"), /* passwd(5) */
		.uid = (uid_t)e.id,
		.gid = (gid_t)e.gid,
	};
	return 0;
}

int user_group(const struct fs_root *root, const char *name, gid_t *ret_gid, struct err *err) {
	AUTO_FREE char *text = NULL;
	AUTO_STRS struct strs names = {0};
	struct entry e;
	int64_t gid;
	struct err ignored;
	int rc = read_file(root, group_path, &text, err);
	if (!rc && find(text, GROUP_FIELDS, name, &names, &e)) {
		*ret_gid = (gid_t)e.id;
		return 0;
	}
	/* A number needs no entry, as for chgrp(1). */
	if (is_decimal(name) && !parse_i64(name, 0, USER_ID_MAX, &gid, &ignored)) {
		*ret_gid = (gid_t)gid;
		return 0;
	}
	if (rc) return err_wrap(err, "group '%s'", name);
	return not_found("group", name, group_path, &names, err);
}

static const char *name_of(const struct fs_root *root, const char *path, size_t fields_min, int64_t id,
			   struct arena *arena) {
	AUTO_FREE char *text = NULL;
	struct err ignored;
	struct entry e;
	if (!read_file(root, path, &text, &ignored))
		for (char *rest = text; next_entry(&rest, fields_min, &e);)
			if (e.id == id) return arena_strdup(arena, e.fields[0]);
	return arena_printf(arena, "%lld", (long long)id);
}

const char *user_name(const struct fs_root *root, uid_t uid, struct arena *arena) {
	return name_of(root, passwd_path, PASSWD_FIELDS, (int64_t)uid, arena);
}

const char *user_group_name(const struct fs_root *root, gid_t gid, struct arena *arena) {
	return name_of(root, group_path, GROUP_FIELDS, (int64_t)gid, arena);
}

int user_groups(const struct fs_root *root, const char *name, struct arena *arena, struct strs *ret_groups,
		struct err *err) {
	AUTO_FREE char *text = NULL;
	struct entry e;
	int rc = read_file(root, group_path, &text, err);
	if (rc) return err_wrap(err, "groups of '%s'", name);
	for (char *rest = text; next_entry(&rest, GROUP_FIELDS, &e);) {
		AUTO_STRS struct strs members = {0};
		if (e.fields[3]) str_split(e.fields[3], ",", arena, &members);
		if (strs_has(&members, name)) strs_add_once(ret_groups, arena_strdup(arena, e.fields[0]));
	}
	return 0;
}

int user_has_password(const struct fs_root *root, const char *name, bool *ret_has_password, struct err *err) {
	AUTO_BUF struct buf b = BUF_INIT(USER_FILE_MAX);
	size_t len = strlen(name);
	int rc = fs_read(root, "/etc/shadow", &b, err);
	if (rc && err->code != ERR_NOT_FOUND) return rc;
	*ret_has_password = false;
	for (const char *line = rc ? "" : buf_str(&b); *line; line += strcspn(line, "\n"), line += *line == '\n') {
		if (strncmp(line, name, len) != 0 || line[len] != ':') continue;
		char first = line[len + 1];
		*ret_has_password = first != '!' && first != '*';
	}
	buf_wipe(&b);
	if (rc) err_clear(err);
	return 0;
}
