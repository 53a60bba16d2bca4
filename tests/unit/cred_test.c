#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cred_fixture.h"

#define KEYS                                                                                                           \
	"\"AccessKeyId\":\"ASIA\",\"SecretAccessKey\":\"secret-8\",\"Token\":\"token-8\","                             \
	"\"Expiration\":\"2099-01-01T00:00:00Z\"}"
#define KEYS_TEXT "ASIA secret-8 token-8 4070908800"
#define PUT "PUT /latest/api/token "
#define LIST "GET /latest/meta-data/iam/security-credentials/ "
#define ROLE "GET /latest/meta-data/iam/security-credentials/"
#define TOKEN_ANSWER 200, NULL, "TOKEN"
#define BAD_ROLE "AWS credentials from instance role: role 'box': the instance metadata service says "

/* Over the wire; $URL is the scripted server, for the container and for metadata alike. */
static const struct {
	const char *name, *env[ENV_MAX];
	bool has_imds;
	struct lo_row script[8];
	int rc;
	const char *text;
} remote[] = {
	{"container",
	 {"AWS_CONTAINER_CREDENTIALS_FULL_URI=$URL/creds?id=1", "AWS_CONTAINER_AUTHORIZATION_TOKEN=Basic abc"},
	 false,
	 {{"GET /creds?id=1 HTTP/1.1\r\n", 200, NULL, "{" KEYS}},
	 0,
	 KEYS_TEXT " container"},
	{"container with a token file, busy at first",
	 {"AWS_CONTAINER_CREDENTIALS_FULL_URI=$URL/", "AWS_CONTAINER_AUTHORIZATION_TOKEN=no",
	  "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=$DIR/token"},
	 false,
	 {{"GET / ", 500, NULL, ""}, {"GET / ", 200, NULL, "{" KEYS}},
	 0,
	 KEYS_TEXT " container"},
	{"container refuses",
	 {"AWS_CONTAINER_CREDENTIALS_FULL_URI=$URL/"},
	 false,
	 {{"GET / ", 400, NULL, "{\"code\":\"X\",\"message\":\"invalid token\"}"}},
	 -ERR_REMOTE,
	 "AWS credentials from container: $URL/: HTTP 400: invalid token"},
	{"role",
	 {NULL},
	 true,
	 {{PUT, TOKEN_ANSWER},
	  {LIST, 200, NULL, "box\nsecond"},
	  {ROLE "box ", 200, NULL, "{\"Code\":\"Success\"," KEYS}},
	 0,
	 KEYS_TEXT " instance role"},
	{"role swapped in between",
	 {NULL},
	 true,
	 {{PUT, TOKEN_ANSWER},
	  {LIST, 200, NULL, "old"},
	  {ROLE "old ", 404, NULL, ""},
	  {LIST, 200, NULL, "new"},
	  {ROLE "new ", 200, NULL, "{\"Code\":\"Success\"," KEYS}},
	 0,
	 KEYS_TEXT " instance role"},
	{"role that may not be assumed",
	 {NULL},
	 true,
	 {{PUT, TOKEN_ANSWER},
	  {LIST, 200, NULL, "box"},
	  {ROLE "box ", 200, NULL, "{\"Code\":\"AssumeRoleUnauthorizedAccess\",\"Message\":\"EC2 cannot assume\"}"}},
	 -ERR_DENIED,
	 BAD_ROLE
	 "AssumeRoleUnauthorizedAccess: EC2 cannot assume: let ec2.amazonaws.com assume the role in its trust policy "
	 "(sts:AssumeRole)"},
	{"role with another trouble",
	 {NULL},
	 true,
	 {{PUT, TOKEN_ANSWER}, {LIST, 200, NULL, "box"}, {ROLE "box ", 200, NULL, "{\"Code\":\"Failed\"}"}},
	 -ERR_DENIED,
	 BAD_ROLE "Failed: check that the instance profile's role exists and may be assumed by ec2.amazonaws.com"},
	{"a list that is no list",
	 {NULL},
	 true,
	 {{PUT, TOKEN_ANSWER}, {LIST, 200, NULL, "<html>"}},
	 -ERR_REMOTE,
	 "AWS credentials from instance role: instance metadata 'meta-data/iam/security-credentials/' holds no role "
	 "name"},
	{"no profile",
	 {NULL},
	 true,
	 {{PUT, TOKEN_ANSWER}, {LIST, 404, NULL, ""}},
	 -ERR_NOT_FOUND,
	 "no AWS credentials: attach an instance profile, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (tried "
	 "environment: AWS_ACCESS_KEY_ID is not set; web identity: AWS_WEB_IDENTITY_TOKEN_FILE is not set; shared "
	 "files: HOME "
	 "is not set; container: AWS_CONTAINER_CREDENTIALS_RELATIVE_URI is not set; instance role: no instance profile "
	 "is "
	 "attached to this instance)"},
	{"metadata not to be asked", {NO_IMDS}, true, {{0}}, -ERR_NOT_FOUND, NULL},
};

struct world {
	struct lo lo;
	struct http *http;
	struct imds *imds;
	struct cred_chain *chain;
	struct arena arena;
};

static void start(struct world *w, const struct lo_row *script, const char *const *env, bool has_imds) {
	const char *filled[ENV_MAX + 1] = {NULL};

	*w = (struct world){0};
	lo_start(&w->lo, script);
	w->http = open_http();
	if (has_imds) imds_open(&(struct imds_conf){.endpoint = w->lo.url}, w->http, &w->imds);
	for (size_t i = 0; env && env[i]; i++) filled[i] = fill(env[i], w->lo.url, &w->arena);
	w->chain = cred_chain_new(filled, w->http, w->imds);
}

static void stop(struct world *w) {
	cred_chain_free(w->chain);
	imds_close(w->imds);
	http_close(w->http);
	lo_stop(&w->lo);
}

static void clear(struct world *w) {
	lo_clear(&w->lo);
	arena_clear(&w->arena);
	log_secrets_clear();
}

static void remote_providers(void **state) {
	(void)state;
	write_file("token", "Bearer from-file\n", 0600);
	for (size_t i = 0; i < sizeof remote / sizeof *remote; i++) {
		const struct cred *cred = NULL;
		struct err err = {0};
		struct world w;
		const char *text;
		int rc;

		start(&w, remote[i].script, remote[i].env, remote[i].has_imds);
		rc = cred_get(w.chain, &cred, &err);
		text = rc == 0 ? words(cred, &w.arena) : err.msg;
		stop(&w);
		if (rc != remote[i].rc) fail_msg("%s: %d: %s", remote[i].name, rc, text);
		if (lo_difference(&w.lo)) fail_msg("%s: %s", remote[i].name, lo_difference(&w.lo));
		if (remote[i].text) assert_string_equal(text, fill(remote[i].text, w.lo.url, &w.arena));
		if (i == 0) assert_non_null(strstr(w.lo.requests[0], "\r\nAuthorization: Basic abc\r\n"));
		if (i == 1) assert_non_null(strstr(w.lo.requests[0], "\r\nAuthorization: Bearer from-file\r\n"));
		clear(&w);
	}
}

/* Held until expired on purpose; keys that arrive expired are used on and not asked for at each call. */
static void caches(void **state) {
	static const struct lo_row script[] = {
		{PUT, TOKEN_ANSWER},
		{LIST, 200, NULL, "box"},
		{ROLE "box ", 200, NULL, "{\"Code\":\"Success\"," KEYS},
		{LIST, 200, NULL, "box"},
		{ROLE "box ", 200, NULL,
		 "{\"AccessKeyId\":\"OLD\",\"SecretAccessKey\":\"secret-9\",\"Token\":\"token-9\","
		 "\"Expiration\":\"2020-01-01T00:00:00Z\"}"},
		{0},
	};
	const struct cred *cred = NULL;
	struct err err = {0};
	struct world w;
	AUTO_BUF struct buf line = BUF_INIT(100);

	(void)state;
	start(&w, script, NULL, true);
	for (int i = 0; i < 3; i++) assert_int_equal(cred_get(w.chain, &cred, &err), 0);
	assert_string_equal(words(cred, &w.arena), KEYS_TEXT " instance role");
	log_redact("a secret-8 b token-8", &line);
	assert_string_equal(buf_str(&line), "a *** b ***");
	assert_true(cred_renew(w.chain));
	for (int i = 0; i < 3; i++) assert_int_equal(cred_get(w.chain, &cred, &err), 0);
	assert_string_equal(words(cred, &w.arena), "OLD secret-9 token-9 1577836800 instance role");
	stop(&w);
	assert_null(lo_difference(&w.lo));
	clear(&w);
}

#define NOW 1000000

static const struct {
	int64_t expires_at, not_before;
	bool is_due;
} dues[] = {
	{0, 0, false},
	{NOW + 901, 0, false},
	{NOW + 900, 0, true},
	{NOW - 5, 0, true},
	{NOW + 900, NOW + 1, false},
	{NOW + 900, NOW, true},
	{NOW - 5, NOW + 600, false},
};

static const struct {
	int64_t expires_at;
	uint64_t random;
	int64_t rest_s;
} rests[] = {
	{0, 5, 0},     {NOW + 901, 5, 0},    {NOW + 900, 5, 450},  {NOW + 1, 5, 0},
	{NOW, 5, 605}, {NOW - 99, 119, 719}, {NOW - 99, 120, 600},
};

static const struct {
	int64_t expires_at;
	bool is_role, will_do;
} holds[] = {
	{NOW + 601, false, true}, {NOW + 600, false, false}, {NOW + 600, true, true},
	{NOW + 1, true, true},	  {NOW, true, false},
};

static void renews_in_time(void **state) {
	(void)state;
	for (size_t i = 0; i < sizeof dues / sizeof *dues; i++)
		assert_int_equal(cred_is_due(dues[i].expires_at, dues[i].not_before, NOW), dues[i].is_due);
	for (size_t i = 0; i < sizeof rests / sizeof *rests; i++)
		assert_int_equal(cred_rest_s(rests[i].expires_at, NOW, rests[i].random), rests[i].rest_s);
	for (size_t i = 0; i < sizeof holds / sizeof *holds; i++)
		assert_int_equal(cred_will_do(holds[i].expires_at, holds[i].is_role, NOW), holds[i].will_do);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(remote_providers),
		cmocka_unit_test(caches),
		cmocka_unit_test(renews_in_time),
	};

	return cmocka_run_group_tests_name("cred", tests, make_dir, remove_dir);
}
