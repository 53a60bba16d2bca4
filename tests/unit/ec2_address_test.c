#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "aws/ec2.h"
#include "aws_world.h"

#define POST "POST / HTTP/1.1\r\n"
#define XMLNS " xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\">"
#define ERROR(code, message)                                                                                           \
	"<Response><Errors><Error><Code>" code "</Code><Message>" message "</Message></Error></Errors></Response>"
#define DESCRIBED(items)                                                                                               \
	"<DescribeAddressesResponse" XMLNS "<requestId>r</requestId><addressesSet>" items                              \
	"</addressesSet></DescribeAddressesResponse>"
#define ABSENT                                                                                                         \
	"the account has no Elastic IP address eipalloc-1 in this region: allocate it first (aws ec2 "                 \
	"allocate-address)"

static const struct {
	const char *name, *id;
	struct lo_row script[3];
	const char *body;
	int rc;
	const char *text; /* "ip|allocation|instance|interface", or the message */
} described[] = {
	{"free, by its id",
	 "eipalloc-1",
	 {{POST, 200, NULL,
	   DESCRIBED("<item><publicIp>192.0.2.7</publicIp><allocationId>eipalloc-1</allocationId><domain>vpc</domain>"
		     "</item>")}},
	 "Action=DescribeAddresses&Version=2016-11-15&AllocationId.1=eipalloc-1",
	 0,
	 "192.0.2.7|eipalloc-1||"},
	{"associated, by its address",
	 "192.0.2.7",
	 {{POST, 200, NULL,
	   DESCRIBED(
		   "<item><publicIp>192.0.2.7</publicIp><allocationId>eipalloc-1</allocationId><domain>vpc</domain>"
		   "<instanceId>i-2</instanceId><associationId>eipassoc-1</associationId>"
		   "<networkInterfaceId>eni-3</networkInterfaceId><tagSet><item><key>Name</key><value>x</value></item>"
		   "</tagSet></item>")}},
	 "Action=DescribeAddresses&Version=2016-11-15&PublicIp.1=192.0.2.7",
	 0,
	 "192.0.2.7|eipalloc-1|i-2|eni-3"},
	{"of a network interface without an instance",
	 "eipalloc-1",
	 {{POST, 200, NULL,
	   DESCRIBED("<item><publicIp>192.0.2.7</publicIp><allocationId>eipalloc-1</allocationId><instanceId/>"
		     "<networkInterfaceId>eni-3</networkInterfaceId></item>")}},
	 NULL,
	 0,
	 "192.0.2.7|eipalloc-1||eni-3"},
	{"not there",
	 "eipalloc-1",
	 {{POST, 400, NULL, ERROR("InvalidAllocationID.NotFound", "no")}},
	 NULL,
	 -ERR_NOT_FOUND,
	 ABSENT},
	{"an empty list", "eipalloc-1", {{POST, 200, NULL, DESCRIBED("")}}, NULL, -ERR_NOT_FOUND, ABSENT},
	{"throttled once",
	 "eipalloc-1",
	 {{POST, 503, NULL, ERROR("RequestLimitExceeded", "slow")},
	  {POST, 200, NULL,
	   DESCRIBED("<item><publicIp>192.0.2.7</publicIp><allocationId>eipalloc-1</allocationId></item>")}},
	 NULL,
	 0,
	 "192.0.2.7|eipalloc-1||"},
	{"not allowed",
	 "eipalloc-1",
	 {{POST, 403, NULL, ERROR("UnauthorizedOperation", "no")}},
	 NULL,
	 -ERR_DENIED,
	 "ec2:DescribeAddresses for eipalloc-1 (allow ec2:DescribeAddresses in the policy of the instance's role): "
	 "HTTP 403 UnauthorizedOperation: no"},
	{"another answer",
	 "eipalloc-1",
	 {{POST, 200, NULL, "<x/>"}},
	 NULL,
	 -ERR_REMOTE,
	 "ec2:DescribeAddresses for eipalloc-1: HTTP 200, but no such answer"},
};

static void describes_an_address(void **state) {
	(void)state;
	for (size_t i = 0; i < sizeof described / sizeof *described; i++) {
		struct aws_world w;
		struct ec2_address a = {0};
		struct err err = {0};
		aws_world_start(&w, described[i].script, NULL, true);
		int rc = ec2_describe_address(&w.aws, described[i].id, &w.arena, &a, &err);
		aws_world_stop(&w);
		if (rc != described[i].rc) fail_msg("%s: %d: %s", described[i].name, rc, err.msg);
		if (lo_difference(&w.lo)) fail_msg("%s: %s", described[i].name, lo_difference(&w.lo));
		const char *text = rc ? err.msg
				      : arena_printf(&w.arena, "%s|%s|%s|%s", a.public_ip, a.allocation_id,
						     a.instance_id, a.interface_id);
		assert_string_equal(text, described[i].text);
		if (described[i].body) assert_string_equal(strstr(w.lo.requests[0], "\r\n\r\n") + 4, described[i].body);
		aws_world_clear(&w);
	}
}

static const struct {
	const char *name;
	bool may_take;
	struct lo_row script[2];
	int rc;
	const char *text; /* of the request, or the message */
} associated[] = {
	{"done",
	 false,
	 {{POST, 200, NULL,
	   "<AssociateAddressResponse" XMLNS "<return>true</return><associationId>eipassoc-1</associationId>"
	   "</AssociateAddressResponse>"}},
	 0,
	 "Action=AssociateAddress&Version=2016-11-15&AllocationId=eipalloc-1&InstanceId=i-1&AllowReassociation=false"},
	{"taken",
	 true,
	 {{POST, 200, NULL, "<AssociateAddressResponse" XMLNS "</AssociateAddressResponse>"}},
	 0,
	 "Action=AssociateAddress&Version=2016-11-15&AllocationId=eipalloc-1&InstanceId=i-1&AllowReassociation=true"},
	{"another was quicker",
	 false,
	 {{POST, 400, NULL, ERROR("Resource.AlreadyAssociated", "no")}},
	 -ERR_BUSY,
	 "eipalloc-1 has been associated elsewhere meanwhile"},
	{"not allowed",
	 false,
	 {{POST, 403, NULL, ERROR("UnauthorizedOperation", "no")}},
	 -ERR_DENIED,
	 "ec2:AssociateAddress for eipalloc-1 (allow ec2:AssociateAddress in the policy of the instance's role): HTTP "
	 "403 UnauthorizedOperation: no"},
	{"another answer",
	 false,
	 {{POST, 200, NULL, "<x/>"}},
	 -ERR_REMOTE,
	 "ec2:AssociateAddress for eipalloc-1: HTTP 200, but no such answer"},
};

static void associates_it(void **state) {
	(void)state;
	for (size_t i = 0; i < sizeof associated / sizeof *associated; i++) {
		struct aws_world w;
		struct err err = {0};
		aws_world_start(&w, associated[i].script, NULL, true);
		int rc = ec2_associate_address(&w.aws, "eipalloc-1", "i-1", associated[i].may_take, &err);
		aws_world_stop(&w);
		if (rc != associated[i].rc) fail_msg("%s: %d: %s", associated[i].name, rc, err.msg);
		assert_string_equal(rc ? err.msg : strstr(w.lo.requests[0], "\r\n\r\n") + 4, associated[i].text);
		aws_world_clear(&w);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(describes_an_address),
		cmocka_unit_test(associates_it),
	};

	aws_world_pin_clock();
	return cmocka_run_group_tests_name("ec2_address", tests, NULL, NULL);
}
