#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fmt/crc.h"

#define DATA_SIZE 4099

/* Check values of the catalogue. */
static const struct {
	enum crc_kind kind;
	uint64_t check;
	size_t size;
} rows[] = {
	{CRC_32, 0xcbf43926, 4},
	{CRC_32C, 0xe3069283, 4},
	{CRC_64NVME, 0xae8b14860a799888, 8},
};

static void vectors(void **state) {
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		assert_true(crc_add(rows[i].kind, CRC_INIT, "123456789", 9) == rows[i].check);
		assert_true(crc_add(rows[i].kind, CRC_INIT, "", 0) == 0);
		assert_int_equal(crc_size(rows[i].kind), rows[i].size);
	}
}

static void fill(unsigned char *data) {
	uint32_t seed = 1;

	for (size_t i = 0; i < DATA_SIZE; i++) data[i] = (unsigned char)((seed = seed * 1664525 + 1013904223) >> 24);
}

/* Every length around the steps of both ways, at odd places. */
static void both_ways_agree(void **state) {
	static unsigned char data[DATA_SIZE];

	(void)state;
	fill(data);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		for (size_t len = 0; len < 700; len++)
			assert_true(crc_add(rows[i].kind, 12345, data + len % 17, len) ==
				    crc_add_by_table(rows[i].kind, 12345, data + len % 17, len));
}

static void pieces_and_joins(void **state) {
	static unsigned char data[DATA_SIZE];

	(void)state;
	fill(data);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		enum crc_kind kind = rows[i].kind;
		uint64_t whole = crc_add(kind, CRC_INIT, data, DATA_SIZE);

		for (size_t cut = 0; cut <= DATA_SIZE; cut += cut < 70 ? 1 : 613) {
			uint64_t a = crc_add(kind, CRC_INIT, data, cut);
			uint64_t b = crc_add(kind, CRC_INIT, data + cut, DATA_SIZE - cut);

			assert_true(crc_add(kind, a, data + cut, DATA_SIZE - cut) == whole);
			assert_true(crc_join(kind, a, b, DATA_SIZE - cut) == whole);
		}
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vectors),
		cmocka_unit_test(both_ways_agree),
		cmocka_unit_test(pieces_and_joins),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
