#include "gpu_fixture.h"
#include "stub.h"

#include "sys/gpu_cuda.h"

#define REPLACE "stop and start the instance, or relaunch it (a reboot keeps the same hardware)"
#define REBOOT "reboot; if it returns, stop and start the instance, or relaunch it"

static const struct {
	size_t gpus;
	int exit_code;
	const char *text, *cuda, *found;
} rows[] = {
	{1, 0, "CUDA 13.2\nCOUNT 1 ms=412\nGPU 0 ms=155 NVIDIA A10G\nDONE\n", "13.2", ""},
	{2, 0, "CUDA 12.4\nCOUNT 2 ms=40\nGPU 0 ms=9 Tesla T4\nGPU 1 ms=9 Tesla T4\nDONE\n", "12.4", ""},
	{8, 0, "CUDA 13.0\nCOUNT 7 ms=412\nDONE\n", "13.0",
	 "fail reboot cuda-init: CUDA sees 7 of 8 GPUs: look at /dev/nvidia* and the device cgroup; " REBOOT
	 " [COUNT 7 ms=412]\n"},
	{1, 10, "ERR load 0 libcuda.so.1:_cannot_open_shared_object_file:_No_such_file_or_directory gpu=-1\n", "",
	 "fail fix cuda-init: CUDA does not start: libcuda.so.1 cannot be loaded, the driver's libraries are not "
	 "installed whole; use a Deep Learning AMI or install the driver again [ERR load 0 "
	 "libcuda.so.1:_cannot_open_shared_object_file:_No_such_file_or_directory gpu=-1]\n"},
	{8, 11, "CUDA 12.2\nERR cuInit 802 CUDA_ERROR_SYSTEM_NOT_READY gpu=-1\n", "12.2",
	 "fail fix cuda-init: CUDA fails with error 802: the NVLink fabric is not up: `sudo systemctl enable --now "
	 "nvidia-fabricmanager`; its version must be the driver's [ERR cuInit 802 CUDA_ERROR_SYSTEM_NOT_READY "
	 "gpu=-1]\n"},
	{1, 11, "CUDA 13.0\nERR cuInit 803 CUDA_ERROR_SYSTEM_DRIVER_MISMATCH gpu=-1\n", "13.0",
	 "fail reboot cuda-init: CUDA fails with error 803: libcuda is of another version than the loaded driver (an "
	 "upgrade ran): reboot [ERR cuInit 803 CUDA_ERROR_SYSTEM_DRIVER_MISMATCH gpu=-1]\n"},
	{1, 11, "CUDA 13.0\nERR cuInit 100 CUDA_ERROR_NO_DEVICE gpu=-1\n", "13.0",
	 "fail reboot cuda-init: CUDA fails with error 100: CUDA finds no GPU: look at /dev/nvidia* and "
	 "CUDA_VISIBLE_DEVICES, then reboot [ERR cuInit 100 CUDA_ERROR_NO_DEVICE gpu=-1]\n"},
	{2, 16, "CUDA 13.0\nCOUNT 2 ms=1\nGPU 0 ms=9 X\nERR cuMemAlloc_v2 2 CUDA_ERROR_OUT_OF_MEMORY gpu=1\n", "13.0",
	 "fail fix cuda-init: CUDA fails on GPU 1 with error 2: a GPU's memory is full: `nvidia-smi` shows what uses "
	 "it [ERR cuMemAlloc_v2 2 CUDA_ERROR_OUT_OF_MEMORY gpu=1]\n"},
	{1, 17, "CUDA 13.0\nCOUNT 1 ms=1\nERR cuMemcpyDtoH_v2 717 CUDA_ERROR_INVALID_ADDRESS_SPACE gpu=0\n", "13.0",
	 "fail reboot cuda-init: CUDA fails on GPU 0 with error 717 (CUDA_ERROR_INVALID_ADDRESS_SPACE): " REBOOT
	 " [ERR cuMemcpyDtoH_v2 717 CUDA_ERROR_INVALID_ADDRESS_SPACE gpu=0]\n"},
	{1, 18, "CUDA 13.0\nCOUNT 1 ms=1\nERR compare 0 data gpu=0\n", "13.0",
	 "fail replace cuda-init: CUDA on GPU 0 gave back other data than it was sent: " REPLACE
	 " [ERR compare 0 data gpu=0]\n"},
	{1, 19, "ERR symbol 0 undefined_symbol:_cuInit gpu=-1\n", "",
	 "fail fix cuda-init: libcuda.so.1 is too old or none of NVIDIA's: install the driver again [ERR symbol 0 "
	 "undefined_symbol:_cuInit gpu=-1]\n"},
	{1, 1, "Traceback (most recent call last):\nModuleNotFoundError: No module named 'ctypes'\n", "",
	 "fail reboot cuda-init: the CUDA probe ended too early (exit status 1): " REBOOT
	 " [ModuleNotFoundError: No module named 'ctypes']\n"},
	{1, 0, "", "", "fail reboot cuda-init: the CUDA probe ended too early (exit status 0): " REBOOT "\n"},
};

static void what_the_probe_says(void **state) {
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		AUTO_ARENA struct arena arena = {0};
		AUTO_GPU_CHILD struct gpu_child child = child_of(rows[i].exit_code, rows[i].text);
		struct gpu_report r;
		report_fill(&r, &arena, "g5.xlarge", rows[i].gpus);
		gpu_cuda_judge(&child, &r);
		assert_string_equal(report_findings(&r), rows[i].found);
		assert_string_equal(r.cuda, rows[i].cuda);
	}
}

static void slices_are_not_counted(void **state) {
	AUTO_ARENA struct arena arena = {0};
	AUTO_GPU_CHILD struct gpu_child child = child_of(0, "CUDA 13.0\nCOUNT 1 ms=1\nDONE\n");
	struct gpu_report r;
	report_fill(&r, &arena, "p4d.24xlarge", 8);
	gpu_add(&r, "mig", GPU_WARN, GPU_REMEDY_FIX, NULL, "on");
	gpu_cuda_judge(&child, &r);
	assert_int_equal(r.finding_count, 1);
}

static void ends_of_the_child(void **state) {
	AUTO_ARENA struct arena arena = {0};
	struct gpu_report r;
	report_fill(&r, &arena, "g5.xlarge", 1);
	AUTO_GPU_CHILD struct gpu_child hung = child_of(-1, "CUDA 13.0\n");
	hung.end = GPU_CHILD_HUNG;
	hung.limit_ms = 65000;
	hung.was_left_behind = true;
	gpu_cuda_judge(&hung, &r);
	AUTO_GPU_CHILD struct gpu_child missing = child_of(-1, "no such command: python3 (PATH=/bin)");
	missing.end = GPU_CHILD_MISSING;
	gpu_cuda_judge(&missing, &r);
	AUTO_GPU_CHILD struct gpu_child crashed = child_of(-1, "CUDA 13.0\n");
	crashed.signal = 11;
	gpu_cuda_judge(&crashed, &r);
	assert_string_equal(
		report_findings(&r),
		"fail reboot gpu-hung: CUDA did not answer within 1 min 05 s and could not be ended, it hangs in the "
		"kernel: " REBOOT " [CUDA 13.0]\n"
		"info none cuda-skipped: CUDA was not tried: there is no python3 to try it with [no such command: "
		"python3 (PATH=/bin)]\n"
		"fail reboot cuda-init: the CUDA probe ended too early (signal 11): " REBOOT " [CUDA 13.0]\n");
}

/* The script itself by the real python3, on a machine without libcuda: tests/e2e plays one. */
static void the_script_runs(void **state) {
	static const char *const tools[] = {NULL};
	const struct gpu_want want = {.min_cuda = "13.0"};
	struct stub s;
	struct gpu_report r;
	struct err err;
	stub_open(&s, tools);
	struct machine m = stub_machine(&s);
	report_fill(&r, &s.arena, "g5.xlarge", 1);
	assert_int_equal(gpu_check_cuda(&m, &want, &r, &err), 0);
	bool has_cuda = access("/dev/nvidiactl", F_OK) == 0;
	if (has_cuda) print_message("this machine has a GPU: %s", report_findings(&r));
	if (!has_cuda) {
		assert_int_equal(r.finding_count, 1);
		assert_true(str_starts(r.findings[0].evidence, "ERR load 0 libcuda.so.1:_cannot_open"));
	}
	stub_close(&s);
}

static void errors_by_number_and_text(void **state) {
	static const struct {
		const char *text;
		int number; /* -1: none */
	} texts[] = {
		{"RuntimeError: ... Error 802: system not yet initialized", 802},
		{"Error 804: forward compatibility was attempted on non supported HW", 804},
		{"CUDA initialization: The NVIDIA driver on your system is too old (found version 12040)", 35},
		{"CUDA unknown error - this may be due to an incorrectly set up environment", 999},
		{"Error 3: something reworded", 3},
		{"Error 12345: none of ours", -1},
		{"all is well", -1},
	};
	assert_null(gpu_cuda_error_by_number(0));
	assert_null(gpu_cuda_error_by_number(12345));
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		const struct gpu_cuda_error *e = gpu_cuda_error_by_text(texts[i].text);
		assert_int_equal(e ? e->number : -1, texts[i].number);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_the_probe_says),	     cmocka_unit_test(slices_are_not_counted),
		cmocka_unit_test(ends_of_the_child),	     cmocka_unit_test(the_script_runs),
		cmocka_unit_test(errors_by_number_and_text),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
