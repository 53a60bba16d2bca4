#include <string.h>

#include "fuzz.h"
#include "sys/gpu_kmsg.h"

/* The input as one record, then as the lines of a file: a log that remembers wrapped messages from line to line. */
static void check(const struct gpu_kmsg *log) {
	FUZZ_CLAIM(log->count <= GPU_KMSG_EVENTS_MAX);
	FUZZ_CLAIM(strlen(log->wrapped) < sizeof log->wrapped);
	for (size_t i = 0; i < log->count; i++) {
		const struct gpu_kmsg_event *e = &log->events[i];
		size_t n = strlen(e->text), address = strlen(e->address);
		FUZZ_CLAIM(e->kind <= GPU_KMSG_UNSIGNED && e->count > 0);
		FUZZ_CLAIM(n > 0 && n < GPU_KMSG_TEXT_MAX);
		FUZZ_CLAIM(address == 0 || address == strlen("0000:00:1e.0"));
		FUZZ_CLAIM(e->number <= 99999);
		for (size_t k = 0; k < n; k++) FUZZ_CLAIM(e->text[k] >= ' ' && e->text[k] <= '~');
		for (size_t k = 0; k < i; k++)
			FUZZ_CLAIM(log->events[k].kind != e->kind || log->events[k].number != e->number ||
				   strcmp(log->events[k].address, e->address) != 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
	struct gpu_kmsg *log = mem_zalloc(sizeof *log);
	const char *text = (const char *)data;
	gpu_kmsg_record(log, text, len);
	check(log);
	for (size_t at = 0; at < len;) {
		const char *end = memchr(text + at, '\n', len - at);
		size_t n = end ? (size_t)(end - text) - at : len - at;
		gpu_kmsg_record(log, text + at, n);
		at += n + 1;
	}
	check(log);
	free(log);
	return 0;
}
