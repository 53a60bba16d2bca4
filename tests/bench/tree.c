/*
 * tree DIR: `CRC32C SIZE PATH` for each regular file below DIR, in byte order of the paths, as the world prints its
 * manifests. Anything else than files and folders is a line `? PATH`.
 */
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../world/sums.h"

#define READ_MAX (1 << 20)
#define OPEN_MAX 64

static struct line { char *path, *text; } * lines;
static size_t line_count, line_room, root_len;

static void *must(void *p) {
	if (!p) abort();
	return p;
}

static uint32_t sum_file(const char *path) {
	static char buffer[READ_MAX];
	uint32_t sum = 0;
	ssize_t n = -1;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	while (fd >= 0 && (n = read(fd, buffer, sizeof buffer)) > 0) sum = sum_crc32c(sum, buffer, (size_t)n);
	if (n < 0) {
		perror(path);
		exit(1);
	}
	close(fd);
	return sum;
}

static char *escaped(const char *path) {
	char *text = must(malloc(strlen(path) * 4 + 1)), *out = text;

	for (; *path; path++) {
		if (*path == '\n' || *path == '\\')
			out += snprintf(out, 5, "\\x%02x", (unsigned char)*path);
		else
			*out++ = *path;
	}
	*out = '\0';
	return text;
}

static int visit(const char *path, const struct stat *st, int type, struct FTW *ftw) {
	char *name, *text;

	if (type == FTW_D) return 0;
	if (line_count == line_room) {
		line_room = line_room ? line_room * 2 : 1024;
		lines = must(realloc(lines, line_room * sizeof *lines));
	}
	name = escaped(path + root_len);
	if (!S_ISREG(st->st_mode)) {
		if (asprintf(&text, "? %s", name) < 0) abort();
	} else if (asprintf(&text, "%08x %lld %s", sum_file(path), (long long)st->st_size, name) < 0) {
		abort();
	}
	free(name);
	lines[line_count++] = (struct line){must(strdup(path + root_len)), text};
	return 0;
}

static int compare(const void *a, const void *b) {
	return strcmp(((const struct line *)a)->path, ((const struct line *)b)->path);
}

int main(int argc, char **argv) {
	if (argc != 2) return 2;
	root_len = strlen(argv[1]) + (argv[1][strlen(argv[1]) - 1] != '/');
	if (nftw(argv[1], visit, OPEN_MAX, FTW_PHYS)) {
		perror(argv[1]);
		return 1;
	}
	if (line_count) qsort(lines, line_count, sizeof *lines, compare);
	for (size_t i = 0; i < line_count; i++) puts(lines[i].text);
	return 0;
}
