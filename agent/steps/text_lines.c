#include "steps/text_lines.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/fs.h"
#include "recipe/step.h"
#include "steps/text_file.h"

#define LINES_MODE 0644

static bool is_comment(const char *line) { return !*line || *line == '#' || *line == ';'; }

const char *text_key_assign(const char *line, struct arena *arena) {
	line += strspn(line, " \t");
	size_t len = strcspn(line, "=");
	if (is_comment(line) || !line[len]) return NULL;
	return str_trim(arena_dup(arena, line, len));
}

const char *text_key_word(const char *line, struct arena *arena) {
	line += strspn(line, " \t");
	return is_comment(line) ? NULL : arena_dup(arena, line, strcspn(line, " \t"));
}

const char *text_key_line(const char *line, struct arena *arena) {
	line += strspn(line, "# \t");
	return *line ? str_trim(arena_strdup(arena, line)) : NULL;
}

static size_t find_key(const struct strs *lines, const char *key, text_key_fn key_of, struct arena *arena) {
	for (size_t i = 0; key && i < lines->count; i++)
		if (str_eq(key_of(lines->items[i], arena), key)) return i;
	return lines->count;
}

const char *text_lines_set(const char *text, const struct strs *lines, text_key_fn key_of, struct arena *arena) {
	AUTO_BUF struct buf out = BUF_INIT(TEXT_FILE_MAX);
	AUTO_STRS struct strs done = {0};
	while (*text) {
		size_t len = strcspn(text, "\n");
		const char *line = arena_dup(arena, text, len);
		size_t at = find_key(lines, key_of(line, arena), key_of, arena);
		text += len + (text[len] == '\n');
		if (at < lines->count && strs_has(&done, lines->items[at])) continue;
		if (at < lines->count) strs_add(&done, lines->items[at]);
		buf_addf(&out, "%s\n", at < lines->count ? lines->items[at] : line);
	}
	for (size_t i = 0; i < lines->count; i++)
		if (!strs_has(&done, lines->items[i])) buf_addf(&out, "%s\n", lines->items[i]);
	return arena_strdup(arena, buf_str(&out));
}

static int wanted(const struct text_lines *file, const struct strs *lines, struct step_ctx *ctx,
		  struct text_file *ret_file, struct err *err) {
	const char *old;
	struct stat st = {.st_mode = LINES_MODE};
	int r = text_file_read(ctx, file->path, &old, err);
	if (r < 0) return r;
	if (old) r = fs_lstat(ctx->machine.root, file->path, &st, err);
	if (r < 0) return r;
	if (!old) old = file->head ? file->head : "";
	*ret_file = (struct text_file){.path = file->path,
				       .content = text_lines_set(old, lines, file->key_of, ctx->arena),
				       .mode = st.st_mode & 07777,
				       .uid = (uid_t)-1,
				       .gid = (gid_t)-1};
	return 0;
}

int text_lines_probe(const struct text_lines *file, const struct strs *lines, struct step_ctx *ctx,
		     struct changes *changes, struct err *err) {
	struct text_file whole;
	int r = wanted(file, lines, ctx, &whole, err);
	return r < 0 ? r : text_file_probe(&whole, ctx, changes, err);
}

int text_lines_apply(const struct text_lines *file, const struct strs *lines, struct step_ctx *ctx,
		     bool *ret_has_written, struct err *err) {
	struct text_file whole;
	int r = wanted(file, lines, ctx, &whole, err);
	return r < 0 ? r : text_file_apply(&whole, ctx, ret_has_written, err);
}
