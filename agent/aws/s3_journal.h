#pragma once
/*
 * A large file that is fetched in ranges: its temporary file has a name that key, ETag and size make, and beside it a
 * journal says which ranges are in it. So a killed transfer is gone on with by the next one of the same version. A
 * journal counts only until the machine is booted again: after a crash of the machine it may know of more than the disk
 * does.
 */
#include <stdbool.h>
#include <stdint.h>

#include "aws/s3_file.h"
#include "aws/s3_window.h"

struct s3_journal {
	struct s3_file file; /* locked while it is open */
	int fd;		     /* of the journal; -1: none */
	int direct_fd;	     /* of the file with O_DIRECT; -1: not wanted, or not to be had */
	enum crc_kind kind;  /* of the CRCs in it */
	char name[NAME_MAX + 1];
};

struct s3_journal_of {
	const char *key, *etag;
	int dir_fd;
	const char *name;
	bool has_crc; /* CRCs of this kind are kept with the ranges */
	enum crc_kind kind;
	bool is_direct;
};

/**
 * Opens or makes both, with room for the whole file, and marks in window what is there already. Removes what was left
 * of other versions. ERR_BUSY when another process is at it; ERR_NO_SPACE.
 */
CHECK_RESULT int s3_journal_open(struct s3_journal *journal, const struct s3_journal_of *of, struct s3_window *window,
				 struct err *err);

/** Range index, done in window, is in the file. A journal that cannot be written only costs the next run. */
void s3_journal_note(struct s3_journal *journal, const struct s3_window *window, size_t index);

/** Keeps both for another time. */
void s3_journal_close(struct s3_journal *journal);
/** Removes both. */
void s3_journal_drop(struct s3_journal *journal);
/** After the file got its name: removes the journal. */
void s3_journal_end(struct s3_journal *journal);
