#include "fmt/text.h"

/* Length of the sequence that a first byte announces, and the range of its second byte: RFC 3629, section 4. */
static size_t sequence(unsigned char first, unsigned char *ret_low, unsigned char *ret_high) {
	*ret_low = 0x80;
	*ret_high = 0xbf;
	if (first < 0x80) return 1;
	if (first >= 0xc2 && first <= 0xdf) return 2;
	if (first == 0xe0) *ret_low = 0xa0;  /* else overlong */
	if (first == 0xed) *ret_high = 0x9f; /* else a surrogate */
	if (first >= 0xe0 && first <= 0xef) return 3;
	if (first == 0xf0) *ret_low = 0x90;  /* else overlong */
	if (first == 0xf4) *ret_high = 0x8f; /* else above U+10FFFF */
	if (first >= 0xf0 && first <= 0xf4) return 4;
	return 0;
}

size_t text_valid_prefix(const char *s, size_t n) {
	const unsigned char *p = (const unsigned char *)s;
	size_t i = 0;
	while (i < n) {
		unsigned char low, high;
		size_t len = sequence(p[i], &low, &high);
		if (len == 0 || len > n - i) return i;
		if (len > 1 && (p[i + 1] < low || p[i + 1] > high)) return i;
		for (size_t k = 2; k < len; k++) {
			if ((p[i + k] & 0xc0) != 0x80) return i;
		}
		i += len;
	}
	return n;
}
