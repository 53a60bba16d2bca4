#include "sys/gpu.h"
#include "sys/machine.h"

/* Longest verdict: a tag's value (EC2 User Guide, "Tag restrictions"). */
#define VERDICT_SIZE 257

static void publish(const struct machine *m, const struct gpu_report *r) {
	char text[VERDICT_SIZE];
	machine_publish(m, "gpu", gpu_verdict(r, text, sizeof text));
}

/* While layers are still to come, a clean bill would be a promise; bad news is final. */
static void publish_so_far(const struct machine *m, const struct gpu_report *r) {
	char verdict[VERDICT_SIZE], text[VERDICT_SIZE + 32];
	(void)gpu_verdict(r, verdict, sizeof verdict);
	if (gpu_severity(r) == GPU_FAIL) {
		machine_publish(m, "gpu", verdict);
		return;
	}
	(void)snprintf(text, sizeof text, "checking, so far %s", verdict);
	machine_publish(m, "gpu", text);
}

/* PyTorch comes last and costs most: not tried on a GPU that has failed. */
static int check_torch(const struct machine *m, const struct gpu_want *want, struct gpu_report *r, struct err *err) {
	if (!want->torch) return 0;
	if (gpu_severity(r) < GPU_FAIL) return gpu_check_torch(m, want, r, err);
	gpu_add(r, "torch-skipped", GPU_INFO, GPU_REMEDY_NONE, NULL,
		"PyTorch was not tried: the GPU has failed a check before it.");
	return 0;
}

int gpu_check(const struct machine *m, const struct gpu_want *want, struct gpu_report *r, struct err *err) {
	if (!r->arena) r->arena = m->arena;
	int rc = gpu_check_files(m, want, r, err);
	if (rc) return rc;
	if (r->count && !gpu_is_hopeless(r)) {
		publish_so_far(m, r);
		rc = gpu_check_smi(m, want, r, err);
		if (!rc) publish_so_far(m, r);
		if (!rc && want->wants_probe && !gpu_is_hopeless(r)) rc = gpu_check_cuda(m, want, r, err);
		if (!rc) rc = check_torch(m, want, r, err);
		if (rc) return rc;
	}
	publish(m, r);
	return 0;
}
