#include "base/str.h"

#include <ctype.h>

#include "base/mem.h"

/* Longest word that str_nearest compares: field, type and verb names are far shorter. */
#define NEAREST_MAX 64

/* A shorter word is near to every other short one: it is known only in another case. */
#define NEAREST_MIN 3

void strs_add(struct strs *list, const char *s) {
	if (list->count == list->cap) {
		list->cap = list->cap ? list->cap * 2 : 8;
		list->items = mem_resize(list->items, list->cap, sizeof *list->items);
	}
	list->items[list->count++] = s;
}

void strs_add_once(struct strs *list, const char *s) {
	if (!strs_has(list, s)) strs_add(list, s);
}

bool strs_has(const struct strs *list, const char *s) {
	for (size_t i = 0; i < list->count; i++)
		if (str_eq(list->items[i], s)) return true;
	return false;
}

const char *const *strs_argv(struct strs *list) {
	strs_add(list, NULL);
	list->count--;
	return list->items;
}

char *strs_join(const struct strs *list, const char *sep, struct arena *arena) {
	size_t sep_len = strlen(sep);
	size_t len = 0;
	char *text, *p;

	for (size_t i = 0; i < list->count; i++) len += strlen(list->items[i]) + (i ? sep_len : 0);
	p = text = arena_alloc(arena, len + 1);
	for (size_t i = 0; i < list->count; i++) {
		if (i) p = mempcpy(p, sep, sep_len);
		p = mempcpy(p, list->items[i], strlen(list->items[i]));
	}
	return text;
}

void strs_clear(struct strs *list) {
	if (!list) return;
	free(list->items);
	*list = (struct strs){0};
}

bool str_eq(const char *a, const char *b) {
	if (!a || !b) return a == b;
	return strcmp(a, b) == 0;
}

bool str_starts(const char *s, const char *prefix) { return strncmp(s, prefix, strlen(prefix)) == 0; }

bool str_ends(const char *s, const char *suffix) {
	size_t n = strlen(s), k = strlen(suffix);

	return n >= k && memcmp(s + n - k, suffix, k) == 0;
}

bool str_is_empty(const char *s) { return !s || !*s; }

static bool is_white(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

char *str_trim(char *s) {
	size_t n;

	while (is_white(*s)) s++;
	n = strlen(s);
	while (n > 0 && is_white(s[n - 1])) n--;
	s[n] = '\0';
	return s;
}

void str_split(const char *s, const char *seps, struct arena *arena, struct strs *ret_fields) {
	struct strs fields = {0};

	for (;;) {
		size_t n;

		s += strspn(s, seps);
		if (!*s) break;
		n = strcspn(s, seps);
		strs_add(&fields, arena_dup(arena, s, n));
		s += n;
	}
	*ret_fields = fields;
}

/* Bytes of the well-formed UTF-8 character at s (n > 0 bytes left), or 0: the table of RFC 3629, section 4. */
static size_t utf8_char(const unsigned char *s, size_t n) {
	unsigned char low = 0x80, high = 0xBF;
	size_t len;

	if (s[0] < 0x80) return 1;
	if (s[0] >= 0xC2 && s[0] <= 0xDF)
		len = 2;
	else if (s[0] >= 0xE0 && s[0] <= 0xEF)
		len = 3;
	else if (s[0] >= 0xF0 && s[0] <= 0xF4)
		len = 4;
	else
		return 0;
	if (s[0] == 0xE0) low = 0xA0;
	if (s[0] == 0xED) high = 0x9F;
	if (s[0] == 0xF0) low = 0x90;
	if (s[0] == 0xF4) high = 0x8F;
	if (n < len || s[1] < low || s[1] > high) return 0;
	for (size_t i = 2; i < len; i++)
		if ((s[i] & 0xC0) != 0x80) return 0;
	return len;
}

bool str_is_utf8(const char *s, size_t n) {
	const unsigned char *p = (const unsigned char *)s;

	for (size_t i = 0, k; i < n; i += k) {
		k = utf8_char(p + i, n - i);
		if (!k) return false;
	}
	return true;
}

size_t str_utf8_prefix(const char *s, size_t max_chars) {
	const unsigned char *p = (const unsigned char *)s;
	size_t n = strlen(s), i = 0;

	while (i < n && max_chars-- > 0) {
		size_t k = utf8_char(p + i, n - i);

		i += k ? k : 1;
	}
	return i;
}

size_t str_utf8_count(const char *s) {
	const unsigned char *p = (const unsigned char *)s;
	size_t n = strlen(s), count = 0;

	for (size_t i = 0; i < n; count++) {
		size_t k = utf8_char(p + i, n - i);

		i += k ? k : 1;
	}
	return count;
}

static size_t min3(size_t a, size_t b, size_t c) {
	size_t ab = a < b ? a : b;

	return ab < c ? ab : c;
}

static bool same(char a, char b) { return tolower((unsigned char)a) == tolower((unsigned char)b); }

/* Edit distance with swaps of neighbours (optimal string alignment), three rows kept. */
static size_t distance(const char *a, size_t n, const char *b, size_t m) {
	size_t rows[3][NEAREST_MAX + 1];
	size_t *before = rows[0], *last = rows[1], *row = rows[2];

	for (size_t j = 0; j <= m; j++) last[j] = before[j] = j;
	for (size_t i = 1; i <= n; i++) {
		size_t *spare = before;

		row[0] = i;
		for (size_t j = 1; j <= m; j++) {
			row[j] = min3(last[j] + 1, row[j - 1] + 1, last[j - 1] + !same(a[i - 1], b[j - 1]));
			if (i > 1 && j > 1 && same(a[i - 1], b[j - 2]) && same(a[i - 2], b[j - 1]) &&
			    before[j - 2] + 1 < row[j])
				row[j] = before[j - 2] + 1;
		}
		before = last;
		last = row;
		row = spare;
	}
	return last[m];
}

const char *str_nearest(const char *word, const char *const *candidates, size_t count) {
	size_t n = strlen(word);
	size_t best = n < NEAREST_MIN ? 1 : 1 + n / 4 + 1;
	const char *nearest = NULL;

	if (n > NEAREST_MAX) return NULL;
	for (size_t i = 0; i < count; i++) {
		size_t m = strlen(candidates[i]);
		size_t d = m > NEAREST_MAX ? best : distance(word, n, candidates[i], m);

		if (d >= best) continue;
		best = d;
		nearest = candidates[i];
	}
	return nearest;
}

char *str_bytes(unsigned long long bytes, struct arena *arena) {
	static const char *const units[] = {"KB", "MB", "GB", "TB", "PB", "EB"};
	unsigned long long unit = 1000, tenths;
	size_t i = 0;

	if (bytes < 1000) return arena_printf(arena, "%llu B", bytes);
	/* 999.5 of a unit would be shown as 1000 */
	while (i + 1 < sizeof units / sizeof *units && bytes / (unit / 10) >= 9995) {
		unit *= 1000;
		i++;
	}
	tenths = bytes / (unit / 10) + (bytes % (unit / 10) >= unit / 20);
	if (tenths >= 1000) return arena_printf(arena, "%llu %s", bytes / unit + (bytes % unit >= unit / 2), units[i]);
	return arena_printf(arena, "%llu.%llu %s", tenths / 10, tenths % 10, units[i]);
}

/* n of unit in tenths below ten, whole above; the unit's name is left to the caller. */
static char *short_number(unsigned long long n, unsigned long long unit, struct arena *arena) {
	if (unit == 1 || n == 0) return arena_printf(arena, "%llu", n);
	unsigned long long tenths = n / (unit / 10) + (n % (unit / 10) >= unit / 20);
	if (tenths < 100) return arena_printf(arena, "%llu.%llu", tenths / 10, tenths % 10);
	return arena_printf(arena, "%llu", n / unit + (n % unit >= unit / 2));
}

/* The unit in which n has at most three digits before the point. */
static unsigned long long short_unit(unsigned long long n, const char **ret_name) {
	static const char *const names[] = {"B", "KB", "MB", "GB", "TB", "PB", "EB"};
	unsigned long long unit = 1;
	size_t i = 0;
	for (; i + 1 < sizeof names / sizeof *names && (n + unit / 2) / unit >= 1000; i++) unit *= 1000;
	*ret_name = names[i];
	return unit;
}

char *str_bytes_short(long long bytes, struct arena *arena) {
	const char *name;
	unsigned long long n = bytes > 0 ? (unsigned long long)bytes : 0, unit = short_unit(n, &name);
	return arena_printf(arena, "%s %s", short_number(n, unit, arena), name);
}

char *str_bytes_of(long long done, long long total, struct arena *arena) {
	const char *name;
	unsigned long long n = done > 0 ? (unsigned long long)done : 0;
	unsigned long long of = total > 0 ? (unsigned long long)total : 0, unit = short_unit(of, &name);
	return arena_printf(arena, "%s of %s %s", short_number(n, unit, arena), short_number(of, unit, arena), name);
}

char *str_duration(long long ms, struct arena *arena) {
	long long tenths, seconds, minutes;

	if (ms < 0) ms = 0;
	tenths = ms / 100 + (ms % 100 >= 50);
	if (tenths < 600) return arena_printf(arena, "%lld.%lld s", tenths / 10, tenths % 10);
	seconds = ms / 1000 + (ms % 1000 >= 500);
	if (seconds < 3600) return arena_printf(arena, "%lld min %02lld s", seconds / 60, seconds % 60);
	minutes = seconds / 60 + (seconds % 60 >= 30);
	return arena_printf(arena, "%lld h %02lld min", minutes / 60, minutes % 60);
}

char *str_seconds(long long ms, struct arena *arena) {
	if (ms >= 60LL * 1000) return str_duration(ms / 1000 * 1000, arena);
	return arena_printf(arena, "%lld s", ms < 0 ? 0 : ms / 1000);
}
