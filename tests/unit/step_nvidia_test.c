#include "step_fixture.h"

#include "gpu_tree.h"
#include "steps/steps.h"

#define ROW_T4                                                                                                         \
	"0, 00000000:00:1E.0, 0x1EB810DE, Tesla T4, GPU-x, 580.105.08, 15360, 0, Enabled, P8, 30, 9.00, 70.00, 0, "    \
	"Default, Enabled, Enabled, 0, 0, No, [N/A], 3, 3, 8, 16, 0x1"
#define ROW_BUSY                                                                                                       \
	"0, 00000000:00:1E.0, 0x1EB810DE, Tesla T4, GPU-x, 580.105.08, 15360, 9000, Enabled, P8, 30, 9.00, 70.00, 0, " \
	"Default, Enabled, Enabled, 0, 0, No, [N/A], 3, 3, 8, 16, 0x1"
/* $0's folder is in PATH; the query's row is in a file beside it. */
#define SMI                                                                                                            \
	"#!/bin/sh\ncase $1 in\n--help-query-gpu) exit 0;;\n--query-gpu=*) cat \"${0%/*}/row\";;\n*) exit 3;;\nesac\n"
static void publish(const char *key, const char *value, void *arg) {
	buf_addf(&((struct fixture *)arg)->notes, "%s %s\n", key, value);
}

static struct tree tree_of(struct fixture *f) {
	struct tree t = {.root = f->root};
	(void)snprintf(t.dir, sizeof t.dir, "%s", f->dir);
	return t;
}

static void open_with(struct fixture *f, enum gpu_base base, const char *row) {
	fixture_open(f, false);
	struct tree t = tree_of(f);
	const char **env = arena_alloc(&f->arena, 3 * sizeof *env);
	gpu_tree_fill(&t, base, NULL);
	tree_write(&t, "/stub/nvidia-smi", SMI, 0755);
	tree_write(&t, "/stub/row", row, 0644);
	env[0] = arena_printf(&f->arena, "PATH=%s/stub:/usr/bin:/bin", f->dir);
	env[1] = "LANG=C";
	f->ctx.machine.env = env;
	f->ctx.machine.on_publish = publish;
}

#define SO_FAR "gpu checking, so far ok 1x T4 driver 580.105.08 cuda 13.0\n"
#define ASKED SO_FAR "note asking nvidia-smi\n"
#define OK_T4 "gpu ok 1x T4 driver 580.105.08 cuda 13.0\n"

static const struct {
	enum gpu_base base;
	const char *row, *yaml, *probe, *notes;
} rows[] = {
	{GPU_BASE_T4, ROW_T4, "{probe: false}", "", ASKED SO_FAR OK_T4},
	{GPU_BASE_T4, ROW_T4,
	 "{probe: no, required: yes, gpus: 1, min_driver: 580.65, min_cuda: 13.0, min_memory: 16G}", "",
	 ASKED SO_FAR OK_T4},
	{GPU_BASE_BARE, "", "{}", "", "gpu none\n"},
	{GPU_BASE_BARE, "", "false", "", "gpu none\n"},
	{GPU_BASE_BARE, "", "true", "PROBE gpu-none", "gpu fail gpu-none replace\n"},
	{GPU_BASE_T4, ROW_T4, "{probe: false, gpus: 4}", "PROBE gpu-count", NULL},
	{GPU_BASE_T4, ROW_T4, "{probe: false, min_driver: 590}",
	 "wait for the GPU, now min-driver: the driver is 580.105.08, the recipe asks for 590: use a newer Deep "
	 "Learning "
	 "AMI or install that driver [580.105.08]\n",
	 ASKED "gpu fail min-driver fix\ngpu fail min-driver fix\n"},
	{GPU_BASE_T4, ROW_BUSY, "{probe: false}", "",
	 ASKED "gpu checking, so far warn gpu-busy 1x T4 driver 580.105.08 cuda 13.0\n"
	       "gpu warn gpu-busy 1x T4 driver 580.105.08 cuda 13.0\n"},
	{GPU_BASE_T4, ROW_BUSY, "{probe: false, allow_warn: false}",
	 "wait for the GPU, now gpu-busy: GPU 0: something uses it already; `nvidia-smi` shows what [memory.used = "
	 "9000]\n",
	 NULL},
	{GPU_BASE_UNDRIVEN, "", "{}", "PROBE drv-", NULL},
	/* What the schema and the type's own check refuse. */
	{GPU_BASE_BARE, "", "{gpus: 0}", "r:1:8: ", ""},
	{GPU_BASE_BARE, "", "{min_driver: newest}",
	 "r:1:1: min_driver 'newest' is no version such as 580 or 580.65.06\n", ""},
	{GPU_BASE_BARE, "", "{min_cuda: 12.}", "r:1:1: min_cuda '12.' is no version such as 12.8\n", ""},
	{GPU_BASE_BARE, "", "{torch: here}", "r:1:1: torch 'here' is neither auto nor an absolute path\n", ""},
	{GPU_BASE_BARE, "", "{memory: 16G}", "r:1:2: ", ""},
};

/* "PROBE code": one change that begins so; a text that ends in a blank: the beginning; else the whole. */
static void assert_says(const char *said, const char *wanted) {
	const char *change = "wait for the GPU, now ";
	if (str_starts(wanted, "PROBE ")) {
		assert_true(str_starts(said, change));
		assert_true(str_starts(said + strlen(change), wanted + strlen("PROBE ")));
	} else if (str_ends(wanted, " ")) {
		assert_true(str_starts(said, wanted));
	} else {
		assert_string_equal(said, wanted);
	}
}

static void what_the_probe_finds(void **state) {
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct fixture f;
		open_with(&f, rows[i].base, rows[i].row);
		assert_says(fixture_probe(&f, &step_nvidia, rows[i].yaml), rows[i].probe);
		if (rows[i].notes) assert_string_equal(buf_str(&f.notes), rows[i].notes);
		fixture_close(&f);
	}
}

static void a_lasting_fault_is_not_waited_for(void **state) {
	struct fixture f;
	int64_t began_ms = clock_mono_ms();
	open_with(&f, GPU_BASE_T4, ROW_BUSY);
	assert_string_equal(
		fixture_apply(&f, &step_nvidia, "{probe: false, allow_warn: false, min_cuda: 14, wait: 10m}"),
		"state: fail min-cuda fix: min-cuda: the driver supports CUDA up to 13.0, the recipe asks for "
		"14: use a newer Deep Learning AMI or install a newer driver [13.0] | gpu-busy: GPU 0: "
		"something uses it already; `nvidia-smi` shows what [memory.used = 9000]");
	assert_true(clock_mono_ms() - began_ms < 60000);
	assert_null(strstr(buf_str(&f.notes), "wait "));
	fixture_close(&f);
}

static void what_comes_up_late_is_waited_for(void **state) {
	/* The first two looks (probe, apply) find nobody home, the third finds the GPU. */
	static const char late[] = "#!/bin/sh\ncase $1 in\n--help-query-gpu) exit 0;;\nesac\n"
				   "echo x >>\"${0%/*}/looks\"\n[ $(wc -l <\"${0%/*}/looks\") -gt 2 ] && exec cat "
				   "\"${0%/*}/row\"\necho \"NVIDIA-SMI has failed because it couldn't communicate with "
				   "the NVIDIA driver.\"\nexit 9\n";
	struct fixture f;
	open_with(&f, GPU_BASE_T4, ROW_T4);
	struct tree t = tree_of(&f);
	tree_write(&t, "/stub/nvidia-smi", late, 0755);
	assert_string_equal(fixture_apply(&f, &step_nvidia, "{probe: false, wait: 30s}"), "");
	assert_non_null(strstr(buf_str(&f.notes), "wait the GPU (smi-exec)\n"));
	assert_true(str_ends(buf_str(&f.notes), OK_T4));
	fixture_close(&f);
}

static void the_wait_has_an_end(void **state) {
	struct fixture f;
	open_with(&f, GPU_BASE_T4, "");
	assert_string_equal(
		fixture_apply(&f, &step_nvidia, "{probe: false, wait: 1s}"),
		"state: fail smi-exec reboot: smi-exec: nvidia-smi ended well, but listed no GPU: reboot; if it "
		"returns, stop and start the instance, or relaunch it");
	fixture_close(&f);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_the_probe_finds),
		cmocka_unit_test(a_lasting_fault_is_not_waited_for),
		cmocka_unit_test(what_comes_up_late_is_waited_for),
		cmocka_unit_test(the_wait_has_an_end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
