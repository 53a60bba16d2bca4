/*
 * References: AWS SDKs and Tools Reference Guide, "Container credential provider" and "IMDS credential provider"; EC2
 * User Guide, "Retrieve security credentials from instance metadata".
 */
#include <ctype.h>
#include <fcntl.h>
#include <stdbool.h>
#include <strings.h>

#include "aws/cred.h"
#include "aws/cred_source.h"
#include "aws/imds.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/str.h"
#include "fmt/js.h"
#include "io/http.h"
#include "io/retry.h"

#define ANSWER_MAX (64 * 1024)
#define TOKEN_FILE_MAX (16 * 1024)
#define ROLE_PATH "meta-data/iam/security-credentials/"

static const struct retry_policy container_retry = {.base_ms = 100, .cap_ms = 2000, .budget_ms = 10000, .attempts = 3};

/** The part between "://" and the path, without the port; NULL when it holds a user name. */
static char *host_of(const char *url) {
	const char *start = strstr(url, "://"), *end;
	size_t len;

	if (!start) return NULL;
	start += 3;
	len = strcspn(start, "/?#");
	if (memchr(start, '@', len) || memchr(start, '\\', len)) return NULL;
	end = memchr(start, *start == '[' ? ']' : ':', len);
	if (*start == '[') return end ? mem_dup(start, (size_t)(end + 1 - start)) : NULL;
	return mem_dup(start, end ? (size_t)(end - start) : len);
}

/** True for 127.x.y.z in plain decimal notation. */
static bool is_loopback_ipv4(const char *host) {
	return str_starts(host, "127.") && host[strspn(host, "0123456789.")] == '\0';
}

/** Plain http may carry credentials only where nobody else listens. */
static bool is_local_host(const char *host) {
	static const char *const hosts[] = {"localhost", "[::1]", "169.254.170.2", "169.254.170.23", "[fd00:ec2::23]"};

	for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++)
		if (strcasecmp(host, hosts[i]) == 0) return true;
	return is_loopback_ipv4(host);
}

/** The URL to ask, and whether it is local (no proxy). */
static int container_url(const struct cred_source *source, char **ret_url, bool *ret_is_local, struct err *err) {
	const char *relative = cred_env(source, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
	const char *full = cred_env(source, "AWS_CONTAINER_CREDENTIALS_FULL_URI");
	AUTO_FREE char *host = NULL;

	if (!relative && !full) return err_set(err, ERR_NOT_FOUND, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI is not set");
	if (relative && *relative != '/')
		return err_set(err, ERR_INVALID,
			       "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI must begin with '/', not '%.64s'", relative);
	if (relative) {
		*ret_url = mem_printf("http://169.254.170.2%s", relative);
		*ret_is_local = true;
		return 0;
	}
	host = host_of(full);
	*ret_is_local = host && is_local_host(host);
	if (!host || (strncasecmp(full, "https://", 8) != 0 && !*ret_is_local))
		return err_set(err, ERR_INVALID,
			       "AWS_CONTAINER_CREDENTIALS_FULL_URI must be https://, or http:// to a loopback address, "
			       "169.254.170.2, 169.254.170.23 or [fd00:ec2::23]");
	*ret_url = mem_strdup(full);
	return 0;
}

/** The Authorization line, or NULL when none is asked for. The file is read anew each time: its token is rotated. */
static int container_authorization(const struct cred_source *source, char **ret_line, struct err *err) {
	const char *path = cred_env(source, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
	const char *token = cred_env(source, "AWS_CONTAINER_AUTHORIZATION_TOKEN");
	AUTO_FS_ROOT struct fs_root root = {.fd = -1};
	AUTO(buf_wipe) struct buf text = BUF_INIT(TOKEN_FILE_MAX);

	*ret_line = NULL;
	if (path) {
		if (fs_root_open(NULL, &root, err) != 0 || fs_read(&root, path, &text, err) != 0) {
			if (err->code == ERR_NOT_FOUND) err->code = ERR_INVALID; /* set up, but wrongly */
			return err_wrap(err, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
		}
		token = text.data ? str_trim(text.data) : "";
	}
	if (!token) return 0;
	for (const char *p = token; *p; p++)
		if (iscntrl((unsigned char)*p))
			return err_set(err, ERR_INVALID, "the container authorization token holds a control character");
	*ret_line = mem_printf("Authorization: %s", token);
	return 0;
}

static int container_answer(const struct http_response *answer, const char *url, struct cred *ret_cred,
			    struct err *err) {
	static const struct cred_names names = {.token = "Token", .source = "container"};
	AUTO_JS struct js *js = NULL;
	struct err ignored;
	const char *message;

	if (answer->status == 200)
		return cred_from_json(&answer->body, &names, ret_cred, err) == 0 ? 0 : err_wrap(err, "%s", url);
	if (js_parse(buf_str(&answer->body), answer->body.len, &js, &ignored) != 0) js = NULL; /* no text to add */
	message = js ? js_get_str(js, "message") : NULL;
	(void)err_set(err, ERR_REMOTE, "%s: HTTP %d%s%.200s", url, answer->status, message ? ": " : "",
		      message ? message : "");
	err->is_retryable = answer->status == 429 || answer->status >= 500;
	return -(int)err->code;
}

int cred_from_container(const struct cred_source *source, struct cred *ret_cred, struct err *err) {
	AUTO_FREE char *url = NULL;
	AUTO_SECRET char *line = NULL;
	AUTO_STRS struct strs headers = {0};
	struct http_request req = {
		.method = "GET",
		.headers = &headers,
		.connect_timeout_ms = 2000,
		.total_timeout_ms = 5000,
		.body_max = ANSWER_MAX,
	};
	int64_t began_ms = clock_mono_ms();

	if (container_url(source, &url, &req.bypasses_proxy, err) != 0) return -(int)err->code;
	if (container_authorization(source, &line, err) != 0) return -(int)err->code;
	if (line) strs_add(&headers, line);
	strs_add(&headers, "Accept: application/json");
	req.url = url;
	for (unsigned attempt = 1;; attempt++) {
		AUTO_HTTP_RESPONSE struct http_response answer = {0};
		int64_t wait;

		if (http_do(source->http, &req, &answer, err) == 0 &&
		    container_answer(&answer, url, ret_cred, err) == 0) {
			if (answer.body.data) explicit_bzero(answer.body.data, answer.body.len);
			return 0;
		}
		wait = retry_wait_ms(&container_retry, attempt, clock_mono_ms() - began_ms, 0, clock_random(UINT64_MAX),
				     err);
		if (wait == RETRY_STOP) return -(int)err->code;
		clock_sleep_ms(wait);
	}
}

/** First line of the list, if it is a role's name (IAM: letters, digits and +=,.@_-). */
static int read_role(struct imds *imds, char **ret_role, struct err *err) {
	AUTO_BUF struct buf list = BUF_INIT(ANSWER_MAX);
	size_t len;

	if (imds_get(imds, ROLE_PATH, &list, err) != 0) {
		if (err->code == ERR_NOT_FOUND)
			(void)err_set(err, ERR_NOT_FOUND, "no instance profile is attached to this instance");
		return -(int)err->code;
	}
	len = strcspn(buf_str(&list), "\r\n");
	if (len == 0) return err_set(err, ERR_NOT_FOUND, "no instance profile is attached to this instance");
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)list.data[i]) && !strchr("+=,.@_-", list.data[i]))
			return err_set(err, ERR_REMOTE, "instance metadata '%s' holds no role name", ROLE_PATH);
	*ret_role = mem_dup(list.data, len);
	return 0;
}

/** The list of roles, then the role's keys; once more when the profile was swapped in between. */
static int read_role_keys(struct imds *imds, char **ret_role, struct buf *text, struct err *err) {
	for (bool is_second = false;; is_second = true) {
		AUTO_FREE char *role = NULL, *path = NULL;

		if (read_role(imds, &role, err) != 0) return -(int)err->code;
		path = mem_printf(ROLE_PATH "%s", role);
		if (imds_get(imds, path, text, err) == 0) {
			*ret_role = role;
			role = NULL;
			return 0;
		}
		if (err->code != ERR_NOT_FOUND || is_second) return err_wrap(err, "role '%s'", role);
	}
}

/** The service answers 200 even when it has no keys; Code then says why. */
static int check_code(const struct buf *text, const char *role, struct err *err) {
	AUTO_JS struct js *js = NULL;
	const char *code, *message;

	if (js_parse(buf_str(text), text->len, &js, err) != 0)
		return err_set(err, ERR_REMOTE, "role '%s': the instance metadata service's answer is not JSON", role);
	code = js_get_str(js, "Code");
	if (!code || str_eq(code, "Success")) return 0;
	message = js_get_str(js, "Message");
	return err_set(
		err, ERR_DENIED, "role '%s': the instance metadata service says %.64s%s%.200s: %s", role, code,
		message ? ": " : "", message ? message : "",
		str_eq(code, "AssumeRoleUnauthorizedAccess")
			? "let ec2.amazonaws.com assume the role in its trust policy (sts:AssumeRole)"
			: "check that the instance profile's role exists and may be assumed by ec2.amazonaws.com");
}

int cred_from_imds(const struct cred_source *source, struct cred *ret_cred, struct err *err) {
	static const struct cred_names names = {.token = "Token", .source = "instance role"};
	const char *disabled = cred_env(source, "AWS_EC2_METADATA_DISABLED");
	AUTO(buf_wipe) struct buf text = BUF_INIT(ANSWER_MAX);
	AUTO_FREE char *role = NULL;

	if (disabled && strcasecmp(disabled, "true") == 0)
		return err_set(err, ERR_NOT_FOUND, "AWS_EC2_METADATA_DISABLED is true");
	if (!source->imds) return err_set(err, ERR_NOT_FOUND, "instance metadata is not in use");
	if (read_role_keys(source->imds, &role, &text, err) != 0) {
		/* No service, or none for us: this is not an instance with a role. */
		if (err->code == ERR_NET || err->code == ERR_TIMEOUT || err->code == ERR_DENIED)
			err->code = ERR_NOT_FOUND;
		return -(int)err->code;
	}
	if (check_code(&text, role, err) != 0) return -(int)err->code;
	if (cred_from_json(&text, &names, ret_cred, err) != 0) return err_wrap(err, "role '%s'", role);
	return 0;
}
