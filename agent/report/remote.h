#pragma once
/*
 * The two halves of report_remote, for that module alone: the sink in the run's process, and the reporter's process.
 */
#include "base/cleanup.h"
#include "report/word.h"

struct report_remote_conf;

/** Longest warning that comes back from the reporter. */
#define REMOTE_WARNING_MAX 2048

/**
 * The reporter's process: woken by messages on the SOCK_SEQPACKET fd, tells the ears what the board says, writes at
 * most one warning an ear back; returns when the last word has arrived everywhere or is given up.
 */
void remote_main(int fd, const struct word_board *board, const struct report_remote_conf *conf);

/** The run_id of a status file on this machine; NULL when there is none. The caller frees. */
char *remote_status_run_id(const char *path);
