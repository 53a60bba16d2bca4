#include <netdb.h>

#include "aws/call.h"
#include "aws/cred.h"
#include "aws/ec2.h"
#include "aws/s3_one.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "cli/config.h"
#include "cli/context.h"
#include "cli/doctor.h"
#include "cli/doctor_gpu.h"
#include "io/http.h"
#include "recipe/facts.h"

#define CONNECT_MS 3000
#define ANSWER_MAX (1024 * 1024)
/* TLS and S3 bear 15 minutes, EC2 five. */
#define SKEW_WARN_S 60
#define SKEW_FAIL_S 300

/* One question of a list: what it is about beside the doctor. */
struct about {
	struct doctor *doctor;
	const struct source *source;
	const char *origin;
	bool is_required;
};

/* Found, not tried: what a recipe needs them for is its own affair. */
static void ask_credentials(void *arg, struct rows *rows) {
	const struct about *a = arg;
	const struct facts *facts = a->doctor->facts;
	const struct cred *cred = NULL;
	struct aws *aws = NULL;
	struct err err = {0};
	int rc = context_aws(a->doctor->ctx, &aws, &err);
	if (!rc) rc = cred_get(aws->creds, &cred, &err);
	if (!rc)
		rows_add(rows, "credentials", ROW_OK, NULL, "AWS credentials from %s%s%s", cred->source,
			 str_is_empty(aws->region) ? "" : ", region ", str_is_empty(aws->region) ? "" : aws->region);
	else if (rc == -ERR_NOT_FOUND && !facts->has_instance)
		/* Off EC2 none are needed, and what was tried for nothing is no news. */
		rows_add(rows, "credentials", ROW_NONE, NULL, "none: without them s3:// is closed");
	else
		rows_add(rows, "credentials", rc == -ERR_NOT_FOUND ? ROW_WARN : ROW_FAIL,
			 facts->has_instance
				 ? "attach an instance profile: without one no tags are written and S3 is closed"
				 : NULL,
			 "%s", err.msg);
}

static void ask_tags(void *arg, struct rows *rows) {
	const struct about *a = arg;
	struct aws *aws = NULL;
	struct err err = {0};
	int rc = context_open_aws(a->doctor->ctx, &aws, &err);
	if (!rc) rc = ec2_may_tag(aws, a->doctor->facts->instance.instance_id, &retry_once, &err);
	if (!rc)
		rows_add(rows, "tags", ROW_OK, NULL, "this role may set tags on this instance");
	else if (rc == -ERR_NOT_FOUND || rc == -ERR_DENIED)
		rows_add(rows, "tags", ROW_WARN,
			 "without tags the run goes on unseen; `tags: off` in dsagent.yaml says that none are wanted",
			 "%s", err.msg);
	else
		rows_add(rows, "tags", ROW_WARN,
			 "a private subnet needs a NAT gateway or the endpoint com.amazonaws.REGION.ec2", "%s",
			 err.msg);
}

static void ask_s3(void *arg, struct rows *rows) {
	const struct about *a = arg;
	const struct source *s = a->source;
	struct aws *aws = NULL;
	struct err err = {0};
	bool is_prefix = s->kind == SOURCE_S3_PREFIX;
	int rc = context_aws(a->doctor->ctx, &aws, &err);
	if (!rc && is_prefix) rc = s3_one_may_list(aws, s->url, &retry_once, DOCTOR_REQUEST_MS, &err);
	if (!rc && !is_prefix) rc = s3_one_may_get(aws, s->url, &retry_once, DOCTOR_REQUEST_MS, &err);
	if (!rc)
		rows_add(rows, "s3", ROW_OK, NULL, "%s can be %s", s->url, is_prefix ? "listed" : "read");
	else
		rows_add(rows, "s3", s->is_required && s->is_plain ? ROW_FAIL : ROW_WARN,
			 rc == -ERR_DENIED ? "allow it in the policy of the instance's role, and in the bucket's"
					   : NULL,
			 "%s", err.msg);
}

const char *doctor_resolve(const char *origin, struct arena *arena) {
	const char *host = strstr(origin, "://") + 3;
	char *name = arena_strdup(arena, host);
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
	if (name[0] == '[') return NULL; /* an address */
	name[strcspn(name, ":")] = '\0';
	int rc = getaddrinfo(name, NULL, &hints, &found);
	if (rc) return arena_printf(arena, "the name %s cannot be resolved: %s", name, gai_strerror(rc));
	freeaddrinfo(found);
	return NULL;
}

static void check_clock(const struct http_response *answer, const char *origin, struct rows *rows) {
	AUTO_FREE char *date = http_header(answer, "Date");
	int64_t then = 0;
	if (!date || !http_parse_date(date, &then)) return;
	int64_t off = clock_now_ms() / 1000 - then, size = off < 0 ? -off : off;
	if (size < SKEW_WARN_S) return;
	rows_add(rows, "clock", size < SKEW_FAIL_S ? ROW_WARN : ROW_FAIL,
		 "set the clock: AWS and TLS refuse one that is off by more than 5 minutes",
		 "the clock is %lld s %s of %s's", (long long)size, off > 0 ? "ahead" : "behind", origin);
}

/* Any answer shows that the way is open: what it is, is the server's affair. */
static void ask_egress(void *arg, struct rows *rows) {
	const struct about *a = arg;
	AUTO_HTTP_RESPONSE struct http_response answer = {0};
	AUTO_FREE char *url = mem_printf("%s/", a->origin);
	struct http *http = NULL;
	struct err err = {0};
	const char *dns = a->doctor->has_proxy ? NULL : doctor_resolve(a->origin, rows->arena);
	enum row_status bad = a->is_required ? ROW_FAIL : ROW_WARN;
	if (dns) {
		rows_add(rows, "dns", bad, "see /etc/resolv.conf; in a VPC, DNS support must be on", "%s", dns);
		return;
	}
	int rc = context_http(a->doctor->ctx, &http, &err);
	if (!rc)
		rc = http_do(http,
			     &(struct http_request){.method = "HEAD",
						    .url = url,
						    .connect_timeout_ms = CONNECT_MS,
						    .total_timeout_ms = DOCTOR_REQUEST_MS,
						    .body_max = ANSWER_MAX},
			     &answer, &err);
	if (rc) {
		rows_add(rows, "egress", bad,
			 "let the security group and the subnet's routes out, or set HTTPS_PROXY for the service", "%s",
			 err.msg);
		return;
	}
	rows_add(rows, "egress", ROW_OK, NULL, "%s answers", a->origin);
	check_clock(&answer, a->origin, rows);
}

/* Every finding that is no mere information, the worst first, as one row each; one row if all is well. */
static void gpu_rows(const struct gpu_report *r, struct rows *rows) {
	char verdict[DOCTOR_VERDICT_SIZE];
	enum row_status status = gpu_severity(r) == GPU_FAIL   ? ROW_FAIL
				 : gpu_severity(r) == GPU_WARN ? ROW_WARN
				 : r->count		       ? ROW_OK
							       : ROW_NONE;
	rows_add(rows, "gpu", status, NULL, "%s", gpu_verdict(r, verdict, sizeof verdict));
	for (int severity = GPU_FAIL; severity >= GPU_WARN; severity--)
		for (size_t i = 0; i < r->finding_count; i++)
			if ((int)r->findings[i].severity == severity)
				rows_add(rows, "gpu", severity == GPU_FAIL ? ROW_FAIL : ROW_WARN, NULL, "%s: %s",
					 r->findings[i].code, r->findings[i].text);
}

static void ask_gpu(void *arg, struct rows *rows) {
	const struct about *a = arg;
	const struct doctor *d = a->doctor;
	struct doctor_gpu how = {.timeout_ms = DOCTOR_REQUEST_MS, .torch = NULL, .is_short = true};
	struct gpu_report report;
	struct err err = {0};
	if (doctor_gpu_run(d->ctx, &how, d->facts, d->root, &report, &err))
		rows_add(rows, "gpu", ROW_FAIL, NULL, "%s", err.msg);
	else
		gpu_rows(&report, rows);
}

struct list {
	struct doctor *doctor;
	struct question questions[QUESTIONS_MAX];
	struct about about[QUESTIONS_MAX];
	size_t count;
};

/* Past the maximum there is no question: forty repositories tell nothing that twenty have not. */
static void add(struct list *l, const char *name, void (*ask)(void *, struct rows *), enum row_status silence,
		const struct source *source, const char *origin) {
	if (l->count == QUESTIONS_MAX) return;
	l->about[l->count] = (struct about){
		.doctor = l->doctor, .source = source, .origin = origin, .is_required = source && source->is_required};
	l->questions[l->count] = (struct question){name, ask, &l->about[l->count], silence};
	l->count++;
}

/* Without a recipe it is the repositories of the machine that are asked, and none is required. */
static void add_sources(struct list *l) {
	const struct doctor *d = l->doctor;
	struct strs origins = {0};
	for (size_t i = 0; i < d->sources.count; i++) {
		const struct source *s = &d->sources.items[i];
		bool is_s3 = s->kind == SOURCE_S3_OBJECT || s->kind == SOURCE_S3_PREFIX;
		add(l, is_s3 ? "s3" : "egress", is_s3 ? ask_s3 : ask_egress, s->is_required ? ROW_FAIL : ROW_WARN, s,
		    s->url);
	}
	if (d->plan) return;
	sources_of_packages(d->root, d->facts, d->sources.arena, &origins);
	for (size_t i = 0; i < origins.count; i++) add(l, "egress", ask_egress, ROW_WARN, NULL, origins.items[i]);
	strs_clear(&origins);
}

void doctor_ask(struct doctor *d, struct rows *rows) {
	struct list l = {.doctor = d};
	struct http *http = NULL;
	struct err ignored = {0};
	add(&l, "credentials", ask_credentials, ROW_WARN, NULL, NULL);
	if (d->facts->has_instance && d->config->has_tags) add(&l, "tags", ask_tags, ROW_WARN, NULL, NULL);
	add_sources(&l);
	add(&l, "gpu", ask_gpu, ROW_WARN, NULL, NULL);
	if (!context_http(d->ctx, &http, &ignored)) http_disconnect(http); /* each has connections of its own */
	int64_t left_ms = d->began_ms + DOCTOR_DEADLINE_MS - clock_mono_ms();
	rows_ask(l.questions, l.count, left_ms < DOCTOR_ASK_MIN_MS ? DOCTOR_ASK_MIN_MS : left_ms, rows);
}
