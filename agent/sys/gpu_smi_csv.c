/* The texts of nvidia-smi: rows, values, lists, versions. Pure, and fuzzed. */
#include <limits.h>
#include <strings.h>

#include "base/arena.h"
#include "base/str.h"
#include "sys/gpu_smi.h"

const char *const gpu_smi_names[SMI_FIELD_COUNT] = {
	[SMI_INDEX] = "index",
	[SMI_ADDRESS] = "pci.bus_id",
	[SMI_DEVICE_ID] = "pci.device_id",
	[SMI_NAME] = "name",
	[SMI_UUID] = "uuid",
	[SMI_DRIVER] = "driver_version",
	[SMI_MEMORY_TOTAL] = "memory.total",
	[SMI_MEMORY_USED] = "memory.used",
	[SMI_PERSISTENCE] = "persistence_mode",
	[SMI_PSTATE] = "pstate",
	[SMI_TEMPERATURE] = "temperature.gpu",
	[SMI_POWER_DRAW] = "power.draw",
	[SMI_POWER_LIMIT] = "power.limit",
	[SMI_UTILIZATION] = "utilization.gpu",
	[SMI_COMPUTE_MODE] = "compute_mode",
	[SMI_ECC_CURRENT] = "ecc.mode.current",
	[SMI_ECC_PENDING] = "ecc.mode.pending",
	[SMI_ECC_VOLATILE] = "ecc.errors.uncorrected.volatile.total",
	[SMI_ECC_AGGREGATE] = "ecc.errors.uncorrected.aggregate.total",
	[SMI_RETIRED_PENDING] = "retired_pages.pending",
	[SMI_MIG] = "mig.mode.current",
	[SMI_PCIE_GEN] = "pcie.link.gen.current",
	[SMI_PCIE_GEN_MAX] = "pcie.link.gen.max",
	[SMI_PCIE_WIDTH] = "pcie.link.width.current",
	[SMI_PCIE_WIDTH_MAX] = "pcie.link.width.max",
	[SMI_THROTTLE] = "clocks_throttle_reasons.active",
	[SMI_COMPUTE_CAP] = "compute_cap",
	[SMI_REMAP_PENDING] = "remapped_rows.pending",
	[SMI_REMAP_FAILURE] = "remapped_rows.failure",
	[SMI_FABRIC_STATE] = "fabric.state",
	[SMI_FABRIC_STATUS] = "fabric.status",
	[SMI_RECOVERY] = "gpu_recovery_action",
	[SMI_RESET_REQUIRED] = "reset_status.reset_required",
	[SMI_SRAM_THRESHOLD] = "ecc.errors.uncorrected.aggregate.sram.thresholdExceeded",
};

enum gpu_smi_cell gpu_smi_cell(const char *cell) {
	static const char *const absent[] = {"",
					     "N/A",
					     "[N/A]",
					     "Not Supported",
					     "[Not Supported]",
					     "[Insufficient Permissions]",
					     "[Requested functionality has been deprecated]",
					     "[Function Not Found]"};
	static const char *const faults[] = {"[Unknown Error]", "Unknown Error",     "[GPU requires reset]",
					     "[GPU is lost]",	"[GPU Unavailable]", "ERR!"};
	if (!cell) return SMI_ABSENT;
	for (size_t i = 0; i < sizeof absent / sizeof *absent; i++)
		if (strcasecmp(cell, absent[i]) == 0) return SMI_ABSENT;
	for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
		if (strcasecmp(cell, faults[i]) == 0) return SMI_FAULT;
	return SMI_VALUE;
}

bool gpu_smi_number(const char *cell, int64_t *ret_number) {
	int64_t n = 0;
	if (!cell || *cell < '0' || *cell > '9') return false;
	for (; *cell >= '0' && *cell <= '9'; cell++) {
		if (n > (INT64_MAX - 9) / 10) return false;
		n = n * 10 + (*cell - '0');
	}
	if (*cell == '.') do
			cell++;
		while (*cell >= '0' && *cell <= '9');
	if (*cell) return false;
	*ret_number = n;
	return true;
}

bool gpu_smi_address(const char *cell, char address[16]) {
	unsigned domain, bus, device, function;
	int end = 0;
	if (!cell || strlen(cell) > 16) return false;
	if (strspn(cell, "0123456789abcdefABCDEF:.") != strlen(cell)) return false;
	if (sscanf(cell, "%8x:%2x:%2x.%1x%n", &domain, &bus, &device, &function, &end) != 4 || cell[end]) return false;
	if (domain > 0xFFFF) return false;
	return snprintf(address, 16, "%04x:%02x:%02x.%x", domain, bus, device, function) < 16;
}

/* A row begins with what was asked for first: a small index or an address. */
static bool is_row(const char *first, enum gpu_smi_field column) {
	char address[16];
	int64_t n;
	if (column == SMI_ADDRESS) return gpu_smi_address(first, address);
	return column != SMI_INDEX || (gpu_smi_number(first, &n) && n < 1000);
}

static void add_message(struct gpu_smi_answer *a, const char *line) {
	if (a->message_count < GPU_SMI_MESSAGES_MAX) a->messages[a->message_count++] = line;
}

static void parse_line(char *line, const enum gpu_smi_field *columns, size_t column_count, struct arena *arena,
		       struct gpu_smi_answer *a) {
	struct gpu_smi_row row = {0};
	char *copy = arena_strdup(arena, line);
	size_t n = 0;
	for (char *at = copy; at; n++) {
		char *comma = strchr(at, ',');
		if (comma) *comma = '\0';
		if (n < column_count) row.cells[columns[n]] = str_trim(at);
		at = comma ? comma + 1 : NULL;
	}
	if (n == column_count && a->count < GPU_MAX && is_row(row.cells[columns[0]], columns[0]))
		a->rows[a->count++] = row;
	else
		add_message(a, line);
}

void gpu_smi_parse(const char *text, size_t len, const enum gpu_smi_field *columns, size_t column_count,
		   struct arena *arena, struct gpu_smi_answer *ret_answer) {
	struct gpu_smi_answer *a = ret_answer;
	*a = (struct gpu_smi_answer){0};
	for (const char *at = text, *end = text + len; at < end;) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));
		size_t n = (size_t)((newline ? newline : end) - at);
		char *line = str_trim(arena_dup(arena, at, n));
		if (*line) parse_line(line, columns, column_count, arena, a);
		at += newline ? n + 1 : n;
	}
}

bool gpu_smi_knows(const char *help, const char *field) {
	size_t n = strlen(field);
	for (const char *at = help; (at = strstr(at, field)); at++)
		if (at > help && at[-1] == '"' && at[n] == '"') return true;
	return false;
}

/* Digits and dots at the start of text into version, without a dot at the end. */
static bool copy_version(const char *text, char *version, size_t size) {
	size_t n = strspn(text, "0123456789.");
	while (n > 0 && text[n - 1] == '.') n--;
	if (n == 0 || n >= size || *text == '.') return false;
	memcpy(version, text, n);
	version[n] = '\0';
	return true;
}

bool gpu_smi_cuda_version(const char *text, char *version, size_t size) {
	static const char *const keys[] = {"CUDA UMD version", "CUDA version"};
	for (size_t k = 0; k < sizeof keys / sizeof *keys; k++)
		for (const char *at = text; (at = strcasestr(at, keys[k])); at++) {
			const char *value = at + strlen(keys[k]);
			value += strspn(value, " \t");
			if (*value != ':') continue;
			value += 1 + strspn(value + 1, " \t");
			if (copy_version(value, version, size)) return true;
		}
	return false;
}

enum gpu_smi_field gpu_smi_refused(const char *text) {
	const char *at = strstr(text, "is not a valid field to query"), *start = NULL;
	if (!at) return SMI_FIELD_COUNT;
	while (at > text && at[-1] == ' ') at--;
	if (at == text || at[-1] != '"') return SMI_FIELD_COUNT;
	const char *end = --at;
	while (at > text && at[-1] != '"' && at[-1] != '\n') at--;
	start = at;
	for (size_t f = 0; f < SMI_FIELD_COUNT; f++)
		if (strlen(gpu_smi_names[f]) == (size_t)(end - start) &&
		    strncmp(gpu_smi_names[f], start, (size_t)(end - start)) == 0)
			return (enum gpu_smi_field)f;
	return SMI_FIELD_COUNT;
}

int gpu_version_compare(const char *a, const char *b) {
	while (*a || *b) {
		unsigned long x = 0, y = 0;
		for (; *a >= '0' && *a <= '9'; a++) x = x < 100000000 ? x * 10 + (unsigned long)(*a - '0') : x;
		for (; *b >= '0' && *b <= '9'; b++) y = y < 100000000 ? y * 10 + (unsigned long)(*b - '0') : y;
		if (x != y) return x < y ? -1 : 1;
		if (*a && *a != '.') return 0;
		if (*b && *b != '.') return 0;
		if (*a) a++;
		if (*b) b++;
	}
	return 0;
}
