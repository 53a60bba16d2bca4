#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/arena.h"
#include "sys/gpu.h"

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

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(more_findings_than_places),
		cmocka_unit_test(the_worst_with_the_strongest_remedy_is_the_verdict),
	};
	return cmocka_run_group_tests_name("gpu", tests, NULL, NULL);
}
