/* "a" beside "a/b": no file system has both. The folder wins, and the object is told. */
#include "aws/s3sync_private.h"

#include <string.h>

static void report(struct s3sync *s, const char *path, const char *key) {
	struct err err = {0};
	strs_add(&s->clashes, path);
	(void)err_set(&err, ERR_STATE, "there is an object '%s' too: a folder has to be in its place", key);
	s3sync_fail(s, s3sync_copy_verb(s), path, &err);
}

void s3stems_next(struct s3sync *s, const char *key) {
	struct s3stems *stems = &s->stems;
	size_t len = strlen(key);
	while (stems->depth && strncmp(stems->key, key, stems->lens[stems->depth - 1]) != 0) stems->depth--;
	for (size_t i = 0; i < stems->depth; i++) {
		size_t n = stems->lens[i];
		if (n >= len || key[n] != '/') continue;
		const char *path = arena_dup(&s->arena, key, n);
		if (!strs_has(&s->clashes, path)) report(s, path, key);
	}
	if (key[len - 1] == '/') return; /* a folder's marker is in nobody's way */
	memcpy(stems->key, key, len + 1);
	stems->lens[stems->depth++] = (uint16_t)len;
}

bool s3sync_is_clash(const struct s3sync *s, const char *path) {
	return s->clashes.count && strs_has(&s->clashes, path);
}

bool s3sync_clear_way(struct s3sync *s, const char *path) {
	struct err ignored = {0}; /* then the way is still not free, and is told as that */
	for (size_t i = 0; i < s->clashes.count; i++) {
		const char *clash = s->clashes.items[i];
		size_t n = strlen(clash);
		if (strncmp(clash, path, n) == 0 && path[n] == '/' && !s3tree_remove_file(s->tree, clash, &ignored))
			return true;
	}
	return false;
}
