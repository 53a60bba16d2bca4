#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/parse.h"
#include "base/str.h"
#include "sys/gpu.h"

/* The form of the tables: what a row added in haste would break. */

static void types_are_sorted_and_plausible(void **state) {
	static const unsigned counts[] = {1, 2, 4, 8};
	assert_true(gpu_types_count >= 60);
	for (size_t i = 0; i < gpu_types_count; i++) {
		const struct gpu_type *t = &gpu_types[i];
		const char *dot = strchr(t->instance_type, '.');
		bool is_count =
			t->gpus == 0 && (str_starts(t->instance_type, "g6f.") || str_starts(t->instance_type, "gr6f."));
		for (size_t k = 0; k < sizeof counts / sizeof *counts; k++) is_count |= t->gpus == counts[k];
		if (i && strverscmp(t[-1].instance_type, t->instance_type) >= 0)
			fail_msg("%s is not sorted after %s", t->instance_type, t[-1].instance_type);
		if (!dot || (*t->instance_type != 'g' && *t->instance_type != 'p')) fail_msg("%s", t->instance_type);
		if (!is_count) fail_msg("%s: %u GPUs", t->instance_type, t->gpus);
		bool is_known = !strncmp(t->instance_type, "p6e-gb200.", 10) ||
				(t->memory_mib >= 2048 && t->memory_mib <= 300 * 1024);
		if (!is_known) fail_msg("%s: %lld MiB", t->instance_type, (long long)t->memory_mib);
		if (t->nvme_gb < 0 || t->nvme_gb > 61000)
			fail_msg("%s: %lld GB", t->instance_type, (long long)t->nvme_gb);
		if (t->efa_max > 32) fail_msg("%s: %u EFA", t->instance_type, t->efa_max);
		if (t->has_nvswitch && *t->instance_type != 'p') fail_msg("%s has an NVSwitch", t->instance_type);
		/* One id may be unknown to the sources, but none may be another GPU's. */
		if (!t->device_id && !str_eq(t->name, "RTX PRO 4500"))
			fail_msg("%s has no device id", t->instance_type);
		if (t->device_id && !str_eq(gpu_device_name(t->device_id), t->name))
			fail_msg("%s: %04x is not %s", t->instance_type, t->device_id, t->name);
		assert_ptr_equal(gpu_type_find(t->instance_type), t);
	}
}

static void one_family_has_one_gpu(void **state) {
	for (size_t i = 1; i < gpu_types_count; i++) {
		const struct gpu_type *a = &gpu_types[i - 1], *b = &gpu_types[i];
		size_t n = strcspn(a->instance_type, ".") + 1;
		bool is_fraction = !a->gpus;
		if (strncmp(a->instance_type, b->instance_type, n)) continue;
		if (!str_eq(a->name, b->name) || a->device_id != b->device_id ||
		    (!is_fraction && a->memory_mib != b->memory_mib))
			fail_msg("%s and %s", a->instance_type, b->instance_type);
	}
}

static const struct {
	const char *type, *name;
	unsigned gpus;
	int64_t memory_mib;
} known[] = {
	{"g4dn.xlarge", "T4", 1, 16384},     {"g5.48xlarge", "A10G", 8, 22888},	  {"g6e.12xlarge", "L40S", 4, 45776},
	{"p3dn.24xlarge", "V100", 8, 32768}, {"p4de.24xlarge", "A100", 8, 81920}, {"p5en.48xlarge", "H200", 8, 144384},
};

static void types_are_found(void **state) {
	for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
		const struct gpu_type *t = gpu_type_find(known[i].type);
		assert_non_null(t);
		assert_string_equal(t->name, known[i].name);
		assert_int_equal(t->gpus, known[i].gpus);
		assert_true(t->memory_mib == known[i].memory_mib);
	}
	assert_null(gpu_type_find("g5"));
	assert_null(gpu_type_find("G5.XLARGE"));
	assert_null(gpu_type_find(""));
	assert_null(gpu_type_find("m7i.large"));
}

static void xids_are_unique_and_say_something(void **state) {
	size_t count = 0;
	for (unsigned xid = 0; xid < 1000; xid++) {
		const struct gpu_xid *x = gpu_xid_find(xid);
		if (!x) continue;
		count++;
		assert_int_equal(x->xid, xid);
		/* What fails says what mends it; what is only told needs nothing. */
		if ((x->severity == GPU_FAIL) != (x->remedy != GPU_REMEDY_NONE)) fail_msg("Xid %u: remedy", xid);
		if (!x->text && x->severity != GPU_INFO) fail_msg("Xid %u has no text", xid);
		if (x->text && (strlen(x->text) < 15 || strlen(x->text) > 100 || str_ends(x->text, ".")))
			fail_msg("Xid %u: %s", xid, x->text);
	}
	assert_int_equal(count, 108);
	assert_null(gpu_xid_find(0));
	assert_null(gpu_xid_find(100000));
}

static const struct {
	const char *driver, *cuda;
} drivers[] = {
	{"470.256.02", "11.4"},
	{"535.183.01", "12.2"},
	{"550.54.15", "12.4"},
	{"580.105.08", "13.0"},
	{"580", "13.0"},
	{"595.80", "13.2"},
	{"610.57.04", "13.3"},
	{"390.157", NULL},
	{"", NULL},
	{"5800.1", NULL},
	{"58", NULL},
	{"580x", NULL},
	{"-580.1", NULL},
	{" 580.1", NULL},
	{"junk", NULL},
	{"99999999999999999999999.1", NULL},
};

static void drivers_have_their_cuda(void **state) {
	int64_t before = 0;
	for (size_t i = 0; i < sizeof drivers / sizeof *drivers; i++) {
		const char *got = gpu_cuda_for_driver(drivers[i].driver);
		if (!str_eq(got, drivers[i].cuda)) fail_msg("'%s': %s", drivers[i].driver, got ? got : "none");
	}
	assert_null(gpu_cuda_for_driver(NULL));
	/* A newer branch never supports less. */
	for (int branch = 1; branch < 1000; branch++) {
		char text[16];
		int64_t major, minor;
		struct err err;
		(void)snprintf(text, sizeof text, "%d.1", branch);
		const char *cuda = gpu_cuda_for_driver(text);
		if (!cuda) continue;
		char *dot = strchr(cuda, '.');
		assert_non_null(dot);
		(void)snprintf(text, sizeof text, "%.*s", (int)(dot - cuda), cuda);
		assert_int_equal(parse_i64(text, 11, 20, &major, &err), 0);
		assert_int_equal(parse_i64(dot + 1, 0, 9, &minor, &err), 0);
		assert_true(major * 10 + minor > before);
		before = major * 10 + minor;
	}
	assert_true(before >= 133);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(types_are_sorted_and_plausible),
		cmocka_unit_test(one_family_has_one_gpu),
		cmocka_unit_test(types_are_found),
		cmocka_unit_test(xids_are_unique_and_say_something),
		cmocka_unit_test(drivers_have_their_cuda),
	};
	return cmocka_run_group_tests_name("gpu_tables", tests, NULL, NULL);
}
