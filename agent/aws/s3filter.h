#pragma once
/*
 * --exclude and --include with the AWS CLI's rule: everything is in at first, then the rules are tried in the order
 * given and the last one that matches decides; `*` crosses `/`. Patterns are matched against the path below the folder
 * that is synced. What is filtered out is neither copied nor deleted. Source: AWS CLI Command Reference, "s3", "Use of
 * Exclude and Include Filters".
 */
#include <stdbool.h>
#include <stddef.h>

struct s3rule {
	const char *pattern;
	bool is_include;
};

/** All zero keeps everything. Borrowed. */
struct s3filter {
	const struct s3rule *rules;
	size_t count;
};

bool s3filter_keeps(const struct s3filter *filter, const char *path);

/** True if nothing below the folder ("a/b/") can be kept: it need not be looked at. */
bool s3filter_prunes(const struct s3filter *filter, const char *folder);
