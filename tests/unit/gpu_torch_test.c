#include "gpu_fixture.h"
#include "stub.h"

#include "sys/gpu_cuda.h"

#define PY "/opt/pytorch/bin/python"
#define REBOOT "reboot; if it returns, stop and start the instance, or relaunch it"
#define LINE(torch, cuda, avail, n, cc, arch)                                                                          \
	"torch=" torch " cuda=" cuda " avail=" avail " n=" n " cc=" cc " arch=" arch "\n"
#define ARCHS "sm_75,sm_80,sm_86,sm_90,sm_100,sm_120,compute_120"

static const struct {
	const char *driver_cuda;
	int exit_code;
	const char *text, *torch, *found;
} rows[] = {
	{"13.0", 0, LINE("2.11.0+cu130", "13.0", "True", "1", "75", ARCHS) "op=ok\n", "2.11.0+cu130", ""},
	{"13.0", 0, LINE("2.9.0", "12.8", "True", "8", "86,86,86,86,86,86,86,86", ARCHS) "op=ok\n", "2.9.0", ""},
	{"13.0", 0, "a warning\n" LINE("2.9.0", "12.8", "True", "1", "89", ARCHS) "op=ok\n", "2.9.0", ""},
	{"13.0", 0, LINE("2.9.0+cpu", "None", "False", "0", "-", "-") "op=ok\n", "2.9.0+cpu",
	 "fail fix torch-cpu: PyTorch of " PY " is the build for CPUs: install one for CUDA, from "
	 "https://download.pytorch.org/whl/cu130 or the index that fits the driver [torch=2.9.0+cpu cuda=None "
	 "avail=False n=0 cc=- arch=-]\n"},
	{"12.4", 0,
	 "/opt/x.py:182: UserWarning: CUDA initialization: The NVIDIA driver on your system is too old (found version "
	 "12040). Please update your GPU driver.\n" LINE("2.11.0", "13.0", "False", "1", "-", "-") "op=ok\n",
	 "2.11.0",
	 "fail fix torch-cuda: PyTorch of " PY " does not see the GPU: the driver is too old for this CUDA: use a "
	 "newer Deep Learning AMI, or a PyTorch built for an older CUDA [/opt/x.py:182: UserWarning: CUDA "
	 "initialization: The NVIDIA driver on your system is too old (found version 12040). Please update your GPU "
	 "driver.]\n"
	 "fail fix cuda-compat: PyTorch of " PY " is built for CUDA 13.0, the driver supports CUDA up to 12.4: install "
	 "a newer driver, or a PyTorch for CUDA 12 [13.0]\n"},
	{"12.2", 0,
	 "x: UserWarning: CUDA initialization: Unexpected error from cudaGetDeviceCount(). Error 802: system not yet "
	 "initialized\n" LINE("2.9.0", "12.8", "False", "8", "-", "-") "op=ok\n",
	 "2.9.0",
	 "fail fix torch-cuda: PyTorch of " PY " does not see the GPU: the NVLink fabric is not up: `sudo systemctl "
	 "enable --now nvidia-fabricmanager`; its version must be the driver's [x: UserWarning: CUDA initialization: "
	 "Unexpected error from cudaGetDeviceCount(). Error 802: system not yet initialized]\n"},
	{"13.0", 0, LINE("2.9.0", "12.8", "False", "0", "-", "-") "op=ok\n", "2.9.0",
	 "fail fix torch-cuda: PyTorch of " PY
	 " does not see the GPU: look at CUDA_VISIBLE_DEVICES and LD_LIBRARY_PATH "
	 "of the login user [torch=2.9.0 cuda=12.8 avail=False n=0 cc=- arch=-]\n"},
	{"13.0", 1,
	 LINE("2.11.0", "13.0", "True", "1", "70", ARCHS) "torch.AcceleratorError: CUDA error: no kernel image is "
							  "available for execution on the device\n",
	 "2.11.0",
	 "fail fix torch-arch: PyTorch of " PY " has no kernels for compute capability 7.0: install a build that has "
	 "[torch=2.11.0 cuda=13.0 avail=True n=1 cc=70 arch=" ARCHS "]\n"},
	/* PTX of an older architecture is compiled when it is loaded; kernels of another major do not run. */
	{"13.0", 0, LINE("2.9.0", "12.8", "True", "1", "103", "sm_90,compute_90") "op=ok\n", "2.9.0", ""},
	{"13.0", 0, LINE("2.9.0", "12.8", "True", "1", "103", "sm_100") "op=ok\n", "2.9.0", ""},
	{"13.0", 1, LINE("2.9.0", "12.8", "True", "1", "86", ARCHS) "RuntimeError: no kernel image is available\n",
	 "2.9.0",
	 "fail fix torch-arch: PyTorch of " PY
	 " sees the GPU, but cannot compute on it: this PyTorch has no kernels for "
	 "this GPU: install a build for its compute capability [RuntimeError: no kernel image is available]\n"},
	{"13.0", 1,
	 LINE("2.9.0", "12.8", "True", "1", "86", ARCHS) "RuntimeError: CUDA error: unspecified launch "
							 "failure\n",
	 "2.9.0",
	 "fail reboot torch-op: PyTorch of " PY " sees the GPU, but cannot compute on it: " REBOOT
	 " [RuntimeError: CUDA "
	 "error: unspecified launch failure]\n"},
	{"13.0", 1, LINE("2.9.0", "12.8", "True", "1", "86", ARCHS) "the product of two matrices is wrong on GPU 0\n",
	 "2.9.0",
	 "fail reboot torch-op: PyTorch of " PY " sees the GPU, but cannot compute on it: " REBOOT
	 " [the product of two "
	 "matrices is wrong on GPU 0]\n"},
	{"13.0", 1, "Traceback (most recent call last):\nModuleNotFoundError: No module named 'torch'\n", "",
	 "fail fix torch-none: " PY " has no PyTorch [ModuleNotFoundError: No module named 'torch']\n"},
	{"13.0", 1, "ImportError: libcudart.so.12: cannot open shared object file: No such file or directory\n", "",
	 "fail fix torch-import: PyTorch of " PY " does not load (exit status 1): install it again [ImportError: "
	 "libcudart.so.12: cannot open shared object file: No such file or directory]\n"},
};

static void what_torch_says(void **state) {
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		AUTO_ARENA struct arena arena = {0};
		AUTO_GPU_CHILD struct gpu_child child = child_of(rows[i].exit_code, rows[i].text);
		struct gpu_report r;
		report_fill(&r, &arena, "g5.xlarge", 1);
		(void)snprintf(r.cuda, sizeof r.cuda, "%s", rows[i].driver_cuda);
		gpu_torch_judge(&child, PY, false, &r);
		assert_string_equal(report_findings(&r), rows[i].found);
		assert_string_equal(r.torch, rows[i].torch);
	}
}

static void slow_is_no_fault_and_hung_is(void **state) {
	AUTO_ARENA struct arena arena = {0};
	struct gpu_report r;
	report_fill(&r, &arena, "g5.xlarge", 1);
	AUTO_GPU_CHILD struct gpu_child child = child_of(-1, "");
	child.end = GPU_CHILD_HUNG;
	child.limit_ms = 180000;
	gpu_torch_judge(&child, PY, true, &r);
	child.was_left_behind = true;
	gpu_torch_judge(&child, PY, true, &r);
	assert_string_equal(report_findings(&r), "warn none torch-slow: PyTorch of " PY
						 " did not load within 3 min 00 s: after a launch its files come "
						 "from the snapshot slowly; run `dsagent doctor gpu` later\n"
						 "fail reboot gpu-hung: PyTorch did not answer within 3 min 00 s and "
						 "could not be ended, it hangs in the "
						 "kernel: " REBOOT "\n");
}

/* Which python is run, and how: a stub that says so. */
static void the_python_is_found(void **state) {
	static const char stub[] = "#!/bin/sh\necho \"torch=$1,$PYTHONDONTWRITEBYTECODE,$HOME,$USER,$(pwd) cuda=12.8 "
				   "avail=True n=1 cc=75 arch=sm_75\"\necho op=ok\n";
	static const struct {
		const char *torch, *file, *version, *found;
	} finds[] = {
		{"auto", "/opt/pytorch/bin/python", "-c,1,/home/ubuntu,ubuntu,/", ""},
		{"auto", "/opt/conda/envs/pytorch/bin/python", "-c,1,/home/ubuntu,ubuntu,/", ""},
		{"auto", "/opt/other/bin/python", "", "info none torch-none: no PyTorch was found\n"},
		{"/opt/ds", "/opt/ds/bin/python", "-c,1,/home/ubuntu,ubuntu,/", ""},
		{"/opt/ds/bin/python3", "/opt/ds/bin/python3", "-c,1,/home/ubuntu,ubuntu,/", ""},
		{"/opt/gone", "/opt/ds/bin/python", "",
		 "fail fix torch-none: no PyTorch was found: there is no python at /opt/gone\n"},
		{NULL, "/opt/pytorch/bin/python", "", ""},
	};
	static const char *const tools[] = {NULL};
	for (size_t i = 0; i < sizeof finds / sizeof *finds; i++) {
		struct stub s;
		struct gpu_report r;
		struct err err;
		stub_open(&s, tools);
		tree_write(&s.tree, finds[i].file, stub, 0755);
		struct machine m = stub_machine(&s);
		struct exec_user user = {.name = "ubuntu",
					 .home = "/home/ubuntu",
					 .shell = "/bin/sh",
					 .uid = geteuid(),
					 .gid = getegid()};
		const struct gpu_want want = {.torch = finds[i].torch, .user = &user};
		const char *version = finds[i].version;
		report_fill(&r, &s.arena, "g5.xlarge", 1);
		assert_int_equal(gpu_check_torch(&m, &want, &r, &err), 0);
		assert_string_equal(report_findings(&r), finds[i].found);
		/* The report's field is shorter than what the stub says. */
		assert_memory_equal(r.torch, version, strlen(version) < 31 ? strlen(version) + 1 : 31);
		stub_close(&s);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_torch_says),
		cmocka_unit_test(slow_is_no_fault_and_hung_is),
		cmocka_unit_test(the_python_is_found),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
