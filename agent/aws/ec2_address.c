/*
 * References: EC2 API Reference, DescribeAddresses, AssociateAddress, "Error codes".
 */
#include "aws/ec2_private.h"
#include "aws/query.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "fmt/xml.h"

/** A step waits for it, within its own timeout: throttling of an account at its start passes in a minute. */
static const struct retry_policy patience = {.base_ms = 500, .cap_ms = 20000, .budget_ms = 120000, .attempts = 8};

struct found {
	struct arena *arena;
	struct ec2_address address;
	size_t count;
	bool is_answer;
};

static int on_address(const char *path, const char *text, void *arg) {
	static const char item[] = "/DescribeAddressesResponse/addressesSet/item";
	struct found *f = arg;
	if (str_eq(path, "/DescribeAddressesResponse")) f->is_answer = true;
	if (!str_starts(path, item)) return 0;
	const struct {
		const char *name, **to;
	} members[] = {
		{"/publicIp", &f->address.public_ip},
		{"/allocationId", &f->address.allocation_id},
		{"/instanceId", &f->address.instance_id},
		{"/networkInterfaceId", &f->address.interface_id},
	};
	path += strlen(item);
	if (!*path) f->count++;
	for (size_t i = 0; i < sizeof members / sizeof *members; i++)
		if (str_eq(path, members[i].name)) *members[i].to = arena_strdup(f->arena, text);
	return 0;
}

static int fail_absent(const char *id, struct err *err) {
	return err_set(err, ERR_NOT_FOUND,
		       "the account has no Elastic IP address %s in this region: allocate it first (aws ec2 "
		       "allocate-address)",
		       id);
}

int ec2_describe_address(struct aws *aws, const char *id_or_ip, struct arena *arena, struct ec2_address *ret_address,
			 struct err *err) {
	AUTO_BUF struct buf form = BUF_INIT(QUERY_FORM_MAX), answer = {0};
	struct found found = {.arena = arena, .address = {"", "", "", ""}};
	char code[EC2_CODE_SIZE] = "";
	bool is_id = str_starts(id_or_ip, "eipalloc-");
	query_begin(&form, "DescribeAddresses", EC2_VERSION);
	query_add(&form, is_id ? "AllocationId.1" : "PublicIp.1", id_or_ip);
	if (ec2_post(aws, &form, &patience, &answer, code, err) != 0) {
		if (str_eq(code, "InvalidAllocationID.NotFound") || str_eq(code, "InvalidAddress.NotFound"))
			return fail_absent(id_or_ip, err);
		return ec2_explain(code, "DescribeAddresses", id_or_ip, err);
	}
	if (xml_parse(buf_str(&answer), answer.len, on_address, &found, err) != 0)
		return err_wrap(err, "ec2:DescribeAddresses for %s: the answer", id_or_ip);
	if (!found.is_answer)
		return err_set(err, ERR_REMOTE, "ec2:DescribeAddresses for %s: HTTP 200, but no such answer", id_or_ip);
	if (found.count == 0) return fail_absent(id_or_ip, err);
	*ret_address = found.address;
	return 0;
}

static int on_associated(const char *path, const char *text, void *arg) {
	if (str_eq(path, "/AssociateAddressResponse")) *(bool *)arg = true;
	return 0;
}

int ec2_associate_address(struct aws *aws, const char *allocation_id, const char *instance_id, bool may_take,
			  struct err *err) {
	AUTO_BUF struct buf form = BUF_INIT(QUERY_FORM_MAX), answer = {0};
	char code[EC2_CODE_SIZE] = "";
	bool is_answer = false;
	query_begin(&form, "AssociateAddress", EC2_VERSION);
	query_add(&form, "AllocationId", allocation_id);
	query_add(&form, "InstanceId", instance_id);
	query_add(&form, "AllowReassociation", may_take ? "true" : "false");
	if (ec2_post(aws, &form, &patience, &answer, code, err) != 0) {
		if (str_eq(code, "Resource.AlreadyAssociated"))
			return err_set(err, ERR_BUSY, "%s has been associated elsewhere meanwhile", allocation_id);
		return ec2_explain(code, "AssociateAddress", allocation_id, err);
	}
	if (xml_parse(buf_str(&answer), answer.len, on_associated, &is_answer, err) != 0)
		return err_wrap(err, "ec2:AssociateAddress for %s: the answer", allocation_id);
	return is_answer ? 0
			 : err_set(err, ERR_REMOTE, "ec2:AssociateAddress for %s: HTTP 200, but no such answer",
				   allocation_id);
}
