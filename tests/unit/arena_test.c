#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdalign.h>

#include "base/arena.h"

static void memory_is_zeroed_aligned_and_apart(void **state) {
	struct arena a AUTO_ARENA = {0};
	unsigned char *seen[600];

	for (size_t i = 0; i < 600; i++) {
		size_t size = i * 37 % 9000; /* below and above a block */

		seen[i] = arena_alloc(&a, size);
		assert_int_equal((uintptr_t)seen[i] % alignof(max_align_t), 0);
		for (size_t k = 0; k < size; k++)
			if (seen[i][k]) fail_msg("allocation %zu is not zeroed at %zu", i, k);
		memset(seen[i], (int)(i % 251) + 1, size);
	}
	for (size_t i = 0; i < 600; i++)
		for (size_t k = 0; k < i * 37 % 9000; k++)
			if (seen[i][k] != i % 251 + 1) fail_msg("allocation %zu was overwritten at %zu", i, k);
}

static void copies(void **state) {
	struct arena a AUTO_ARENA = {0};
	char large[10000];

	assert_null(arena_strdup(&a, NULL));
	assert_string_equal(arena_strdup(&a, "abc"), "abc");
	assert_memory_equal(arena_dup(&a, "a\0b", 3), "a\0b", 4);
	assert_string_equal(arena_dup(&a, NULL, 0), "");
	assert_string_equal(arena_printf(&a, "%s=%d", "k", 7), "k=7");
	memset(large, 'x', sizeof large - 1);
	large[sizeof large - 1] = '\0';
	assert_string_equal(arena_printf(&a, "%s", large), large);
}

static void grows(void **state) {
	struct arena a = {0};
	size_t *items = NULL, cap = 0;

	(void)state;
	for (size_t i = 0; i < 100; i++) {
		items = arena_grow(&a, items, i, &cap, sizeof *items);
		assert_true(cap > i);
		items[i] = i;
	}
	for (size_t i = 0; i < 100; i++) assert_int_equal(items[i], i);
	arena_clear(&a);
}

static void is_usable_after_clear(void **state) {
	struct arena a = {0};

	(void)arena_alloc(&a, 5);
	(void)arena_alloc(&a, 50000);
	arena_clear(&a);
	assert_null(a.newest);
	assert_string_equal(arena_strdup(&a, "again"), "again");
	arena_clear(&a);
	arena_clear(&a);
	arena_clear(NULL);
}

int main(void) {
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_is_zeroed_aligned_and_apart),
		cmocka_unit_test(copies),
		cmocka_unit_test(grows),
		cmocka_unit_test(is_usable_after_clear),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
