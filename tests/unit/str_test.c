#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/str.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

static const struct {
	const char *in, *out;
} trims[] = {{"", ""}, {" \t\r\n", ""}, {" a b \n", "a b"}, {"x", "x"}, {"\v\fx", "x"}};

static const struct {
	const char *in, *seps, *out;
} splits[] = {
	{"", ",", ""}, {",,", ",", ""}, {"a", ",", "a"}, {",a,,b c,", ",", "a|b c"}, {"a b\tc", " \t", "a|b|c"},
};

static const struct {
	const char *text;
	bool is_valid;
	size_t count;
} utf8[] = {
	{"", true, 0},
	{"abc", true, 3},
	{"\xc3\xa9", true, 1},
	{"\xe2\x82\xac", true, 1},
	{"\xed\x9f\xbf", true, 1},
	{"\xf0\x9f\x98\x80!", true, 2},
	{"\xf4\x8f\xbf\xbf", true, 1},
	{"\x80", false, 1},		/* stray */
	{"\xc0\xaf", false, 2},		/* overlong */
	{"\xe0\x80\xaf", false, 3},	/* overlong */
	{"\xed\xa0\x80", false, 3},	/* surrogate */
	{"\xf4\x90\x80\x80", false, 4}, /* above U+10FFFF */
	{"a\xe2\x82", false, 3},	/* ends early */
	{"\xff", false, 1},
};

static const struct {
	const char *text;
	size_t max, len;
} prefixes[] = {
	{"abc", 2, 2},	{"abc", 9, 3}, {"", 3, 0}, {"\xc3\xa9x", 1, 2}, {"a\xf0\x9f\x98\x80z", 2, 5},
	{"\xc3", 1, 1}, {"abc", 0, 0},
};

static const char *const verbs[] = {"apply", "validate", "plan", "status", "wait", "report", "x", "go"};

static const struct {
	const char *word, *nearest;
} nearest[] = {
	{"aply", "apply"},
	{"APPLY", "apply"},
	{"palpy", "apply"},
	{"qqqly", NULL},
	{"paln", "plan"},
	{"valdiate", "validate"},
	{"vlidat", "validate"},
	{"stauts", "status"},
	{"frobnicate", NULL},
	{"", NULL},
	{"wiat", "wait"},
	{"reportx", "report"},
	{"y", NULL},
	{"X", "x"},
	{"f", NULL},
	{"xe", NULL},
	{"gp", NULL},
	{"GO", "go"},
	{"gox", "go"},
};

static const struct {
	unsigned long long bytes;
	const char *text;
} sizes[] = {
	{0, "0 B"},
	{999, "999 B"},
	{1000, "1.0 KB"},
	{1049, "1.0 KB"},
	{1050, "1.1 KB"},
	{99949, "99.9 KB"},
	{99950, "100 KB"},
	{812000, "812 KB"},
	{999499, "999 KB"},
	{999500, "1.0 MB"},
	{1500000000, "1.5 GB"},
	{8589934592, "8.6 GB"},
	{18446744073709551615ULL, "18.4 EB"},
};

static const struct {
	long long ms;
	const char *text;
} durations[] = {
	{0, "0.0 s"},
	{-5, "0.0 s"},
	{49, "0.0 s"},
	{4200, "4.2 s"},
	{59949, "59.9 s"},
	{59950, "1 min 00 s"},
	{63000, "1 min 03 s"},
	{3599499, "59 min 59 s"},
	{3599500, "1 h 00 min"},
	{7500000, "2 h 05 min"},
	{360000000, "100 h 00 min"},
};

static const struct {
	long long bytes;
	const char *text;
} short_sizes[] = {
	{-1, "0 B"},
	{0, "0 B"},
	{999, "999 B"},
	{1000, "1.0 KB"},
	{9949, "9.9 KB"},
	{9951, "10 KB"},
	{812400, "812 KB"},
	{999499, "999 KB"},
	{999500, "1.0 MB"},
	{480000000, "480 MB"},
	{1500000000, "1.5 GB"},
	{41000000000, "41 GB"},
	{INT64_MAX, "9.2 EB"},
};

static const struct {
	long long done, total;
	const char *text;
} shares[] = {
	{41000000000, 63000000000, "41 of 63 GB"}, {0, 63000000000, "0 of 63 GB"},
	{400000000, 1500000000, "0.4 of 1.5 GB"},  {12, 80, "12 of 80 B"},
	{999600000, 999600000, "1.0 of 1.0 GB"},   {-3, -3, "0 of 0 B"},
};

static const struct {
	long long ms;
	const char *text;
} seconds[] = {{-5, "0 s"}, {999, "0 s"}, {46999, "46 s"}, {63900, "1 min 03 s"}, {7500000, "2 h 05 min"}};

static void trims_white_space(void **state) {
	for (size_t i = 0; i < COUNT(trims); i++) {
		char text[32];

		(void)snprintf(text, sizeof text, "%s", trims[i].in);
		assert_string_equal(str_trim(text), trims[i].out);
	}
}

static void splits_and_joins(void **state) {
	struct arena arena AUTO_ARENA = {0};

	for (size_t i = 0; i < COUNT(splits); i++) {
		struct strs fields AUTO_STRS = {0};

		str_split(splits[i].in, splits[i].seps, &arena, &fields);
		assert_string_equal(strs_join(&fields, "|", &arena), splits[i].out);
	}
}

static void lists(void **state) {
	struct strs list AUTO_STRS = {0};
	const char *const *argv;

	assert_null(strs_argv(&list)[0]);
	assert_int_equal(list.count, 0);
	for (int i = 0; i < 7; i++) strs_add(&list, "x");
	strs_add_once(&list, "y");
	strs_add_once(&list, "y");
	assert_int_equal(list.count, 8);
	assert_true(strs_has(&list, "y"));
	assert_false(strs_has(&list, "z"));
	argv = strs_argv(&list);
	assert_string_equal(argv[7], "y");
	assert_null(argv[8]);
	assert_int_equal(list.count, 8);
}

static void compares(void **state) {
	assert_true(str_eq(NULL, NULL));
	assert_false(str_eq(NULL, ""));
	assert_true(str_eq("a", "a"));
	assert_true(str_starts("abc", "ab"));
	assert_true(str_starts("abc", ""));
	assert_false(str_starts("ab", "abc"));
	assert_true(str_ends("abc", "bc"));
	assert_false(str_ends("c", "bc"));
	assert_true(str_is_empty(NULL));
	assert_true(str_is_empty(""));
	assert_false(str_is_empty(" "));
}

static void knows_utf8(void **state) {
	for (size_t i = 0; i < COUNT(utf8); i++) {
		assert_int_equal(str_is_utf8(utf8[i].text, strlen(utf8[i].text)), utf8[i].is_valid);
		assert_int_equal(str_utf8_count(utf8[i].text), utf8[i].count);
	}
	assert_false(str_is_utf8("\xe2\x82\xac", 2)); /* the length counts, not the NUL */
	for (size_t i = 0; i < COUNT(prefixes); i++)
		assert_int_equal(str_utf8_prefix(prefixes[i].text, prefixes[i].max), prefixes[i].len);
}

static void finds_the_nearest_word(void **state) {
	char huge[200];

	for (size_t i = 0; i < COUNT(nearest); i++) {
		const char *found = str_nearest(nearest[i].word, verbs, COUNT(verbs));

		if (!str_eq(found, nearest[i].nearest))
			fail_msg("nearest to '%s' is '%s'", nearest[i].word, found ? found : "nothing");
	}
	memset(huge, 'a', sizeof huge - 1);
	huge[sizeof huge - 1] = '\0';
	assert_null(str_nearest(huge, verbs, COUNT(verbs)));
	assert_null(str_nearest("plan", (const char *const[]){huge}, 1));
}

static void shows_sizes_and_durations(void **state) {
	struct arena arena AUTO_ARENA = {0};

	for (size_t i = 0; i < COUNT(sizes); i++) assert_string_equal(str_bytes(sizes[i].bytes, &arena), sizes[i].text);
	for (size_t i = 0; i < COUNT(durations); i++)
		assert_string_equal(str_duration(durations[i].ms, &arena), durations[i].text);
	for (size_t i = 0; i < COUNT(short_sizes); i++)
		assert_string_equal(str_bytes_short(short_sizes[i].bytes, &arena), short_sizes[i].text);
	for (size_t i = 0; i < COUNT(shares); i++)
		assert_string_equal(str_bytes_of(shares[i].done, shares[i].total, &arena), shares[i].text);
	for (size_t i = 0; i < COUNT(seconds); i++)
		assert_string_equal(str_seconds(seconds[i].ms, &arena), seconds[i].text);
}

int main(void) {
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(trims_white_space),
		cmocka_unit_test(splits_and_joins),
		cmocka_unit_test(lists),
		cmocka_unit_test(compares),
		cmocka_unit_test(knows_utf8),
		cmocka_unit_test(finds_the_nearest_word),
		cmocka_unit_test(shows_sizes_and_durations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
