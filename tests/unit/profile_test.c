/* What the config file adds to the environment, by rows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/stat.h>
#include <unistd.h>

#include "aws/profile.h"
#include "base/arena.h"
#include "base/mem.h"
#include "base/str.h"

#define ENV_MAX 4
#define WORK                                                                                                           \
	"[default]\nregion = eu-west-1\nendpoint_url = http://no\n"                                                    \
	"[profile work]\nregion = eu-west-2\nuse_fips_endpoint = true\nuse_dualstack_endpoint=TRUE\n"                  \
	"ca_bundle = /etc/ca.pem\nignore_configured_endpoint_urls = false\n"
#define SERVICES                                                                                                       \
	"[services local]\ns3 =\n  endpoint_url = http://s3\n  other = x\nec2=\n\tendpoint_url = http://ec2\n"         \
	"elastic beanstalk =\n  endpoint_url = http://eb\nendpoint_url = http://no\n"                                  \
	"[default]\nservices = local\nendpoint_url = http://all\n"                                                     \
	"[services other]\ns3 =\n  endpoint_url = http://no\n"

static char dir[] = "/tmp/profile_test.XXXXXX";

static const struct {
	const char *name, *env[ENV_MAX], *config, *added; /* config NULL: no file; env besides HOME; added: by line */
} rows[] = {
	{"no file", {NULL}, NULL, ""},
	{"an empty file", {NULL}, "", ""},
	{"region",
	 {NULL},
	 "[default]\nregion = eu-west-1\n[profile work]\nregion = eu-west-2\n",
	 "AWS_REGION=eu-west-1"},
	{"the region of another profile", {NULL}, "[profile work]\nregion = eu-west-2\n", ""},
	{"an empty region", {NULL}, "[default]\nregion =\n", ""},
	{"a region that the environment sets", {"AWS_REGION=a"}, "[default]\nregion = b\n", ""},
	{"the environment's other region", {"AWS_DEFAULT_REGION=a"}, "[default]\nregion = b\n", ""},
	{"a named profile",
	 {"AWS_PROFILE=work"},
	 WORK,
	 "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS=false AWS_CA_BUNDLE=/etc/ca.pem AWS_USE_DUALSTACK_ENDPOINT=TRUE "
	 "AWS_USE_FIPS_ENDPOINT=true AWS_REGION=eu-west-2"},
	{"the last in a file counts", {NULL}, "[default]\nregion = a\nregion = b\n", "AWS_REGION=b AWS_REGION=a"},
	{"services",
	 {NULL},
	 SERVICES,
	 "AWS_ENDPOINT_URL_ELASTIC_BEANSTALK=http://eb AWS_ENDPOINT_URL_EC2=http://ec2 AWS_ENDPOINT_URL_S3=http://s3 "
	 "AWS_ENDPOINT_URL=http://all"},
	{"the environment's endpoint is above both", {"AWS_ENDPOINT_URL=http://env"}, SERVICES, ""},
	{"and that of a service above its own",
	 {"AWS_ENDPOINT_URL_S3=http://env"},
	 SERVICES,
	 "AWS_ENDPOINT_URL_ELASTIC_BEANSTALK=http://eb AWS_ENDPOINT_URL_EC2=http://ec2 AWS_ENDPOINT_URL=http://all"},
	{"services that are nowhere", {NULL}, "[default]\nservices = none\n", ""},
};

static void write_config(const char *text) {
	AUTO_FREE char *path = mem_printf("%s/.aws/config", dir);
	FILE *f;

	(void)unlink(path); /* of the row before */
	if (!text) return;
	f = fopen(path, "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void adds_what_the_file_sets(void **state) {
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		AUTO_ARENA struct arena arena = {0};
		AUTO_STRS struct strs env = {0}, added = {0};
		const char *const *all;

		strs_add(&env, arena_printf(&arena, "HOME=%s", dir));
		for (size_t e = 0; e < ENV_MAX && rows[i].env[e]; e++) strs_add(&env, rows[i].env[e]);
		write_config(rows[i].config);
		all = profile_env(strs_argv(&env), &arena);
		for (size_t e = 0; e < env.count; e++) assert_string_equal(all[e], env.items[e]);
		for (size_t e = env.count; all[e]; e++) strs_add(&added, all[e]);
		print_message("  %s\n", rows[i].name);
		assert_string_equal(strs_join(&added, " ", &arena), rows[i].added);
	}
}

static void needs_no_home(void **state) {
	AUTO_ARENA struct arena arena = {0};
	const char *const env[] = {"A=b", NULL};
	const char *const *all = profile_env(env, &arena);

	(void)state;
	assert_string_equal(all[0], "A=b");
	assert_null(all[1]);
}

static int set_up(void **state) {
	AUTO_FREE char *path = NULL;

	(void)state;
	if (!mkdtemp(dir)) return -1;
	path = mem_printf("%s/.aws", dir);
	return mkdir(path, 0700);
}

static int tear_down(void **state) {
	AUTO_FREE char *path = mem_printf("%s/.aws", dir);

	(void)state;
	write_config(NULL);
	return rmdir(path) || rmdir(dir);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(adds_what_the_file_sets),
		cmocka_unit_test(needs_no_home),
	};

	return cmocka_run_group_tests_name("profile", tests, set_up, tear_down);
}
