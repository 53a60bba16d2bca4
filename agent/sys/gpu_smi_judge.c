/* One row a check: when a GPU's cells are bad, and what that means. Checks that hold for several GPUs are one finding.
 */
#include "base/buf.h"
#include "base/str.h"
#include "sys/gpu_child.h"
#include "sys/gpu_smi.h"

/* nvidia-smi's total leaves out what ECC and firmware take: a T4 of 16384 MiB shows 15360 (93.75 %). */
#define MEMORY_PERCENT_MIN 90
/* More use than a driver's own at boot: 1032 of 15360 MiB were seen on an idle T4. */
#define BUSY_MEMORY_PERCENT 10
/* Load alone proves nothing: just initialised without persistence, an idle L40S shows 100 %; so some memory too. */
#define BUSY_LOAD_PERCENT 5
#define BUSY_LOAD_MEMORY_PERCENT 2
/* An idle GPU that is this hot is not cooled: a T4 may run at 85, an A10G at 88. */
#define HOT_CELSIUS 85
/* HW slowdown 0x8, HW thermal 0x40, power brake 0x80 (nvmlClocksEventReasons); the others are normal. */
#define THROTTLE_BAD 0xC8
#define NOTHING_BAD SMI_FIELD_COUNT

struct judged {
	const struct gpu_want *want;
	const struct gpu_type *type; /* NULL: not known */
	const struct gpu_smi_row *row;
};

/* The field that shows the fault, or NOTHING_BAD. */
typedef enum gpu_smi_field (*bad_fn)(const struct judged *j);

static const char *cell(const struct judged *j, enum gpu_smi_field f) {
	return gpu_smi_cell(j->row->cells[f]) == SMI_VALUE ? j->row->cells[f] : NULL;
}

static enum gpu_smi_field bad_if(bool is_bad, enum gpu_smi_field f) { return is_bad ? f : NOTHING_BAD; }

static bool is_mig(const struct judged *j) { return str_eq(cell(j, SMI_MIG), "Enabled"); }

/* Percent of memory in use, -1: not known. */
static int64_t used_percent(const struct judged *j) {
	int64_t used, total;
	if (!gpu_smi_number(cell(j, SMI_MEMORY_USED), &used) || !gpu_smi_number(cell(j, SMI_MEMORY_TOTAL), &total))
		return -1;
	return total > 0 && used <= INT64_MAX / 100 ? used * 100 / total : -1;
}

static enum gpu_smi_field fault_with(const struct judged *j, const char *part) {
	for (int f = 0; f < SMI_FIELD_COUNT; f++) {
		const char *c = j->row->cells[f];
		if (gpu_smi_cell(c) == SMI_FAULT && strcasestr(c, part)) return (enum gpu_smi_field)f;
	}
	return NOTHING_BAD;
}

static enum gpu_smi_field lost(const struct judged *j) { return fault_with(j, "lost"); }
static enum gpu_smi_field needs_reset(const struct judged *j) { return fault_with(j, "requires reset"); }

/* Cells that a healthy GPU always has; a broken power sensor is none of them. */
static bool is_needed(int f) {
	static const enum gpu_smi_field needed[] = {SMI_NAME,	     SMI_UUID,	      SMI_MEMORY_TOTAL,
						    SMI_MEMORY_USED, SMI_TEMPERATURE, SMI_ECC_VOLATILE};
	for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
		if ((int)needed[i] == f) return true;
	return false;
}

static enum gpu_smi_field other_fault(const struct judged *j, bool wants_needed) {
	if (lost(j) != NOTHING_BAD || needs_reset(j) != NOTHING_BAD) return NOTHING_BAD;
	for (int f = 0; f < SMI_FIELD_COUNT; f++)
		if (gpu_smi_cell(j->row->cells[f]) == SMI_FAULT && is_needed(f) == wants_needed)
			return (enum gpu_smi_field)f;
	return NOTHING_BAD;
}

static enum gpu_smi_field needed_fault(const struct judged *j) { return other_fault(j, true); }
static enum gpu_smi_field sensor_fault(const struct judged *j) {
	return needed_fault(j) == NOTHING_BAD ? other_fault(j, false) : NOTHING_BAD;
}

static bool is_memory_short(const struct judged *j) {
	int64_t total;
	bool is_known = j->type && j->type->memory_mib > 0 && gpu_smi_number(cell(j, SMI_MEMORY_TOTAL), &total);
	return is_known && total < j->type->memory_mib * MEMORY_PERCENT_MIN / 100;
}

static enum gpu_smi_field memory_short(const struct judged *j) {
	return bad_if(is_memory_short(j) && !is_mig(j), SMI_MEMORY_TOTAL);
}
static enum gpu_smi_field memory_short_mig(const struct judged *j) {
	return bad_if(is_memory_short(j) && is_mig(j), SMI_MEMORY_TOTAL);
}
static enum gpu_smi_field memory_unwanted(const struct judged *j) {
	int64_t total, wanted_mib = j->want->min_memory_bytes / (1024 * 1024);
	bool is_known = gpu_smi_number(cell(j, SMI_MEMORY_TOTAL), &total);
	return bad_if(wanted_mib > 0 && is_known && total < wanted_mib * MEMORY_PERCENT_MIN / 100, SMI_MEMORY_TOTAL);
}

static enum gpu_smi_field busy(const struct judged *j) {
	int64_t load, used = used_percent(j);
	if (used > BUSY_MEMORY_PERCENT) return SMI_MEMORY_USED;
	bool is_loaded = gpu_smi_number(cell(j, SMI_UTILIZATION), &load) && load > BUSY_LOAD_PERCENT;
	return bad_if(is_loaded && used > BUSY_LOAD_MEMORY_PERCENT, SMI_UTILIZATION);
}

static bool is_above_zero(const struct judged *j, enum gpu_smi_field f) {
	int64_t n;
	return gpu_smi_number(cell(j, f), &n) && n > 0;
}
static enum gpu_smi_field ecc_now(const struct judged *j) {
	return bad_if(is_above_zero(j, SMI_ECC_VOLATILE), SMI_ECC_VOLATILE);
}
static enum gpu_smi_field ecc_before(const struct judged *j) {
	return bad_if(is_above_zero(j, SMI_ECC_AGGREGATE) && !is_above_zero(j, SMI_ECC_VOLATILE), SMI_ECC_AGGREGATE);
}

static enum gpu_smi_field is_yes(const struct judged *j, enum gpu_smi_field f) {
	return bad_if(str_eq(cell(j, f), "Yes"), f);
}
static enum gpu_smi_field sram(const struct judged *j) { return is_yes(j, SMI_SRAM_THRESHOLD); }
static enum gpu_smi_field remap_failed(const struct judged *j) { return is_yes(j, SMI_REMAP_FAILURE); }
static enum gpu_smi_field remap_pending(const struct judged *j) { return is_yes(j, SMI_REMAP_PENDING); }
static enum gpu_smi_field retire_pending(const struct judged *j) { return is_yes(j, SMI_RETIRED_PENDING); }
static enum gpu_smi_field reset_required(const struct judged *j) { return is_yes(j, SMI_RESET_REQUIRED); }

static enum gpu_smi_field ecc_off(const struct judged *j) {
	const char *now = cell(j, SMI_ECC_CURRENT), *next = cell(j, SMI_ECC_PENDING);
	return bad_if(str_eq(now, "Disabled") || (now && next && !str_eq(now, next)), SMI_ECC_CURRENT);
}

static enum gpu_smi_field recovery(const struct judged *j) {
	const char *action = cell(j, SMI_RECOVERY);
	return bad_if(action && !str_eq(action, "None"), SMI_RECOVERY);
}

static enum gpu_smi_field fabric_not_ready(const struct judged *j) {
	const char *state = cell(j, SMI_FABRIC_STATE), *status = cell(j, SMI_FABRIC_STATUS);
	if (state && !str_eq(state, "Completed") && !str_eq(state, "Not Supported")) return SMI_FABRIC_STATE;
	return bad_if(str_eq(state, "Completed") && status && !str_eq(status, "Success"), SMI_FABRIC_STATUS);
}
static enum gpu_smi_field fabric_needed(const struct judged *j) {
	return j->type && j->type->has_nvswitch ? fabric_not_ready(j) : NOTHING_BAD;
}
static enum gpu_smi_field fabric_perhaps(const struct judged *j) {
	return j->type && j->type->has_nvswitch ? NOTHING_BAD : fabric_not_ready(j);
}

static enum gpu_smi_field throttled(const struct judged *j) {
	const char *mask = cell(j, SMI_THROTTLE);
	bool is_hex = mask && mask[0] == '0' && (mask[1] == 'x' || mask[1] == 'X');
	return bad_if(is_hex && (strtoull(mask, NULL, 16) & THROTTLE_BAD), SMI_THROTTLE);
}

static enum gpu_smi_field hot(const struct judged *j) {
	int64_t celsius, load;
	bool is_loaded = gpu_smi_number(cell(j, SMI_UTILIZATION), &load) && load > BUSY_LOAD_PERCENT;
	return bad_if(!is_loaded && gpu_smi_number(cell(j, SMI_TEMPERATURE), &celsius) && celsius >= HOT_CELSIUS,
		      SMI_TEMPERATURE);
}

/*
 * Narrowest link that a healthy board has on EC2, where "current below maximum" is normal (a T4 runs at 8 of 16).
 * Source: DCGM's diag-skus; an L4's 16 could not be confirmed on g6, so 8 stands for it too.
 */
static int64_t width_floor(unsigned device_id) {
	static const unsigned wide[] = {0x20b0, 0x20b2, 0x2330, 0x2335, 0x2901};   /* A100, H100, H200, B200 */
	static const unsigned narrow[] = {0x1eb8, 0x1eb4, 0x2237, 0x27b8, 0x26b9}; /* T4, T4G, A10G, L4, L40S */
	for (size_t i = 0; i < sizeof wide / sizeof *wide; i++)
		if (wide[i] == device_id) return 16;
	for (size_t i = 0; i < sizeof narrow / sizeof *narrow; i++)
		if (narrow[i] == device_id) return 8;
	return 0;
}

/* At P0 only: an idle GPU narrows its link to save power. The generation is never judged for the same reason. */
static enum gpu_smi_field narrow_link(const struct judged *j) {
	int64_t width;
	const char *id = cell(j, SMI_DEVICE_ID); /* "0x1EB810DE": device, vendor */
	if (!id || !str_eq(cell(j, SMI_PSTATE), "P0") || !gpu_smi_number(cell(j, SMI_PCIE_WIDTH), &width))
		return NOTHING_BAD;
	return bad_if(width < width_floor((unsigned)(strtoull(id, NULL, 16) >> 16)), SMI_PCIE_WIDTH);
}

static enum gpu_smi_field mig(const struct judged *j) { return bad_if(is_mig(j), SMI_MIG); }

static enum gpu_smi_field compute_mode(const struct judged *j) {
	const char *mode = cell(j, SMI_COMPUTE_MODE);
	return bad_if(mode && !str_eq(mode, "Default"), SMI_COMPUTE_MODE);
}

static enum gpu_smi_field persistence(const struct judged *j) {
	return bad_if(str_eq(cell(j, SMI_PERSISTENCE), "Disabled"), SMI_PERSISTENCE);
}

#define TEXT_FABRIC                                                                                                    \
	"the NVLink fabric is not ready: look at `systemctl status nvidia-fabricmanager`; its version must be the "    \
	"driver's"

static const struct check {
	const char *code;
	enum gpu_severity severity;
	enum gpu_remedy remedy;
	bad_fn bad;
	const char *text;
} checks[] = {
	{"gpu-lost", GPU_FAIL, GPU_REMEDY_REPLACE, lost, "no longer answers; " GPU_SAY_REPLACE},
	{"gpu-err", GPU_FAIL, GPU_REMEDY_REBOOT, needs_reset, "requires a reset; " GPU_SAY_REBOOT},
	{"gpu-err", GPU_FAIL, GPU_REMEDY_REBOOT, needed_fault,
	 "the driver cannot read what it must know; " GPU_SAY_REBOOT},
	{"gpu-err", GPU_WARN, GPU_REMEDY_NONE, sensor_fault, "a sensor cannot be read"},
	{"gpu-mem", GPU_FAIL, GPU_REMEDY_REPLACE, memory_short,
	 "less memory than this instance type has; " GPU_SAY_REPLACE},
	{"gpu-mem", GPU_WARN, GPU_REMEDY_FIX, memory_short_mig, "less memory than this instance type has, MIG is on"},
	{"min-memory", GPU_FAIL, GPU_REMEDY_REPLACE, memory_unwanted,
	 "less memory than the recipe asks for; use an instance type with larger GPUs"},
	{"gpu-busy", GPU_WARN, GPU_REMEDY_NONE, busy, "something uses it already; `nvidia-smi` shows what"},
	{"ecc-unc", GPU_FAIL, GPU_REMEDY_REPLACE, ecc_now,
	 "uncorrectable memory errors since the driver was loaded; " GPU_SAY_REPLACE},
	{"ecc-agg", GPU_INFO, GPU_REMEDY_NONE, ecc_before,
	 "uncorrectable memory errors earlier in the board's life, none since the driver was loaded"},
	{"ecc-sram", GPU_FAIL, GPU_REMEDY_REPLACE, sram,
	 "more memory errors than NVIDIA's threshold allows; " GPU_SAY_REPLACE},
	{"row-remap", GPU_FAIL, GPU_REMEDY_REPLACE, remap_failed, "a memory repair has failed; " GPU_SAY_REPLACE},
	{"row-remap", GPU_FAIL, GPU_REMEDY_REBOOT, remap_pending, "a memory repair is pending; reboot"},
	{"page-retire", GPU_FAIL, GPU_REMEDY_REBOOT, retire_pending, "a memory page is to be retired; reboot"},
	{"ecc-off", GPU_WARN, GPU_REMEDY_FIX, ecc_off,
	 "ECC is off or about to change; `sudo nvidia-smi -e 1`, then reboot"},
	{"recovery", GPU_FAIL, GPU_REMEDY_REBOOT, recovery, "the driver asks for a recovery; " GPU_SAY_REBOOT},
	{"recovery", GPU_FAIL, GPU_REMEDY_REBOOT, reset_required, "the driver asks for a reset; " GPU_SAY_REBOOT},
	{"fabric", GPU_FAIL, GPU_REMEDY_FIX, fabric_needed, TEXT_FABRIC},
	{"fabric", GPU_WARN, GPU_REMEDY_FIX, fabric_perhaps, TEXT_FABRIC},
	{"throttle", GPU_WARN, GPU_REMEDY_REPLACE, throttled,
	 "slowed down by its hardware (heat or power); if it lasts, " GPU_SAY_REPLACE},
	{"temp", GPU_WARN, GPU_REMEDY_REPLACE, hot, "hot while idle; if it lasts, " GPU_SAY_REPLACE},
	{"pcie", GPU_WARN, GPU_REMEDY_REPLACE, narrow_link,
	 "its PCIe link is narrower than usual, copies to it are slow; if it matters, " GPU_SAY_REPLACE},
	{"mig", GPU_WARN, GPU_REMEDY_FIX, mig,
	 "MIG is on, so programs see slices of it; `sudo nvidia-smi -mig 0`, then reboot"},
	{"compute-mode", GPU_WARN, GPU_REMEDY_FIX, compute_mode,
	 "not every process may use it; `sudo nvidia-smi -c DEFAULT`"},
	{"persist", GPU_INFO, GPU_REMEDY_FIX, persistence,
	 "persistence mode is off, so each program starts 1 to 3 s later; `sudo nvidia-smi -pm 1`"},
};

/* "GPU 2", "GPUs 0, 2 and 3"; by nvidia-smi's own index. */
static void add_subject(struct buf *out, const char *const *indices, size_t count) {
	buf_adds(out, count == 1 ? "GPU " : "GPUs ");
	for (size_t i = 0; i < count; i++)
		buf_addf(out, "%s%s", i == 0 ? "" : i + 1 < count ? ", " : " and ", indices[i]);
}

static void run_check(const struct check *c, const struct gpu_smi_answer *answer, struct judged *j,
		      struct gpu_report *r) {
	AUTO_BUF struct buf subject = BUF_INIT(1024);
	const char *indices[GPU_MAX], *evidence = NULL;
	size_t count = 0;
	for (size_t i = 0; i < answer->count; i++) {
		j->row = &answer->rows[i];
		enum gpu_smi_field f = c->bad(j);
		if (f == NOTHING_BAD) continue;
		if (!evidence) {
			evidence = arena_printf(r->arena, "%s = %s", gpu_smi_names[f], j->row->cells[f]);
			evidence = gpu_child_evidence(evidence, strlen(evidence), r->arena);
		}
		indices[count++] = j->row->cells[SMI_INDEX] ? j->row->cells[SMI_INDEX] : "?";
	}
	if (count == 0) return;
	add_subject(&subject, indices, count);
	gpu_add(r, c->code, c->severity, c->remedy, evidence, "%s: %s", buf_str(&subject), c->text);
}

void gpu_smi_judge_rows(const struct gpu_smi_answer *answer, const struct gpu_want *want, struct gpu_report *r) {
	struct judged j = {.want = want, .type = gpu_type_find(r->instance_type)};
	for (size_t i = 0; i < sizeof checks / sizeof *checks; i++) run_check(&checks[i], answer, &j, r);
}

void gpu_smi_judge_versions(const struct gpu_want *want, struct gpu_report *r) {
	if (want->min_driver && r->driver[0] && gpu_version_compare(r->driver, want->min_driver) < 0 &&
	    !gpu_has_finding(r, "min-driver"))
		gpu_add(r, "min-driver", GPU_FAIL, GPU_REMEDY_FIX, r->driver,
			"the driver is %s, the recipe asks for %s: use a newer Deep Learning AMI or install that "
			"driver",
			r->driver, want->min_driver);
	if (want->min_cuda && r->cuda[0] && gpu_version_compare(r->cuda, want->min_cuda) < 0 &&
	    !gpu_has_finding(r, "min-cuda"))
		gpu_add(r, "min-cuda", GPU_FAIL, GPU_REMEDY_FIX, r->cuda,
			"the driver supports CUDA up to %s, the recipe asks for %s: use a newer Deep Learning AMI or "
			"install a newer driver",
			r->cuda, want->min_cuda);
}
