#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>

#include "base/mem.h"
#include "base/str.h"
#include "sys/gpu_kmsg.h"
#include "tree.h"

static const char *const kinds[] = {"xid", "sxid", "open", "unsupported", "init", "mismatch", "unsigned"};

/* "xid 79 0000:00:1e.0 x1 fatal;…" */
static char *events_text(const struct gpu_kmsg *log, struct arena *a) {
	struct strs lines = {0};
	for (size_t i = 0; i < log->count; i++) {
		const struct gpu_kmsg_event *e = &log->events[i];
		strs_add(&lines, arena_printf(a, "%s %u %s x%u%s", kinds[e->kind], e->number,
					      e->address[0] ? e->address : "-", e->count, e->is_fatal ? " fatal" : ""));
	}
	char *text = strs_join(&lines, "; ", a);
	strs_clear(&lines);
	return text;
}

/* Records as the driver and the kernel write them, and what looks like them. */
static const struct {
	const char *name, *records, *events;
} rows[] = {
	{"with pid and name, newer prefix",
	 "4,1227,437812449932,c,caller=T1814139;NVRM: Xid (PCI:0000:01:00): 43, pid=1814139, name=python3, Ch 00000018",
	 "xid 43 0000:01:00.0 x1"},
	{"without pid", "4,1,2,-;NVRM: Xid (PCI:0000:01:00): 79, GPU has fallen off the bus.",
	 "xid 79 0000:01:00.0 x1"},
	{"without PCI:", "[ 5.1] NVRM: Xid (0000:03:00): 31, Ch 00000010", "xid 31 0000:03:00.0 x1"},
	{"upper case, long domain, function", "NVRM: Xid (PCI:00000000:3B:00.0): 48, DBE", "xid 48 0000:3b:00.0 x1"},
	{"number alone", "NVRM: Xid (PCI:0000:01:00): 62", "xid 62 0000:01:00.0 x1"},
	{"words before the number", "NVRM: Xid (PCI:0000:01:00) GPU-uuid: 94, x", "xid 94 0000:01:00.0 x1"},
	{"journal", "Nov 20 09:00:01 ip-10-0-0-7 kernel: NVRM: Xid (PCI:0000:01:00): 13, x", "xid 13 0000:01:00.0 x1"},
	{"no number", "NVRM: Xid (PCI:0000:01:00): garbled, x", ""},
	{"no address", "NVRM: Xid (PCI:zz): 79, x", ""},
	{"no end", "NVRM: Xid (PCI:0000:01:00", ""},
	{"number too long", "NVRM: Xid (PCI:0000:01:00): 1234567, x", ""},
	{"not the driver", "4,1,2,-;python3: Xid (PCI:0000:01:00): 79, x", ""},
	{"bus loss in one line", "NVRM: GPU 0000:18:00.0: GPU has fallen off the bus.", "xid 79 0000:18:00.0 x1"},
	{"bus loss in one record with escapes",
	 "3,1,2,-;NVRM: The NVIDIA GPU 0000:18:00.0\\x0aNVRM: (PCI ID: 10de:2330) installed in this system "
	 "has\\x0aNVRM: "
	 "fallen off the bus and is not responding to commands.",
	 "xid 79 0000:18:00.0 x1"},
	{"both forms are one",
	 "NVRM: GPU 0000:18:00.0: GPU has fallen off the bus.\nNVRM: Xid (PCI:0000:18:00): 79, pid=1, GPU has fallen",
	 "xid 79 0000:18:00.0 x2"},
	{"dmesg's indented continuation",
	 "[ 1843.308145] NVRM: The NVIDIA GPU 0000:b3:00.0\n               NVRM: (PCI ID: 10de:26b5) installed in this "
	 "system has\n               NVRM: fallen off the bus and is not responding to commands.",
	 "xid 79 0000:b3:00.0 x1"},
	{"a wrapped message that never ends",
	 "NVRM: The NVIDIA GPU 0000:b3:00.0\nNVRM: a\nNVRM: b\nNVRM: c\nNVRM: d\nNVRM: "
	 "e\nNVRM: fallen off the bus and is not responding",
	 ""},
	{"open module",
	 "NVRM: The NVIDIA GPU 0000:00:1e.0 (PCI ID: 10de:1db1)\nNVRM: installed in this system is not supported by "
	 "open\nNVRM: nvidia.ko because it does not include the required GPU\nNVRM: System Processor (GSP).",
	 "open 0 0000:00:1e.0 x1"},
	{"open module, wrapped in another way",
	 "NVRM: The NVIDIA GPU 0000:04:00.0 (PCI ID: 10de:1c81) installed in this system is not supported by open "
	 "nvidia.ko\nNVRM: because it does not include the required GPU System Processor (GSP).",
	 "open 0 0000:04:00.0 x1"},
	{"driver release",
	 "NVRM: The NVIDIA GPU 0000:00:1e.0 (PCI ID: 10de:26b9)\nNVRM: installed in this system is not supported by "
	 "the\nNVRM: NVIDIA 535.183.01 driver release.",
	 "unsupported 0 0000:00:1e.0 x1"},
	{"legacy",
	 "NVRM: The NVIDIA Tesla K80 GPU installed in this system is\nNVRM:  supported through the NVIDIA 470.xx "
	 "Legacy "
	 "drivers. Please",
	 "unsupported 0 - x1"},
	{"init, adapter", "NVRM: GPU 0000:00:1e.0: RmInitAdapter failed! (0x26:0x56:1482)", "init 0 0000:00:1e.0 x1"},
	{"init, the rest",
	 "NVRM: rm_init_adapter failed, device minor number 0\nNVRM: The NVIDIA probe routine was not called for 1 "
	 "device(s).\nNVRM: None of the NVIDIA devices were initialized.\nNVRM: No NVIDIA GPU found.",
	 "init 0 - x4"},
	{"mismatch, new",
	 "NVRM: API mismatch: the client 'nvidia-smi' (pid 1234)\nNVRM: has the version 550.54.15, but this kernel "
	 "module "
	 "has\nNVRM: the version 535.161.08.  Please",
	 "mismatch 0 - x1"},
	{"mismatch, old",
	 "NVRM: API mismatch: the client has the version 550.54.15, but\nNVRM: this kernel module has the version "
	 "535.161.08.  Please",
	 "mismatch 0 - x1"},
	{"switch",
	 "nvidia-nvswitch3: SXid (PCI:0000:05:00.0): 12028, Non-fatal, Link 32\nnvidia-nvswitch3: SXid "
	 "(PCI:0000:05:00.0): "
	 "24007, Fatal, Link 46\nnvidia-nvswitch3: SXid (PCI:0000:05:00.0): 12028, Data {0x0}",
	 "sxid 12028 0000:05:00.0 x2; sxid 24007 0000:05:00.0 x1 fatal"},
	{"NVLink 5",
	 "NVRM: Xid (PCI:0018:01:00): 149, NETIR_LINK_EVT Fatal XC0\nNVRM: Xid (PCI:0018:01:00): 145, Nonfatal XC0",
	 "xid 149 0018:01:00.0 x1 fatal; xid 145 0018:01:00.0 x1"},
	{"signature",
	 "5,1,2,-;Lockdown: modprobe: Loading of unsigned module is rejected; see man kernel_lockdown.7\n"
	 "30,2,3,-;systemd-modules-load[311]: Failed to insert module 'nvidia': Key was rejected by service",
	 "unsigned 0 - x2"},
	{"a signature that is only missing",
	 "4,1,2,-;nvidia: module verification failed: signature and/or required key missing - tainting kernel", ""},
	{"a dictionary of a record", "6,1,2,-;hello\n SUBSYSTEM=pci\n DEVICE=NVRM", ""},
	{"escapes at the end", "NVRM: Xid (PCI:0000:01:00): 31, \\x\\x1\\xzz\\", "xid 31 0000:01:00.0 x1"},
};

static void records_are_understood(void **state) {
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		AUTO_ARENA struct arena arena = {0};
		struct gpu_kmsg *log = arena_alloc(&arena, sizeof *log);
		gpu_kmsg_record(log, rows[i].records, strlen(rows[i].records));
		const char *got = events_text(log, &arena);
		if (!str_eq(got, rows[i].events)) fail_msg("%s: '%s'", rows[i].name, got);
	}
}

static void texts_are_clean_and_cut(void **state) {
	AUTO_ARENA struct arena arena = {0};
	struct gpu_kmsg *log = arena_alloc(&arena, sizeof *log);
	static const char start[] = "NVRM: Xid (PCI:0000:01:00): 31, \033[31m\\xff\\x00\303\244 ";
	char record[6000];
	memset(record, 'x', sizeof record);
	memcpy(record, start, strlen(start));
	gpu_kmsg_record(log, record, sizeof record);
	assert_int_equal(log->count, 1);
	assert_int_equal(strlen(log->events[0].text), GPU_KMSG_TEXT_MAX - 1);
	assert_memory_equal(log->events[0].text, "NVRM: Xid (PCI:0000:01:00): 31, ?[31m???? ", 42);
}

static void the_oldest_make_room(void **state) {
	AUTO_ARENA struct arena arena = {0};
	struct gpu_kmsg *log = arena_alloc(&arena, sizeof *log);
	for (unsigned i = 1; i <= GPU_KMSG_EVENTS_MAX + 72; i++) {
		const char *record = arena_printf(&arena, "NVRM: Xid (PCI:0000:01:00): %u, x", i);
		gpu_kmsg_record(log, record, strlen(record));
	}
	assert_int_equal(log->count, GPU_KMSG_EVENTS_MAX);
	assert_int_equal(log->forgotten, 72);
	assert_int_equal(log->events[0].number, 73);
	assert_int_equal(log->events[GPU_KMSG_EVENTS_MAX - 1].number, GPU_KMSG_EVENTS_MAX + 72);
}

/* /dev/kmsg as a script: each read gives the next answer. */
struct script {
	const struct answer {
		const char *record;
		int errnum;
	} * answers;
	size_t at, repeats;
};

static ssize_t play(void *arg, void *data, size_t size) {
	struct script *s = arg;
	const struct answer *a = &s->answers[s->at];
	if (!s->repeats || !--s->repeats) s->at++;
	if (!a->record) {
		errno = a->errnum;
		return a->errnum ? -1 : 0;
	}
	assert_true(strlen(a->record) < size);
	memcpy(data, a->record, strlen(a->record));
	return (ssize_t)strlen(a->record);
}

#define XID(n)                                                                                                         \
	{ "4,1,2,-;NVRM: Xid (PCI:0000:01:00): " #n ", x\n", 0 }

static const struct {
	const char *name;
	struct answer answers[8];
	size_t repeats;
	const char *events;
	bool has_lost, is_cut;
} scripts[] = {
	{"until there is no more",
	 {XID(31), XID(32), {NULL, EAGAIN}, XID(33)},
	 0,
	 "xid 31 0000:01:00.0 x1; xid 32 0000:01:00.0 x1",
	 false,
	 false},
	{"overwritten twice",
	 {XID(31), {NULL, EPIPE}, {NULL, EPIPE}, XID(48), {NULL, EAGAIN}},
	 0,
	 "xid 31 0000:01:00.0 x1; xid 48 0000:01:00.0 x1",
	 true,
	 false},
	{"a record too large, an interruption",
	 {{NULL, EINVAL}, {NULL, EINTR}, XID(48), {NULL, EAGAIN}},
	 0,
	 "xid 48 0000:01:00.0 x1",
	 false,
	 false},
	{"a device that breaks", {XID(48), {NULL, EIO}, XID(31)}, 0, "xid 48 0000:01:00.0 x1", false, false},
	{"the end of a file", {XID(48), {NULL, 0}, XID(31)}, 0, "xid 48 0000:01:00.0 x1", false, false},
	{"overwritten for ever", {{NULL, EPIPE}, XID(48)}, SIZE_MAX, "", true, false},
	{"a writer that is faster", {XID(48), XID(49)}, SIZE_MAX, "xid 48 0000:01:00.0 x1000000", false, true},
};

static void the_device_is_read_to_its_end(void **state) {
	for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++) {
		AUTO_ARENA struct arena arena = {0};
		struct gpu_kmsg *log = arena_alloc(&arena, sizeof *log);
		struct script s = {.answers = scripts[i].answers, .repeats = scripts[i].repeats};
		int64_t began_ms = clock_mono_ms();
		gpu_kmsg_stream(log, play, &s);
		if (clock_mono_ms() - began_ms > 10000) fail_msg("%s: did not end in time", scripts[i].name);
		const char *got = events_text(log, &arena);
		/* How many a fast writer gets in is a matter of this machine. */
		if (scripts[i].is_cut && str_starts(got, "xid 48 0000:01:00.0 x")) got = scripts[i].events;
		if (!str_eq(got, scripts[i].events)) fail_msg("%s: '%s'", scripts[i].name, got);
		if (log->has_lost != scripts[i].has_lost) fail_msg("%s: lost", scripts[i].name);
		if (log->is_cut != scripts[i].is_cut) fail_msg("%s: cut", scripts[i].name);
	}
}

static void append(int fd, const void *data, size_t n) { assert_true(write(fd, data, n) == (ssize_t)n); }

/* 100 MB of binary junk in lines without an end, an old event in front and new ones behind. */
static void a_huge_log_costs_little(void **state) {
	static const char old[] = "NVRM: Xid (PCI:0000:01:00): 31, old\n";
	static const char new[] =
		"\n4,1,2,-;NVRM: Xid (PCI:0000:01:00): 79, new\nNVRM: Xid (PCI:0000:01:00): 48, no newline";
	AUTO_ARENA struct arena arena = {0};
	struct gpu_kmsg *log = arena_alloc(&arena, sizeof *log);
	size_t chunk_size = 1024 * 1024;
	AUTO_FREE unsigned char *junk = mem_zalloc(chunk_size);
	struct err err = {0};
	struct tree t;
	uint64_t random = 0x9e3779b97f4a7c15;
	for (size_t i = 0; i < chunk_size; i++) {
		random = random * 6364136223846793005u + 1442695040888963407u;
		junk[i] = (unsigned char)(random >> 56);
		if (i < chunk_size / 2 && junk[i] == '\n') junk[i] = 0;
	}
	tree_open(&t);
	tree_write(&t, "/var/log/kmsg", old, 0644);
	AUTO_CLOSE int fd = -1;
	assert_int_equal(fs_open(&t.root, "/var/log/kmsg", O_WRONLY | O_APPEND, 0, &fd, &err), 0);
	for (int i = 0; i < 100; i++) append(fd, junk, chunk_size);
	append(fd, new, strlen(new));
	int64_t began_ms = clock_mono_ms();
	gpu_kmsg_read(log, &t.root);
	if (clock_mono_ms() - began_ms > 5000) fail_msg("took %lld ms", (long long)(clock_mono_ms() - began_ms));
	assert_true(log->has_log && log->is_cut && !log->is_denied);
	assert_string_equal(events_text(log, &arena), "xid 79 0000:01:00.0 x1; xid 48 0000:01:00.0 x1");
	tree_close(&t);
}

static void what_is_no_log(void **state) {
	static const char *const made[] = {"nothing", "a folder", "a FIFO", "an empty file"};
	for (int i = 0; i < 4; i++) {
		AUTO_ARENA struct arena arena = {0};
		struct gpu_kmsg *log = arena_alloc(&arena, sizeof *log);
		struct err err = {0};
		char path[128];
		struct tree t;
		tree_open(&t);
		assert_int_equal(fs_mkdirs(&t.root, "/dev", 0755, (uid_t)-1, (gid_t)-1, &err), 0);
		(void)snprintf(path, sizeof path, "%s/dev/kmsg", t.dir);
		if (i == 1) assert_int_equal(mkdir(path, 0755), 0);
		if (i == 2) assert_int_equal(mkfifo(path, 0644), 0);
		if (i == 3) tree_write(&t, "/dev/kmsg", "", 0644);
		gpu_kmsg_read(log, &t.root);
		if (log->has_log != (i == 3) || log->count || log->is_cut) fail_msg("%s", made[i]);
		tree_close(&t);
	}
}

/* The running kernel's own, where it may be read: whatever it holds, it is read within its limits. */
static void the_real_one(void **state) {
	AUTO_ARENA struct arena arena = {0};
	struct gpu_kmsg *log = arena_alloc(&arena, sizeof *log);
	AUTO_FS_ROOT struct fs_root host = {.fd = -1};
	struct err err = {0};
	assert_int_equal(fs_root_open(NULL, &host, &err), 0);
	gpu_kmsg_read(log, &host);
	if (!log->has_log) {
		print_message("skipped: this kernel's log may not be read here\n");
		skip();
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(records_are_understood),
		cmocka_unit_test(texts_are_clean_and_cut),
		cmocka_unit_test(the_oldest_make_room),
		cmocka_unit_test(the_device_is_read_to_its_end),
		cmocka_unit_test(a_huge_log_costs_little),
		cmocka_unit_test(what_is_no_log),
		cmocka_unit_test(the_real_one),
	};
	return cmocka_run_group_tests_name("gpu_kmsg", tests, NULL, NULL);
}
