#pragma once
/*
 * The fleet as a table: pure, from what DescribeInstances says and the time.
 */
#include <stddef.h>
#include <stdint.h>

struct arena;
struct buf;
struct ec2_instance;
struct js;

struct fleet_member {
	const struct ec2_instance *instance;
	const char *region;
};

/** Those who need somebody first: failed, then silent, then at work, then well; by name within. */
void fleet_sort(struct fleet_member *members, size_t count, int64_t now_ms);

/** Two lines each, and a third and fourth for those that need somebody; no line is wider than width. */
void fleet_print(const struct fleet_member *members, size_t count, int64_t now_ms, size_t width, struct arena *arena,
		 struct buf *out);

struct js *fleet_js(const struct fleet_member *members, size_t count, int64_t now_ms);
