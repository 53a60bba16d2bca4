#include "recipe/recipe_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "aws/fetch.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/fs.h"
#include "fmt/diag.h"
#include "recipe/userdata.h"

/* An encoded recipe is hardly larger than a plain one: base64 of stored gzip. */
#define ENCODED_MAX (2 * YML_BYTES_MAX)
#define READ_SIZE 65536

static bool complain(struct recipe_load *load, const struct yml_node *at, const char *name, const char *message) {
	if (at) {
		diag_add(load->diags, at, "%s: %s", name, message);
	} else {
		diag_add_at(load->diags, name, 0, 0, "%s", message);
	}
	return false;
}

static int read_fd(int fd, struct buf *b, struct err *err) {
	char chunk[READ_SIZE];
	for (;;) {
		ssize_t n = read(fd, chunk, sizeof chunk);
		if (n == 0) return 0;
		if (n < 0 && errno == EINTR) continue;
		if (n < 0) return err_set_errno(err, errno, "cannot read it");
		buf_add(b, chunk, (size_t)n);
		if (b->has_overflowed) {
			return err_set(err, ERR_LIMIT, "larger than %d MiB; a recipe is a text of a few kilobytes",
				       ENCODED_MAX / (1024 * 1024));
		}
	}
}

/* The caller's own file, by the caller's own rights: pipes and process substitution are fine. */
int recipe_bytes(const char *path, struct buf *b, struct err *err) {
	if (str_eq(path, "-")) return read_fd(STDIN_FILENO, b, err);
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	if (fd < 0 && errno == ENOENT) return err_set(err, ERR_NOT_FOUND, "no such file");
	if (fd < 0 || fstat(fd, &st) < 0) return err_set_errno(err, errno, "cannot open it");
	if (S_ISDIR(st.st_mode)) return err_set(err, ERR_INVALID, "a folder, not a recipe; name the files in it");
	return read_fd(fd, b, err);
}

static const char *folder_of(const char *path, struct arena *arena) {
	const char *slash = strrchr(path, '/');
	return slash ? arena_dup(arena, path, (size_t)(slash - path) + 1) : "";
}

/* Unpacks the bytes into documents like doc. */
static bool decode(struct recipe_load *load, const struct recipe_doc *doc, const struct yml_node *at, const char *data,
		   size_t len, struct recipe_docs *ret_docs) {
	struct userdata_doc *found;
	size_t count;
	struct err err;
	const char *own = arena_dup(load->arena, data, len);
	if (userdata_decode(own, len, load->arena, &found, &count, &err) < 0) {
		return complain(load, at, doc->file, err.msg);
	}
	ret_docs->items = arena_alloc(load->arena, count * sizeof *ret_docs->items);
	ret_docs->count = count;
	for (size_t i = 0; i < count; i++) {
		ret_docs->items[i] = *doc;
		ret_docs->items[i].data = found[i].data;
		ret_docs->items[i].len = found[i].len;
		if (i == 0) continue;
		ret_docs->items[i].file = arena_printf(load->arena, "%s[%zu]", doc->file, i + 1);
		ret_docs->items[i].key = arena_printf(load->arena, "%s[%zu]", doc->key, i + 1);
	}
	return true;
}

static bool read_builtin(struct recipe_load *load, const char *name, struct recipe_docs *ret_docs) {
	struct recipe_doc *doc = arena_alloc(load->arena, sizeof *doc);
	doc->file = doc->key = arena_printf(load->arena, "builtin:%s", name);
	doc->base = "";
	doc->is_builtin = true;
	doc->data = recipe_builtin(name, &doc->len);
	*ret_docs = (struct recipe_docs){doc, 1};
	return true;
}

static bool read_stdin(struct recipe_load *load, struct recipe_docs *ret_docs) {
	AUTO_BUF struct buf b = BUF_INIT(ENCODED_MAX);
	struct recipe_doc doc = {.file = "<stdin>", .key = "-", .base = ""};
	struct err err;
	if (recipe_bytes("-", &b, &err) < 0) return complain(load, NULL, doc.file, err.msg);
	return decode(load, &doc, NULL, buf_str(&b), b.len, ret_docs);
}

/* "https://h/p#sha256=HEX" → address and hash; the reason when it will not do. */
static const char *split_url(struct arena *arena, const char *name, const char **ret_url, const char **ret_hash) {
	const char *mark = strchr(name, '#');
	*ret_url = mark ? arena_dup(arena, name, (size_t)(mark - name)) : name;
	*ret_hash = NULL;
	if (!mark && str_starts(name, "s3://")) return NULL;
	if (!mark) return "a recipe from outside needs its hash: add #sha256=… (sha256sum FILE prints it)";
	if (!str_starts(mark, "#sha256=")) return "what follows # must be sha256= and 64 hexadecimal digits";
	*ret_hash = mark + strlen("#sha256=");
	if (strlen(*ret_hash) != 64 || (*ret_hash)[strspn(*ret_hash, "0123456789abcdefABCDEF")]) {
		return "what follows #sha256= must be 64 hexadecimal digits";
	}
	return NULL;
}

static bool read_url(struct recipe_load *load, const char *name, const struct yml_node *at,
		     struct recipe_docs *ret_docs) {
	AUTO_BUF struct buf b = BUF_INIT(ENCODED_MAX);
	const char *url, *hash;
	struct err err;
	const char *reason = split_url(load->arena, name, &url, &hash);
	if (reason) return complain(load, at, name, reason);
	if (!load->source->fetch) return complain(load, at, name, "recipes from outside are not read by this command");
	if (fetch_get(load->source->fetch, url, hash, &b, &err) < 0) {
		size_t n = strlen(url); /* complain names it already */
		bool is_named = strncmp(err.msg, url, n) == 0 && str_starts(err.msg + n, ": ");
		return complain(load, at, name, is_named ? err.msg + n + 2 : err.msg);
	}
	struct recipe_doc doc = {.file = url, .key = url, .base = folder_of(url, load->arena)};
	return decode(load, &doc, at, buf_str(&b), b.len, ret_docs);
}

static const char *not_found_hint(struct recipe_load *load, const char *name) {
	AUTO_STRS struct strs recipes = {0};
	if (strchr(name, '/') || str_ends(name, ".yaml") || str_ends(name, ".yml")) return "no such file";
	recipe_builtin_names(&recipes, NULL);
	const char *near = str_nearest(name, recipes.items, recipes.count);
	if (near) return arena_printf(load->arena, "no such recipe or file; did you mean '%s'?", near);
	return arena_printf(load->arena, "no such recipe or file; built in are %s",
			    strs_join(&recipes, ", ", load->arena));
}

static bool read_file(struct recipe_load *load, const char *path, bool is_in_root, const char *name,
		      const struct yml_node *at, struct recipe_docs *ret_docs) {
	AUTO_BUF struct buf b = BUF_INIT(ENCODED_MAX);
	struct err err;
	int rc = is_in_root ? fs_read(load->source->root, path, &b, &err) : recipe_bytes(path, &b, &err);
	const char *shown = at ? name : path;
	if (rc == -ERR_NOT_FOUND) return complain(load, at, shown, not_found_hint(load, name));
	if (rc < 0) return complain(load, at, shown, err.msg);
	struct recipe_doc doc = {.file = path, .key = path, .is_in_root = is_in_root};
	doc.base = folder_of(path, load->arena);
	AUTO_FREE char *real = is_in_root ? NULL : realpath(path, NULL);
	if (real) doc.key = arena_strdup(load->arena, real);
	return decode(load, &doc, at, buf_str(&b), b.len, ret_docs);
}

/* base + name, with "./" left out: "a/b/" + "./c.yaml" = "a/b/c.yaml". */
static const char *beside(struct arena *arena, const char *base, const char *name) {
	while (str_starts(name, "./")) name += 2;
	return arena_printf(arena, "%s%s", base, name);
}

bool recipe_read(struct recipe_load *load, const char *name, const struct recipe_doc *from, const struct yml_node *at,
		 struct recipe_docs *ret_docs) {
	if (*name == '\0') return complain(load, at, "''", "a recipe's name is a built-in, a path, - or a URL");
	if (str_eq(name, "-") && !from) return read_stdin(load, ret_docs);
	if (fetch_is_url(name)) return read_url(load, name, at, ret_docs);
	if (recipe_builtin(name, NULL)) return read_builtin(load, name, ret_docs);
	if (from && from->is_builtin) return complain(load, at, name, "no built-in recipe of that name");
	if (!from || *name == '/') return read_file(load, name, from && from->is_in_root, name, at, ret_docs);
	const char *path = beside(load->arena, from->base, name);
	if (fetch_is_url(path)) return read_url(load, path, at, ret_docs);
	return read_file(load, path, from->is_in_root, name, at, ret_docs);
}

bool recipe_read_default(struct recipe_load *load, struct recipe_docs *ret_docs) {
	AUTO_STRS struct strs names = {0};
	struct err err;
	if (fs_list(load->source->root, RECIPE_DIR, load->arena, &names, &err) < 0) {
		return complain(load, NULL, RECIPE_DIR, err.msg);
	}
	VEC(struct recipe_doc) all = {0};
	bool is_ok = true;
	for (size_t i = 0; i < names.count; i++) {
		struct recipe_docs docs;
		if (!str_ends(names.items[i], ".yaml") && !str_ends(names.items[i], ".yml")) continue;
		const char *path = arena_printf(load->arena, "%s%s", RECIPE_DIR, names.items[i]);
		if (!read_file(load, path, true, path, NULL, &docs)) {
			is_ok = false;
			continue;
		}
		for (size_t k = 0; k < docs.count; k++) vec_push(&all, docs.items[k]);
	}
	if (is_ok && all.count == 0) {
		is_ok = complain(load, NULL, RECIPE_DIR,
				 "no recipe (*.yaml) in it and none was named; try `dsagent apply quickstart`");
	}
	ret_docs->count = all.count;
	ret_docs->items = arena_alloc(load->arena, all.count * sizeof *all.items);
	if (all.count) memcpy(ret_docs->items, all.items, all.count * sizeof *all.items);
	vec_clear(&all);
	return is_ok;
}
