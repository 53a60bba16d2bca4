/*
 * What nvidia-smi says when it cannot answer: its text first, since several faults share an exit status, then the exit
 * status, which is the nvmlReturn_t (NVML API Reference). Its messages come on stdout as a rule, some on stderr, and a
 * GPU that is gone may leave the exit status at 0.
 */
#include "base/buf.h"
#include "base/str.h"
#include "sys/gpu_child.h"
#include "sys/gpu_smi.h"

/* Signals are numbered 1..64 on Linux. */
#define SIGNAL_LAST 64

struct fault {
	int exit_code;	  /* -1: known by its text alone */
	const char *part; /* of a line; NULL: known by the exit status alone */
	const char *code;
	enum gpu_severity severity;
	enum gpu_remedy remedy;
	const char *text;
};

#define TEXT_DRIVER                                                                                                    \
	"nvidia-smi cannot talk to the NVIDIA driver: look at `sudo dmesg | grep -i nvrm`, reboot; if the driver is "  \
	"not installed, use a Deep Learning AMI"
#define TEXT_MISMATCH                                                                                                  \
	"the NVIDIA libraries are of another version than the loaded driver (an upgrade ran): reboot; `sudo apt-mark " \
	"hold` on the nvidia packages prevents it"
#define TEXT_INIT "the driver is loaded, but found no GPU that it can run: " GPU_SAY_REBOOT
#define TEXT_LIBRARY                                                                                                   \
	"nvidia-smi does not find libnvidia-ml.so: the driver's libraries are not installed; use a Deep Learning AMI " \
	"or install the driver"
#define TEXT_INFOROM "a GPU's infoROM is corrupt: if jobs fail, " GPU_SAY_REPLACE
#define TEXT_LOST "a GPU does not answer: " GPU_SAY_REPLACE
#define TEXT_PERMISSION                                                                                                \
	"nvidia-smi may not use the GPU: run as root, and look at the modes of /dev/nvidia* and at the device cgroup"

/* In the order in which they are believed. */
static const struct fault faults[] = {
	{-1, "ersion mismatch", "drv-mismatch", GPU_FAIL, GPU_REMEDY_REBOOT, TEXT_MISMATCH},
	{-1, "couldn't communicate with the NVIDIA driver", "smi-exec", GPU_FAIL, GPU_REMEDY_REBOOT, TEXT_DRIVER},
	{-1, "couldn't find libnvidia-ml.so", "smi-missing", GPU_FAIL, GPU_REMEDY_FIX, TEXT_LIBRARY},
	{-1, "No devices were found", "drv-init", GPU_FAIL, GPU_REMEDY_REBOOT, TEXT_INIT},
	{-1, "Unable to determine the device handle", "gpu-lost", GPU_FAIL, GPU_REMEDY_REPLACE, TEXT_LOST},
	{-1, "GPU is lost", "gpu-lost", GPU_FAIL, GPU_REMEDY_REPLACE, TEXT_LOST},
	{-1, "requires reset", "gpu-err", GPU_FAIL, GPU_REMEDY_REBOOT, "a GPU requires a reset: " GPU_SAY_REBOOT},
	{-1, "infoROM is corrupted", "inforom", GPU_WARN, GPU_REMEDY_REPLACE, TEXT_INFOROM},
	{-1, "Failed to initialize NVML: Unknown Error", "smi-exec", GPU_FAIL, GPU_REMEDY_REBOOT,
	 "nvidia-smi cannot reach the GPUs: in a container its device cgroup has lost them (start it anew); else "
	 "reboot"},
	{-1, "Failed to initialize NVML: Insufficient Permissions", "smi-exec", GPU_FAIL, GPU_REMEDY_FIX,
	 TEXT_PERMISSION},
	{4, NULL, "smi-exec", GPU_FAIL, GPU_REMEDY_FIX, TEXT_PERMISSION},
	{6, NULL, "drv-init", GPU_FAIL, GPU_REMEDY_REBOOT, TEXT_INIT},
	{8, NULL, "smi-exec", GPU_FAIL, GPU_REMEDY_REPLACE, "a GPU lacks external power: " GPU_SAY_REPLACE},
	{9, NULL, "smi-exec", GPU_FAIL, GPU_REMEDY_REBOOT, TEXT_DRIVER},
	{10, NULL, "gpu-hung", GPU_FAIL, GPU_REMEDY_REBOOT, "the driver got no answer from a GPU: " GPU_SAY_REBOOT},
	{11, NULL, "smi-exec", GPU_FAIL, GPU_REMEDY_REBOOT, "a GPU's interrupts do not arrive: " GPU_SAY_REBOOT},
	{12, NULL, "smi-missing", GPU_FAIL, GPU_REMEDY_FIX, TEXT_LIBRARY},
	{14, NULL, "inforom", GPU_WARN, GPU_REMEDY_REPLACE, TEXT_INFOROM},
	{15, NULL, "gpu-lost", GPU_FAIL, GPU_REMEDY_REPLACE, TEXT_LOST},
	{16, NULL, "gpu-err", GPU_FAIL, GPU_REMEDY_REBOOT, "a GPU requires a reset: " GPU_SAY_REBOOT},
	{17, NULL, "smi-exec", GPU_FAIL, GPU_REMEDY_FIX, TEXT_PERMISSION},
	{18, NULL, "drv-mismatch", GPU_FAIL, GPU_REMEDY_REBOOT, TEXT_MISMATCH},
	{127, NULL, "smi-missing", GPU_FAIL, GPU_REMEDY_FIX, TEXT_LIBRARY},
};

bool gpu_has_finding(const struct gpu_report *r, const char *code) {
	for (size_t i = 0; i < r->finding_count; i++)
		if (str_eq(r->findings[i].code, code)) return true;
	return false;
}

static void add(struct gpu_report *r, const struct fault *f, const char *evidence) {
	if (!gpu_has_finding(r, f->code)) gpu_add(r, f->code, f->severity, f->remedy, evidence, "%s", f->text);
}

/* The first line beside the rows that holds part, as evidence; NULL if none does. */
static const char *message_with(const struct gpu_smi_answer *answer, const char *part, struct arena *arena) {
	for (size_t i = 0; i < answer->message_count; i++)
		if (strstr(answer->messages[i], part))
			return gpu_child_evidence(answer->messages[i], strlen(answer->messages[i]), arena);
	return NULL;
}

/* Every fault whose text is there: one GPU may be lost while another's infoROM is corrupt. True if any was. */
static bool judge_text(const struct gpu_smi_answer *answer, struct gpu_report *r) {
	bool is_any = false;
	for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
		const char *line = faults[i].part ? message_with(answer, faults[i].part, r->arena) : NULL;
		if (!line) continue;
		add(r, &faults[i], line);
		is_any = true;
	}
	return is_any;
}

static const struct fault *fault_of_exit(int exit_code) {
	for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
		if (!faults[i].part && faults[i].exit_code == exit_code) return &faults[i];
	return NULL;
}

static void judge_signal(const struct gpu_child *child, struct gpu_report *r) {
	int signal = child->signal ? child->signal : child->exit_code - 128; /* a shell's way to report one */
	const char *last = gpu_child_last_line(child, r->arena);
	gpu_add(r, "gpu-hung", GPU_FAIL, GPU_REMEDY_REBOOT, last[0] ? last : NULL,
		"nvidia-smi was ended by signal %d (%s): " GPU_SAY_REBOOT, signal, strsignal(signal));
}

static bool has_row(const struct gpu_smi_answer *answer, const char *address) {
	char found[16];
	for (size_t i = 0; i < answer->count; i++)
		if (gpu_smi_address(answer->rows[i].cells[SMI_ADDRESS], found) && str_eq(found, address)) return true;
	return false;
}

/* A GPU on the bus without a row: the message about it is the evidence, whatever the exit status. */
static void judge_missing(const struct gpu_smi_answer *answer, struct gpu_report *r) {
	AUTO_BUF struct buf names = BUF_INIT(1024);
	size_t missing = 0;
	for (size_t i = 0; i < r->count; i++) {
		if (has_row(answer, r->devices[i].address)) continue;
		buf_addf(&names, "%sGPU %zu (%s)", missing++ ? ", " : "", i, r->devices[i].address);
	}
	if (missing == 0) return;
	const char *last = answer->message_count ? answer->messages[answer->message_count - 1] : NULL;
	const char *line = message_with(answer, "Unable to determine the device handle", r->arena);
	gpu_add(r, "gpu-lost", GPU_FAIL, GPU_REMEDY_REPLACE,
		line   ? line
		: last ? gpu_child_evidence(last, strlen(last), r->arena)
		       : NULL,
		"%s %s on the bus, but nvidia-smi does not show %s: " GPU_SAY_REPLACE, buf_str(&names),
		missing == 1 ? "is" : "are", missing == 1 ? "it" : "them");
}

void gpu_smi_judge_end(const struct gpu_child *child, const struct gpu_smi_answer *answer, struct gpu_report *r) {
	const struct fault *by_exit = fault_of_exit(child->exit_code);
	const char *last = gpu_child_last_line(child, r->arena);
	size_t before = r->finding_count;
	if (answer->count > 0) judge_missing(answer, r);
	bool is_known = judge_text(answer, r) || r->finding_count > before;
	if (child->signal || (!is_known && child->exit_code > 128 && child->exit_code <= 128 + SIGNAL_LAST))
		judge_signal(child, r);
	else if (child->exit_code > 0 && !is_known && by_exit)
		add(r, by_exit, last[0] ? last : NULL);
	else if (child->exit_code > 0 && !is_known)
		gpu_add(r, "smi-exec", GPU_FAIL, GPU_REMEDY_REBOOT, last[0] ? last : NULL,
			"nvidia-smi ended with exit status %d: " GPU_SAY_REBOOT, child->exit_code);
	else if (child->exit_code == 0 && !is_known && answer->count == 0)
		gpu_add(r, "smi-exec", GPU_FAIL, GPU_REMEDY_REBOOT, last[0] ? last : NULL,
			"nvidia-smi ended well, but listed no GPU: " GPU_SAY_REBOOT);
}

void gpu_smi_judge_nvlink(const struct gpu_child *child, struct gpu_report *r) {
	const char *line = gpu_child_line_with(child, "<inactive>", r->arena);
	if (!line) line = gpu_child_line_with(child, "all links are inactive", r->arena);
	if (!line) return;
	gpu_add(r, "nvlink", GPU_FAIL, GPU_REMEDY_REPLACE, line,
		"NVLink is down, so training on several GPUs is slow or fails: " GPU_SAY_REPLACE);
}
