/*
 * A CreationPolicy waits for one signal of each instance, which is final: FAILURE rolls the stack back at once, where
 * silence would do it when the policy's timeout is over. A stack that waits no more is no error.
 */
#include "aws/call.h"
#include "aws/cfn.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "report/ear.h"
#include "report/report.h"

struct stack_ear {
	struct ear ear;
	struct ear_host *host;
	bool has_signalled;
};

static bool is_good(const struct word *word) {
	return word->status == RUN_READY || word->status == RUN_READY_WITH_WARNINGS;
}

static bool is_bad(const struct word *word) { return word->status == RUN_FAILED || word->status == RUN_INTERRUPTED; }

static enum ear_need need(const struct ear *ear, const struct word *word) {
	const struct stack_ear *s = (const struct stack_ear *)ear;
	bool has_something = is_good(word) || (is_bad(word) && word->is_final);
	return has_something && !s->has_signalled ? EAR_NOW : EAR_NOTHING;
}

static int send_word(struct ear *ear, const struct word *word, struct err *err) {
	struct stack_ear *s = (struct stack_ear *)ear;
	const struct report_remote_conf *conf = s->host->conf;
	struct aws *own = NULL;
	int rc = ear_aws(s->host, &own, err);
	if (rc) return rc;
	struct aws aws = *own; /* the stack may be in another region */
	if (!str_is_empty(conf->stack_region)) {
		aws.region = conf->stack_region;
		aws.domain = NULL;
	}
	const char *id = str_is_empty(conf->instance_id) ? conf->hostname : conf->instance_id;
	rc = cfn_signal(&aws, conf->stack, conf->stack_resource, id, is_good(word), &retry_once, err);
	s->has_signalled = rc == 0;
	return rc;
}

static void free_ear(struct ear *ear) { free(ear); }

struct ear *ear_stack(struct ear_host *host) {
	struct stack_ear *s = mem_zalloc(sizeof *s);
	s->ear = (struct ear){.name = "CloudFormation signal",
			      .policy = &host->conf->stack_policy,
			      .need = need,
			      .send = send_word,
			      .free = free_ear};
	s->host = host;
	return &s->ear;
}
