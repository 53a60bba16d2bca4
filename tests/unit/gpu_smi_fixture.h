#pragma once
/* nvidia-smi as a stub. */
#include "gpu_fixture.h"
#include "stub.h"

#include "sys/gpu_smi.h"

/* Rows as drivers R515 to R610 print them, GPU and index filled in. */
#define T4(i, addr)                                                                                                    \
#i ", 00000000:" addr                                                                                          \
	   ", 0x1EB810DE, Tesla T4, GPU-x, 515.105.01, 15360, 1032, Enabled, P0, 40, 26.78, 70.00, 0, Default, Enabled, Enabled, 0, 0, No, [N/A], 3, 3, 8, 16, 0x0000000000000000\n"
#define A10G(i, addr)                                                                                                  \
#i ", 00000000:" addr                                                                                          \
	   ", 0x223710DE, NVIDIA A10G, GPU-x, 580.105.08, 23028, 22, Enabled, P8, 17, 25.58, 300.00, 0, Default, Enabled, Enabled, 0, 0, [N/A], [N/A], 1, 4, 8, 16, 0x0000000000000001\n"
#define H100(mig, rest)                                                                                                \
	"0, 00000000:00:1E.0, 0x233010DE, NVIDIA H100 80GB HBM3, GPU-x, 590.48.01, 81559, " rest                       \
	", Default, Enabled, Enabled, 0, 0, [N/A], " mig ", 5, 5, 16, 16, 0x0000000000000001\n"
#define ONE_T4(driver, total, used, persistence, pstate, celsius, draw, load, mode, ecc, next, now, ever, retired,     \
	       width, mask)                                                                                            \
	"0, 00000000:00:1E.0, 0x1EB810DE, Tesla T4, GPU-x, " driver ", " total ", " used ", " persistence ", " pstate  \
	", " celsius ", " draw ", 70.00, " load ", " mode ", " ecc ", " next ", " now ", " ever ", " retired           \
	", [N/A], 3, 3, " width ", 16, " mask "\n"
#define GOOD_T4 T4(0, "00:1E.0")
#define HANDLE "Unable to determine the device handle for GPU3: 0000:00:1B.0: Unknown Error\n"
#define HELP                                                                                                           \
	"List of valid properties to query:\n\n\"compute_cap\"\nThe CUDA Compute "                                     \
	"Capability.\n\"remapped_rows.pending\"\n\"remapped_rows.failure\"\n\"fabric.state\"\n\"fabric."               \
	"status\"\n\"gpu_recovery_action\"\n\"ecc.errors.uncorrected.aggregate.sram.thresholdExceeded\"\n\"reset_"     \
	"status.reset_required_not\"\n"
#define MORE_T4 "00000000:00:1E.0, 7.5, [N/A], [N/A], [N/A], [N/A], None, [N/A]\n"
#define MORE(rest) "00000000:00:1E.0, 9.0, " rest "\n"
#define REPLACE "stop and start the instance, or relaunch it (a reboot keeps the same hardware)"
#define REBOOT "reboot; if it returns, stop and start the instance, or relaunch it"

static const char *const tools[] = {"nvidia-smi", NULL};
