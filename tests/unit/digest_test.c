#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"
#include "fmt/digest.h"

#define MILLION_A "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"

/* FIPS 180-4 examples. */
static const struct {
	const char *data, *hex;
} hashes[] = {
	{"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
	{"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
	{"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
	 "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
};

/* RFC 4231, cases 1 and 2, and the empty key. */
static const struct {
	const char *key, *data, *hex;
} macs[] = {
	{"\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b", "Hi There",
	 "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
	{"Jefe", "what do ya want for nothing?", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
	{"", "", "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad"},
};

static void hashes_data(void **state) {
	char hex[SHA256_HEX_SIZE];
	for (size_t i = 0; i < sizeof hashes / sizeof *hashes; i++) {
		assert_string_equal(digest_sha256_hex(hashes[i].data, strlen(hashes[i].data), hex), hashes[i].hex);
	}
	assert_string_equal(digest_sha256_hex(NULL, 0, hex), hashes[0].hex);
}

static void signs_data(void **state) {
	for (size_t i = 0; i < sizeof macs / sizeof *macs; i++) {
		unsigned char mac[SHA256_SIZE];
		char hex[SHA256_HEX_SIZE];
		digest_hmac_sha256(macs[i].key, strlen(macs[i].key), macs[i].data, strlen(macs[i].data), mac);
		assert_string_equal(digest_hex(mac, sizeof mac, hex), macs[i].hex);
	}
}

static void hashes_in_pieces(void **state) {
	unsigned char digest[SHA256_SIZE];
	char hex[SHA256_HEX_SIZE], piece[1000];
	memset(piece, 'a', sizeof piece);
	struct digest *d = digest_new();
	for (int i = 0; i < 1000; i++) digest_add(d, piece, sizeof piece);
	digest_end(d, digest);
	assert_string_equal(digest_hex(digest, sizeof digest, hex), MILLION_A);
	digest_free(digest_new());
	digest_free(NULL);
}

static void hashes_a_file(void **state) {
	char path[] = "/tmp/digest_test.XXXXXX", hex[SHA256_HEX_SIZE];
	int fd AUTO_CLOSE = mkstemp(path);
	assert_true(fd >= 0);
	(void)unlink(path);
	char *million AUTO_FREE = mem_zalloc(1000000);
	memset(million, 'a', 1000000);
	assert_int_equal(write(fd, million, 1000000), 1000000);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	struct err err = {0};
	assert_int_equal(digest_fd_hex(fd, hex, &err), 0);
	assert_string_equal(hex, MILLION_A);
	assert_int_equal(lseek(fd, 0, SEEK_END), 1000000);
	assert_int_equal(digest_fd_hex(fd, hex, &err), 0);
	assert_string_equal(hex, hashes[0].hex);
}

static void tells_a_read_error(void **state) {
	int fd AUTO_CLOSE = open("/", O_RDONLY | O_CLOEXEC);
	char hex[SHA256_HEX_SIZE] = "untouched";
	struct err err = {0};
	assert_true(digest_fd_hex(fd, hex, &err) < 0);
	assert_string_equal(err.msg, "reading to compute the SHA-256: Is a directory");
	assert_string_equal(hex, "untouched");
}

/* The prepared key signs as the other way does, again and again; keys up to a block, at it and past it. */
static void signs_many_times(void **state) {
	static const size_t key_lens[] = {0, 1, 32, 63, 64, 65, 200};
	char key[200];

	(void)state;
	memset(key, 'k', sizeof key);
	for (size_t i = 0; i < sizeof key_lens / sizeof *key_lens; i++) {
		struct digest_hmac *hmac = digest_hmac_new(key, key_lens[i]);

		for (size_t len = 0; len < 200; len += 67) {
			unsigned char want[SHA256_SIZE], got[SHA256_SIZE];

			digest_hmac_sha256(key, key_lens[i], key, len, want);
			digest_hmac_mac(hmac, key, len, got);
			assert_memory_equal(got, want, sizeof want);
		}
		digest_hmac_free(hmac);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hashes_data),	      cmocka_unit_test(signs_data),
		cmocka_unit_test(hashes_in_pieces),   cmocka_unit_test(hashes_a_file),
		cmocka_unit_test(tells_a_read_error), cmocka_unit_test(signs_many_times),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
