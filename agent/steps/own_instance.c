#include "steps/own_instance.h"

#include "aws/fetch.h"
#include "base/err.h"
#include "recipe/facts.h"
#include "recipe/step.h"

int own_instance_aws(const struct step_ctx *ctx, struct aws *ret_aws, struct err *err) {
	const struct facts *facts = ctx->facts;
	if (!facts->has_instance || !facts->instance.instance_id[0]) {
		const char *why = facts->metadata_error[0] ? facts->metadata_error : "there is no instance metadata";
		return err_set(err, ERR_UNSUPPORTED,
			       "this is no EC2 instance that is known (%s): give the step `when: facts.is_ec2`", why);
	}
	if (!ctx->fetch || !ctx->fetch->aws) return err_set(err, ERR_UNSUPPORTED, "AWS is not to be reached from here");
	*ret_aws = *ctx->fetch->aws;
	ret_aws->region = facts->instance.region;
	ret_aws->domain =
		facts->instance.domain[0] ? facts->instance.domain : aws_domain_for_region(facts->instance.region);
	return 0;
}
