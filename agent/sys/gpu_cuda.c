/*
 * Does CUDA work? The system's python3 loads libcuda by ctypes: a static binary cannot, and this needs neither torch
 * nor the toolkit. It goes by the entry points that every driver since R450 exports, and ends by _exit, so that a
 * teardown that hangs does not lose the result. Source: CUDA Driver API, "Initialization", "Primary Context
 * Management".
 *
 * Its output: "CUDA 13.0", then "COUNT 8 ms=412", then "GPU 0 ms=155 NVIDIA A10G" for each, then "DONE"; or
 * "ERR call number name gpu=N".
 */
#include "sys/gpu_cuda.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/str.h"
#include "sys/gpu_child.h"
#include "sys/gpu_smi.h"

/* cuInit of a cold GPU takes up to 3 s, a context some 0.4 s; and a machine that boots is slow. */
#define PROBE_MS (60 * 1000)
#define PROBE_GPU_MS (5 * 1000)
#define PYTHON "/usr/bin/python3"

static const char script[] =
	"import ctypes as C, os, sys, time\n"
	"os.environ.pop('CUDA_VISIBLE_DEVICES', None)\n" /* the machine is asked, not the caller's choice */
	"t = time.monotonic()\n"
	"def say(s):\n"
	"    sys.stdout.write(s + '\\n')\n"
	"    sys.stdout.flush()\n"
	"def end(s, code):\n"
	"    say(s)\n"
	"    os._exit(code)\n"
	"def ms():\n"
	"    return int((time.monotonic() - t) * 1000)\n"
	"try:\n"
	"    L = C.CDLL('libcuda.so.1')\n"
	"except OSError as e:\n"
	"    end('ERR load 0 %s gpu=-1' % str(e).replace(' ', '_'), 10)\n"
	"def call(name, code, gpu, *args):\n"
	"    r = getattr(L, name)(*args)\n"
	"    if r:\n"
	"        p = C.c_char_p()\n"
	"        L.cuGetErrorName(r, C.byref(p))\n"
	"        end('ERR %s %d %s gpu=%d' % (name, r, (p.value or b'?').decode(), gpu), code)\n"
	"try:\n"
	"    v = C.c_int()\n"
	"    call('cuDriverGetVersion', 14, -1, C.byref(v))\n"
	"    say('CUDA %d.%d' % (v.value // 1000, v.value % 1000 // 10))\n"
	"    call('cuInit', 11, -1, C.c_uint(0))\n"
	"    n = C.c_int()\n"
	"    call('cuDeviceGetCount', 12, -1, C.byref(n))\n"
	"    say('COUNT %d ms=%d' % (n.value, ms()))\n"
	"    size = 1 << 20\n"
	"    for i in range(n.value):\n"
	"        t = time.monotonic()\n"
	"        d, ctx, p = C.c_int(), C.c_void_p(), C.c_uint64()\n"
	"        name = C.create_string_buffer(256)\n"
	"        call('cuDeviceGet', 13, i, C.byref(d), C.c_int(i))\n"
	"        call('cuDeviceGetName', 13, i, name, C.c_int(256), d)\n"
	"        call('cuDevicePrimaryCtxRetain', 15, i, C.byref(ctx), d)\n"
	"        call('cuCtxSetCurrent', 15, i, ctx)\n"
	"        call('cuMemAlloc_v2', 16, i, C.byref(p), C.c_size_t(size))\n"
	"        sent, got = os.urandom(size), C.create_string_buffer(size)\n"
	"        call('cuMemcpyHtoD_v2', 17, i, p, sent, C.c_size_t(size))\n"
	"        call('cuMemcpyDtoH_v2', 17, i, got, p, C.c_size_t(size))\n"
	"        if got.raw != sent:\n"
	"            end('ERR compare 0 data gpu=%d' % i, 18)\n"
	"        call('cuMemFree_v2', 16, i, p)\n"
	"        call('cuDevicePrimaryCtxRelease_v2', 15, i, d)\n"
	"        say('GPU %d ms=%d %s' % (i, ms(), name.value.decode(errors='replace')))\n"
	"except AttributeError as e:\n"
	"    end('ERR symbol 0 %s gpu=-1' % str(e).replace(' ', '_'), 19)\n"
	"end('DONE', 0)\n";

/* What the probe has said. */
struct said {
	char cuda[16], call[40], name[80];
	int count, gpu, number; /* count -1: it did not come so far */
	bool is_done, has_error;
};

static void read_line(const char *line, struct said *s) {
	if (sscanf(line, "ERR %39s %d %79s gpu=%d", s->call, &s->number, s->name, &s->gpu) == 4) s->has_error = true;
	if (str_starts(line, "DONE\n") || str_eq(line, "DONE")) s->is_done = true;
	(void)sscanf(line, "CUDA %15[0-9.]", s->cuda); /* not that line: nothing is written */
	(void)sscanf(line, "COUNT %5d ", &s->count);
}

static void add_error(const struct said *s, const char *evidence, struct gpu_report *r) {
	const struct gpu_cuda_error *e = gpu_cuda_error_by_number(s->number);
	char where[32] = "";
	if (s->gpu >= 0) (void)snprintf(where, sizeof where, " on GPU %d", s->gpu); /* fits */
	if (str_eq(s->call, "load"))
		gpu_add(r, "cuda-init", GPU_FAIL, GPU_REMEDY_FIX, evidence,
			"CUDA does not start: libcuda.so.1 cannot be loaded, the driver's libraries are not installed "
			"whole; use a Deep Learning AMI or install the driver again");
	else if (str_eq(s->call, "compare"))
		gpu_add(r, "cuda-init", GPU_FAIL, GPU_REMEDY_REPLACE, evidence,
			"CUDA%s gave back other data than it was sent: " GPU_SAY_REPLACE, where);
	else if (str_eq(s->call, "symbol"))
		gpu_add(r, "cuda-init", GPU_FAIL, GPU_REMEDY_FIX, evidence,
			"libcuda.so.1 is too old or none of NVIDIA's: install the driver again");
	else if (e)
		gpu_add(r, "cuda-init", GPU_FAIL, e->remedy, evidence, "CUDA fails%s with error %d: %s", where,
			s->number, e->text);
	else
		gpu_add(r, "cuda-init", GPU_FAIL, GPU_REMEDY_REBOOT, evidence,
			"CUDA fails%s with error %d (%s): " GPU_SAY_REBOOT, where, s->number, s->name);
}

/* MIG and CUDA's own numbering: with slices it counts other things than boards. */
static void judge_count(const struct said *s, const char *evidence, struct gpu_report *r) {
	if (gpu_has_finding(r, "mig") || s->count == (int)r->count) return;
	gpu_add(r, "cuda-init", GPU_FAIL, GPU_REMEDY_REBOOT, evidence,
		"CUDA sees %d of %zu GPUs: look at /dev/nvidia* and the device cgroup; " GPU_SAY_REBOOT, s->count,
		r->count);
}

void gpu_cuda_judge(const struct gpu_child *child, struct gpu_report *r) {
	struct said s = {.count = -1, .gpu = -1};
	const char *last = gpu_child_last_line(child, r->arena);
	for (const char *at = buf_str(&child->text); *at; at += strcspn(at, "\n"), at += *at == '\n') read_line(at, &s);
	if (s.cuda[0]) memcpy(r->cuda, s.cuda, sizeof r->cuda);
	if (child->end == GPU_CHILD_HUNG)
		gpu_child_add_hung(r, child, "CUDA");
	else if (s.has_error)
		add_error(&s, gpu_child_line_with(child, "ERR ", r->arena), r);
	else if (child->end == GPU_CHILD_MISSING)
		gpu_add(r, "cuda-skipped", GPU_INFO, GPU_REMEDY_NONE, last,
			"CUDA was not tried: there is no python3 to try it with");
	else if (s.is_done && child->exit_code == 0)
		judge_count(&s, gpu_child_line_with(child, "COUNT ", r->arena), r);
	else
		gpu_add(r, "cuda-init", GPU_FAIL, GPU_REMEDY_REBOOT, last[0] ? last : NULL,
			"the CUDA probe ended too early (%s %d): " GPU_SAY_REBOOT,
			child->signal ? "signal" : "exit status", child->signal ? child->signal : child->exit_code);
}

int gpu_check_cuda(const struct machine *m, const struct gpu_want *want, struct gpu_report *r, struct err *err) {
	AUTO_GPU_CHILD struct gpu_child child = {0};
	/* A tree without a system of its own runs the host's commands. */
	bool has_own = m->root->is_system ? fs_exists(m->root, PYTHON) : access(PYTHON, X_OK) == 0;
	const char *const argv[] = {has_own ? PYTHON : "python3", "-I", "-S", "-c", script, NULL};
	struct machine_command cmd = {
		.argv = argv, .label = "the CUDA probe", .timeout_ms = PROBE_MS + (int64_t)r->count * PROBE_GPU_MS};
	int64_t started_at_ms = clock_mono_ms();
	machine_note(m, 0, 0, "copying to and from each GPU by CUDA");
	int rc = gpu_child_run(m, &cmd, &child, err);
	r->cuda_ms = clock_mono_ms() - started_at_ms;
	if (rc < 0) return err_wrap(err, "CUDA probe");
	gpu_cuda_judge(&child, r);
	gpu_smi_judge_versions(want, r);
	return 0;
}
