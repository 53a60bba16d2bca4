#include "base/arena.h"
#include "fuzz.h"
#include "sys/gpu_smi.h"

/* Every cell is text of the input: no longer than it, without what separates cells. */
static void check_rows(const struct gpu_smi_answer *a, size_t columns, size_t len) {
	for (size_t i = 0; i < a->count; i++) {
		size_t total = 0, given = 0;
		for (size_t f = 0; f < SMI_FIELD_COUNT; f++) {
			const char *cell = a->rows[i].cells[f];
			int64_t n = -1;
			if (!cell) continue;
			given++;
			total += strlen(cell);
			FUZZ_CLAIM(!strchr(cell, ',') && !strchr(cell, '\n'));
			FUZZ_CLAIM(!gpu_smi_number(cell, &n) || n >= 0);
		}
		FUZZ_CLAIM(given == columns && total <= len);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
	AUTO_ARENA struct arena arena = {0};
	AUTO_FREE char *text = fuzz_text(data, len);
	enum gpu_smi_field base[SMI_BASE_COUNT];
	static const enum gpu_smi_field more[] = {SMI_ADDRESS, SMI_COMPUTE_CAP, SMI_FABRIC_STATE};
	struct gpu_smi_answer *a = arena_alloc(&arena, sizeof *a);
	char version[16], address[16];
	for (size_t i = 0; i < SMI_BASE_COUNT; i++) base[i] = (enum gpu_smi_field)i;
	gpu_smi_parse((const char *)data, len, base, SMI_BASE_COUNT, &arena, a);
	check_rows(a, SMI_BASE_COUNT, len);
	gpu_smi_parse((const char *)data, len, more, 3, &arena, a);
	check_rows(a, 3, len);
	FUZZ_CLAIM(a->count <= GPU_MAX && a->message_count <= GPU_SMI_MESSAGES_MAX);
	for (size_t i = 0; i < a->count; i++) FUZZ_CLAIM(gpu_smi_address(a->rows[i].cells[SMI_ADDRESS], address));
	FUZZ_CLAIM(gpu_smi_refused(text) <= SMI_FIELD_COUNT);
	FUZZ_CLAIM(!gpu_smi_knows(text, "compute_cap") || strstr(text, "\"compute_cap\""));
	if (gpu_smi_cuda_version(text, version, sizeof version)) FUZZ_CLAIM(version[0] && strlen(version) < 16);
	FUZZ_CLAIM(gpu_version_compare(text, text) == 0);
	return 0;
}
