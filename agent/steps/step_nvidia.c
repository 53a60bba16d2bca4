#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/str.h"
#include "fmt/diag.h"
#include "recipe/facts.h"
#include "recipe/step.h"
#include "steps/steps.h"
#include "sys/gpu.h"
#include "sys/user.h"

/** Between two looks at something that needs time: a look costs up to seconds by itself. */
#define LOOK_AGAIN_MS 3000
/** The gate with the first import of PyTorch after a launch, and the longest sensible `wait`. */
#define TIMEOUT_MS (20LL * 60 * 1000)
/** A tag's value (EC2 User Guide, "Tag restrictions"). */
#define VERDICT_SIZE 257

struct nvidia_params {
	bool is_required, wants_probe, is_warn_allowed;
	int64_t gpus, min_memory_bytes, wait_ms;
	const char *min_driver, *min_cuda, *torch;
};

#define NVIDIA_FIELD(n, k, member, text)                                                                               \
	.name = n, .kind = k, .offset = offsetof(struct nvidia_params, member), .help = text

static const struct field nvidia_fields[] = {
	{NVIDIA_FIELD("required", FIELD_BOOL, is_required, "a machine without a GPU fails, whatever its instance type"),
	 .fallback = "false"},
	{NVIDIA_FIELD("gpus", FIELD_INT, gpus, "exactly so many; default: what the instance type has"), .min = 1,
	 .max = GPU_MAX},
	{NVIDIA_FIELD("min_driver", FIELD_TEXT, min_driver, "at least this driver, such as 580 or 580.65.06")},
	{NVIDIA_FIELD("min_cuda", FIELD_TEXT, min_cuda, "the driver supports at least this CUDA, such as 12.8")},
	{NVIDIA_FIELD("min_memory", FIELD_SIZE, min_memory_bytes,
		      "each GPU has at least so much memory, as it is sold: 16G for a T4")},
	{NVIDIA_FIELD("probe", FIELD_BOOL, wants_probe, "copy to and from each GPU by CUDA"), .fallback = "true"},
	{NVIDIA_FIELD("torch", FIELD_TEXT, torch,
		      "compute with PyTorch on each GPU: `auto` (the Deep Learning AMI's, if there), or the path of a "
		      "python or venv")},
	{NVIDIA_FIELD("allow_warn", FIELD_BOOL, is_warn_allowed, "warnings do not fail it"), .fallback = "true"},
	{NVIDIA_FIELD("wait", FIELD_DURATION, wait_ms,
		      "how long to wait for the driver, its fabric manager and CUDA to come up after a boot"),
	 .fallback = "90s"},
	{0},
};

static bool is_version(const char *text) {
	size_t n = strspn(text, "0123456789.");
	return n > 0 && n < 24 && !text[n] && text[0] != '.' && text[n - 1] != '.' && !strstr(text, "..");
}

static void nvidia_check(const void *params, const struct yml_node *node, struct diags *diags) {
	const struct nvidia_params *p = params;
	const char *const versions[] = {p->min_driver, p->min_cuda};
	static const char *const names[] = {"min_driver", "min_cuda"};
	for (size_t i = 0; i < 2; i++)
		if (versions[i] && !step_text_is_open(versions[i]) && !is_version(versions[i]))
			diag_add(diags, node, "%s '%s' is no version such as %s", names[i], versions[i],
				 i == 0 ? "580 or 580.65.06" : "12.8");
	if (p->torch && !step_text_is_open(p->torch) && !str_eq(p->torch, "auto") && p->torch[0] != '/')
		diag_add(diags, node, "torch '%s' is neither auto nor an absolute path", p->torch);
}

static void nvidia_resources(const void *params, const struct facts *facts, struct arena *arena,
			     struct strs *ret_names) {
	strs_add(ret_names, "gpu");
}

/* Whose PyTorch is asked: run_as, else the image's login user when we could become it. */
static const struct exec_user *torch_user(const struct step_ctx *ctx) {
	const char *login = ctx->facts->os.login_user;
	struct err ignored; /* an account that is not there runs nothing */
	if (ctx->user || !ctx->facts->is_root || !login[0]) return ctx->user;
	struct exec_user *user = arena_alloc(ctx->arena, sizeof *user);
	return user_find(ctx->machine.root, login, ctx->arena, user, &ignored) == 0 ? user : NULL;
}

static int run_gate(const struct nvidia_params *p, const struct step_ctx *ctx, int64_t wait_ms,
		    struct gpu_report *ret_report, struct err *err) {
	struct gpu_want want = {.is_required = p->is_required,
				.gpus = p->gpus,
				.min_driver = p->min_driver,
				.min_cuda = p->min_cuda,
				.min_memory_bytes = p->min_memory_bytes,
				.wants_probe = p->wants_probe,
				.torch = p->torch,
				.user = torch_user(ctx),
				.wait_ms = wait_ms};
	*ret_report = (struct gpu_report){.arena = ctx->arena, .expected = SIZE_MAX};
	(void)snprintf(ret_report->instance_type, sizeof ret_report->instance_type, "%.39s",
		       ctx->facts->instance.instance_type); /* no type is as long */
	return gpu_check(&ctx->machine, &want, ret_report, err);
}

static bool is_bad(const struct nvidia_params *p, const struct gpu_finding *f) {
	return f->severity == GPU_FAIL || (f->severity == GPU_WARN && !p->is_warn_allowed);
}

static size_t count_bad(const struct nvidia_params *p, const struct gpu_report *r) {
	size_t n = 0;
	for (size_t i = 0; i < r->finding_count; i++) n += is_bad(p, &r->findings[i]);
	return n;
}

static const char *finding_text(const struct gpu_finding *f, struct arena *arena) {
	return str_is_empty(f->evidence) ? arena_printf(arena, "%s: %s", f->code, f->text)
					 : arena_printf(arena, "%s: %s [%s]", f->code, f->text, f->evidence);
}

static int nvidia_probe(const void *params, struct step_ctx *ctx, struct changes *changes, struct err *err) {
	const struct nvidia_params *p = params;
	struct gpu_report r;
	int rc = run_gate(p, ctx, 0, &r, err);
	for (size_t i = 0; rc == 0 && i < r.finding_count; i++)
		if (is_bad(p, &r.findings[i]))
			changes_add(changes, ctx->arena, NULL, "wait for the GPU, now %s",
				    finding_text(&r.findings[i], ctx->arena));
	return rc;
}

/* True if all that is bad may come right by itself while a machine boots. */
static bool may_heal(const struct nvidia_params *p, const struct gpu_report *r) {
	static const char *const codes[] = {"drv-unloaded", "drv-uvm",	"fm-missing", "fm-down",
					    "fabric",	    "smi-exec", "cuda-init",  "torch-slow"};
	for (size_t i = 0; i < r->finding_count; i++) {
		bool is_known = false;
		for (size_t k = 0; k < sizeof codes / sizeof *codes; k++)
			is_known = is_known || str_eq(r->findings[i].code, codes[k]);
		if (is_bad(p, &r->findings[i]) && !is_known) return false;
	}
	return true;
}

/* The worst first, as the verdict has it; all of them, as far as a message goes. */
static int fail(const struct nvidia_params *p, const struct gpu_report *r, struct err *err) {
	AUTO_BUF struct buf text = BUF_INIT(8 * 1024);
	char verdict[VERDICT_SIZE];
	static const enum gpu_severity order[] = {GPU_FAIL, GPU_WARN};
	for (size_t k = 0; k < sizeof order / sizeof *order; k++)
		for (size_t i = 0; i < r->finding_count; i++)
			if (r->findings[i].severity == order[k] && is_bad(p, &r->findings[i]))
				buf_addf(&text, "%s%s", text.len ? " | " : "", finding_text(&r->findings[i], r->arena));
	return err_set(err, ERR_STATE, "%s: %s", gpu_verdict(r, verdict, sizeof verdict), buf_str(&text));
}

static int nvidia_apply(const void *params, struct step_ctx *ctx, const struct changes *changes, struct err *err) {
	const struct nvidia_params *p = params;
	for (int64_t started_at_ms = clock_mono_ms();;) {
		struct gpu_report r;
		int64_t left_ms = p->wait_ms - (clock_mono_ms() - started_at_ms);
		int rc = run_gate(p, ctx, left_ms > 0 ? left_ms : 0, &r, err);
		if (rc < 0) return rc;
		if (count_bad(p, &r) == 0) return 0;
		int64_t waited_ms = clock_mono_ms() - started_at_ms;
		if (!may_heal(p, &r) || waited_ms + LOOK_AGAIN_MS > p->wait_ms ||
		    machine_left_ms(&ctx->machine) <= LOOK_AGAIN_MS)
			return fail(p, &r, err);
		machine_wait(&ctx->machine, waited_ms, "the GPU (%s)", r.findings[0].code);
		clock_sleep_ms(LOOK_AGAIN_MS);
	}
}

const struct step_type step_nvidia = {
	.name = "nvidia",
	.summary =
		"the GPU gate: driver, libraries, devices, Xid, fabric, ECC, a CUDA copy, PyTorch; nothing is changed",
	.example = "- name: GPU\n"
		   "  needs: []\n"
		   "  nvidia:\n"
		   "    min_driver: 580\n"
		   "    torch: auto\n",
	.shape = {.fields = nvidia_fields, .size = sizeof(struct nvidia_params), .scalar_field = "required"},
	.timeout_ms = TIMEOUT_MS,
	.check = nvidia_check,
	.resources = nvidia_resources,
	.probe = nvidia_probe,
	.apply = nvidia_apply,
};
