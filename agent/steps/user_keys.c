#include "steps/user_keys.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/exec.h"
#include "base/fs.h"
#include "base/str.h"
#include "sys/as_user.h"

/** The shortest key in use (ssh-ed25519) has 68 characters of base64. */
#define KEY_DATA_MIN 60
/** Of a key's end, as many characters as tell two of them apart. */
#define KEY_TAIL 6

/* sshd(8), AUTHORIZED_KEYS FILE FORMAT; ssh-dss went with OpenSSH 7.0. */
static const char *const types[] = {
	"ssh-ed25519",
	"ssh-rsa",
	"ecdsa-sha2-nistp256",
	"ecdsa-sha2-nistp384",
	"ecdsa-sha2-nistp521",
	"sk-ssh-ed25519@openssh.com",
	"sk-ecdsa-sha2-nistp256@openssh.com",
};

static bool is_type(const char *word, size_t len) {
	for (size_t i = 0; i < sizeof types / sizeof *types; i++)
		if (strlen(types[i]) == len && !strncmp(types[i], word, len)) return true;
	return false;
}

/* Skips the word at s: blanks within double quotes belong to it (options such as command="a b"). */
static const char *word_end(const char *s) {
	bool is_quoted = false;
	for (; *s && (is_quoted || (*s != ' ' && *s != '\t')); s++) {
		if (*s == '\\' && s[1] == '"')
			s++;
		else if (*s == '"')
			is_quoted = !is_quoted;
	}
	return s;
}

/* Type and data of a key line, options skipped; false if it has none. */
static bool find_key(const char *line, const char **ret_type, size_t *ret_type_len, const char **ret_data,
		     size_t *ret_data_len) {
	for (int word = 0; word < 2; word++) {
		const char *end = word_end(line);
		if (is_type(line, (size_t)(end - line))) {
			*ret_type = line;
			*ret_type_len = (size_t)(end - line);
			*ret_data = end + strspn(end, " \t");
			*ret_data_len = strcspn(*ret_data, " \t");
			return true;
		}
		line = end + strspn(end, " \t");
	}
	return false;
}

/* The key's own part, "ssh-rsa AAAA…", in the arena; NULL if the line is no key. */
static const char *core(const char *line, struct arena *arena) {
	const char *type, *data;
	size_t type_len, len;
	if (!find_key(line, &type, &type_len, &data, &len)) return NULL;
	size_t good = strspn(data, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=");
	if (good < len || len < KEY_DATA_MIN || len % 4) return NULL;
	return arena_printf(arena, "%.*s %.*s", (int)type_len, type, (int)len, data);
}

static int refuse(const char *line, struct err *err) {
	if (strstr(line, "PRIVATE KEY"))
		return err_set(err, ERR_INVALID,
			       "that is a private key: it belongs to its owner alone; the public one ends in .pub");
	if (str_starts(line, "ssh-dss"))
		return err_set(err, ERR_INVALID, "ssh-dss keys are not taken by sshd any more: use ssh-ed25519");
	return err_set(err, ERR_INVALID,
		       "'%.20s…' is no public key: a line of the .pub file, such as ssh-ed25519 AAAA… ana@laptop",
		       line);
}

int user_keys_split(const char *text, struct arena *arena, struct strs *ret_keys, struct err *err) {
	AUTO_STRS struct strs lines = {0};
	str_split(text, "\r\n", arena, &lines);
	for (size_t i = 0; i < lines.count; i++) {
		char *line = str_trim(arena_strdup(arena, lines.items[i]));
		if (!line[0] || line[0] == '#') continue;
		if (!core(line, arena)) return refuse(line, err);
		strs_add(ret_keys, line);
	}
	return 0;
}

static const char *keys_path(const struct exec_user *user, struct arena *arena) {
	return arena_printf(arena, "%s/.ssh/authorized_keys", str_eq(user->home, "/") ? "" : user->home);
}

int user_keys_read(const struct fs_root *root, const struct exec_user *user, struct arena *arena, const char **ret_text,
		   struct strs *ret_keys, struct err *err) {
	AUTO_BUF struct buf b = BUF_INIT(USER_KEYS_MAX);
	AUTO_AS_USER struct as_user before = {0};
	AUTO_STRS struct strs lines = {0};
	int rc = as_user_begin(user, &before, err);
	if (rc == 0) rc = fs_read(root, keys_path(user, arena), &b, err);
	if (rc < 0 && err->code != ERR_NOT_FOUND) return rc;
	if (rc < 0) err_clear(err);
	*ret_text = arena_strdup(arena, buf_str(&b));
	str_split(*ret_text, "\r\n", arena, &lines);
	for (size_t i = 0; i < lines.count; i++)
		if (core(lines.items[i], arena)) strs_add(ret_keys, lines.items[i]);
	return 0;
}

static bool has_key(const struct strs *keys, const char *key, struct arena *arena) {
	const char *wanted = core(key, arena);
	for (size_t i = 0; i < keys->count; i++)
		if (str_eq(core(keys->items[i], arena), wanted)) return true;
	return false;
}

void user_keys_missing(const struct strs *wanted, const struct strs *have, struct arena *arena,
		       struct strs *ret_missing) {
	for (size_t i = 0; i < wanted->count; i++)
		if (!has_key(have, wanted->items[i], arena) && !has_key(ret_missing, wanted->items[i], arena))
			strs_add(ret_missing, wanted->items[i]);
}

const char *user_key_text(const char *key, struct arena *arena) {
	const char *type, *data;
	size_t type_len, len;
	if (!find_key(key, &type, &type_len, &data, &len)) return key;
	const char *comment = data + len + strspn(data + len, " \t");
	size_t tail = len < KEY_TAIL ? len : KEY_TAIL;
	return arena_printf(arena, "%.*s …%.*s%s%.60s", (int)type_len, type, (int)tail, data + len - tail,
			    *comment ? " " : "", comment);
}

int user_keys_write(const struct fs_root *root, const struct exec_user *user, struct arena *arena, const char *text,
		    struct err *err) {
	AUTO_AS_USER struct as_user before = {0};
	const char *path = keys_path(user, arena);
	const char *dir = arena_dup(arena, path, (size_t)(strrchr(path, '/') - path));
	struct fs_write how = {.mode = 0600, .uid = (uid_t)-1, .gid = (gid_t)-1};
	int rc = as_user_begin(user, &before, err);
	if (rc == 0) rc = fs_mkdirs(root, dir, 0700, (uid_t)-1, (gid_t)-1, err);
	return rc < 0 ? rc : fs_write(root, path, text, strlen(text), &how, err);
}
