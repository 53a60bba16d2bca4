#include "aws/cfn.h"

#include "aws/query.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

#define ANSWER_MAX (64 * 1024)

/* "Stack arn:… is in CREATE_COMPLETE state and cannot be signaled": all signals came, or it was given up. */
static bool is_past(const char *code, const struct err *err) {
	return str_eq(code, "ValidationError") && strstr(err->msg, "cannot be signal");
}

int cfn_signal(struct aws *aws, const char *stack, const char *resource, const char *unique_id, bool is_success,
	       const struct retry_policy *retry, struct err *err) {
	AUTO_BUF struct buf form = BUF_INIT(QUERY_FORM_MAX), answer = {0};
	char code[64] = "";

	query_begin(&form, "SignalResource", "2010-05-15");
	query_add(&form, "StackName", stack);
	query_add(&form, "LogicalResourceId", resource);
	query_add(&form, "UniqueId", unique_id);
	query_add(&form, "Status", is_success ? "SUCCESS" : "FAILURE");
	int rc = query_post(aws, "cloudformation", &form, ANSWER_MAX, retry, &answer, code, err);
	if (rc == 0 || is_past(code, err)) return 0;
	if (str_eq(code, "AccessDenied"))
		return err_wrap(err,
				"cloudformation:SignalResource for %s of %s (allow it in the policy of the instance's "
				"role)",
				resource, stack);
	return err_wrap(err, "cloudformation:SignalResource for %s of %s", resource, stack);
}
