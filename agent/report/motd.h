#pragma once
/*
 * The login message: at most two lines, in the words of terminal and tags.
 *
 * Where a script makes it at every login (Debian and Ubuntu, /etc/update-motd.d) it says what is true then. Where a
 * file is shown as it is (Amazon Linux, /etc/motd.d), that file is /run/dsagent/motd, and of a run that has not ended
 * it says only what stays true whatever becomes of the run.
 */
#include <stdbool.h>

#include "engine/event.h"

struct buf;

/** is_kept: for the file. is_root: whether what to type next begins with sudo. */
void motd_text(const struct run_view *view, bool is_kept, bool is_root, struct buf *out);
