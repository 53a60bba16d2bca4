/* How nvidia-smi is asked, and what is made of one that does not answer. */
#include "gpu_smi_fixture.h"

struct run {
	const char *type;
	const char *driver;
	const struct gpu_want want;
	const struct answer answers[6];
	const char *found, *cuda;
};

static const struct run runs[] = {
	{"g4dn.xlarge",
	 "580.105.08",
	 {0},
	 {{2, "Field \"clocks_throttle_reasons.active\" is not a valid field to query.\n\n"},
	  {0, "0, 00000000:00:1E.0, 0x1EB810DE, Tesla T4, GPU-x, 580.105.08, 15360, 0, Enabled, P8, 30, 9, 70, 0, "
	      "Default, Enabled, Enabled, 0, 0, No, [N/A], 3, 3, 8, 16\n"},
	  {0, HELP},
	  {0, MORE_T4}},
	 "",
	 "13.0"},
	{"g4dn.xlarge",
	 "580.105.08",
	 {0},
	 {{2, "Field \"index\" is not a valid field to query.\n"}},
	 "fail reboot smi-exec: nvidia-smi ended with exit status 2: " REBOOT
	 " [Field \"index\" is not a valid field to query.]\n",
	 ""},
	/* An old driver: the list has none of the newer fields. */
	{"g4dn.xlarge", "470.82.01", {0}, {{0, GOOD_T4}, {0, "\"temperature.gpu\"\n"}}, "", "11.4"},
	/* The list lies: what it offers is refused. */
	{"g4dn.xlarge",
	 "580.105.08",
	 {0},
	 {{0, GOOD_T4}, {0, HELP}, {2, "Field \"fabric.state\" is not a valid field to query.\n"}},
	 "info none smi-ext: nvidia-smi did not answer for the newer fields: row remapping, fabric and recovery were "
	 "not judged [Field \"fabric.state\" is not a valid field to query.]\n",
	 "13.0"},
	/* A driver that is not in the table says itself what CUDA it supports, R610 by a new name. */
	{"g4dn.xlarge",
	 "999.10",
	 {0},
	 {{0, GOOD_T4},
	  {0, ""},
	  {0, "NVIDIA-SMI version  : 999.10\nCUDA version        : Deprecated, see \"CUDA UMD version\" instead\nCUDA "
	      "UMD version    : 14.1\n"}},
	 "",
	 "14.1"},
	{"g4dn.xlarge",
	 "999.10",
	 {0},
	 {{0, GOOD_T4}, {0, ""}, {0, "DRIVER version      : 999.10\nCUDA Version        : 13.9\n"}},
	 "",
	 "13.9"},
	/* What the recipe wants. */
	{"g4dn.xlarge",
	 "580.105.08",
	 {.min_driver = "580.105.08", .min_cuda = "13.0", .min_memory_bytes = 16LL << 30},
	 {{0, GOOD_T4}, {0, HELP}, {0, MORE_T4}},
	 "",
	 "13.0"},
	{"g4dn.xlarge",
	 "570.86",
	 {.min_driver = "580", .min_cuda = "13", .min_memory_bytes = 24LL << 30},
	 {{0, GOOD_T4}, {0, HELP}, {0, MORE_T4}},
	 "fail replace min-memory: GPU 0: less memory than the recipe asks for; use an instance type with larger GPUs "
	 "[memory.total = 15360]\n"
	 "fail fix min-driver: the driver is 570.86, the recipe asks for 580: use a newer Deep Learning AMI or install "
	 "that driver [570.86]\n"
	 "fail fix min-cuda: the driver supports CUDA up to 12.8, the recipe asks for 13: use a newer Deep Learning "
	 "AMI or install a newer driver [12.8]\n",
	 "12.8"},
	/* NVSwitch: the fabric counts, and NVLink is looked at. */
	{"p5.48xlarge",
	 "590.48.01",
	 {0},
	 {{0, H100("Disabled", "0, Enabled, P0, 41, 69.85, 700.00, 0")},
	  {0, HELP},
	  {0, MORE("No, No, Not Started, N/A, None, No")},
	  {0, "GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-x)\n\t Link 0: 26.562 GB/s\n\t Link 1: <inactive>\n"}},
	 "fail fix fabric: GPU 0: the NVLink fabric is not ready: look at `systemctl status nvidia-fabricmanager`; its "
	 "version must be the driver's [fabric.state = Not Started]\n"
	 "fail replace nvlink: NVLink is down, so training on several GPUs is slow or fails: " REPLACE
	 " [Link 1: <inactive>]\n",
	 "13.1"},
	{"p5.48xlarge",
	 "590.48.01",
	 {0},
	 {{0, H100("Disabled", "0, Enabled, P0, 41, 69.85, 700.00, 0")},
	  {0, HELP},
	  {0, MORE("No, No, Completed, Invalid State, None, No")},
	  {0, "NVML: Unable to retrieve NVLink information as all links are inactive\n"}},
	 "fail fix fabric: GPU 0: the NVLink fabric is not ready: look at `systemctl status nvidia-fabricmanager`; its "
	 "version must be the driver's [fabric.status = Invalid State]\n"
	 "fail replace nvlink: NVLink is down, so training on several GPUs is slow or fails: " REPLACE
	 " [NVML: Unable to retrieve NVLink information as all links are inactive]\n",
	 "13.1"},
	{"p5.48xlarge",
	 "590.48.01",
	 {0},
	 {{0, H100("Disabled", "0, Enabled, P0, 41, 69.85, 700.00, 0")},
	  {0, HELP},
	  {0, MORE("No, No, Completed, Success, None, No")},
	  {0, "GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-x)\n\t Link 0: 26.562 GB/s\n"}},
	 "",
	 "13.1"},
};

static void what_is_asked_next(void **state) {
	for (size_t i = 0; i < sizeof runs / sizeof *runs; i++) {
		struct stub s;
		struct gpu_report r;
		struct err err;
		size_t wanted = 0;
		char count[16];
		stub_open(&s, tools);
		stub_answers(&s, runs[i].answers, 6);
		while (wanted < 6 && runs[i].answers[wanted].text) wanted++;
		struct machine m = stub_machine(&s);
		report_fill(&r, &s.arena, runs[i].type, 1);
		(void)snprintf(r.driver, sizeof r.driver, "%s", runs[i].driver);
		assert_int_equal(gpu_check_smi(&m, &runs[i].want, &r, &err), 0);
		assert_string_equal(report_findings(&r), runs[i].found);
		assert_string_equal(r.cuda, runs[i].cuda);
		(void)snprintf(count, sizeof count, "%zu\n", wanted);
		AUTO_FREE char *n = tree_read(&s.tree, "/stub/n");
		assert_string_equal(n, count);
		stub_close(&s);
	}
}

/* The time the step has left is the limit here; what is killed is gone long before the 2 s that it is given. */
static void a_hang_is_reported(void **state) {
	static const struct {
		const char *script, *found;
	} hangs[] = {
		{"#!/bin/sh\necho half a row\nexec sleep 600\n",
		 "fail reboot gpu-hung: nvidia-smi did not answer within 0.3 s: " REBOOT " [half a row]\n"},
		{"#!/bin/sh\ntrap '' TERM INT HUP\nwhile :; do sleep 1; done\n",
		 "fail reboot gpu-hung: nvidia-smi did not answer within 0.3 s: " REBOOT "\n"},
	};
	for (size_t i = 0; i < sizeof hangs / sizeof *hangs; i++) {
		const struct gpu_want want = {0};
		struct stub s;
		struct gpu_report r;
		struct err err;
		stub_open(&s, tools);
		tree_write(&s.tree, "/stub/bin/nvidia-smi", hangs[i].script, 0755);
		struct machine m = stub_machine(&s);
		int64_t began_ms = clock_mono_ms();
		m.deadline_at_ms = began_ms + 350;
		report_fill(&r, &s.arena, "g4dn.xlarge", 1);
		assert_int_equal(gpu_check_smi(&m, &want, &r, &err), 0);
		assert_true(clock_mono_ms() - began_ms < 20000);
		assert_int_equal(r.finding_count, 1);
		const char *text = report_findings(&r), *within = strstr(text, "within ");
		assert_non_null(within);
		assert_memory_equal(text, hangs[i].found, (size_t)(within - text));
		assert_string_equal(strchr(within, ':'), strchr(strstr(hangs[i].found, "within"), ':'));
		assert_true(gpu_is_hopeless(&r));
		stub_close(&s);
	}
}

static void a_file_that_is_no_program(void **state) {
	static const char *const files[][2] = {
		{"#!/nonexistent/python\n",
		 "cannot run nvidia-smi: the interpreter or loader that it names is missing"},
		{"no program\n", "cannot run nvidia-smi: Exec format error"},
	};
	for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
		const struct gpu_want want = {0};
		struct stub s;
		struct gpu_report r;
		struct err err;
		stub_open(&s, tools);
		tree_write(&s.tree, "/stub/bin/nvidia-smi", files[i][0], 0755);
		struct machine m = stub_machine(&s);
		report_fill(&r, &s.arena, "g4dn.xlarge", 1);
		assert_int_equal(gpu_check_smi(&m, &want, &r, &err), 0);
		assert_int_equal(r.finding_count, 1);
		assert_string_equal(r.findings[0].code, "smi-missing");
		assert_string_equal(r.findings[0].evidence, files[i][1]);
		stub_close(&s);
	}
}

static void no_time_left_is_an_error(void **state) {
	const struct gpu_want want = {0};
	struct stub s;
	struct gpu_report r;
	struct err err;
	stub_open(&s, tools);
	struct machine m = stub_machine(&s);
	m.deadline_at_ms = clock_mono_ms() - 1;
	report_fill(&r, &s.arena, "g4dn.xlarge", 1);
	assert_int_equal(gpu_check_smi(&m, &want, &r, &err), -ERR_TIMEOUT);
	stub_close(&s);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_asked_next),
		cmocka_unit_test(a_hang_is_reported),
		cmocka_unit_test(a_file_that_is_no_program),
		cmocka_unit_test(no_time_left_is_an_error),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
