#include <stdlib.h>

#include "base/str.h"
#include "sys/gpu.h"

/* clang-format off: one row a line, to be read beside the source */
/* PCI device ids of vendor 10de on EC2: The PCI ID Repository and NVIDIA's list of supported GPUs, August 2026. */
static const struct {
	unsigned id;
	const char *name;
} devices[] = {
	{0x1db1, "V100"}, {0x1db5, "V100"},  {0x1eb4, "T4G"},	{0x1eb8, "T4"},		  {0x20b0, "A100"},
	{0x20b2, "A100"}, {0x2237, "A10G"},  {0x2330, "H100"},	{0x2335, "H200"},	  {0x26b9, "L40S"},
	{0x27b8, "L4"},	  {0x2901, "B200"},  {0x2941, "GB200"}, {0x2bb5, "RTX PRO 6000"}, {0x2c31, "RTX PRO 4500"},
	{0x3182, "B300"}, {0x31c2, "GB300"},
};

/* The CUDA version that nvidia-smi of a driver branch prints: captures as of August 2026; 545 to 555 and 575 by the
 * CUDA Toolkit release notes. */
static const struct {
	long branch;
	const char *cuda;
} cudas[] = {
	{470, "11.4"}, {515, "11.7"}, {525, "12.0"}, {535, "12.2"}, {545, "12.3"}, {550, "12.4"}, {555, "12.5"},
	{560, "12.6"}, {570, "12.8"}, {575, "12.9"}, {580, "13.0"}, {590, "13.1"}, {595, "13.2"}, {610, "13.3"},
};
/* clang-format on */

const struct gpu_type *gpu_type_find(const char *instance_type) {
	for (size_t i = 0; i < gpu_types_count; i++)
		if (str_eq(gpu_types[i].instance_type, instance_type)) return &gpu_types[i];
	return NULL;
}

const char *gpu_device_name(unsigned device_id) {
	for (size_t i = 0; i < sizeof devices / sizeof *devices; i++)
		if (devices[i].id == device_id) return devices[i].name;
	return NULL;
}

const char *gpu_cuda_for_driver(const char *driver) {
	char *end;
	if (!driver || *driver < '1' || *driver > '9') return NULL;
	long branch = strtol(driver, &end, 10); /* a number too large is in no row */
	if (*end && *end != '.') return NULL;
	for (size_t i = 0; i < sizeof cudas / sizeof *cudas; i++)
		if (cudas[i].branch == branch) return cudas[i].cuda;
	return NULL;
}
