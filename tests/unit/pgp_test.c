#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "fmt/pgp.h"

/* A throw-away key by `gpg --quick-generate-key`, with the fingerprint that gpg shows. */
#define KEY                                                                                                            \
	"-----BEGIN PGP PUBLIC KEY BLOCK-----\n"                                                                       \
	"\n"                                                                                                           \
	"mDMEawBhlRYJKwYBBAHaRw8BAQdA2s682v2Oa+rSpnaMApuUNriCpEgfsHbtY6vI\n"                                           \
	"4sc+KMu0FWEgPGFAZXhhbXBsZS5pbnZhbGlkPoiQBBMWCAA4FiEEqk+jx6hJdtS3\n"                                           \
	"8cuIyS0POqqqZXkFAmsAYZUCGwMFCwkIBwIGFQoJCAsCBBYCAwECHgECF4AACgkQ\n"                                           \
	"yS0POqqqZXl/iAD8DLNqI4i6W2L1et0A+apMZgnNGliqQ+rr2/oCRyQzjW4BAIlh\n"                                           \
	"lMFMaHhilv0YbYTmNafsfxgwoDUTc0ZUwpy7wX8C\n"                                                                   \
	"=4qUq\n"                                                                                                      \
	"-----END PGP PUBLIC KEY BLOCK-----\n"
#define FINGERPRINT "AA4FA3C7A84976D4B7F1CB88C92D0F3AAAAA6579"
#define NO_KEY "it is no OpenPGP public key file, or a damaged one"

static const struct {
	const char *name, *data;
	size_t len; /* 0: of the text */
	const char *want;
} rows[] = {
	{"armored", KEY, 0, FINGERPRINT},
	{"with words around it", "here it is:\n" KEY "bye\n", 0, FINGERPRINT},
	{"the same one twice", KEY KEY, 0, FINGERPRINT},
	{"empty", "", 0, NO_KEY},
	{"a web page", "<html></html>", 0, NO_KEY},
	{"cut armor", "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmDME", 0, "its armor is cut"},
	{"no empty line", "-----BEGIN PGP PUBLIC KEY BLOCK-----\nmDME\n-----END PGP PUBLIC KEY BLOCK-----\n", 0,
	 "its armor has no empty line before the key"},
	{"no base64", "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n****\n-----END PGP PUBLIC KEY BLOCK-----\n", 0, "?"},
	{"a secret key", "\x94\x02\x04\x00", 4, "it holds a secret key"},
	{"an old key", "\x98\x02\x03\x00", 4, "an OpenPGP key of version 3: only 4 and 6 have safe fingerprints"},
	{"a signature first", "\x88\x01\x04", 3, NO_KEY},
	{"a length past the end", "\x98\x09\x04\x00", 4, NO_KEY},
	{"a partial length", "\xc6\xe1\x04\x00", 4, NO_KEY},
	{"cut in its head", "\x99\x01", 2, NO_KEY},
	/* sha1 of 99 0001 04, sha256 of 9b 00000001 06 */
	{"version 4, new format", "\xc6\x01\x04", 3, "9BDA2648851C894A02CE41912C50BAAC82F15F8C"},
	{"version 6, long length", "\xc6\xff\x00\x00\x00\x01\x06", 7,
	 "B94F16686A87BC206256F22F3EF13DDD65EA6A157CBF0F5074BDC54132F36149"},
};

static void fingerprints(void **state) {
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		AUTO_ARENA struct arena arena = {0};
		AUTO_STRS struct strs found = {0};
		struct err err = {0};
		size_t len = rows[i].len ? rows[i].len : strlen(rows[i].data);
		int rc = pgp_fingerprints(rows[i].data, len, &arena, &found, &err);
		const char *got = rc < 0 ? err.msg : strs_join(&found, " ", &arena);
		if (str_eq(rows[i].want, "?") ? rc == 0 : !str_eq(got, rows[i].want))
			fail_msg("%s: %s", rows[i].name, got);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {cmocka_unit_test(fingerprints)};
	return cmocka_run_group_tests_name("pgp", tests, NULL, NULL);
}
