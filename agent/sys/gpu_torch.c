/*
 * Does PyTorch see the GPUs? Run as the login user, whose torch it is. The first import after a launch reads some 2 GB
 * of lazily loaded EBS blocks and may take minutes: slow is a warning, not a fault. Where words come from: PyTorch
 * c10/cuda/CUDAFunctions.cpp.
 *
 * Its output is one line of key=value, then "op=ok" when a product of matrices went well on every GPU.
 */
#include <stdlib.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/str.h"
#include "sys/gpu_child.h"
#include "sys/gpu_cuda.h"
#include "sys/gpu_smi.h"

#define TORCH_MS (180 * 1000)

static const char script[] =
	"import os, sys\n"
	"import torch as t\n"
	"c = t.cuda.is_available()\n"
	"n = t.cuda.device_count()\n"
	"cc = ','.join('%d%d' % t.cuda.get_device_capability(i) for i in range(n)) if c else '-'\n"
	"print('torch=%s cuda=%s avail=%s n=%d cc=%s arch=%s' % (t.__version__, t.version.cuda, c, n, cc,\n"
	"      ','.join(t.cuda.get_arch_list()) if c else '-'), flush=True)\n"
	"for i in range(n if c else 0):\n"
	"    x = t.ones(1024, 1024, device='cuda:%d' % i)\n"
	"    if (x @ x).sum().item() != float(1 << 30):\n"
	"        raise SystemExit('the product of two matrices is wrong on GPU %d' % i)\n"
	"print('op=ok', flush=True)\n"
	"os._exit(0)\n";

/* Where the Deep Learning AMIs have it: since PyTorch 2.9 in /opt/pytorch, before in conda. */
static const char *const places[] = {"/opt/pytorch/bin/python", "/opt/conda/envs/pytorch/bin/python"};

/* The interpreter to run, NULL if there is none. A path to a venv means the python in it. */
static const char *find_python(const struct machine *m, const char *wanted) {
	for (size_t i = 0; str_eq(wanted, "auto") && i < sizeof places / sizeof *places; i++)
		if (fs_exists(m->root, places[i])) return places[i];
	if (str_eq(wanted, "auto")) return NULL;
	const char *in_venv = arena_printf(m->arena, "%s/bin/python", wanted);
	if (fs_exists(m->root, in_venv)) return in_venv;
	return fs_exists(m->root, wanted) ? wanted : NULL;
}

/* The value of key in a line of key=value words, copied; "" if absent. */
static const char *value_of(const char *line, const char *key, struct arena *arena) {
	const char *at = strstr(line, key);
	if (!at) return "";
	at += strlen(key);
	return arena_dup(arena, at, strcspn(at, " \n"));
}

/* One entry of the list, "sm_80" or "compute_90", has kernels for cc: same major and not newer, or PTX not newer. */
static bool fits(const char *arch, long cc) {
	bool is_sm = str_starts(arch, "sm_"), is_ptx = str_starts(arch, "compute_");
	if (!is_sm && !is_ptx) return false;
	long n = strtol(strchr(arch, '_') + 1, NULL, 10);
	return n <= cc && (is_ptx || n / 10 == cc / 10);
}

/* The first compute capability without kernels, 0 if all have some. */
static long capability_without_kernels(const char *ccs, const char *archs, struct arena *arena) {
	AUTO_STRS struct strs cc = {0}, arch = {0};
	long missing = 0;
	str_split(ccs, ",", arena, &cc);
	str_split(archs, ",", arena, &arch);
	for (size_t i = 0; i < cc.count && !missing; i++) {
		long n = strtol(cc.items[i], NULL, 10);
		bool has_fit = n <= 0 || arch.count == 0;
		for (size_t k = 0; k < arch.count; k++) has_fit = has_fit || fits(arch.items[k], n);
		if (!has_fit) missing = n;
	}
	return missing;
}

static void judge_import(const struct gpu_child *child, const char *python, bool is_auto, struct gpu_report *r) {
	const char *last = gpu_child_last_line(child, r->arena);
	if (gpu_child_line_with(child, "No module named 'torch'", r->arena))
		gpu_add(r, "torch-none", is_auto ? GPU_INFO : GPU_FAIL, is_auto ? GPU_REMEDY_NONE : GPU_REMEDY_FIX,
			last, "%s has no PyTorch", python);
	else
		gpu_add(r, "torch-import", GPU_FAIL, GPU_REMEDY_FIX, last[0] ? last : NULL,
			"PyTorch of %s does not load (%s %d): install it again", python,
			child->signal ? "signal" : "exit status", child->signal ? child->signal : child->exit_code);
}

static void judge_unavailable(const struct gpu_child *child, const char *cuda, const char *python,
			      struct gpu_report *r) {
	const struct gpu_cuda_error *e = gpu_cuda_error_by_text(buf_str(&child->text));
	const char *line = gpu_child_line_with(child, "CUDA initialization:", r->arena);
	if (!line) line = gpu_child_line_with(child, "torch=", r->arena);
	if (str_eq(cuda, "None"))
		gpu_add(r, "torch-cpu", GPU_FAIL, GPU_REMEDY_FIX, line,
			"PyTorch of %s is the build for CPUs: install one for CUDA, from "
			"https://download.pytorch.org/whl/cu130 or the index that fits the driver",
			python);
	else
		gpu_add(r, "torch-cuda", GPU_FAIL, e ? e->remedy : GPU_REMEDY_FIX, line,
			"PyTorch of %s does not see the GPU: %s", python,
			e ? e->text : "look at CUDA_VISIBLE_DEVICES and LD_LIBRARY_PATH of the login user");
}

static void judge_operation(const struct gpu_child *child, const char *python, struct gpu_report *r) {
	const char *text = buf_str(&child->text), *last = gpu_child_last_line(child, r->arena);
	const struct gpu_cuda_error *e = gpu_cuda_error_by_text(text);
	bool is_arch = strstr(text, "no kernel image is available");
	gpu_add(r, is_arch ? "torch-arch" : "torch-op", GPU_FAIL, e ? e->remedy : GPU_REMEDY_REBOOT,
		last[0] ? last : NULL, "PyTorch of %s sees the GPU, but cannot compute on it: %s", python,
		e ? e->text : GPU_SAY_REBOOT);
}

/* PyTorch brings its own CUDA; drivers run any minor of their own major (CUDA Compatibility, "Minor version"). */
static void judge_compat(const char *cuda, const char *python, struct gpu_report *r) {
	long wants = strtol(cuda, NULL, 10), has = strtol(r->cuda, NULL, 10);
	if (has == 0 || wants <= has) return;
	gpu_add(r, "cuda-compat", GPU_FAIL, GPU_REMEDY_FIX, cuda,
		"PyTorch of %s is built for CUDA %s, the driver supports CUDA up to %s: install a newer driver, or a "
		"PyTorch for CUDA %ld",
		python, cuda, r->cuda, has);
}

void gpu_torch_judge(const struct gpu_child *child, const char *python, bool is_auto, struct gpu_report *r) {
	const char *text = buf_str(&child->text), *line = strstr(text, "torch=");
	if (child->end == GPU_CHILD_HUNG && child->was_left_behind) {
		gpu_child_add_hung(r, child, "PyTorch");
		return;
	}
	if (child->end == GPU_CHILD_HUNG) {
		gpu_add(r, "torch-slow", GPU_WARN, GPU_REMEDY_NONE, NULL,
			"PyTorch of %s did not load within %s: after a launch its files come from the snapshot slowly; "
			"run `dsagent doctor gpu` later",
			python, str_duration(child->limit_ms, r->arena));
		return;
	}
	if (!line) {
		judge_import(child, python, is_auto, r);
		return;
	}
	line = arena_dup(r->arena, line, strcspn(line, "\n"));
	const char *cuda = value_of(line, " cuda=", r->arena);
	(void)snprintf(r->torch, sizeof r->torch, "%s", value_of(line, "torch=", r->arena)); /* may be cut */
	if (!str_eq(value_of(line, " avail=", r->arena), "True")) {
		judge_unavailable(child, cuda, python, r);
		judge_compat(cuda, python, r);
		return;
	}
	long cc = capability_without_kernels(value_of(line, " cc=", r->arena), value_of(line, " arch=", r->arena),
					     r->arena);
	if (cc)
		gpu_add(r, "torch-arch", GPU_FAIL, GPU_REMEDY_FIX, gpu_child_evidence(line, strlen(line), r->arena),
			"PyTorch of %s has no kernels for compute capability %ld.%ld: install a build that has", python,
			cc / 10, cc % 10);
	else if (!strstr(text, "op=ok"))
		judge_operation(child, python, r);
}

int gpu_check_torch(const struct machine *m, const struct gpu_want *want, struct gpu_report *r, struct err *err) {
	AUTO_GPU_CHILD struct gpu_child child = {0};
	bool is_auto = str_eq(want->torch, "auto");
	const char *python = want->torch ? find_python(m, want->torch) : NULL;
	if (!want->torch) return 0;
	if (!python) {
		gpu_add(r, "torch-none", is_auto ? GPU_INFO : GPU_FAIL, is_auto ? GPU_REMEDY_NONE : GPU_REMEDY_FIX,
			NULL, "no PyTorch was found%s%s", is_auto ? "" : ": there is no python at ",
			is_auto ? "" : want->torch);
		return 0;
	}
	const struct exec_user *u = want->user;
	const char *const env[] = {"PYTHONDONTWRITEBYTECODE=1", u ? arena_printf(m->arena, "HOME=%s", u->home) : NULL,
				   u ? arena_printf(m->arena, "USER=%s", u->name) : NULL,
				   u ? arena_printf(m->arena, "LOGNAME=%s", u->name) : NULL, NULL};
	const char *const argv[] = {m->root->is_system ? python : fs_host_path(m->root, python, m->arena), "-c", script,
				    NULL};
	struct machine_command cmd = {
		.argv = argv, .label = "the PyTorch probe", .extra_env = env, .user = u, .timeout_ms = TORCH_MS};
	int64_t started_at_ms = clock_mono_ms();
	machine_note(m, 0, 0, "loading PyTorch of %s", python);
	int rc = gpu_child_run(m, &cmd, &child, err);
	r->torch_ms = clock_mono_ms() - started_at_ms;
	if (rc < 0) return err_wrap(err, "PyTorch probe");
	gpu_torch_judge(&child, python, is_auto, r);
	return 0;
}
