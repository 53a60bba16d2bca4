#include "base/str.h"
#include "sys/gpu_cuda.h"
#include "sys/gpu_smi.h"

static const struct gpu_cuda_error errors[] = {
	{2, NULL, GPU_REMEDY_FIX, "a GPU's memory is full: `nvidia-smi` shows what uses it"},
	{3, "CUDA driver initialization failed", GPU_REMEDY_REBOOT,
	 "the driver could not initialise the GPU: " GPU_SAY_REBOOT},
	{34, NULL, GPU_REMEDY_FIX,
	 "a stub of libcuda.so.1 is loaded instead of the driver's: remove the toolkit's stubs folder from "
	 "LD_LIBRARY_PATH"},
	{35, "driver on your system is too old", GPU_REMEDY_FIX,
	 "the driver is too old for this CUDA: use a newer Deep Learning AMI, or a PyTorch built for an older CUDA"},
	{46, NULL, GPU_REMEDY_FIX,
	 "a GPU is in exclusive mode and in use, or prohibited: `sudo nvidia-smi -c DEFAULT`"},
	{100, "no CUDA-capable device is detected", GPU_REMEDY_REBOOT,
	 "CUDA finds no GPU: look at /dev/nvidia* and CUDA_VISIBLE_DEVICES, then reboot"},
	{101, "invalid device ordinal", GPU_REMEDY_FIX, "CUDA_VISIBLE_DEVICES names a GPU that is not there"},
	{214, "uncorrectable ECC error", GPU_REMEDY_REPLACE,
	 "a GPU's memory has uncorrectable errors: " GPU_SAY_REPLACE},
	{304, "OS call failed", GPU_REMEDY_FIX,
	 "the kernel refused a call of the driver: look at limits, cgroups and `sudo dmesg`"},
	{802, "system not yet initialized", GPU_REMEDY_FIX,
	 "the NVLink fabric is not up: `sudo systemctl enable --now nvidia-fabricmanager`; its version must be the "
	 "driver's"},
	{803, "unsupported display driver / cuda driver combination", GPU_REMEDY_REBOOT,
	 "libcuda is of another version than the loaded driver (an upgrade ran): reboot"},
	{804, "forward compatibility was attempted on non supported HW", GPU_REMEDY_FIX,
	 "CUDA's compatibility libraries are loaded instead of the driver's: remove the cuda-compat folder from "
	 "LD_LIBRARY_PATH"},
	{999, "CUDA unknown error", GPU_REMEDY_REBOOT,
	 "the nvidia-uvm module is missing or stale: `sudo modprobe nvidia_uvm`, else reboot"},
	{0, "Found no NVIDIA driver on your system", GPU_REMEDY_REBOOT,
	 "PyTorch finds no NVIDIA driver: its module is not loaded or libcuda.so.1 is missing; reboot or use a Deep "
	 "Learning AMI"},
	{0, "no kernel image is available", GPU_REMEDY_FIX,
	 "this PyTorch has no kernels for this GPU: install a build for its compute capability"},
	{0, "out of memory", GPU_REMEDY_FIX, "a GPU's memory is full: `nvidia-smi` shows what uses it"},
};

const struct gpu_cuda_error *gpu_cuda_error_by_number(int number) {
	for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
		if (number != 0 && errors[i].number == number) return &errors[i];
	return NULL;
}

const struct gpu_cuda_error *gpu_cuda_error_by_text(const char *text) {
	int number;
	for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
		if (errors[i].part && strstr(text, errors[i].part)) return &errors[i];
	for (const char *at = text; (at = strstr(at, "Error ")); at++)
		if (sscanf(at, "Error %5d:", &number) == 1 && gpu_cuda_error_by_number(number))
			return gpu_cuda_error_by_number(number);
	return NULL;
}
