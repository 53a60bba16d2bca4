#include <arpa/inet.h>

#include "aws/ec2.h"
#include "base/err.h"
#include "base/str.h"
#include "fmt/diag.h"
#include "recipe/facts.h"
#include "recipe/step.h"
#include "steps/own_instance.h"
#include "steps/steps.h"

struct elastic_ip_params {
	const char *address;
	bool may_take;
};

static const struct field elastic_ip_fields[] = {
	{.name = "address",
	 .kind = FIELD_TEXT,
	 .offset = offsetof(struct elastic_ip_params, address),
	 .help = "the allocation id (eipalloc-…) or the public IPv4 address of an Elastic IP of the account",
	 .is_required = true},
	{.name = "reassociate",
	 .kind = FIELD_BOOL,
	 .offset = offsetof(struct elastic_ip_params, may_take),
	 .help = "take it from whatever has it now; else such an address is an error",
	 .fallback = "no"},
	{0},
};

static void elastic_ip_check(const void *params, const struct yml_node *node, struct diags *diags) {
	const struct elastic_ip_params *p = params;
	struct in_addr ignored;
	if (!p->address || step_text_is_open(p->address) || str_starts(p->address, "eipalloc-")) return;
	if (inet_pton(AF_INET, p->address, &ignored) != 1)
		diag_add(diags, node, "'%s' is neither an allocation id (eipalloc-…) nor an IPv4 address", p->address);
}

/* Who has it, in words; NULL when it is this instance's. "" when it is nobody's. */
static const char *holder(const struct ec2_address *a, const struct step_ctx *ctx) {
	if (str_eq(a->instance_id, ctx->facts->instance.instance_id)) return NULL;
	return *a->instance_id ? a->instance_id : a->interface_id;
}

static int look(const struct elastic_ip_params *p, struct step_ctx *ctx, struct aws *aws, struct ec2_address *address,
		struct err *err) {
	int r = own_instance_aws(ctx, aws, err);
	if (r == 0) r = ec2_describe_address(aws, p->address, ctx->arena, address, err);
	if (r != 0) return r;
	const char *has = holder(address, ctx);
	if (!has || !*has || p->may_take) return 0;
	return err_set(err, ERR_STATE,
		       "%s is associated with %s and stays there: free it (aws ec2 disassociate-address), or say "
		       "`reassociate: true` to take it",
		       address->public_ip, has);
}

static int elastic_ip_probe(const void *params, struct step_ctx *ctx, struct changes *changes, struct err *err) {
	struct ec2_address address = {"", "", "", ""};
	struct aws aws;
	int r = look(params, ctx, &aws, &address, err);
	const char *has = r == 0 ? holder(&address, ctx) : NULL;
	if (has)
		changes_add(changes, ctx->arena, NULL, "associate %s with this instance%s%s%s", address.public_ip,
			    *has ? " (now with " : "", has, *has ? ")" : "");
	return r;
}

static int elastic_ip_apply(const void *params, struct step_ctx *ctx, const struct changes *changes, struct err *err) {
	const struct elastic_ip_params *p = params;
	struct ec2_address address = {"", "", "", ""};
	struct aws aws;
	int r = look(p, ctx, &aws, &address, err);
	if (r < 0 || !holder(&address, ctx)) return r;
	return ec2_associate_address(&aws, address.allocation_id, ctx->facts->instance.instance_id, p->may_take, err);
}

const struct step_type step_elastic_ip = {
	.name = "elastic_ip",
	.summary = "an Elastic IP address of the account associated with this instance",
	.example = "- name: Its address\n"
		   "  when: facts.is_ec2\n"
		   "  elastic_ip: eipalloc-0123456789abcdef0\n",
	.shape = {.fields = elastic_ip_fields, .size = sizeof(struct elastic_ip_params), .scalar_field = "address"},
	.timeout_ms = 10LL * 60 * 1000,
	.check = elastic_ip_check,
	.probe = elastic_ip_probe,
	.apply = elastic_ip_apply,
};
