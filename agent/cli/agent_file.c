/* elf(5). */
#include "cli/agent_file.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/err.h"
#include "base/str.h"

/* A dozen segments is usual. */
#define SEGMENTS_MAX 64

static const struct {
	unsigned machine;
	const char *arch;
} machines[] = {{EM_X86_64, "x86_64"}, {EM_AARCH64, "aarch64"}};

static bool is_elf(const Elf64_Ehdr *head) {
	return memcmp(head->e_ident, ELFMAG, SELFMAG) == 0 && head->e_ident[EI_CLASS] == ELFCLASS64 &&
	       head->e_ident[EI_DATA] == ELFDATA2LSB && (head->e_type == ET_EXEC || head->e_type == ET_DYN);
}

/* A segment that names a loader. One that cannot be read is for the kernel to complain of. */
static bool has_loader(int fd, const Elf64_Ehdr *head) {
	for (unsigned i = 0; i < head->e_phnum && i < SEGMENTS_MAX; i++) {
		Elf64_Phdr segment;
		off_t at = (off_t)(head->e_phoff + (Elf64_Off)i * head->e_phentsize);
		if (pread(fd, &segment, sizeof segment, at) != sizeof segment) return false;
		if (segment.p_type == PT_INTERP) return true;
	}
	return false;
}

int agent_file_read(const char *path, struct agent_file *ret_file, struct err *err) {
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct agent_file file = {0};
	Elf64_Ehdr head = {0};
	if (fd < 0) return err_set_errno(err, errno, "cannot open %s", path);
	ssize_t n = pread(fd, &head, sizeof head, 0);
	if (n < 0) return err_set_errno(err, errno, "cannot read %s", path);
	if (n != sizeof head || !is_elf(&head))
		return err_set(err, ERR_INVALID,
			       "%s is no 64-bit Linux program: name the dsagent that the instance will fetch", path);
	for (size_t i = 0; i < sizeof machines / sizeof *machines; i++)
		if (machines[i].machine == head.e_machine) file.arch = machines[i].arch;
	if (!file.arch)
		return err_set(err, ERR_INVALID, "%s is for an architecture (ELF machine %u) that no EC2 instance has",
			       path, head.e_machine);
	file.is_dynamic = has_loader(fd, &head);
	int rc = digest_fd_hex(fd, file.sha256, err);
	if (rc) return err_wrap(err, "%s", path);
	*ret_file = file;
	return 0;
}
