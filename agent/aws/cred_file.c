/*
 * References: AWS SDKs and Tools Reference Guide, "Shared config and credentials files", "Process credential provider".
 * Keys in the credentials file win over credential_process, that over keys in the config file (botocore's order).
 */
#include <stdbool.h>

#include "aws/cred.h"
#include "aws/cred_source.h"
#include "aws/profile.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/exec.h"
#include "base/mem.h"
#include "base/str.h"
#include "fmt/js.h"

#define PROCESS_TIMEOUT_MS (60 * 1000) /* a login helper may ask a remote service */
#define PROCESS_OUTPUT_MAX (64 * 1024)
#define ARGS_MAX 64
#define REMEDY                                                                                                         \
	"which dsagent does not do: add to the profile credential_process = aws configure export-credentials "         \
	"--profile OTHER --format process"

/** What one file says about one profile. */
struct profile {
	const char *name;
	char *path;
	bool is_there;
	char *access_key, *secret_key, *session_token;
	char *process;
	bool has_role, has_sso;
};

static void profile_clear(struct profile *p) {
	cred_wipe_str(&p->access_key);
	cred_wipe_str(&p->secret_key);
	cred_wipe_str(&p->session_token);
	free(p->process);
	free(p->path);
}
#define AUTO_PROFILE AUTO(profile_clear)

static void keep(char **field, const char *value) {
	cred_wipe_str(field);
	if (*value) *field = mem_strdup(value);
}

static void on_setting(const char *key, const char *value, void *arg) {
	struct profile *p = arg;

	if (str_eq(key, "aws_access_key_id")) keep(&p->access_key, value);
	if (str_eq(key, "aws_secret_access_key")) keep(&p->secret_key, value);
	if (str_eq(key, "aws_session_token")) keep(&p->session_token, value);
	if (str_eq(key, "credential_process")) keep(&p->process, value);
	if (str_eq(key, "role_arn")) p->has_role = true;
	if (str_eq(key, "sso_session") || str_eq(key, "sso_start_url")) p->has_sso = true;
}

/** Splits as a shell would on white space, quotes and backslashes; nothing is expanded. */
static int split_command(const char *s, struct arena *arena, struct strs *argv, struct err *err) {
	AUTO_BUF struct buf word = BUF_INIT(strlen(s) + 1);
	bool is_word = false;
	char quote = '\0';

	for (; *s; s++) {
		bool is_space = *s == ' ' || *s == '\t';

		if (quote && *s == quote) {
			quote = '\0';
		} else if (!quote && (*s == '"' || *s == '\'')) {
			quote = *s;
			is_word = true;
		} else if (*s == '\\' && quote != '\'' && s[1] && (!quote || s[1] == '"' || s[1] == '\\')) {
			buf_addc(&word, *++s);
			is_word = true;
		} else if (!quote && is_space) {
			if (is_word) strs_add(argv, arena_strdup(arena, buf_str(&word)));
			buf_reset(&word);
			is_word = false;
		} else {
			buf_addc(&word, *s);
			is_word = true;
		}
	}
	if (quote) return err_set(err, ERR_INVALID, "a %c is not closed", quote);
	if (is_word) strs_add(argv, arena_strdup(arena, buf_str(&word)));
	if (argv->count == 0) return err_set(err, ERR_INVALID, "the command is empty");
	if (argv->count > ARGS_MAX) return err_set(err, ERR_LIMIT, "more than %d arguments", ARGS_MAX);
	return 0;
}

/** Keeps the last line of stderr: stdout holds keys and is never quoted. */
static void on_line(enum exec_stream stream, const char *line, void *arg) {
	struct buf *last = arg;

	if (stream != EXEC_STDERR || !*line) return;
	buf_reset(last);
	buf_adds(last, line);
}

static int run_process(const struct cred_source *source, struct strs *argv, struct buf *out, struct err *err) {
	AUTO_BUF struct buf last = BUF_INIT(EXEC_LINE_MAX);
	struct exec_result result = {0};
	struct exec_spec spec = {
		.argv = strs_argv(argv),
		.env = source->env,
		.timeout_ms = PROCESS_TIMEOUT_MS,
		.stdout_max = PROCESS_OUTPUT_MAX,
		.on_line = on_line,
		.arg = &last,
	};
	int rc = exec_run(&spec, &result, err);

	if (rc == 0 && result.has_timed_out)
		rc = err_set(err, ERR_TIMEOUT, "%s did not end within %d s", argv->items[0], PROCESS_TIMEOUT_MS / 1000);
	else if (rc == 0 && (result.exit_code != 0 || result.signal != 0))
		rc = err_set(err, ERR_COMMAND, "%s ended with %s %d%s%.300s", argv->items[0],
			     result.signal ? "signal" : "exit status", result.signal ? result.signal : result.exit_code,
			     last.len ? ": " : "", buf_str(&last));
	if (rc == 0) buf_add(out, result.out.data, result.out.len);
	buf_wipe(&result.out);
	buf_wipe(&result.tail);
	return rc;
}

static int from_process(const struct cred_source *source, const struct profile *p, struct cred *ret_cred,
			struct err *err) {
	static const struct cred_names names = {.token = "SessionToken", .source = "credential_process"};
	AUTO_ARENA struct arena arena = {0};
	AUTO_STRS struct strs argv = {0};
	AUTO(buf_wipe) struct buf out = BUF_INIT(PROCESS_OUTPUT_MAX);
	AUTO_JS struct js *js = NULL;

	if (split_command(p->process, &arena, &argv, err) != 0 || run_process(source, &argv, &out, err) != 0) {
		if (err->code == ERR_NOT_FOUND) err->code = ERR_INVALID; /* set up, but wrongly */
		return err_wrap(err, "credential_process of profile '%s' in %s", p->name, p->path);
	}
	if (js_parse(buf_str(&out), out.len, &js, err) != 0 || js_get_int(js, "Version", 0) != 1)
		return err_set(
			err, ERR_INVALID,
			"credential_process of profile '%s' in %s: %s did not print a JSON object with Version 1",
			p->name, p->path, argv.items[0]);
	if (cred_from_json(&out, &names, ret_cred, err) != 0)
		return err_wrap(err, "credential_process of profile '%s' in %s", p->name, p->path);
	return 0;
}

/** Static keys of one file; ERR_NOT_FOUND when it has neither half. */
static int from_keys(const struct profile *p, struct cred *ret_cred, struct err *err) {
	if (!p->access_key && !p->secret_key) return err_set(err, ERR_NOT_FOUND, "no keys");
	if (!p->access_key || !p->secret_key)
		return err_set(err, ERR_INVALID, "profile '%s' in %s has no %s", p->name, p->path,
			       p->access_key ? "aws_secret_access_key" : "aws_access_key_id");
	if (!cred_is_key(p->access_key) || !cred_is_key(p->secret_key) ||
	    (p->session_token && !cred_is_key(p->session_token)))
		return err_set(err, ERR_INVALID,
			       "profile '%s' in %s: a key or the session token holds a space or control character",
			       p->name, p->path);
	cred_set(ret_cred, p->access_key, p->secret_key, p->session_token);
	ret_cred->source = "shared file";
	return 0;
}

static int choose(const struct cred_source *source, const struct profile *credentials, const struct profile *config,
		  struct cred *ret_cred, struct err *err) {
	const struct profile *with_process = credentials->process ? credentials : config;
	int rc;

	if (credentials->has_role || config->has_role)
		return err_set(err, ERR_INVALID, "profile '%s' needs assume-role (role_arn), " REMEDY, config->name);
	rc = from_keys(credentials, ret_cred, err);
	if (rc != -ERR_NOT_FOUND) return rc;
	if (with_process->process) return from_process(source, with_process, ret_cred, err);
	rc = from_keys(config, ret_cred, err);
	if (rc != -ERR_NOT_FOUND) return rc;
	if (credentials->has_sso || config->has_sso)
		return err_set(err, ERR_INVALID, "profile '%s' needs single sign-on (SSO), " REMEDY, config->name);
	return err_set(err, ERR_NOT_FOUND, "profile '%s' has no keys and no credential_process", config->name);
}

static int read_profile(const struct cred_source *source, enum profile_file file, struct profile *p, struct err *err) {
	p->path = profile_path(source->env, file);
	return profile_read(source->env, file, on_setting, p, &p->is_there, err);
}

int cred_from_files(const struct cred_source *source, struct cred *ret_cred, struct err *err) {
	const char *asked = cred_env(source, "AWS_PROFILE");
	const char *name = profile_name(source->env);
	AUTO_PROFILE struct profile credentials = {.name = name}, config = {.name = name};

	if (read_profile(source, PROFILE_CREDENTIALS, &credentials, err) != 0 ||
	    read_profile(source, PROFILE_CONFIG, &config, err) != 0)
		return -(int)err->code;
	if (credentials.is_there || config.is_there) return choose(source, &credentials, &config, ret_cred, err);
	if (!credentials.path && !config.path) return err_set(err, ERR_NOT_FOUND, "HOME is not set");
	return err_set(err, asked ? ERR_INVALID : ERR_NOT_FOUND, "profile '%s'%s is in neither %s nor %s", name,
		       asked ? " (AWS_PROFILE)" : "", credentials.path ? credentials.path : "~/.aws/credentials",
		       config.path ? config.path : "~/.aws/config");
}
