#include "base/mem.h"

#include <stdarg.h>
#include <stdint.h>

static _Noreturn void die(const char *why) {
	(void)!write(STDERR_FILENO, why, strlen(why)); /* nothing is left to do if even this fails */
	_exit(1);
}

static void *or_die(void *p) {
	if (!p) die("dsagent: out of memory\n");
	return p;
}

void *mem_zalloc(size_t size) { return or_die(calloc(1, size ? size : 1)); }

void *mem_aligned(size_t alignment, size_t size) { return or_die(aligned_alloc(alignment, size)); }

void *mem_resize(void *p, size_t count, size_t size) {
	if (size && count > SIZE_MAX / 2 / size) die("dsagent: an array would pass the address space\n");
	return or_die(realloc(p, count && size ? count * size : 1));
}

char *mem_strdup(const char *s) { return s ? mem_dup(s, strlen(s)) : NULL; }

char *mem_dup(const void *p, size_t n) {
	char *copy;

	if (n == SIZE_MAX) die("dsagent: a copy would pass the address space\n");
	copy = or_die(malloc(n + 1));
	if (n) memcpy(copy, p, n);
	copy[n] = '\0';
	return copy;
}

char *mem_printf(const char *fmt, ...) {
	char *text = NULL;
	va_list args;
	int n;

	va_start(args, fmt);
	n = vasprintf(&text, fmt, args);
	va_end(args);
	if (n < 0) die("dsagent: out of memory\n");
	return text;
}
