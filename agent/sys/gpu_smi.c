/* Layer B: what is asked of nvidia-smi, in which order, for how long. */
#include "sys/gpu_smi.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/str.h"
#include "sys/gpu_child.h"

/* A query that must initialise the GPUs first: up to 3 s each (NVIDIA, "Driver Persistence"), and twice that for luck.
 */
#define QUERY_MS (30 * 1000)
#define QUERY_GPU_MS (6 * 1000)
/* What only prints text. */
#define TEXT_MS (10 * 1000)
/* A driver that refuses fields of the base query (none is known) refuses one at a time. */
#define REFUSALS_MAX 4
/* Where installers put nvidia-smi beside PATH. */
#define MORE_PATH "/usr/bin:/usr/local/bin:/opt/nvidia/bin"

struct columns {
	enum gpu_smi_field fields[SMI_FIELD_COUNT];
	size_t count;
};

static int ask(const struct machine *m, const char *arg, const char *format, int64_t timeout_ms,
	       struct gpu_child *ret_child, struct err *err) {
	const char *path = machine_env(m, "PATH");
	const char *const env[] = {
		"LC_ALL=C", path && *path ? arena_printf(m->arena, "PATH=%s:%s", path, MORE_PATH) : "PATH=" MORE_PATH,
		NULL};
	const char *const argv[] = {"nvidia-smi", arg, format, NULL};
	struct machine_command cmd = {.argv = argv, .extra_env = env, .timeout_ms = timeout_ms};
	return gpu_child_run(m, &cmd, ret_child, err);
}

static int query(const struct machine *m, const struct gpu_report *r, const struct columns *columns,
		 struct gpu_child *ret_child, struct gpu_smi_answer *ret_answer, struct err *err) {
	AUTO_STRS struct strs names = {0};
	for (size_t i = 0; i < columns->count; i++) strs_add(&names, gpu_smi_names[columns->fields[i]]);
	const char *arg = arena_printf(r->arena, "--query-gpu=%s", strs_join(&names, ",", r->arena));
	int rc = ask(m, arg, "--format=csv,noheader,nounits", QUERY_MS + (int64_t)r->count * QUERY_GPU_MS, ret_child,
		     err);
	if (rc < 0) return rc;
	gpu_smi_parse(buf_str(&ret_child->text), ret_child->text.len, columns->fields, columns->count, r->arena,
		      ret_answer);
	return 0;
}

static bool drop_column(struct columns *columns, enum gpu_smi_field field) {
	for (size_t i = 0; i < columns->count; i++) {
		if (columns->fields[i] != field || field == SMI_INDEX || field == SMI_ADDRESS) continue;
		memmove(&columns->fields[i], &columns->fields[i + 1],
			(columns->count - i - 1) * sizeof *columns->fields);
		columns->count--;
		return true;
	}
	return false;
}

/* The base query, again without a field that this driver refuses. */
static int query_base(const struct machine *m, const struct gpu_report *r, struct gpu_child *ret_child,
		      struct gpu_smi_answer *ret_answer, struct err *err) {
	struct columns columns = {.count = SMI_BASE_COUNT};
	for (size_t i = 0; i < SMI_BASE_COUNT; i++) columns.fields[i] = (enum gpu_smi_field)i;
	for (size_t refusals = 0;; refusals++) {
		AUTO_GPU_CHILD struct gpu_child child = {0};
		int rc = query(m, r, &columns, &child, ret_answer, err);
		if (rc < 0) return rc;
		bool is_refused = child.end == GPU_CHILD_ENDED && child.exit_code != 0 && refusals < REFUSALS_MAX &&
				  drop_column(&columns, gpu_smi_refused(buf_str(&child.text)));
		if (is_refused) continue;
		*ret_child = child;
		child.text = (struct buf){0};
		return 0;
	}
}

static struct gpu_smi_row *find_row(struct gpu_smi_answer *answer, const char *address) {
	char found[16], wanted[16];
	for (size_t i = 0; i < answer->count && gpu_smi_address(address, wanted); i++)
		if (gpu_smi_address(answer->rows[i].cells[SMI_ADDRESS], found) && str_eq(found, wanted))
			return &answer->rows[i];
	return NULL;
}

static void merge(const struct gpu_smi_answer *more, const struct columns *columns, struct gpu_smi_answer *answer) {
	for (size_t i = 0; i < more->count; i++) {
		struct gpu_smi_row *row = find_row(answer, more->rows[i].cells[SMI_ADDRESS]);
		for (size_t k = 1; row && k < columns->count; k++)
			row->cells[columns->fields[k]] = more->rows[i].cells[columns->fields[k]];
	}
}

static void add_unasked(struct gpu_report *r, const struct gpu_child *child) {
	const char *last = gpu_child_last_line(child, r->arena);
	gpu_add(r, "smi-ext", GPU_INFO, GPU_REMEDY_NONE, last[0] ? last : NULL,
		"nvidia-smi did not answer for the newer fields: row remapping, fabric and recovery were not judged");
}

/* The fields that only newer drivers know. False in *ret_goes_on: it hung. */
static int query_more(const struct machine *m, struct gpu_report *r, struct gpu_smi_answer *answer, bool *ret_goes_on,
		      struct err *err) {
	AUTO_GPU_CHILD struct gpu_child help = {0}, child = {0};
	struct columns columns = {.fields = {SMI_ADDRESS}, .count = 1};
	struct gpu_smi_answer *more = arena_alloc(r->arena, sizeof *more);
	int rc = ask(m, "--help-query-gpu", NULL, TEXT_MS, &help, err);
	if (rc < 0) return rc;
	for (int f = SMI_BASE_COUNT; f < SMI_FIELD_COUNT; f++)
		if (gpu_smi_knows(buf_str(&help.text), gpu_smi_names[f]))
			columns.fields[columns.count++] = (enum gpu_smi_field)f;
	*ret_goes_on = help.end != GPU_CHILD_HUNG;
	if (help.end == GPU_CHILD_HUNG) gpu_child_add_hung(r, &help, "nvidia-smi --help-query-gpu");
	if (help.end != GPU_CHILD_ENDED || columns.count == 1) return 0;
	rc = query(m, r, &columns, &child, more, err);
	if (rc < 0) return rc;
	*ret_goes_on = child.end != GPU_CHILD_HUNG;
	if (child.end == GPU_CHILD_HUNG)
		gpu_child_add_hung(r, &child, "nvidia-smi");
	else if (child.end != GPU_CHILD_ENDED || more->count == 0)
		add_unasked(r, &child);
	merge(more, &columns, answer);
	return 0;
}

static struct gpu_device *find_device(struct gpu_report *r, const char *address) {
	for (size_t i = 0; i < r->count; i++)
		if (str_eq(r->devices[i].address, address)) return &r->devices[i];
	return NULL;
}

/* Names and memory to the devices; the driver's version if its files did not tell. */
static void keep_facts(const struct gpu_smi_answer *answer, struct gpu_report *r) {
	char address[16];
	for (size_t i = 0; i < answer->count; i++) {
		const char *const *cells = answer->rows[i].cells;
		struct gpu_device *d = gpu_smi_address(cells[SMI_ADDRESS], address) ? find_device(r, address) : NULL;
		if (!d) continue;
		if (gpu_smi_cell(cells[SMI_NAME]) == SMI_VALUE)
			(void)snprintf(d->name, sizeof d->name, "%.*s",
				       (int)str_utf8_prefix(cells[SMI_NAME], sizeof d->name / 4), cells[SMI_NAME]);
		(void)gpu_smi_number(cells[SMI_MEMORY_TOTAL], &d->memory_mib); /* else it stays unknown */
	}
	const char *driver = answer->count ? answer->rows[0].cells[SMI_DRIVER] : NULL;
	size_t n = driver ? strspn(driver, "0123456789.") : 0;
	if (!r->driver[0] && n > 0 && n < sizeof r->driver)
		(void)snprintf(r->driver, sizeof r->driver, "%.*s", (int)n, driver); /* fits */
}

/* What CUDA the driver supports: by the table, else as `--version` says. The CUDA probe knows better later. */
static int find_cuda(const struct machine *m, struct gpu_report *r, struct err *err) {
	AUTO_GPU_CHILD struct gpu_child child = {0};
	const char *known = gpu_cuda_for_driver(r->driver);
	if (!r->cuda[0] && known) (void)snprintf(r->cuda, sizeof r->cuda, "%s", known);
	if (r->cuda[0]) return 0;
	int rc = ask(m, "--version", NULL, TEXT_MS, &child, err);
	if (rc < 0) return rc;
	if (child.end == GPU_CHILD_ENDED)
		(void)gpu_smi_cuda_version(buf_str(&child.text), r->cuda, sizeof r->cuda); /* else unknown */
	return 0;
}

static int check_nvlink(const struct machine *m, struct gpu_report *r, struct err *err) {
	AUTO_GPU_CHILD struct gpu_child child = {0};
	const struct gpu_type *type = gpu_type_find(r->instance_type);
	if (!type || !type->has_nvswitch) return 0;
	int rc = ask(m, "nvlink", "-s", QUERY_MS, &child, err);
	if (rc < 0) return rc;
	if (child.end == GPU_CHILD_HUNG)
		gpu_child_add_hung(r, &child, "nvidia-smi nvlink");
	else
		gpu_smi_judge_nvlink(&child, r);
	return 0;
}

static int check(const struct machine *m, const struct gpu_want *want, struct gpu_report *r, struct err *err) {
	AUTO_GPU_CHILD struct gpu_child child = {0};
	struct gpu_smi_answer *answer = arena_alloc(r->arena, sizeof *answer);
	bool goes_on = true;
	int rc = query_base(m, r, &child, answer, err);
	if (rc < 0) return rc;
	if (child.end == GPU_CHILD_HUNG) {
		gpu_child_add_hung(r, &child, "nvidia-smi");
		return 0;
	}
	if (child.end == GPU_CHILD_MISSING) {
		gpu_add(r, "smi-missing", GPU_FAIL, GPU_REMEDY_FIX, gpu_child_last_line(&child, r->arena),
			"nvidia-smi cannot be run, so this image has no NVIDIA driver or half of one: use a Deep "
			"Learning AMI "
			"or install the driver");
		return 0;
	}
	keep_facts(answer, r);
	gpu_smi_judge_end(&child, answer, r);
	if (answer->count == 0) return 0;
	rc = query_more(m, r, answer, &goes_on, err);
	if (rc < 0) return rc;
	gpu_smi_judge_rows(answer, want, r);
	if (!goes_on) return 0;
	rc = find_cuda(m, r, err);
	return rc < 0 ? rc : check_nvlink(m, r, err);
}

int gpu_check_smi(const struct machine *m, const struct gpu_want *want, struct gpu_report *r, struct err *err) {
	int64_t started_at_ms = clock_mono_ms();
	machine_note(m, 0, 0, "asking nvidia-smi");
	int rc = check(m, want, r, err);
	r->smi_ms = clock_mono_ms() - started_at_ms;
	if (rc < 0) return err_wrap(err, "nvidia-smi");
	gpu_smi_judge_versions(want, r);
	return 0;
}
