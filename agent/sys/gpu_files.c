#include "sys/gpu_files.h"

#include <sys/utsname.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fs.h"

/* A bare tree below --root has no /proc of its own: then the running kernel answers. */
static void read_kernel(struct gpu_scan *s) {
	struct utsname uts;
	fs_read_line(s->m->root, "/proc/sys/kernel/osrelease", s->kernel, sizeof s->kernel);
	if (!s->kernel[0] && !uname(&uts)) (void)snprintf(s->kernel, sizeof s->kernel, "%s", uts.release);
}

static void check_driver(struct gpu_scan *s) {
	struct gpu_report *r = s->r;
	read_kernel(s);
	gpu_files_await(s);
	if (s->is_loaded) gpu_files_read_version(s);
	gpu_kmsg_read(s->log, s->m->root);
	gpu_files_module(s);
	gpu_files_log(s);
	if (!s->is_loaded) return;
	gpu_files_driver(s);
	gpu_files_fabric(s);
	gpu_files_docker(s);
	const char *cuda = gpu_cuda_for_driver(r->driver);
	/* nvidia-smi and the probe know it better; the table serves until then. */
	if (cuda && !r->cuda[0]) (void)snprintf(r->cuda, sizeof r->cuda, "%s", cuda);
}

int gpu_check_files(const struct machine *m, const struct gpu_want *want, struct gpu_report *r, struct err *err) {
	int64_t began_ms = clock_mono_ms();
	if (!r->arena) r->arena = m->arena;
	struct gpu_scan s = {.m = m, .want = want, .r = r, .log = arena_alloc(r->arena, sizeof *s.log)};
	int rc = gpu_files_bus(&s, err);
	if (rc) return err_wrap(err, "which GPUs this machine has");
	if (s.on_bus) {
		check_driver(&s);
		gpu_files_env(&s);
	}
	if (s.on_bus || s.type) gpu_files_host(&s);
	r->files_ms += clock_mono_ms() - began_ms - s.waited_ms;
	return 0;
}
