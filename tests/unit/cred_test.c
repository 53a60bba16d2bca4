#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ftw.h>
#include <sys/stat.h>

#include "aws/cred.h"
#include "aws/cred_source.h"
#include "aws/imds.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "base/str.h"
#include "io/http.h"
#include "loopback.h"

#define ENV_MAX 8
#define NO_IMDS "AWS_EC2_METADATA_DISABLED=true"
#define REMEDY                                                                                                         \
	"which dsagent does not do: add to the profile credential_process = aws configure export-credentials "         \
	"--profile OTHER --format process"

static char dir[] = "/tmp/cred_test.XXXXXX";

static void write_file(const char *name, const char *text, mode_t mode) {
	char path[256];
	FILE *f;

	(void)snprintf(path, sizeof path, "%s/%s", dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(path, mode), 0);
}

/** template with each $DIR and $URL replaced. */
static const char *fill(const char *template, const char *url, struct arena *arena) {
	struct buf out = BUF_INIT(8192);
	const char *text;

	for (const char *p = template; *p;) {
		if (str_starts(p, "$DIR")) {
			buf_adds(&out, dir);
			p += 4;
		} else if (str_starts(p, "$URL")) {
			buf_adds(&out, url);
			p += 4;
		} else {
			buf_addc(&out, *p++);
		}
	}
	text = arena_strdup(arena, buf_str(&out));
	buf_clear(&out);
	return text;
}

/** "access secret token expires source" */
static const char *words(const struct cred *c, struct arena *arena) {
	return arena_printf(arena, "%s %s %s %lld %s", c->access_key, c->secret_key,
			    c->session_token ? c->session_token : "-", (long long)c->expires_at, c->source);
}

static struct http *open_http(void) {
	struct http *http = NULL;
	struct err err;

	assert_int_equal(http_open(&http, &err), 0);
	return http;
}

/* Environment and files: $DIR is HOME. */
static const struct {
	const char *name, *env[ENV_MAX], *credentials, *config;
	int rc;
	const char *text; /* the credentials or the message */
} rows[] = {
	{"environment",
	 {"AWS_ACCESS_KEY_ID=AKID", "AWS_SECRET_ACCESS_KEY=secret-1"},
	 NULL,
	 NULL,
	 0,
	 "AKID secret-1 - 0 environment"},
	{"environment with a token",
	 {"AWS_ACCESS_KEY_ID=AKID", "AWS_SECRET_ACCESS_KEY=secret-1", "AWS_SESSION_TOKEN=token-1", "AWS_PROFILE=other"},
	 NULL,
	 NULL,
	 0,
	 "AKID secret-1 token-1 0 environment"},
	{"half an environment",
	 {"AWS_ACCESS_KEY_ID=AKID", "AWS_SECRET_ACCESS_KEY="},
	 NULL,
	 NULL,
	 -ERR_INVALID,
	 "AWS credentials from environment: AWS_ACCESS_KEY_ID is set but AWS_SECRET_ACCESS_KEY is not: set both, or "
	 "neither"},
	{"a line break in a key",
	 {"AWS_ACCESS_KEY_ID=AKID", "AWS_SECRET_ACCESS_KEY=a\r\nX: y"},
	 NULL,
	 NULL,
	 -ERR_INVALID,
	 "AWS credentials from environment: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY or AWS_SESSION_TOKEN holds a "
	 "space or "
	 "control character"},
	{"empty variables count as unset",
	 {"AWS_ACCESS_KEY_ID=", "AWS_SECRET_ACCESS_KEY=", "AWS_PROFILE=", "HOME=$DIR"},
	 "[default]\naws_access_key_id = AK2\naws_secret_access_key = secret-2\n",
	 NULL,
	 0,
	 "AK2 secret-2 - 0 shared file"},
	{"named profile",
	 {"HOME=$DIR", "AWS_PROFILE=work"},
	 "[default]\naws_access_key_id=no\n[work]\naws_access_key_id=AK3\naws_secret_access_key=secret-3\n"
	 "aws_session_token=token-3\n",
	 NULL,
	 0,
	 "AK3 secret-3 token-3 0 shared file"},
	{"profile of the config file",
	 {"HOME=$DIR", "AWS_PROFILE=work"},
	 NULL,
	 "[work]\naws_access_key_id=no\naws_secret_access_key=nono\n"
	 "[profile work]\naws_access_key_id=AK4\naws_secret_access_key=secret-4\n",
	 0,
	 "AK4 secret-4 - 0 shared file"},
	{"quoted profile of the config file",
	 {"HOME=$DIR", "AWS_PROFILE=my work"},
	 NULL,
	 "[profile \"my work\"]\naws_access_key_id=AK4\naws_secret_access_key=secret-4\n",
	 0,
	 "AK4 secret-4 - 0 shared file"},
	{"a control character in a file",
	 {"HOME=$DIR"},
	 "[default]\naws_access_key_id=AK\x01ID\naws_secret_access_key=secret-4\n",
	 NULL,
	 -ERR_INVALID,
	 "AWS credentials from shared files: profile 'default' in $DIR/.aws/credentials: a key or the session token "
	 "holds "
	 "a space or control character"},
	{"files by other names",
	 {"HOME=/nowhere", "AWS_SHARED_CREDENTIALS_FILE=$DIR/.aws/config", "AWS_CONFIG_FILE=$DIR/none"},
	 NULL,
	 "[default]\naws_access_key_id=AK5\naws_secret_access_key=secret-5\n",
	 0,
	 "AK5 secret-5 - 0 shared file"},
	{"credentials file before credential_process",
	 {"HOME=$DIR"},
	 "[default]\naws_access_key_id=AK6\naws_secret_access_key=secret-6\n",
	 "[default]\ncredential_process=/bin/false\n",
	 0,
	 "AK6 secret-6 - 0 shared file"},
	{"half a profile",
	 {"HOME=$DIR"},
	 "[default]\naws_access_key_id=AK6\n",
	 NULL,
	 -ERR_INVALID,
	 "AWS credentials from shared files: profile 'default' in $DIR/.aws/credentials has no aws_secret_access_key"},
	{"profile that is nowhere",
	 {"HOME=$DIR", "AWS_PROFILE=wrok"},
	 "[work]\naws_access_key_id=1\n",
	 NULL,
	 -ERR_INVALID,
	 "AWS credentials from shared files: profile 'wrok' (AWS_PROFILE) is in neither $DIR/.aws/credentials nor "
	 "$DIR/.aws/config"},
	{"assume-role",
	 {"HOME=$DIR"},
	 NULL,
	 "[default]\nrole_arn=arn:aws:iam::1:role/x\nsource_profile=y\n",
	 -ERR_INVALID,
	 "AWS credentials from shared files: profile 'default' needs assume-role (role_arn), " REMEDY},
	{"single sign-on",
	 {"HOME=$DIR"},
	 NULL,
	 "[default]\nsso_session=corp\n",
	 -ERR_INVALID,
	 "AWS credentials from shared files: profile 'default' needs single sign-on (SSO), " REMEDY},
	{"web identity",
	 {"AWS_WEB_IDENTITY_TOKEN_FILE=/t", "AWS_ROLE_ARN=arn"},
	 NULL,
	 NULL,
	 -ERR_INVALID,
	 "AWS credentials from web identity: AWS_WEB_IDENTITY_TOKEN_FILE needs assume-role, which dsagent does not do: "
	 "use a "
	 "profile with credential_process = aws configure export-credentials --format process"},
	{"process",
	 {"HOME=$DIR", "PATH=/usr/bin:/bin"},
	 NULL,
	 "[default]\ncredential_process = $DIR/helper \"two words\" 'it'\\''s' a\\ b\n",
	 0,
	 "AK7 secret-7 token-7 1893456000 credential_process"},
	{"process that fails",
	 {"HOME=$DIR", "PATH=/usr/bin:/bin"},
	 NULL,
	 "[default]\ncredential_process = sh -c 'echo hidden-key; echo first >&2; echo log in first >&2; exit 3'\n",
	 -ERR_COMMAND,
	 "AWS credentials from shared files: credential_process of profile 'default' in $DIR/.aws/config: sh ended "
	 "with exit "
	 "status 3: log in first"},
	{"process that prints no JSON",
	 {"HOME=$DIR", "PATH=/usr/bin:/bin"},
	 NULL,
	 "[default]\ncredential_process = echo hidden-key\n",
	 -ERR_INVALID,
	 "AWS credentials from shared files: credential_process of profile 'default' in $DIR/.aws/config: echo did not "
	 "print "
	 "a JSON object with Version 1"},
	{"process with another version",
	 {"HOME=$DIR", "PATH=/usr/bin:/bin"},
	 NULL,
	 "[default]\ncredential_process = echo '{\"Version\":2}'\n",
	 -ERR_INVALID,
	 "AWS credentials from shared files: credential_process of profile 'default' in $DIR/.aws/config: echo did not "
	 "print "
	 "a JSON object with Version 1"},
	{"process without a secret",
	 {"HOME=$DIR", "PATH=/usr/bin:/bin"},
	 NULL,
	 "[default]\ncredential_process = echo '{\"Version\":1,\"AccessKeyId\":\"AK\"}'\n",
	 -ERR_INVALID,
	 "AWS credentials from shared files: credential_process of profile 'default' in $DIR/.aws/config: the answer "
	 "lacks a "
	 "usable SecretAccessKey"},
	{"an open quote",
	 {"HOME=$DIR"},
	 NULL,
	 "[default]\ncredential_process = a 'b\n",
	 -ERR_INVALID,
	 "AWS credentials from shared files: credential_process of profile 'default' in $DIR/.aws/config: a ' is not "
	 "closed"},
	{"nothing at all",
	 {"HOME=$DIR", NO_IMDS},
	 NULL,
	 NULL,
	 -ERR_NOT_FOUND,
	 "no AWS credentials: attach an instance profile, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (tried "
	 "environment: AWS_ACCESS_KEY_ID is not set; web identity: AWS_WEB_IDENTITY_TOKEN_FILE is not set; shared "
	 "files: "
	 "profile 'default' is in neither $DIR/.aws/credentials nor $DIR/.aws/config; container: "
	 "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI is not set; instance role: AWS_EC2_METADATA_DISABLED is true)"},
	{"without HOME, without metadata",
	 {NULL},
	 NULL,
	 NULL,
	 -ERR_NOT_FOUND,
	 "no AWS credentials: attach an instance profile, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (tried "
	 "environment: AWS_ACCESS_KEY_ID is not set; web identity: AWS_WEB_IDENTITY_TOKEN_FILE is not set; shared "
	 "files: HOME "
	 "is not set; container: AWS_CONTAINER_CREDENTIALS_RELATIVE_URI is not set; instance role: instance metadata "
	 "is not in "
	 "use)"},
	{"container on another host",
	 {"AWS_CONTAINER_CREDENTIALS_FULL_URI=http://10.0.0.1/creds"},
	 NULL,
	 NULL,
	 -ERR_INVALID,
	 "AWS credentials from container: AWS_CONTAINER_CREDENTIALS_FULL_URI must be https://, or http:// to a "
	 "loopback "
	 "address, 169.254.170.2, 169.254.170.23 or [fd00:ec2::23]"},
	{"container behind a false name",
	 {"AWS_CONTAINER_CREDENTIALS_FULL_URI=http://127.0.0.1:x@10.0.0.1/creds"},
	 NULL,
	 NULL,
	 -ERR_INVALID,
	 "AWS credentials from container: AWS_CONTAINER_CREDENTIALS_FULL_URI must be https://, or http:// to a "
	 "loopback "
	 "address, 169.254.170.2, 169.254.170.23 or [fd00:ec2::23]"},
	{"container behind a false address",
	 {"AWS_CONTAINER_CREDENTIALS_FULL_URI=http://127.0.0.1.evil.example/"},
	 NULL,
	 NULL,
	 -ERR_INVALID,
	 "AWS credentials from container: AWS_CONTAINER_CREDENTIALS_FULL_URI must be https://, or http:// to a "
	 "loopback "
	 "address, 169.254.170.2, 169.254.170.23 or [fd00:ec2::23]"},
	{"container, not a path",
	 {"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI=@10.0.0.1/"},
	 NULL,
	 NULL,
	 -ERR_INVALID,
	 "AWS credentials from container: AWS_CONTAINER_CREDENTIALS_RELATIVE_URI must begin with '/', not "
	 "'@10.0.0.1/'"},
};

static void local_providers(void **state) {
	(void)state;
	write_file("helper",
		   "#!/bin/sh\nprintf '{\"Version\":1,\"AccessKeyId\":\"AK7\",\"SecretAccessKey\":\"%s\",'"
		   " \"secret-7\"\nprintf '\"SessionToken\":\"token-7\",\"Expiration\":\"2030-01-01T00:00:00Z\"}'\n"
		   "echo noise >&2\n[ \"$1/$2/$3\" = \"two words/it's/a b\" ]\n",
		   0700);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		AUTO_ARENA struct arena arena = {0};
		AUTO_HTTP struct http *http = open_http();
		const char *env[ENV_MAX + 1] = {NULL}, *text;
		struct cred_chain *chain;
		const struct cred *cred = NULL;
		struct err err = {0};
		int rc;

		for (size_t e = 0; rows[i].env[e]; e++) env[e] = fill(rows[i].env[e], "", &arena);
		write_file(".aws/credentials", fill(rows[i].credentials ? rows[i].credentials : "", "", &arena), 0600);
		write_file(".aws/config", fill(rows[i].config ? rows[i].config : "", "", &arena), 0600);
		chain = cred_chain_new(env, http, NULL);
		rc = cred_get(chain, &cred, &err);
		text = rc == 0 ? words(cred, &arena) : err.msg;
		if (rc != rows[i].rc) fail_msg("%s: %d: %s", rows[i].name, rc, text);
		assert_string_equal(text, fill(rows[i].text, "", &arena));
		cred_chain_free(chain);
		log_secrets_clear();
	}
}

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

static int make_dir(void **state) {
	char path[256];

	(void)state;
	if (!mkdtemp(dir)) return -1;
	(void)snprintf(path, sizeof path, "%s/.aws", dir);
	return mkdir(path, 0700);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw) {
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

static int remove_dir(void **state) {
	(void)state;
	return nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(local_providers),
		cmocka_unit_test(remote_providers),
		cmocka_unit_test(caches),
		cmocka_unit_test(renews_in_time),
	};

	return cmocka_run_group_tests_name("cred", tests, make_dir, remove_dir);
}
