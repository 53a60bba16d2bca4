#include "base/buf.h"
#include "base/err.h"
#include "base/fs.h"
#include "fmt/js.h"
#include "recipe/step.h"
#include "steps/python.h"

/** A site-packages with more entries is no place that we know how to read. */
#define ENTRIES_MAX 20000
/** torch's RECORD has 1.5 MB. */
#define RECORD_BYTES_MAX (16 * 1024 * 1024)

static void push(struct py_dists *dists, const struct py_dist *dist, struct arena *arena) {
	dists->items = arena_grow(arena, dists->items, dists->count, &dists->cap, sizeof *dists->items);
	dists->items[dists->count++] = *dist;
}

/* "scikit_learn-1.5.0.dist-info", "PyYAML-6.0.egg-info", "six-1.16-py3.11.egg-info". */
static void add_entry(struct py_dists *dists, const char *path, struct arena *arena) {
	static const char *const suffixes[] = {".dist-info", ".egg-info"};
	const char *entry = strrchr(path, '/') + 1;
	for (size_t i = 0; i < 2; i++) {
		if (!str_ends(entry, suffixes[i])) continue;
		size_t len = strlen(entry) - strlen(suffixes[i]);
		const char *dash = memchr(entry, '-', len);
		if (!dash || dash == entry) return;
		char *version = arena_dup(arena, dash + 1, len - (size_t)(dash + 1 - entry));
		char *tag = strstr(version, "-py");
		if (i == 1 && tag) *tag = 0;
		struct py_dist dist = {py_normalise(entry, (size_t)(dash - entry), arena), version, path};
		push(dists, &dist, arena);
	}
}

int py_dists_read(struct py_dists *dists, const struct fs_root *root, const char *dir, struct strs *ret_half,
		  struct arena *arena, struct err *err) {
	AUTO_STRS struct strs names = {0};
	int r = fs_list(root, dir, arena, &names, err);
	if (r < 0) return r;
	if (names.count > ENTRIES_MAX) return err_set(err, ERR_LIMIT, "%s has more than %d entries", dir, ENTRIES_MAX);
	for (size_t i = 0; i < names.count; i++) {
		const char *path = arena_printf(arena, "%s/%s", dir, names.items[i]);
		if (ret_half && str_ends(path, ".dist-info") &&
		    !fs_exists(root, arena_printf(arena, "%s/INSTALLER", path)))
			strs_add(ret_half, path);
		else
			add_entry(dists, path, arena);
	}
	return 0;
}

const struct py_dist *py_dists_find(const struct py_dists *dists, const char *name) {
	for (size_t i = 0; i < dists->count; i++)
		if (str_eq(dists->items[i].name, name)) return &dists->items[i];
	return NULL;
}

int py_dists_record(const struct py_venv *venv, const struct step_ctx *ctx, struct js *into, struct err *err) {
	struct py_dists dists = {0};
	int r = py_dists_read(&dists, ctx->machine.root, venv->site, NULL, ctx->arena, err);
	for (size_t i = 0; r == 0 && i < dists.count; i++) {
		AUTO_BUF struct buf text = BUF_INIT(RECORD_BYTES_MAX);
		char hex[SHA256_HEX_SIZE];
		struct err ignored; /* an egg-info has none */
		const char *path = arena_printf(ctx->arena, "%s/RECORD", dists.items[i].path);
		struct js *entry = js_child(into, dists.items[i].name);
		js_set_str(entry, "version", dists.items[i].version);
		if (fs_read(ctx->machine.root, path, &text, &ignored) == 0)
			js_set_str(entry, "record_sha256", digest_sha256_hex(buf_str(&text), text.len, hex));
	}
	return r;
}
