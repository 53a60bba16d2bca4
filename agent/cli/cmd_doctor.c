#include <sys/timex.h>

#include "aws/call.h"
#include "aws/cred.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/context.h"
#include "cli/doctor_gpu.h"
#include "cli/opt.h"
#include "fmt/js.h"
#include "recipe/facts.h"

#define TEXT_MAX (256 * 1024)
/* Below this apt, pip and logs fail; a data-science environment takes some 5 GB. */
#define DISK_FAIL_BYTES (500LL * 1000 * 1000)
#define DISK_WARN_BYTES (5LL * 1000 * 1000 * 1000)
/* 2026-01-01: an earlier clock is wrong, and TLS and AWS refuse it. */
#define CLOCK_EARLIEST_S 1767225600LL

struct options {
	int64_t timeout_ms, wait_ms;
	const char *torch;
};

static const struct opt opts[] = {
	{"timeout", 0, "TIME", "end the GPU gate after this long (default 10m)", OPT_DURATION,
	 offsetof(struct options, timeout_ms), 0, 0},
	{"wait", 0, "TIME", "wait for the NVIDIA driver to come up (default: not)", OPT_DURATION,
	 offsetof(struct options, wait_ms), 0, 0},
	{"torch", 0, "PYTHON", "a python or venv whose PyTorch is tried (default: the Deep Learning AMI's)", OPT_TEXT,
	 offsetof(struct options, torch), 0, 0},
	{0},
};

static const struct opt_verb verb = {
	.name = "doctor",
	.arguments = "[gpu]",
	.description = "Looks whether this machine can do the work, and says what to do where it cannot; changes "
		       "nothing. `gpu`: the whole GPU gate. Exit code 1 if something fails.",
	.opts = opts,
	.example = "sudo dsagent doctor gpu",
	.max_args = 1,
	.has_json = true,
};

enum row_status { ROW_OK, ROW_NONE, ROW_WARN, ROW_FAIL };

static const char *const row_words[] = {"ok", "-", "warn", "fail"};

struct row {
	const char *name, *text, *remedy; /* remedy NULL: nothing to do */
	enum row_status status;
};

static struct row row_metadata(const struct facts *facts, struct arena *arena) {
	struct row row = {.name = "metadata"};
	if (facts->has_instance) {
		row.text = arena_printf(arena, "%s, %s in %s", facts->instance.instance_id,
					facts->instance.instance_type, facts->instance.availability_zone);
		return row;
	}
	row.status = facts->metadata_error[0] ? ROW_FAIL : ROW_NONE;
	row.text = facts->metadata_error[0] ? arena_strdup(arena, facts->metadata_error) : "not on EC2";
	if (row.status == ROW_FAIL)
		row.remedy = "turn on IMDSv2: aws ec2 modify-instance-metadata-options --http-endpoint enabled "
			     "--http-put-response-hop-limit 2";
	return row;
}

/* Found, not tried: what a recipe needs them for is its own affair. */
static struct row row_credentials(struct context *ctx, const struct facts *facts) {
	struct row row = {.name = "credentials"};
	struct err err = {0};
	struct aws *aws = NULL;
	const struct cred *cred = NULL;
	int rc = context_aws(ctx, &aws, &err);
	if (!rc) rc = cred_get(aws->creds, &cred, &err);
	if (!rc) {
		row.text = arena_printf(&ctx->arena, "AWS credentials from %s%s%s", cred->source,
					str_is_empty(aws->region) ? "" : ", region ",
					str_is_empty(aws->region) ? "" : aws->region);
		return row;
	}
	row.status = rc != -ERR_NOT_FOUND ? ROW_FAIL : facts->has_instance ? ROW_WARN : ROW_NONE;
	/* Off EC2 none are needed, and what was tried for nothing is no news. */
	row.text = row.status == ROW_NONE ? "none: without them s3:// is closed" : arena_strdup(&ctx->arena, err.msg);
	if (facts->has_instance)
		row.remedy = "attach an instance profile: without one no tags are written and S3 is closed";
	return row;
}

/* The kernel knows whether chrony or timesyncd has set it: adjtimex(2), STA_UNSYNC. */
static struct row row_clock(struct arena *arena) {
	struct timex tx = {0};
	char now[CLOCK_ISO8601_SIZE];
	int state = adjtimex(&tx);
	struct row row = {.name = "clock", .text = arena_strdup(arena, clock_iso8601(clock_now_ms(), now))};
	if (clock_now_ms() / 1000 < CLOCK_EARLIEST_S) {
		row.status = ROW_FAIL;
		row.remedy = "set the clock: AWS and TLS refuse one that is off by more than 5 minutes";
	} else if (state < 0 || (tx.status & STA_UNSYNC)) {
		row.status = ROW_WARN;
		row.text = arena_printf(arena, "%s, not synchronised", row.text);
		row.remedy = "start chronyd or systemd-timesyncd; on EC2 the time server is 169.254.169.123";
	}
	return row;
}

static struct row row_disk(const struct fs_root *root, struct arena *arena) {
	struct row row = {.name = "disk"};
	struct err err = {0};
	int64_t free_bytes = 0;
	if (fs_free_bytes(root, "/", &free_bytes, &err)) {
		row.status = ROW_FAIL;
		row.text = arena_strdup(arena, err.msg);
		return row;
	}
	row.text = arena_printf(arena, "%s free on /", str_bytes((unsigned long long)free_bytes, arena));
	if (free_bytes >= DISK_WARN_BYTES) return row;
	row.status = free_bytes < DISK_FAIL_BYTES ? ROW_FAIL : ROW_WARN;
	row.remedy = "enlarge the root volume, or remove what is not needed";
	return row;
}

static int print_rows(const struct row *rows, size_t count) {
	AUTO_BUF struct buf out = BUF_INIT(TEXT_MAX);
	for (size_t i = 0; i < count; i++) {
		buf_addf(&out, "%-4s  %-11s  %s\n", row_words[rows[i].status], rows[i].name, rows[i].text);
		if (rows[i].remedy) buf_addf(&out, "%-4s  %-11s  -> %s\n", "", "", rows[i].remedy);
	}
	return cli_print(&out);
}

static int print_rows_json(const struct row *rows, size_t count) {
	AUTO_JS struct js *js = js_object();
	struct js *list = js_array();
	for (size_t i = 0; i < count; i++) {
		struct js *item = js_object();
		js_set_str(item, "check", rows[i].name);
		js_set_str(item, "status", rows[i].status == ROW_NONE ? "none" : row_words[rows[i].status]);
		js_set_str(item, "text", rows[i].text);
		js_set_str(item, "remedy", rows[i].remedy);
		js_push(list, item);
	}
	js_set(js, "checks", list);
	return cli_print_json(js);
}

/* Every finding that is no mere information, the worst first, as one row each; one row if all is well. */
static size_t rows_gpu(const struct gpu_report *r, struct arena *arena, struct row *rows, size_t max) {
	char verdict[DOCTOR_VERDICT_SIZE];
	size_t n = 0;
	rows[n++] = (struct row){.name = "gpu",
				 .text = arena_strdup(arena, gpu_verdict(r, verdict, sizeof verdict)),
				 .status = gpu_severity(r) == GPU_FAIL	 ? ROW_FAIL
					   : gpu_severity(r) == GPU_WARN ? ROW_WARN
					   : r->count			 ? ROW_OK
									 : ROW_NONE};
	for (int severity = GPU_FAIL; severity >= GPU_WARN; severity--)
		for (size_t i = 0; i < r->finding_count && n < max; i++)
			if ((int)r->findings[i].severity == severity)
				rows[n++] = (struct row){
					.name = "gpu",
					.text = arena_printf(arena, "%s: %s", r->findings[i].code, r->findings[i].text),
					.status = severity == GPU_FAIL ? ROW_FAIL : ROW_WARN};
	return n;
}

static int run_all(struct context *ctx, struct doctor_gpu *gpu, const struct facts *facts, const struct fs_root *root) {
	struct row rows[8 + GPU_FINDINGS_MAX];
	struct gpu_report report;
	struct err err = {0};
	size_t count = 0;
	rows[count++] = row_metadata(facts, &ctx->arena);
	rows[count++] = row_credentials(ctx, facts);
	rows[count++] = row_clock(&ctx->arena);
	rows[count++] = row_disk(root, &ctx->arena);
	gpu->is_short = true;
	if (doctor_gpu_run(ctx, gpu, facts, root, &report, &err))
		rows[count++] =
			(struct row){.name = "gpu", .text = arena_strdup(&ctx->arena, err.msg), .status = ROW_FAIL};
	else
		count += rows_gpu(&report, &ctx->arena, rows + count, sizeof rows / sizeof *rows - count);
	int code = ctx->is_json ? print_rows_json(rows, count) : print_rows(rows, count);
	for (size_t i = 0; i < count && code == EXIT_OK_; i++)
		if (rows[i].status == ROW_FAIL) code = EXIT_STEP_FAILED;
	return code;
}

int cmd_doctor(struct context *ctx, int argc, char **argv) {
	struct options o = {.timeout_ms = DOCTOR_GPU_TIMEOUT_MS, .torch = "auto"};
	AUTO_STRS struct strs args = {0};
	struct err err = {0};
	const struct facts *facts = NULL;
	const struct fs_root *root = NULL;
	int code = opt_parse(&verb, ctx, argc, argv, &o, &args);
	if (code != OPT_GO) return code;
	if (args.count && !str_eq(args.items[0], "gpu")) {
		(void)err_set(&err, ERR_INVALID, "doctor knows no '%s'; it is `dsagent doctor` or `dsagent doctor gpu`",
			      args.items[0]);
		return cli_fail(EXIT_USAGE, &err);
	}
	if (context_facts(ctx, &facts, &err) || context_root(ctx, &root, &err)) return cli_fail(EXIT_NO_START, &err);
	struct doctor_gpu gpu = {.timeout_ms = o.timeout_ms, .wait_ms = o.wait_ms, .torch = o.torch};
	if (!args.count) return run_all(ctx, &gpu, facts, root);
	struct gpu_report report;
	if (doctor_gpu_run(ctx, &gpu, facts, root, &report, &err)) return cli_fail(EXIT_STEP_FAILED, &err);
	return doctor_gpu_print(ctx, &report);
}
