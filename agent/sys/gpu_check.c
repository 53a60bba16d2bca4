#include "base/clock.h"
#include "base/fs.h"
#include "sys/gpu_hold.h"
#include "sys/gpu_smi.h"
#include "sys/machine.h"

/* An open that brings a GPU up takes up to 3 s; they come up one after another. */
#define HOLD_MS (10 * 1000)
#define HOLD_GPU_MS (3 * 1000)

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
		"PyTorch was not tried: the GPU has failed a check before it");
	return 0;
}

/* By now the programs have used the GPUs, so that all are open, or one hangs. */
static void judge_hold(struct gpu_hold *hold, const struct machine *m, struct gpu_report *r) {
	int64_t limit_ms = HOLD_MS + (int64_t)hold->count * HOLD_GPU_MS - (clock_mono_ms() - hold->started_at_ms);
	if (limit_ms > machine_left_ms(m)) limit_ms = machine_left_ms(m);
	if (hold->fd < 0) return;
	gpu_hold_await(hold, gpu_has_finding(r, "gpu-hung") ? 0 : limit_ms);
	gpu_hold_judge(hold, r);
}

/* Layers B and C. */
static int check_programs(const struct machine *m, const struct gpu_want *want, struct gpu_report *r, struct err *err) {
	AUTO_GPU_HOLD struct gpu_hold hold = GPU_HOLD_INIT;
	if (fs_root_is_host(m->root)) gpu_hold_start(&hold, "/dev/nvidia", r->count);
	int rc = gpu_check_smi(m, want, r, err);
	if (!rc) publish_so_far(m, r);
	if (!rc && want->wants_probe && !gpu_is_hopeless(r)) rc = gpu_check_cuda(m, want, r, err);
	if (rc) return rc;
	judge_hold(&hold, m, r);
	return check_torch(m, want, r, err);
}

int gpu_check(const struct machine *m, const struct gpu_want *want, struct gpu_report *r, struct err *err) {
	if (!r->arena) r->arena = m->arena;
	int rc = gpu_check_files(m, want, r, err);
	if (rc) return rc;
	if (r->count && !gpu_is_hopeless(r)) {
		publish_so_far(m, r);
		rc = check_programs(m, want, r, err);
		if (rc) return rc;
	}
	publish(m, r);
	return 0;
}
