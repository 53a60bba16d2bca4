#pragma once
/*
 * Where an instance fetches the program from: what such an address may be, so that user-data that cannot work is
 * refused where it is written.
 */
#include <stdint.h>

struct arena;

/** What is wrong with an s3:// or https:// address for `--agent`, in the arena; NULL for nothing. */
const char *agent_url_check(const char *url, struct arena *arena);

/**
 * When a presigned address ends, epoch seconds; 0 for one that does not. Temporary keys, with which it was signed, may
 * end earlier (Amazon S3 API Reference, "Authenticating Requests: Using Query Parameters").
 */
int64_t agent_url_ends_at(const char *url);
