#include "step_fixture.h"

#include <sys/sysmacros.h>

#include "sys/disk.h"
#include "sys/disk_mounts.h"

/* Identify data of a controller: vendor, serial number, model, the vendor area's device name. */
static const char *identify(struct arena *arena, unsigned vendor, const char *serial, const char *model,
			    const char *name) {
	unsigned char data[DISK_IDENTIFY_SIZE] = {0};
	const char *device, *id;
	data[0] = (unsigned char)(vendor & 0xff);
	data[1] = (unsigned char)(vendor >> 8);
	memset(data + 4, ' ', 20 + 40);
	memcpy(data + 4, serial, strlen(serial));
	memcpy(data + 24, model, strlen(model));
	memset(data + 3072, ' ', 32);
	memcpy(data + 3072, name, strlen(name));
	disk_parse_identify(data, arena, &device, &id);
	return arena_printf(arena, "%s|%s", device, id);
}

static void identify_data_names_the_volume(void **state) {
	static const char ebs[] = "Amazon Elastic Block Store";
	static const struct {
		unsigned vendor;
		const char *serial, *model, *name, *expected;
	} rows[] = {
		{0x1d0f, "vol0123456789abcdef0", ebs, "/dev/sdf", "sdf|vol-0123456789abcdef0"},
		{0x1d0f, "vol0123456789abcdef0", ebs, "sdf", "sdf|vol-0123456789abcdef0"},
		{0x1d0f, "vol-0123456789abcdef", ebs, "xvdba", "xvdba|vol-0123456789abcdef"},
		{0x1d0f, "vol0123456789abcdef0", ebs, "", "|vol-0123456789abcdef0"},
		{0x1d0f, "AWS1234", "Amazon EC2 NVMe Instance Storage", "ephemeral0:sdb", "|"},
		{0x144d, "vol0123456789abcdef0", ebs, "sdf", "|"},
		{0x1d0f, "12345678901234567890", ebs, "12345678901234567890123456789012",
		 "12345678901234567890123456789012|"},
	};
	AUTO_ARENA struct arena arena = {0};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		assert_string_equal(identify(&arena, rows[i].vendor, rows[i].serial, rows[i].model, rows[i].name),
				    rows[i].expected);
}

static void names_mean_disks(void **state) {
	static const struct {
		const char *own, *attached, *asked;
		bool is_it;
	} rows[] = {
		{"nvme1n1", "sdf", "/dev/sdf", true},	  {"nvme1n1", "sdf", "xvdf", true},
		{"nvme1n1", "sdf", "sdf", true},	  {"nvme1n1", "sdf", "/dev/sdg", false},
		{"nvme1n1", "sdf", "/dev/nvme1n1", true}, {"xvdf", "", "/dev/sdf", true},
		{"xvdf", "", "/dev/xvdf", true},	  {"xvdf", "", "/dev/sde", false},
		{"nvme1n1", "", "/dev/sdf", false},	  {"nvme1n1", "sdf", "f", false},
	};
	struct fixture f;
	fixture_open(&f, false);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct disk d = {.name = rows[i].own, .device_name = rows[i].attached, .volume_id = ""};
		if (disk_has_name(&f.ctx.machine, &d, rows[i].asked) != rows[i].is_it) fail_msg("row %zu", i);
	}
	fixture_close(&f);
}

static void mountinfo_is_read(void **state) {
	AUTO_ARENA struct arena arena = {0};
	struct mounts mounts = {0};
	mounts_parse("22 1 259:1 / / rw shared:1 - ext4 /dev/root rw\n"
		     "nonsense\n"
		     "30 22 7:3 / /my\\040data\\134x rw - xfs /dev/loop3 rw\n"
		     "31 22 x:3 / /bad rw - xfs /dev/loop3 rw\n"
		     "32 22 0:50 / /over rw - tmpfs none rw\n"
		     "33 22 7:4 / /over rw - ext4 /dev/loop4 rw",
		     &arena, &mounts);
	assert_int_equal(mounts.count, 4);
	assert_string_equal(mounts_of(&mounts, makedev(7, 3))->path, "/my data\\x");
	assert_int_equal(mounts_at(&mounts, "/over")->dev, makedev(7, 4));
	assert_int_equal(mounts_at(&mounts, "/")->dev, makedev(259, 1));
	assert_null(mounts_at(&mounts, "/bad"));
	assert_null(mounts_of(&mounts, makedev(7, 9)));
}

static void fstab_keeps_what_is_not_ours(void **state) {
	static const struct {
		const char *before, *after;
	} rows[] = {
		{"", "UUID=u /my\\040data xfs defaults,nofail 0 2\n"},
		{"# c\n\nUUID=r / ext4 defaults 0 1",
		 "# c\n\nUUID=r / ext4 defaults 0 1\nUUID=u /my\\040data xfs defaults,nofail 0 2\n"},
		{"/dev/sdf\t/my\\040data auto\n/dev/sdg /other ext4 ro 0 0\n",
		 "UUID=u /my\\040data xfs defaults,nofail 0 2\n/dev/sdg /other ext4 ro 0 0\n"},
		{"A /my\\040data x y\n#B /my\\040data x y\nC /my\\040data x y\n",
		 "UUID=u /my\\040data xfs defaults,nofail 0 2\n#B /my\\040data x y\n"},
		{"short line\n", "short line\nUUID=u /my\\040data xfs defaults,nofail 0 2\n"},
	};
	const struct fstab_entry entry = {"UUID=u", "/my data", "xfs", "defaults,nofail"};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		AUTO_BUF struct buf out = BUF_INIT(4096), again = BUF_INIT(4096);
		fstab_set(rows[i].before, &entry, &out);
		assert_string_equal(buf_str(&out), rows[i].after);
		fstab_set(buf_str(&out), &entry, &again);
		assert_string_equal(buf_str(&again), rows[i].after);
	}
}

static void fstab_is_searched(void **state) {
	AUTO_ARENA struct arena arena = {0};
	struct fstab_entry e;
	static const char text[] = "# /d is not here\nA /d ext4\nB /e xfs noatime,nofail 0 0\nC /d xfs rw 0 0\n";
	assert_true(fstab_find(text, "/d", &arena, &e));
	assert_string_equal(e.source, "C");
	assert_true(fstab_find(text, "/e", &arena, &e));
	assert_true(fstab_has_option(e.options, "nofail"));
	assert_false(fstab_has_option(e.options, "fail"));
	assert_false(fstab_has_option("nofailx,xnofail", "nofail"));
	assert_false(fstab_find(text, "/f", &arena, &e));
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(identify_data_names_the_volume),
		cmocka_unit_test(names_mean_disks),
		cmocka_unit_test(mountinfo_is_read),
		cmocka_unit_test(fstab_keeps_what_is_not_ours),
		cmocka_unit_test(fstab_is_searched),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
