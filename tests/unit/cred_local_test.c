/* Environment, shared files, credential_process. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cred_fixture.h"

#define REMEDY                                                                                                         \
	"which dsagent does not do: add to the profile credential_process = aws configure export-credentials "         \
	"--profile OTHER --format process"

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

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(local_providers),
	};

	return cmocka_run_group_tests_name("cred_local", tests, make_dir, remove_dir);
}
