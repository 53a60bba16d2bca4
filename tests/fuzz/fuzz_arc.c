#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/err.h"
#include "base/fs.h"
#include "base/str.h"
#include "fuzz.h"
#include "io/arc.h"

#define BYTES_MAX (8 * 1024 * 1024)

/* All that was written lies below the directory, and nothing there is a device or leads away. */
static void check_tree(const struct fs_root *root, const char *dir, unsigned depth, struct arena *arena) {
	AUTO_STRS struct strs names = {0};
	struct err err;
	FUZZ_CLAIM(depth < 210);
	FUZZ_CLAIM(fs_list(root, dir, arena, &names, &err) == 0);
	for (size_t i = 0; i < names.count; i++) {
		const char *path = arena_printf(arena, "%s/%s", dir, names.items[i]);
		struct stat st;
		FUZZ_CLAIM(fs_lstat(root, path, &st, &err) == 0);
		FUZZ_CLAIM(S_ISREG(st.st_mode) || S_ISDIR(st.st_mode) || S_ISLNK(st.st_mode));
		FUZZ_CLAIM(S_ISLNK(st.st_mode) || (st.st_mode & (S_ISUID | S_ISGID | S_ISVTX | S_IWOTH)) == 0);
		if (S_ISDIR(st.st_mode)) check_tree(root, path, depth + 1, arena);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
	char dir[] = "/tmp/fuzz-arc-XXXXXX", out[64];
	struct fs_root root = {.fd = -1};
	struct arena arena AUTO_ARENA = {0};
	struct err err = {0};
	struct stat st;
	FUZZ_CLAIM(mkdtemp(dir) != NULL);
	(void)snprintf(out, sizeof out, "%s/out", dir); /* fits */
	FUZZ_CLAIM(mkdir(out, 0700) == 0);
	int fd = memfd_create("archive", MFD_CLOEXEC);
	FUZZ_CLAIM(fd >= 0 && write(fd, data, len) == (ssize_t)len);
	struct arc_extract x = {.archive_fd = fd,
				.dir_fd = open(out, O_RDONLY | O_DIRECTORY | O_CLOEXEC),
				.strip = len & 1,
				.uid = (uid_t)-1,
				.gid = (gid_t)-1,
				.limits = {100, BYTES_MAX, ARC_RATIO_MAX}};
	int rc = arc_extract(&x, &err);
	FUZZ_CLAIM((rc == 0) == (err.code == ERR_NONE));
	FUZZ_CLAIM(x.bytes <= BYTES_MAX && x.entries <= 101);
	FUZZ_CLAIM(fs_root_open(dir, &root, &err) == 0);
	check_tree(&root, "/out", 0, &arena);
	FUZZ_CLAIM(fs_remove(&root, "/out", true, &err) == 0);
	FUZZ_CLAIM(lstat(out, &st) < 0);
	FUZZ_CLAIM(rmdir(dir) == 0); /* nothing beside it */
	fs_root_clear(&root);
	close(x.dir_fd);
	close(fd);
	return 0;
}
