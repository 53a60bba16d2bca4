#pragma once
/* What the tests of the GPU gate's children share: a report with GPUs on the bus, and findings as text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/str.h"
#include "sys/gpu.h"
#include "sys/gpu_child.h"

/* Addresses of the GPUs of a report, in the order of a g5.48xlarge. */
static const char *const gpu_addresses[8] = {"0000:00:1e.0", "0000:00:1d.0", "0000:00:1c.0", "0000:00:1b.0",
					     "0000:00:1a.0", "0000:00:19.0", "0000:00:18.0", "0000:00:17.0"};

static inline void report_fill(struct gpu_report *r, struct arena *arena, const char *type, size_t gpus) {
	*r = (struct gpu_report){.arena = arena, .count = gpus, .expected = gpus};
	(void)snprintf(r->instance_type, sizeof r->instance_type, "%s", type);
	(void)snprintf(r->driver, sizeof r->driver, "580.105.08");
	for (size_t i = 0; i < gpus; i++)
		(void)snprintf(r->devices[i].address, sizeof r->devices[i].address, "%s", gpu_addresses[i]);
}

/* "fail replace gpu-lost: text [evidence]\n" for each finding. */
static inline const char *report_findings(const struct gpu_report *r) {
	static const char *const severities[] = {"info", "warn", "fail"}, *const remedies[] = {"none", "fix", "reboot",
											       "replace"};
	AUTO_BUF struct buf text = BUF_INIT(64 * 1024);
	for (size_t i = 0; i < r->finding_count; i++) {
		const struct gpu_finding *f = &r->findings[i];
		buf_addf(&text, "%s %s %s: %s", severities[f->severity], remedies[f->remedy], f->code, f->text);
		if (f->evidence) buf_addf(&text, " [%s]", f->evidence);
		buf_addc(&text, '\n');
	}
	return arena_strdup(r->arena, buf_str(&text));
}

/* A child that has ended with that output. */
static inline struct gpu_child child_of(int exit_code, const char *text) {
	struct gpu_child child = {.exit_code = exit_code, .text = BUF_INIT(GPU_CHILD_OUTPUT_MAX)};
	buf_adds(&child.text, text);
	return child;
}
