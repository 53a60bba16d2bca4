/*
 * JupyterLab behind an SSH tunnel. Jupyter Server's own files and words: "Configuring Jupyter Server" and "Running a
 * public notebook server"; a token in a file named by JUPYTER_TOKEN_FILE (jupyter_server/auth/identity.py), so that it
 * is in no process list, unit or log. Whoever has it runs commands as the account, hence loopback only unless TLS and a
 * password hash are there too.
 */
#include <stdint.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fs.h"
#include "fmt/diag.h"
#include "fmt/digest.h"
#include "fmt/js.h"
#include "recipe/facts.h"
#include "recipe/step.h"
#include "steps/steps.h"
#include "steps/text_file.h"
#include "steps/unit_want.h"
#include "sys/unit.h"
#include "sys/user.h"

#define DIR "/etc/dsagent/jupyter"
#define CONFIG_MAX (64 * 1024)
/** 192 bits, as Jupyter's own tokens have. */
#define TOKEN_BYTES 24

struct jupyter_params {
	const char *venv, *user, *directory, *address, *cert, *key, *password_hash, *name;
	int64_t port;
};

#define JUPYTER_FIELD(n, k, member, text)                                                                              \
	.name = n, .kind = k, .offset = offsetof(struct jupyter_params, member), .help = text

static const struct field jupyter_fields[] = {
	{JUPYTER_FIELD("venv", FIELD_TEXT, venv,
		       "the venv that holds JupyterLab, of a `python` step with sets: [jupyter]"),
	 .is_required = true},
	{JUPYTER_FIELD("user", FIELD_TEXT, user,
		       "account that it runs as; default: run_as, else the image's login user")},
	{JUPYTER_FIELD("directory", FIELD_TEXT, directory, "where the notebooks are; default: notebooks in the home")},
	{JUPYTER_FIELD("port", FIELD_INT, port, "port it listens on"), .fallback = "8888", .min = 1024, .max = 65535},
	{JUPYTER_FIELD("name", FIELD_TEXT, name, "name of the service, for a second one on this machine"),
	 .fallback = "jupyter"},
	{JUPYTER_FIELD("address", FIELD_TEXT, address,
		       "address it listens on; any but loopback needs cert, key and password_hash"),
	 .fallback = "127.0.0.1"},
	{JUPYTER_FIELD("cert", FIELD_TEXT, cert, "TLS certificate, such as a `cert` step makes")},
	{JUPYTER_FIELD("key", FIELD_TEXT, key, "its private key, readable by the account")},
	{JUPYTER_FIELD("password_hash", FIELD_TEXT, password_hash,
		       "argon2:… of `jupyter server password`, instead of the token"),
	 .is_secret = true},
	{0},
};

static bool is_loopback(const char *address) {
	return str_eq(address, "127.0.0.1") || str_eq(address, "::1") || str_eq(address, "localhost");
}

static void check_address(const struct jupyter_params *p, const struct yml_node *node, struct diags *diags) {
	if (!p->address || step_text_is_open(p->address) || is_loopback(p->address)) return;
	bool has_all = p->cert && p->key && p->password_hash;
	if (p->address[strspn(p->address, "0123456789abcdefABCDEF.:")])
		diag_add(diags, node, "address '%s' is no IP address", p->address);
	else if (!has_all)
		diag_add(diags, node,
			 "address %s would open a shell to the network: it needs cert, key and password_hash. Better "
			 "leave "
			 "it at 127.0.0.1 and use `ssh -L %lld:127.0.0.1:%lld`",
			 p->address, (long long)p->port, (long long)p->port);
}

static void jupyter_check(const void *params, const struct yml_node *node, struct diags *diags) {
	const struct jupyter_params *p = params;
	const char *paths[] = {p->venv, p->directory, p->cert, p->key};
	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
		if (paths[i] && !step_text_is_open(paths[i]) && (paths[i][0] != '/' || strpbrk(paths[i], "\r\n")))
			diag_add(diags, node, "'%s' is no absolute path", paths[i]);
	check_address(p, node, diags);
	if (!p->cert != !p->key) diag_add(diags, node, "cert and key belong together");
	if (p->password_hash && !step_text_is_open(p->password_hash) &&
	    !str_starts(p->password_hash, "argon2:$argon2id$"))
		diag_add(diags, node,
			 "password_hash is no argon2 hash (argon2:$argon2id$…): make one with `jupyter server "
			 "password`; a "
			 "password itself or a sha1 of it has no place in a recipe");
	if (p->name && !step_text_is_open(p->name) &&
	    (!p->name[0] || p->name[strspn(p->name, "abcdefghijklmnopqrstuvwxyz0123456789-_")]))
		diag_add(diags, node, "'%s' is no name of a service: lower-case letters, digits, - and _", p->name);
}

static void jupyter_resources(const void *params, const struct facts *facts, struct arena *arena, struct strs *names) {
	const struct jupyter_params *p = params;
	strs_add_once(names, arena_printf(arena, "unit:%s.service", p->name));
	strs_add_once(names, arena_printf(arena, "venv:%s", p->venv));
}

/* All that the step ensures. */
struct jupyter {
	const struct jupyter_params *p;
	struct exec_user user;
	bool has_user; /* else it is still to be made, by a step above */
	const char *directory;
	struct text_file config, token;
	struct unit_want want;
};

static int find_user(struct jupyter *j, struct step_ctx *ctx, struct err *err) {
	const char *login = ctx->facts->os.login_user;
	const char *name = j->p->user ? j->p->user : ctx->user ? ctx->user->name : login[0] ? login : NULL;
	if (!name)
		return err_set(err, ERR_INVALID,
			       "which account is JupyterLab to run as? This image has no login user: give the step "
			       "`user: NAME`");
	int r = user_find(ctx->machine.root, name, ctx->arena, &j->user, err);
	j->has_user = r == 0;
	if (r < 0 && err->code == ERR_NOT_FOUND) {
		j->user = (struct exec_user){.name = name, .home = arena_printf(ctx->arena, "/home/%s", name)};
		return 0; /* a plan before the account is there; apply asks again */
	}
	if (r == 0 && j->user.uid == 0)
		return err_set(err, ERR_INVALID, "JupyterLab is not run as root: give the step `user: NAME`");
	return r;
}

static const char *config_text(const struct jupyter *j, struct arena *arena) {
	const struct jupyter_params *p = j->p;
	AUTO_BUF struct buf text = BUF_INIT(CONFIG_MAX);
	AUTO_JS struct js *js = js_object();
	struct js *server = js_object();
	js_set_str(server, "ip", p->address);
	js_set_int(server, "port", p->port);
	js_set_int(server, "port_retries", 0); /* another port would not be the one of the tunnel */
	js_set_bool(server, "open_browser", false);
	js_set_bool(server, "allow_root", false);
	js_set_str(server, "root_dir", j->directory);
	if (p->cert) js_set_str(server, "certfile", p->cert);
	if (p->key) js_set_str(server, "keyfile", p->key);
	js_set(js, "ServerApp", server);
	if (p->password_hash) {
		struct js *identity = js_object();
		js_set_str(identity, "hashed_password", p->password_hash);
		js_set(js, "PasswordIdentityProvider", identity);
	}
	js_print(js, JS_INDENTED, &text);
	buf_addc(&text, '\n');
	return arena_strdup(arena, buf_str(&text));
}

/* The configuration's hash stands in the unit: a changed one restarts the service even after an interruption. */
static const char *service_text(const struct jupyter *j, struct step_ctx *ctx) {
	const struct jupyter_params *p = j->p;
	AUTO_STRS struct strs argv = {0};
	char hash[SHA256_HEX_SIZE];
	const char *keys[] = {"JUPYTER_TOKEN_FILE", "DSAGENT_CONFIG_HASH"};
	const char *values[] = {j->token.path, digest_sha256_hex(j->config.content, strlen(j->config.content), hash)};
	static const char *const set_keys[] = {"UMask"}, *const set_values[] = {"0077"};
	strs_add(&argv, arena_printf(ctx->arena, "%s/bin/jupyter-lab", p->venv));
	strs_add(&argv, arena_printf(ctx->arena, "--config=%s", j->config.path));
	struct unit_service s = {
		.description = "JupyterLab",
		.argv = &argv,
		.user = j->user.name,
		.directory = j->directory,
		.type = "exec",
		.restart = "on-failure",
		.env_keys = p->password_hash ? keys + 1 : keys,
		.env_values = p->password_hash ? values + 1 : values,
		.env_count = p->password_hash ? 1 : 2,
		.set_keys = set_keys,
		.set_values = set_values,
		.set_count = 1,
	};
	return unit_text(&s, ctx->arena);
}

static int jupyter_load(const struct jupyter_params *p, struct step_ctx *ctx, struct jupyter *j, struct err *err) {
	struct arena *arena = ctx->arena;
	*j = (struct jupyter){.p = p};
	int r = find_user(j, ctx, err);
	if (r < 0) return r;
	j->directory = p->directory ? p->directory : arena_printf(arena, "%s/notebooks", j->user.home);
	j->token = (struct text_file){.path = arena_printf(arena, "%s/%s.token", DIR, p->name),
				      .mode = 0600,
				      .uid = j->user.uid,
				      .gid = j->user.gid,
				      .is_secret = true};
	j->config = (struct text_file){.path = arena_printf(arena, "%s/%s.json", DIR, p->name),
				       .content = config_text(j, arena),
				       .mode = 0640,
				       .uid = 0,
				       .gid = j->user.gid,
				       .is_secret = p->password_hash != NULL};
	if (!fs_root_is_host(ctx->machine.root) && !ctx->machine.root->is_system)
		j->config.uid = j->config.gid = j->token.uid = j->token.gid = (uid_t)-1; /* a tree of anybody's */
	j->want = (struct unit_want){.unit = arena_printf(arena, "%s.service", p->name),
				     .text = service_text(j, ctx),
				     .is_enabled = true,
				     .run = UNIT_STARTED};
	return 0;
}

/* What to type on the laptop. The token is not shown: it says where it is. */
static const char *how_to_reach(const struct jupyter *j, const struct step_ctx *ctx) {
	const struct imds_identity *id = &ctx->facts->instance;
	const char *host = id->private_ip[0] ? id->private_ip : ctx->facts->os.hostname;
	const char *login = ctx->facts->os.login_user[0] ? ctx->facts->os.login_user : j->user.name;
	const char *scheme = j->p->cert ? "https" : "http";
	const char *secret =
		j->p->password_hash ? "password" : arena_printf(ctx->arena, "token: sudo cat %s", j->token.path);
	if (!is_loopback(j->p->address))
		return arena_printf(ctx->arena, "%s://%s:%lld (%s)", scheme, host, (long long)j->p->port, secret);
	return arena_printf(ctx->arena, "ssh -L %lld:127.0.0.1:%lld %s@%s, then %s://127.0.0.1:%lld (%s)",
			    (long long)j->p->port, (long long)j->p->port, login, host, scheme, (long long)j->p->port,
			    secret);
}

static int probe_files(const struct jupyter *j, struct step_ctx *ctx, struct changes *changes, struct err *err) {
	struct stat st;
	int r = text_file_probe(&j->config, ctx, changes, err);
	if (r == 0 && !j->p->password_hash) r = text_file_probe(&j->token, ctx, changes, err);
	if (r < 0) return r;
	if (fs_lstat(ctx->machine.root, j->directory, &st, err) < 0) {
		err_clear(err);
		changes_add(changes, ctx->arena, NULL, "make directory %s", j->directory);
	}
	return 0;
}

static int jupyter_probe(const void *params, struct step_ctx *ctx, struct changes *changes, struct err *err) {
	struct jupyter j;
	int r = jupyter_load(params, ctx, &j, err);
	if (r == 0) r = probe_files(&j, ctx, changes, err);
	if (r == 0) r = unit_want_probe(&j.want, ctx, changes, err);
	if (r == 0) machine_publish(&ctx->machine, "text", how_to_reach(&j, ctx));
	return r;
}

static int draw_token(struct jupyter *j, struct step_ctx *ctx, struct err *err) {
	const char *old;
	unsigned char bytes[TOKEN_BYTES];
	char hex[2 * TOKEN_BYTES + 1];
	int r = text_file_read(ctx, j->token.path, &old, err);
	if (r < 0 || !str_is_empty(old)) return r; /* kept: bookmarks hold it */
	for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (unsigned char)clock_random(256);
	j->token.content = arena_strdup(ctx->arena, digest_hex(bytes, sizeof bytes, hex));
	return 0;
}

static int jupyter_apply(const void *params, struct step_ctx *ctx, const struct changes *changes, struct err *err) {
	const struct jupyter_params *p = params;
	const struct fs_root *root = ctx->machine.root;
	struct jupyter j;
	int r = jupyter_load(p, ctx, &j, err);
	if (r < 0) return r;
	if (!j.has_user) return user_find(root, j.user.name, ctx->arena, &j.user, err);
	const char *program = arena_printf(ctx->arena, "%s/bin/jupyter-lab", p->venv);
	if (!fs_exists(root, program))
		return err_set(err, ERR_NOT_FOUND,
			       "%s does not exist: JupyterLab comes with `python: {venv: %s, sets: [jupyter]}`",
			       program, p->venv);
	r = p->password_hash ? 0 : draw_token(&j, ctx, err);
	if (r == 0) r = text_file_apply(&j.config, ctx, NULL, err);
	if (r == 0 && !p->password_hash) r = text_file_apply(&j.token, ctx, NULL, err);
	if (r == 0 && !fs_exists(root, j.directory))
		r = fs_mkdirs(root, j.directory, 0755, j.user.uid, j.user.gid, err);
	return r < 0 ? r : unit_want_apply(&j.want, ctx, err);
}

const struct step_type step_jupyter = {
	.name = "jupyter",
	.summary = "JupyterLab as a service of the login user on 127.0.0.1, with a token of its own",
	.example = "- name: JupyterLab\n"
		   "  when: facts.has_systemd\n"
		   "  jupyter: {venv: /opt/ds}\n",
	.shape = {.fields = jupyter_fields, .size = sizeof(struct jupyter_params), .scalar_field = "venv"},
	.timeout_ms = 10LL * 60 * 1000,
	.check = jupyter_check,
	.resources = jupyter_resources,
	.probe = jupyter_probe,
	.apply = jupyter_apply,
};
