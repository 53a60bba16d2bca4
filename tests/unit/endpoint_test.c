/* Where a request goes, by rows. What e2e/test_signer.py finds to be botocore's answer too is not repeated at length.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "aws/call.h"
#include "aws/call_private.h"
#include "aws/s3.h"
#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

#define FIPS "AWS_USE_FIPS_ENDPOINT=true"
#define DUAL "AWS_USE_DUALSTACK_ENDPOINT=True"

static const struct {
	const char *name, *service, *bucket, *path, *region, *domain, *env[3];
	const char *text; /* "origin host path region" or the message */
} aims[] = {
	{"ec2",
	 "ec2",
	 NULL,
	 "/",
	 "eu-central-1",
	 NULL,
	 {NULL},
	 "https://ec2.eu-central-1.amazonaws.com ec2.eu-central-1.amazonaws.com / eu-central-1"},
	{"domain from metadata",
	 "ec2",
	 NULL,
	 NULL,
	 "xx-new-1",
	 "example.org",
	 {NULL},
	 "https://ec2.xx-new-1.example.org ec2.xx-new-1.example.org / xx-new-1"},
	{"China",
	 "ec2",
	 NULL,
	 "/",
	 "cn-north-1",
	 NULL,
	 {NULL},
	 "https://ec2.cn-north-1.amazonaws.com.cn ec2.cn-north-1.amazonaws.com.cn / cn-north-1"},
	{"ec2 by IPv6",
	 "ec2",
	 NULL,
	 "/",
	 "us-east-1",
	 "amazonaws.com",
	 {DUAL},
	 "https://ec2.us-east-1.api.aws ec2.us-east-1.api.aws / us-east-1"},
	{"ec2, FIPS",
	 "ec2",
	 NULL,
	 "/",
	 "us-east-1",
	 NULL,
	 {FIPS},
	 "https://ec2-fips.us-east-1.amazonaws.com ec2-fips.us-east-1.amazonaws.com / us-east-1"},
	{"ec2, FIPS in GovCloud",
	 "ec2",
	 NULL,
	 "/",
	 "us-gov-west-1",
	 NULL,
	 {FIPS},
	 "https://ec2.us-gov-west-1.amazonaws.com ec2.us-gov-west-1.amazonaws.com / us-gov-west-1"},

	{"bucket as host",
	 "s3",
	 "my-bucket",
	 "/k",
	 "us-east-1",
	 NULL,
	 {NULL},
	 "https://my-bucket.s3.us-east-1.amazonaws.com my-bucket.s3.us-east-1.amazonaws.com /k us-east-1"},
	{"bucket with dots",
	 "s3",
	 "my.bucket",
	 "/k",
	 "us-east-1",
	 NULL,
	 {NULL},
	 "https://s3.us-east-1.amazonaws.com s3.us-east-1.amazonaws.com /my.bucket/k us-east-1"},
	{"old bucket in capitals",
	 "s3",
	 "MyBucket",
	 "/k",
	 "us-east-1",
	 NULL,
	 {NULL},
	 "https://s3.us-east-1.amazonaws.com s3.us-east-1.amazonaws.com /MyBucket/k us-east-1"},
	{"no bucket",
	 "s3",
	 NULL,
	 "/",
	 "us-east-1",
	 NULL,
	 {NULL},
	 "https://s3.us-east-1.amazonaws.com s3.us-east-1.amazonaws.com / us-east-1"},
	{"dual-stack",
	 "s3",
	 "my-bucket",
	 "/k",
	 "eu-west-1",
	 "amazonaws.com",
	 {DUAL},
	 "https://my-bucket.s3.dualstack.eu-west-1.amazonaws.com my-bucket.s3.dualstack.eu-west-1.amazonaws.com /k "
	 "eu-west-1"},
	{"FIPS",
	 "s3",
	 "my-bucket",
	 "/k",
	 "us-gov-west-1",
	 NULL,
	 {FIPS},
	 "https://my-bucket.s3-fips.us-gov-west-1.amazonaws.com my-bucket.s3-fips.us-gov-west-1.amazonaws.com /k "
	 "us-gov-west-1"},
	{"both, with dots",
	 "s3",
	 "my.bucket",
	 "/k",
	 "us-east-1",
	 NULL,
	 {FIPS, DUAL},
	 "https://s3-fips.dualstack.us-east-1.amazonaws.com s3-fips.dualstack.us-east-1.amazonaws.com /my.bucket/k "
	 "us-east-1"},
	{"dual-stack in China",
	 "s3",
	 "my-bucket",
	 "/k",
	 "cn-north-1",
	 NULL,
	 {DUAL},
	 "https://my-bucket.s3.dualstack.cn-north-1.amazonaws.com.cn "
	 "my-bucket.s3.dualstack.cn-north-1.amazonaws.com.cn /k cn-north-1"},
	{"FIPS in China",
	 "s3",
	 "my-bucket",
	 "/k",
	 "cn-north-1",
	 NULL,
	 {FIPS},
	 "S3 has no FIPS endpoints in China (cn-north-1): unset AWS_USE_FIPS_ENDPOINT"},

	{"own endpoint",
	 "s3",
	 "b-b",
	 "/k",
	 "us-east-1",
	 NULL,
	 {"AWS_ENDPOINT_URL=http://[::1]:9000//"},
	 "http://[::1]:9000 [::1]:9000 /b-b/k us-east-1"},
	{"own endpoint and dual-stack",
	 "s3",
	 "b-b",
	 "/k",
	 "us-east-1",
	 NULL,
	 {"AWS_ENDPOINT_URL=http://h", DUAL},
	 "http://h h /b-b/k us-east-1"},
	{"own endpoint and FIPS",
	 "s3",
	 "b-b",
	 "/k",
	 "us-east-1",
	 NULL,
	 {"AWS_ENDPOINT_URL=http://h", FIPS},
	 "AWS_USE_FIPS_ENDPOINT and the endpoint 'http://h' exclude each other: unset one of them"},
	{"the service's own endpoint wins",
	 "s3",
	 NULL,
	 "/k",
	 "us-east-1",
	 NULL,
	 {"AWS_ENDPOINT_URL=http://no", "AWS_ENDPOINT_URL_S3=https://s3.local:443/prefix/"},
	 "https://s3.local s3.local /prefix/k us-east-1"},
	{"an empty variable is none",
	 "s3",
	 NULL,
	 "/k",
	 "us-east-1",
	 NULL,
	 {"AWS_ENDPOINT_URL=http://h", "AWS_ENDPOINT_URL_S3="},
	 "http://h h /k us-east-1"},
	{"own endpoints not in use",
	 "ec2",
	 NULL,
	 "/",
	 "us-east-1",
	 NULL,
	 {"AWS_ENDPOINT_URL=http://no", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS=true"},
	 "https://ec2.us-east-1.amazonaws.com ec2.us-east-1.amazonaws.com / us-east-1"},
	{"own endpoint without a region",
	 "s3",
	 "b-b",
	 "/k",
	 NULL,
	 NULL,
	 {"AWS_ENDPOINT_URL=http://h:80"},
	 "http://h h /b-b/k us-east-1"},

	{"no region",
	 "ec2",
	 NULL,
	 "/",
	 "",
	 NULL,
	 {NULL},
	 "no AWS region is known: set AWS_REGION (for example eu-central-1)"},
	{"a region that would change the host",
	 "ec2",
	 NULL,
	 "/",
	 "evil.example/",
	 NULL,
	 {NULL},
	 "'evil.example/' is not the name of an AWS region"},
	{"an ARN for a bucket",
	 "s3",
	 "arn:aws:s3:::x",
	 "/",
	 "us-east-1",
	 NULL,
	 {NULL},
	 "'arn:aws:s3:::x' is not the name of a bucket (3 to 63 lower-case letters, digits, '-' and '.'; ARNs are not "
	 "supported)"},
	{"an endpoint without scheme",
	 "s3",
	 NULL,
	 "/",
	 "us-east-1",
	 NULL,
	 {"AWS_ENDPOINT_URL=localhost:9000"},
	 "the endpoint 'localhost:9000' must begin with https:// or http://"},
	{"an endpoint with a user",
	 "s3",
	 NULL,
	 "/",
	 "us-east-1",
	 NULL,
	 {"AWS_ENDPOINT_URL=http://u:p@h"},
	 "the endpoint's host must be a name or address, with a port at most"},
};

static void aims_right(void **state) {
	(void)state;
	for (size_t i = 0; i < sizeof aims / sizeof *aims; i++) {
		AUTO_ARENA struct arena arena = {0};
		const struct aws aws = {.env = aims[i].env, .region = aims[i].region, .domain = aims[i].domain};
		const struct aws_request req = {
			.service = aims[i].service, .bucket = aims[i].bucket, .path = aims[i].path};
		struct call_target t = {0};
		struct err err = {0};
		int rc = call_aim(&aws, &req, aims[i].region, &arena, &t, &err);

		print_message("  %s\n", aims[i].name);
		assert_string_equal(rc == 0 ? arena_printf(&arena, "%s %s %s %s", t.origin, t.host, t.path, t.region)
					    : err.msg,
				    aims[i].text);
		assert_true(rc == 0 || rc == -ERR_INVALID);
	}
}

static const struct {
	const char *region, *domain;
} domains[] = {
	{"us-east-1", "amazonaws.com"},
	{"us-gov-west-1", "amazonaws.com"},
	{"cn-northwest-1", "amazonaws.com.cn"},
	{"us-iso-east-1", "c2s.ic.gov"},
	{"us-isob-east-1", "sc2s.sgov.gov"},
	{"eu-isoe-west-1", "cloud.adc-e.uk"},
	{"us-isof-south-1", "csp.hci.ic.gov"},
	{"eusc-de-east-1", "amazonaws.eu"},
	{NULL, "amazonaws.com"},
};

static void knows_partitions(void **state) {
	(void)state;
	for (size_t i = 0; i < sizeof domains / sizeof *domains; i++)
		assert_string_equal(aws_domain_for_region(domains[i].region), domains[i].domain);
}

static const struct {
	const char *bucket;
	int rc;
	const char *text;
} buckets[] = {
	{"data--use1-az4--x-s3", -ERR_UNSUPPORTED,
	 "'data--use1-az4--x-s3' is a directory bucket (S3 Express One Zone): these are not supported"},
	{"arn:aws:s3:eu-west-1:123456789012:accesspoint/ap", -ERR_UNSUPPORTED,
	 "'arn:aws:s3:eu-west-1:123456789012:accesspoint/ap': access points are reached by their alias (…-s3alias), "
	 "not "
	 "by ARN"},
	{"a/b", -ERR_INVALID,
	 "'a/b' is not the name of a bucket (3 to 63 lower-case letters, digits, '-' and '.'; ARNs are not supported)"},
	{"ap-alias-1234-s3alias", 0, ""},
};

static void opens_what_is_supported(void **state) {
	(void)state;
	for (size_t i = 0; i < sizeof buckets / sizeof *buckets; i++) {
		AUTO_S3 struct s3 *s3 = NULL;
		struct aws aws = {.region = "us-east-1"};
		const struct s3_options options = {.aws = &aws, .bucket = buckets[i].bucket};
		struct err err = {0};

		assert_int_equal(s3_open(&options, &s3, &err), buckets[i].rc);
		assert_string_equal(err.msg, buckets[i].text);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(aims_right),
		cmocka_unit_test(knows_partitions),
		cmocka_unit_test(opens_what_is_supported),
	};

	return cmocka_run_group_tests_name("endpoint", tests, NULL, NULL);
}
