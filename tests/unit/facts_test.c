#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/str.h"
#include "fmt/js.h"
#include "io/http.h"
#include "recipe/facts.h"

static const char golden[] =
	"{\"os\":\"ubuntu\",\"os_version\":\"24.04\",\"os_codename\":\"noble\",\"os_name\":\"Ubuntu 24.04.3 LTS\","
	"\"os_support\":\"supported\",\"package_manager\":\"apt\",\"arch\":\"x86_64\",\"kernel\":\"6.8.0-1021-aws\","
	"\"hostname\":\"box\",\"cpus\":4,\"memory_bytes\":16777216000,\"is_root\":true,\"user\":\"root\",\"home\":\"/"
	"root\","
	"\"login_user\":\"ubuntu\",\"boot_id\":\"b-1\",\"is_ec2\":true,\"is_dlami\":false,\"dlami_flavor\":\"\","
	"\"gpu_count\":1,\"gpu_model\":\"T4\",\"has_neuron\":false,\"has_systemd\":true,\"instance_id\":\"i-1\","
	"\"instance_type\":\"g4dn.xlarge\",\"region\":\"eu-central-1\",\"availability_zone\":\"eu-central-1a\","
	"\"account_id\":\"123456789012\",\"ami_id\":\"ami-1\",\"lifecycle\":\"spot\",\"partition\":\"aws\","
	"\"private_ip\":\"10.0.0.5\"}";

static const struct facts sample = {
	.os = {.id = "ubuntu",
	       .version = "24.04",
	       .codename = "noble",
	       .pretty_name = "Ubuntu 24.04.3 LTS",
	       .package_manager = "apt",
	       .support = OS_SUPPORTED,
	       .arch = "x86_64",
	       .kernel = "6.8.0-1021-aws",
	       .hostname = "box",
	       .boot_id = "b-1",
	       .login_user = "ubuntu",
	       .cpus = 4,
	       .memory_bytes = 16777216000,
	       .is_ec2 = true,
	       .gpu_count = 1,
	       .gpu_model = "T4",
	       .has_systemd = true},
	.instance = {.instance_id = "i-1",
		     .instance_type = "g4dn.xlarge",
		     .region = "eu-central-1",
		     .availability_zone = "eu-central-1a",
		     .account_id = "123456789012",
		     .image_id = "ami-1",
		     .private_ip = "10.0.0.5",
		     .lifecycle = "spot",
		     .partition = "aws"},
	.has_instance = true,
	.is_root = true,
	.user = "root",
	.home = "/root",
};

static void goes_to_json_and_back(void **state) {
	struct js *js AUTO_JS = facts_to_js(&sample), *again AUTO_JS = NULL;
	struct buf out AUTO_BUF = BUF_INIT(65536);
	js_print(js, JS_COMPACT, &out);
	assert_string_equal(buf_str(&out), golden);
	struct facts back;
	struct err err = {0};
	assert_int_equal(facts_from_js(js, &back, &err), 0);
	assert_true(back.has_instance);
	again = facts_to_js(&back);
	buf_reset(&out);
	js_print(again, JS_COMPACT, &out);
	assert_string_equal(buf_str(&out), golden);
}

static const struct {
	const char *json, *error; /* error NULL: fine */
} files[] = {
	{"{\"os\": \"ubuntu\"}", NULL},
	{"{\"os\": \"ubuntu\", \"new_in_v9\": [1]}", NULL},
	{"{}", "not a file of facts: it has no 'os'; make one with 'dsagent facts --save FILE'"},
	{"[]", "not a file of facts: it has no 'os'; make one with 'dsagent facts --save FILE'"},
	{"{\"os\": 1}", "fact 'os' is not text of a fitting length"},
	{"{\"os\": \"a-name-that-is-longer-than-thirty-one-bytes\"}", "fact 'os' is not text of a fitting length"},
	{"{\"os\": \"x\", \"cpus\": \"4\"}", "fact 'cpus' is not a whole number"},
	{"{\"os\": \"x\", \"cpus\": 4294967296}", "fact 'cpus' is not a whole number"},
	{"{\"os\": \"x\", \"memory_bytes\": -1}", "fact 'memory_bytes' is not a whole number"},
	{"{\"os\": \"x\", \"is_ec2\": \"true\"}", "fact 'is_ec2' is not true or false"},
	{"{\"os\": \"x\", \"is_ec2\": null}", "fact 'is_ec2' is not true or false"},
	{"{\"os\": \"x\", \"os_support\": \"maybe\"}", "fact 'os_support' is not text of a fitting length"},
};

static void reads_saved_facts(void **state) {
	for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
		struct js *js AUTO_JS = NULL;
		struct err err = {0};
		struct facts facts = {.user = "untouched"};
		assert_int_equal(js_parse(files[i].json, strlen(files[i].json), &js, &err), 0);
		int rc = facts_from_js(js, &facts, &err);
		if (!str_eq(err.msg, files[i].error ? files[i].error : "")) fail_msg("%s: %s", files[i].json, err.msg);
		assert_int_equal(rc == 0, !files[i].error);
		assert_string_equal(facts.user, rc == 0 ? "" : "untouched");
		if (rc == 0) assert_int_equal(facts.os.support, OS_UNKNOWN);
	}
}

static void tells_each_fact(void **state) {
	static const struct {
		const char *name, *value;
	} rows[] = {
		{"os", "ubuntu"},    {"os_support", "supported"}, {"cpus", "4"},	{"memory_bytes", "16777216000"},
		{"is_root", "true"}, {"is_dlami", "false"},	  {"dlami_flavor", ""}, {"ami_id", "ami-1"},
		{"nonsense", NULL}};
	struct arena arena AUTO_ARENA = {0};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		const char *value = facts_get(&sample, rows[i].name, &arena);
		if (!str_eq(value, rows[i].value)) fail_msg("%s: %s", rows[i].name, value ? value : "none");
	}
	for (size_t i = 0; i < facts_fields_count; i++) {
		assert_non_null(facts_get(&sample, facts_fields[i].name, &arena));
		assert_non_null(facts_fields[i].help);
	}
}

static void knows_when_to_ask(void **state) {
	static const char *const none[] = {"HOME=/root", NULL};
	static const char *const endpoint[] = {"AWS_EC2_METADATA_SERVICE_ENDPOINT=http://127.0.0.1:1", NULL};
	static const char *const blank[] = {"AWS_EC2_METADATA_SERVICE_ENDPOINT=", NULL};
	static const char *const disabled[] = {"AWS_EC2_METADATA_SERVICE_ENDPOINT=http://127.0.0.1:1",
					       "AWS_EC2_METADATA_DISABLED=True", NULL};
	static const struct {
		bool is_ec2;
		const char *const *env;
		bool wants;
	} rows[] = {{false, none, false}, {true, none, true},	   {false, endpoint, true}, {false, blank, false},
		    {true, blank, true},  {true, disabled, false}, {true, NULL, true},	    {false, NULL, false}};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct osinfo os = {.is_ec2 = rows[i].is_ec2};
		if (facts_wants_imds(&os, rows[i].env) != rows[i].wants) fail_msg("row %zu", i);
	}
}

static void put(const struct fs_root *root, const char *dir, const char *path, const char *text) {
	static const struct fs_write how = {.mode = 0644, .uid = (uid_t)-1, .gid = (gid_t)-1, .is_unsynced = true};
	struct err err = {0};
	if (fs_mkdirs(root, dir, 0755, (uid_t)-1, (gid_t)-1, &err) < 0) fail_msg("%s", err.msg);
	if (fs_write(root, path, text, strlen(text), &how, &err) < 0) fail_msg("%s", err.msg);
}

static void gathers_from_a_tree(void **state) {
	static const char *const env[] = {"HOME=/home/by-env", "USER=by-env", NULL};
	char dir[] = "/tmp/facts_test.XXXXXX", passwd[128];
	assert_non_null(mkdtemp(dir));
	struct fs_root root AUTO_FS_ROOT = {.fd = -1};
	struct err err = {0};
	assert_int_equal(fs_root_open(dir, &root, &err), 0);
	put(&root, "/etc", "/etc/os-release", "ID=ubuntu\nVERSION_ID=\"24.04\"\nVERSION_CODENAME=noble\n");

	struct facts facts;
	assert_int_equal(facts_gather(&root, NULL, env, &facts, &err), 0);
	assert_string_equal(facts.os.id, "ubuntu");
	assert_string_equal(facts.os.version, "24.04");
	assert_string_equal(facts.user, "by-env");
	assert_string_equal(facts.home, "/home/by-env");
	assert_int_equal(facts.is_root, geteuid() == 0);
	assert_false(facts.has_instance);
	assert_string_equal(facts.metadata_error, "");

	snprintf(passwd, sizeof passwd, "me:x:%lu:7:Me:/home/me:/bin/sh\n", (unsigned long)geteuid());
	put(&root, "/etc", "/etc/passwd", passwd);
	assert_int_equal(facts_gather(&root, NULL, env, &facts, &err), 0);
	assert_string_equal(facts.user, "me");
	assert_string_equal(facts.home, "/home/me");

	assert_int_equal(fs_remove(&root, "/etc", true, &err), 0);
	assert_int_equal(rmdir(dir), 0);
}

static bool always(void) { return true; }

/* Port 1 of loopback, where nobody listens: a machine whose metadata service does not answer. */
static void lives_without_metadata(void **state) {
	static const char *const env[] = {"AWS_EC2_METADATA_SERVICE_ENDPOINT=http://127.0.0.1:1", NULL};
	static const struct {
		bool (*is_cancelled)(void);
		int rc;
	} rows[] = {{NULL, 0}, {always, -ERR_CANCELLED}};
	struct fs_root root AUTO_FS_ROOT = {.fd = -1};
	struct http *http AUTO_HTTP = NULL;
	struct err err = {0};
	assert_int_equal(fs_root_open(NULL, &root, &err), 0);
	assert_int_equal(http_open(&http, &err), 0);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct imds_conf conf = {.endpoint = "http://127.0.0.1:1", .is_cancelled = rows[i].is_cancelled};
		struct facts facts = {.user = "untouched"};
		struct imds *imds;
		imds_open(&conf, http, &imds);
		int rc = facts_gather(&root, imds, env, &facts, &err);
		imds_close(imds);
		assert_int_equal(rc, rows[i].rc);
		assert_int_equal(str_eq(facts.user, "untouched"), rc != 0);
		assert_false(facts.has_instance);
		assert_int_equal(facts.metadata_error[0] != '\0', rc == 0);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(goes_to_json_and_back), cmocka_unit_test(reads_saved_facts),
		cmocka_unit_test(tells_each_fact),	 cmocka_unit_test(knows_when_to_ask),
		cmocka_unit_test(gathers_from_a_tree),	 cmocka_unit_test(lives_without_metadata),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
