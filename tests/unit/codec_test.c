#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <zlib.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "fmt/codec.h"

/* RFC 4648, section 10. */
static const struct {
	const char *plain, *encoded;
} pairs[] = {
	{"", ""},
	{"f", "Zg=="},
	{"fo", "Zm8="},
	{"foo", "Zm9v"},
	{"foob", "Zm9vYg=="},
	{"fooba", "Zm9vYmE="},
	{"foobar", "Zm9vYmFy"},
	{"\xff\xfe\xfd", "//79"},
};

static const struct {
	const char *name, *text, *expected; /* what comes out, or the error */
} decodes[] = {
	{"white space", " Zm9v\r\n\tYmFy \n", "foobar"},
	{"no padding", "Zm9vYg", "foob"},
	{"half the padding", "Zg=", "f"},
	{"white space in the padding", "Zg=\n=", "f"},
	{"too much padding", "Zg===", "byte 4 (0x3d) does not belong into base64"},
	{"padding after whole quads", "Zm9v=", "byte 4 (0x3d) does not belong into base64"},
	{"padding alone", "=", "byte 0 (0x3d) does not belong into base64"},
	{"text after padding", "Zg==Zg==", "byte 4 (0x5a) does not belong into base64"},
	{"one character left", "Zm9vY", "base64 is cut: its last character stands alone"},
	{"URL alphabet", "__79", "byte 0 (0x5f) does not belong into base64"},
	{"not ASCII", "Zm\xc3", "byte 2 (0xc3) does not belong into base64"},
};

static void codes_base64(void **state) {
	for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
		struct buf encoded AUTO_BUF = BUF_INIT(100), plain AUTO_BUF = BUF_INIT(100);
		struct err err = {0};
		codec_base64(pairs[i].plain, strlen(pairs[i].plain), &encoded);
		assert_string_equal(buf_str(&encoded), pairs[i].encoded);
		assert_int_equal(codec_unbase64(pairs[i].encoded, strlen(pairs[i].encoded), &plain, &err), 0);
		assert_string_equal(buf_str(&plain), pairs[i].plain);
	}
}

static void decodes_base64(void **state) {
	for (size_t i = 0; i < sizeof decodes / sizeof *decodes; i++) {
		struct buf out AUTO_BUF = BUF_INIT(100);
		struct err err = {0};
		int rc = codec_unbase64(decodes[i].text, strlen(decodes[i].text), &out, &err);
		const char *got = rc < 0 ? err.msg : buf_str(&out);
		if (strcmp(got, decodes[i].expected) != 0) fail_msg("%s: %s", decodes[i].name, got);
	}
	struct buf nul AUTO_BUF = BUF_INIT(100), small AUTO_BUF = BUF_INIT(3);
	struct err err = {0};
	assert_int_equal(codec_unbase64("Zm\0v", 4, &nul, &err), -ERR_INVALID);
	assert_int_equal(codec_unbase64("Zm9vYg==", 8, &small, &err), -ERR_LIMIT);
}

/* Adds one gzip member. */
static void gzip(const void *data, size_t len, struct buf *out) {
	z_stream z = {.next_in = (Bytef *)data, .avail_in = (uInt)len};
	size_t size = len + 1000;
	unsigned char *bytes AUTO_FREE = mem_zalloc(size);
	z.next_out = bytes;
	z.avail_out = (uInt)size;
	assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	buf_add(out, bytes, size - z.avail_out);
	(void)deflateEnd(&z);
}

static const struct {
	const char *name;
	int members;
	size_t cut;	   /* bytes taken off the end */
	const char *after; /* appended */
	size_t after_len;
	size_t flip; /* byte that is changed, from the end; 0: none */
	int code;
	const char *expected;
} streams[] = {
	{"one member", 1, 0, "", 0, 0, 0, "hello "},
	{"three members", 3, 0, "", 0, 0, 0, "hello hello hello "},
	{"zero padding", 1, 0, "\0\0\0", 3, 0, 0, "hello "},
	{"cut in the trailer", 1, 1, "", 0, 0, -ERR_INVALID, "gzip data is cut: its end is missing"},
	{"cut in the data", 1, 12, "", 0, 0, -ERR_INVALID, "gzip data is cut: its end is missing"},
	{"cut in the header", 1, 20, "", 0, 0, -ERR_INVALID, "gzip data is cut: its end is missing"},
	{"wrong length", 1, 0, "", 0, 1, -ERR_INVALID, "gzip data is damaged: incorrect length check"},
	{"wrong checksum", 1, 0, "", 0, 5, -ERR_INVALID, "gzip data is damaged: incorrect data check"},
	{"text after it", 1, 0, "junk", 4, 0, -ERR_INVALID, "4 bytes after the gzip data are no gzip data"},
	{"half a header after it", 1, 0, "\x1f\x8b\x08", 3, 0, -ERR_INVALID, "gzip data is cut: its end is missing"},
};

static void unpacks_gzip(void **state) {
	for (size_t i = 0; i < sizeof streams / sizeof *streams; i++) {
		struct buf data AUTO_BUF = BUF_INIT(4096), out AUTO_BUF = BUF_INIT(4096);
		struct err err = {0};
		for (int k = 0; k < streams[i].members; k++) gzip("hello ", 6, &data);
		if (streams[i].flip) data.data[data.len - streams[i].flip] ^= 1;
		buf_cut(&data, data.len - streams[i].cut);
		buf_add(&data, streams[i].after, streams[i].after_len);
		assert_true(codec_is_gzip(data.data, data.len));
		int rc = codec_gunzip(data.data, data.len, &out, &err);
		const char *got = rc < 0 ? err.msg : buf_str(&out);
		if (rc != streams[i].code || strcmp(got, streams[i].expected) != 0) {
			fail_msg("%s: %d %s", streams[i].name, rc, got);
		}
	}
}

static void stops_a_bomb(void **state) {
	const size_t size = 20 * 1000 * 1000;
	char *zeros AUTO_FREE = mem_zalloc(size);
	struct buf data AUTO_BUF = BUF_INIT(1000000), out AUTO_BUF = BUF_INIT(100000);
	struct err err = {0};
	gzip(zeros, size, &data);
	assert_int_equal(codec_gunzip(data.data, data.len, &out, &err), -ERR_LIMIT);
	assert_string_equal(err.msg, "what the gzip data holds is larger than 100000 bytes");
	assert_true(out.len <= 100000);
}

static void knows_gzip(void **state) {
	struct buf out AUTO_BUF = BUF_INIT(100);
	struct err err = {0};
	assert_false(codec_is_gzip("\x1f\x8b", 2));
	assert_false(codec_is_gzip("recipe: x", 9));
	assert_int_equal(codec_gunzip("recipe: x", 9, &out, &err), -ERR_INVALID);
	assert_string_equal(err.msg, "not gzip data");
}

static const struct {
	const char *text;
	bool keeps_slash;
	const char *expected;
} percents[] = {
	{"AZaz09-._~", false, "AZaz09-._~"},
	{"a b+c%d", false, "a%20b%2Bc%25d"},
	{"/x/\xc3\xa4", true, "/x/%C3%A4"},
	{"/x/", false, "%2Fx%2F"},
	{"", false, ""},
};

static void encodes_percent(void **state) {
	for (size_t i = 0; i < sizeof percents / sizeof *percents; i++) {
		struct buf out AUTO_BUF = BUF_INIT(100);
		codec_percent(percents[i].text, percents[i].keeps_slash, &out);
		assert_string_equal(buf_str(&out), percents[i].expected);
	}
}

static void gzips(void **state) {
	size_t large = 300000; /* more than one chunk on both sides */
	char *noise AUTO_FREE = mem_zalloc(large);
	uint32_t seed = 1;
	for (size_t i = 0; i < large; i++) noise[i] = (char)((seed = seed * 1664525U + 1013904223U) >> 24);
	const struct {
		const char *data;
		size_t len;
	} rows[] = {{"", 0}, {"x", 1}, {"a recipe\na recipe\na recipe\na recipe\n", 36}, {noise, large}};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct buf packed AUTO_BUF = BUF_INIT(1 << 20), again AUTO_BUF = BUF_INIT(1 << 20),
				  plain AUTO_BUF = BUF_INIT(1 << 20);
		struct err err = {0};
		codec_gzip(rows[i].data, rows[i].len, &packed);
		codec_gzip(rows[i].data, rows[i].len, &again);
		assert_int_equal(packed.len, again.len);
		assert_memory_equal(packed.data, again.data, packed.len);
		assert_memory_equal(packed.data + 4, "\0\0\0", 4); /* RFC 1952: no time */
		assert_int_equal(codec_gunzip(packed.data, packed.len, &plain, &err), 0);
		assert_int_equal(plain.len, rows[i].len);
		if (plain.len) assert_memory_equal(plain.data, rows[i].data, plain.len);
	}
	struct buf small AUTO_BUF = BUF_INIT(1000);
	codec_gzip(noise, large, &small);
	assert_true(small.has_overflowed);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gzips),	   cmocka_unit_test(codes_base64), cmocka_unit_test(decodes_base64),
		cmocka_unit_test(unpacks_gzip),	   cmocka_unit_test(stops_a_bomb), cmocka_unit_test(knows_gzip),
		cmocka_unit_test(encodes_percent),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
