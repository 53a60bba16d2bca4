#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "world.h"

void *must(void *p) {
	if (!p) abort();
	return p;
}

char *text_dup(const char *s) { return must(strdup(s)); }

char *text_print(const char *fmt, ...) {
	va_list args;
	char *text;

	va_start(args, fmt);
	if (vasprintf(&text, fmt, args) < 0) abort();
	va_end(args);
	return text;
}

bool text_starts(const char *s, const char *prefix) { return strncmp(s, prefix, strlen(prefix)) == 0; }

static int hex_digit(char c) {
	if (c >= '0' && c <= '9') return c - '0';
	if (c >= 'a' && c <= 'f') return c - 'a' + 10;
	if (c >= 'A' && c <= 'F') return c - 'A' + 10;
	return -1;
}

char *text_url_decode(const char *s, size_t len, bool plus_is_space) {
	char *out = must(malloc(len + 1));
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		if (s[i] == '%' && i + 2 < len && hex_digit(s[i + 1]) >= 0 && hex_digit(s[i + 2]) >= 0) {
			out[n++] = (char)(hex_digit(s[i + 1]) * 16 + hex_digit(s[i + 2]));
			i += 2;
		} else {
			out[n++] = s[i] == '+' && plus_is_space ? ' ' : s[i];
		}
	}
	out[n] = '\0';
	return out;
}

static void out_room(struct out *o, size_t len) {
	if (o->cap - o->len > len) return;
	while (o->cap - o->len <= len) o->cap = o->cap ? o->cap * 2 : 256;
	o->at = must(realloc(o->at, o->cap));
}

void out_add(struct out *o, const void *data, size_t len) {
	out_room(o, len);
	memcpy(o->at + o->len, data, len);
	o->len += len;
	o->at[o->len] = '\0';
}

void out_adds(struct out *o, const char *s) { out_add(o, s, strlen(s)); }

void out_print(struct out *o, const char *fmt, ...) {
	va_list args, again;

	va_start(args, fmt);
	va_copy(again, args);
	int len = vsnprintf(NULL, 0, fmt, args);
	if (len < 0) abort();
	out_room(o, (size_t)len);
	vsnprintf(o->at + o->len, (size_t)len + 1, fmt, again);
	o->len += (size_t)len;
	va_end(again);
	va_end(args);
}

void out_add_xml(struct out *o, const char *s) {
	for (; *s; s++) {
		switch (*s) {
		case '&': out_adds(o, "&amp;"); break;
		case '<': out_adds(o, "&lt;"); break;
		case '>': out_adds(o, "&gt;"); break;
		case '\t':
		case '\n': out_add(o, s, 1); break;
		default:
			if ((unsigned char)*s < 0x20)
				out_print(o, "&#x%X;", (unsigned char)*s);
			else
				out_add(o, s, 1);
		}
	}
}

static bool is_unreserved(unsigned char c) {
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
	       c == '_' || c == '~';
}

void out_add_url(struct out *o, const char *s, bool keeps_slash) {
	out_room(o, strlen(s) * 3);
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;
		if (is_unreserved(c) || (keeps_slash && c == '/')) {
			o->at[o->len++] = (char)c;
		} else {
			o->at[o->len++] = '%';
			o->at[o->len++] = "0123456789ABCDEF"[c >> 4];
			o->at[o->len++] = "0123456789ABCDEF"[c & 15];
		}
	}
	o->at[o->len] = '\0';
}

/* RFC 3986: everything but the unreserved characters, upper-case digits. */
char *text_url_encode(const char *s, bool keeps_slash) {
	struct out out = {0};

	out_add_url(&out, s, keeps_slash);
	return out.at;
}

void text_xml(FILE *out, const char *s) {
	for (; *s; s++) {
		switch (*s) {
		case '&': fputs("&amp;", out); break;
		case '<': fputs("&lt;", out); break;
		case '>': fputs("&gt;", out); break;
		default: fputc(*s, out);
		}
	}
}

void text_json(FILE *out, const char *s) {
	fputc('"', out);
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;
		if (c == '"' || c == '\\')
			fprintf(out, "\\%c", c);
		else if (c < 0x20)
			fprintf(out, "\\u%04x", c);
		else
			fputc(c, out);
	}
	fputc('"', out);
}

size_t text_characters(const char *s) {
	size_t n = 0;

	for (; *s; s++) n += ((unsigned char)*s & 0xC0) != 0x80;
	return n;
}

int64_t mono_ms(void) {
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

int64_t wall_ms(void) {
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}
