#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gpu_tree.h"

/* What the report keeps of more findings than it has room for. */
static void more_findings_than_places(void **state) {
	AUTO_ARENA struct arena arena = {0};
	struct gpu_report r = {.arena = &arena, .count = 1};
	char verdict[257], cut[8];
	for (int i = 0; i < GPU_FINDINGS_MAX + 36; i++)
		gpu_add(&r, "row", i == 90 ? GPU_FAIL : GPU_WARN, GPU_REMEDY_NONE, NULL, "number %d", i);
	gpu_add(&r, "row", GPU_WARN, GPU_REMEDY_REBOOT, NULL, "number %d", 7);
	assert_int_equal(r.finding_count, GPU_FINDINGS_MAX);
	assert_string_equal(r.findings[GPU_FINDINGS_MAX - 2].text, "number 62");
	assert_string_equal(r.findings[GPU_FINDINGS_MAX - 1].text, "37 more findings, which are not listed");
	assert_string_equal(gpu_verdict(&r, verdict, sizeof verdict), "fail more");
	assert_string_equal(gpu_verdict(&r, cut, sizeof cut), "fail mo");
	assert_false(gpu_is_hopeless(&r));
}

static void the_worst_with_the_strongest_remedy_is_the_verdict(void **state) {
	AUTO_ARENA struct arena arena = {0};
	struct gpu_report r = {.arena = &arena, .count = 1};
	char verdict[257];
	gpu_add(&r, "a", GPU_WARN, GPU_REMEDY_REPLACE, NULL, "w");
	gpu_add(&r, "b", GPU_FAIL, GPU_REMEDY_FIX, NULL, "f");
	gpu_add(&r, "c", GPU_FAIL, GPU_REMEDY_REPLACE, NULL, "f");
	gpu_add(&r, "d", GPU_FAIL, GPU_REMEDY_REPLACE, NULL, "f");
	assert_string_equal(gpu_verdict(&r, verdict, sizeof verdict), "fail c replace");
	assert_false(gpu_is_hopeless(&r));
	gpu_add(&r, "drv-mismatch", GPU_INFO, GPU_REMEDY_NONE, NULL, "only said");
	assert_false(gpu_is_hopeless(&r));
	gpu_add(&r, "drv-mismatch", GPU_FAIL, GPU_REMEDY_REBOOT, NULL, "it is so");
	assert_true(gpu_is_hopeless(&r));
}

/* What the tag said in the course of it: nothing good before all layers have run, bad news at once. */
static void on_publish(const char *key, const char *value, void *arg) {
	assert_string_equal(key, "gpu");
	buf_addf(arg, "%s\n", value);
}

static const struct {
	const char *name;
	enum gpu_base base;
	struct gpu_file files[2];
	const char *published;
} courses[] = {
	{"no GPU", GPU_BASE_BARE, {{0}}, "none\n"},
	{"hopeless: no program is started", GPU_BASE_UNDRIVEN, {{0}}, "fail drv-unloaded fix\n"},
	{"a driver without nvidia-smi",
	 GPU_BASE_T4,
	 {{0}},
	 "checking, so far ok 1x T4 driver 580.105.08 cuda 13.0\nfail smi-missing fix\nfail smi-missing fix\n"},
	{"a fault that the rest may explain",
	 GPU_BASE_T4,
	 {{"/dev/kmsg", "[ 1.0] NVRM: Xid (PCI:0000:00:1e): 48, x\n"}},
	 "fail xid-48 replace\nfail xid-48 replace\nfail xid-48 replace\n"},
};

static void layers_run_as_far_as_they_make_sense(void **state) {
	static const char *const env[] = {"PATH=/nowhere", NULL};
	for (size_t i = 0; i < sizeof courses / sizeof *courses; i++) {
		AUTO_ARENA struct arena arena = {0};
		AUTO_BUF struct buf told = BUF_INIT(4096);
		struct gpu_want want = {.torch = "auto"};
		struct gpu_report r = {0};
		struct gpu_file files[GPU_FILES_MAX] = {courses[i].files[0], courses[i].files[1]};
		struct err err = {0};
		struct tree t;
		tree_open(&t);
		gpu_tree_fill(&t, courses[i].base, files);
		struct machine m = {.root = &t.root,
				    .env = env,
				    .arena = &arena,
				    .on_publish = on_publish,
				    .arg = &told,
				    .deadline_at_ms = clock_mono_ms() + 60 * 1000};
		if (gpu_check(&m, &want, &r, &err)) fail_msg("%s: %s", courses[i].name, err.msg);
		if (!str_eq(buf_str(&told), courses[i].published)) fail_msg("%s: %s", courses[i].name, buf_str(&told));
		tree_close(&t);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(more_findings_than_places),
		cmocka_unit_test(layers_run_as_far_as_they_make_sense),
		cmocka_unit_test(the_worst_with_the_strongest_remedy_is_the_verdict),
	};
	return cmocka_run_group_tests_name("gpu", tests, NULL, NULL);
}
