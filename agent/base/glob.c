#include "base/glob.h"

#include <stddef.h>

/*
 * The character at *p, stepping over it: a code point, or 0x110000 + byte for a byte that is not UTF-8, so that `?`
 * stands for a character and no byte is lost.
 */
static unsigned next_char(const char **p) {
	const unsigned char *s = (const unsigned char *)*p;
	unsigned lead = s[0], extra, value;

	if (lead < 0xC0)
		extra = 0;
	else
		extra = lead < 0xE0 ? 1 : lead < 0xF0 ? 2 : 3;
	value = lead & (0x3Fu >> extra);
	for (unsigned i = 1; i <= extra; i++) {
		if ((s[i] & 0xC0) != 0x80) {
			extra = 0;
			break;
		}
		value = value << 6 | (s[i] & 0x3Fu);
	}
	*p += 1 + extra;
	if (extra) return value;
	return lead < 0x80 ? lead : 0x110000 + lead;
}

/* Matches the set that starts after '[' at set against c; *ret_end is behind its ']', NULL if there is none. */
static bool set_has(const char *set, unsigned c, const char **ret_end) {
	bool is_negated = *set == '!';
	bool is_found = false;
	const char *p = set + is_negated;

	*ret_end = NULL;
	for (bool is_first = true; *p && (is_first || *p != ']'); is_first = false) {
		unsigned low = next_char(&p), high = low;

		if (p[0] == '-' && p[1] && p[1] != ']') {
			p++;
			high = next_char(&p);
		}
		if (c >= low && c <= high) is_found = true;
	}
	if (*p != ']') return false;
	*ret_end = p + 1;
	return is_found != is_negated;
}

/* Matches one pattern element but '*' against the character at *text; steps over both when they match. */
static bool match_one(const char **pattern, const char **text) {
	const char *p = *pattern, *t = *text;
	unsigned c = next_char(&t);
	unsigned want = next_char(&p);

	if (want == '[') {
		const char *end;
		bool has = set_has(p, c, &end);

		if (end ? !has : c != '[') return false; /* a '[' that is never closed stands for itself */
		if (end) p = end;
	} else if (want != '?' && want != c) {
		return false;
	}
	*pattern = p;
	*text = t;
	return true;
}

bool glob_match(const char *pattern, const char *text) {
	const char *star = NULL, *resume = NULL;

	while (*text) {
		if (*pattern == '*') {
			star = ++pattern;
			resume = text;
		} else if (!*pattern || !match_one(&pattern, &text)) {
			/* Only the last '*' needs another try: an earlier one could give it no better start. */
			if (!star) return false;
			pattern = star;
			(void)next_char(&resume);
			text = resume;
		}
	}
	while (*pattern == '*') pattern++;
	return !*pattern;
}
