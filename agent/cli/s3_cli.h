#pragma once
/*
 * What `sync`, `cp` and `ls` share: their common options, the connection, local paths, filters.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "aws/s3filter.h"
#include "aws/s3sync.h"
#include "base/cleanup.h"
#include "base/str.h"

struct aws;
struct context;
struct err;
struct s3;
struct s3url;

struct s3_cli {
	const char *endpoint_url, *region;
	bool pays_requests, skips_checksum, uses_dualstack;
	bool is_dry, skips_links; /* of transfers, like what follows */
	int64_t jobs, bytes_per_s;
	struct strs filters;
};

/** Rows of a verb's table; member is the struct s3_cli in its options. */
#define S3_CLI_CONNECTION(type, member)                                                                                \
	{"endpoint-url",                                                                                               \
	 0,                                                                                                            \
	 "URL",                                                                                                        \
	 "another S3 service, such as MinIO",                                                                          \
	 OPT_TEXT,                                                                                                     \
	 offsetof(type, member.endpoint_url),                                                                          \
	 0,                                                                                                            \
	 0},                                                                                                           \
		{"region", 0,                                                                                          \
		 "NAME",   "of the bucket; it is found out if it is another",                                          \
		 OPT_TEXT, offsetof(type, member.region),                                                              \
		 0,	   0},                                                                                         \
		{"request-payer",                                                                                      \
		 0,                                                                                                    \
		 NULL,                                                                                                 \
		 "you pay for requests (requester pays buckets)",                                                      \
		 OPT_FLAG,                                                                                             \
		 offsetof(type, member.pays_requests),                                                                 \
		 0,                                                                                                    \
		 0},                                                                                                   \
	{                                                                                                              \
		"dualstack", 0, NULL, "by IPv6 where the machine has it", OPT_FLAG,                                    \
			offsetof(type, member.uses_dualstack), 0, 0                                                    \
	}
#define S3_CLI_TRANSFER(type, member)                                                                                    \
	{"dry-run", 'n', NULL, "show what would be done", OPT_FLAG, offsetof(type, member.is_dry), 0, 0},                \
		{"no-follow-symlinks",                                                                                   \
		 0,                                                                                                      \
		 NULL,                                                                                                   \
		 "leave symbolic links out of an upload",                                                                \
		 OPT_FLAG,                                                                                               \
		 offsetof(type, member.skips_links),                                                                     \
		 0,                                                                                                      \
		 0},                                                                                                     \
		{"jobs",  0,                                                                                             \
		 "N",	  "most requests at once; otherwise it finds out what is fastest",                               \
		 OPT_INT, offsetof(type, member.jobs),                                                                   \
		 1,	  S3_JOBS_MAX},                                                                                  \
		{"bwlimit", 0, "SIZE", "most bytes a second, such as 50M", OPT_SIZE, offsetof(type, member.bytes_per_s), \
		 0,	    0},                                                                                          \
		{"no-checksum",                                                                                          \
		 0,                                                                                                      \
		 NULL,                                                                                                   \
		 "for services that know no checksums: neither send nor verify them",                                    \
		 OPT_FLAG,                                                                                               \
		 offsetof(type, member.skips_checksum),                                                                  \
		 0,                                                                                                      \
		 0},                                                                                                     \
		{"exclude",   0,                                                                                         \
		 "PATTERN",   "leave out; of --exclude and --include the last that matches counts",                      \
		 OPT_ORDERED, offsetof(type, member.filters),                                                            \
		 0,	      0},                                                                                        \
	{                                                                                                                \
		"include", 0, "PATTERN", "take in again; * also matches /", OPT_ORDERED,                                 \
			offsetof(type, member.filters), 0, 0                                                             \
	}

/** The context's AWS, in the region that the options name. */
CHECK_RESULT int s3_cli_aws(struct context *ctx, const struct s3_cli *cli, struct aws **ret_aws, struct err *err);

/** Opens the bucket. state_dir: as in struct s3_options. */
CHECK_RESULT int s3_cli_open(struct context *ctx, const struct s3_cli *cli, const char *bucket, struct s3 **ret_s3,
			     struct err *err);

/** Where indexes and notes of uploads are kept, below root; in the context's arena. */
CHECK_RESULT int s3_cli_state_dir(struct context *ctx, const char **ret_dir, struct err *err);

/** The rules in the order given, in the context's arena. */
struct s3filter s3_cli_filter(struct context *ctx, const struct s3_cli *cli);

/** Which of SRC and DST is S3's; ERR_UNSUPPORTED, ERR_INVALID. verb: for what the aws command does better. */
CHECK_RESULT int s3_cli_way(const char *verb, const struct strs *args, enum s3way *ret_way, struct err *err);

/** A local path from the command line: absolute, without "." and double slashes. In the context's arena. */
CHECK_RESULT int s3_cli_path(struct context *ctx, const char *argument, const char **ret_path, struct err *err);

/** File modes as the umask leaves them. */
void s3_cli_modes(unsigned *ret_file, unsigned *ret_folder);
