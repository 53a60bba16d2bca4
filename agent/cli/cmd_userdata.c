#include "aws/fetch.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/str.h"
#include "base/vec.h"
#include "cli/agent_file.h"
#include "cli/agent_url.h"
#include "cli/cli.h"
#include "cli/context.h"
#include "cli/opt.h"
#include "cli/recipe_text.h"
#include "cli/userdata_stub.h"
#include "fmt/codec.h"
#include "fmt/diag.h"
#include "fmt/subst.h"
#include "fmt/yml.h"
#include "recipe/recipe.h"
#include "recipe/userdata.h"

/* What is thrown away for its size is measured first. */
#define TEXT_BYTES_MAX (8 * YML_BYTES_MAX)
/* Some editors and consoles dislike longer lines; shorter ones cost bytes. */
#define BASE64_COLUMNS 512
#define BOOT_LINE "#!/usr/bin/dsagent boot\n"

struct options {
	const char *agent, *format;
	struct strs files, vars;
	bool is_gzip;
};

static const struct opt opts[] = {
	{"agent", 0, "WHERE", "ami (it is on the image), or s3://... or https://... with {arch} in it", OPT_TEXT,
	 offsetof(struct options, agent), 0, 0},
	{"agent-file", 0, "FILE", "a copy of what lies there, for its SHA-256; once per architecture", OPT_TEXTS,
	 offsetof(struct options, files), 0, 0},
	{"format", 0, "FORMAT", "script, mime or cloud-config (script)", OPT_TEXT, offsetof(struct options, format), 0,
	 0},
	{"gzip", 0, NULL, "packed as a whole, a quarter smaller: for the aws command's fileb://", OPT_FLAG,
	 offsetof(struct options, is_gzip), 0, 0},
	{"var", 0, "K=V", "the value of a recipe's variable; may be given several times", OPT_TEXTS,
	 offsetof(struct options, vars), 0, 0},
	{0},
};

static const struct opt_verb verb = {
	.name = "userdata",
	.arguments = "RECIPE...",
	.description = "Prints user-data for an instance that is to be what the recipes say, and its size on stderr. "
		       "EC2 takes\n"
		       "16,384 bytes; more is refused. The script fetches dsagent (unless it is on the image), checks "
		       "its SHA-256,\n"
		       "and starts the work in the background; what fails is on the console and in the tags.",
	.opts = opts,
	.example = "dsagent userdata team.yaml --agent 's3://my-bucket/dsagent-{arch}' \\\n"
		   "    --agent-file dsagent-x86_64 --agent-file dsagent-aarch64 > user-data\n"
		   "aws ec2 run-instances --user-data file://user-data ...",
	.min_args = 1,
	.max_args = 64,
};

struct userdata {
	struct context *ctx;
	struct options opts;
	const struct strs *names;
	struct diags diags;
	const struct recipe *recipe;
	enum userdata_format format;
	const char *x86_64, *aarch64;
	VEC(const char *) texts; /* of the recipes, in order */
};

static const char *choose_format(const struct userdata *u, enum userdata_format *ret_format) {
	if (!u->opts.format) return NULL;
	for (size_t i = 0; i < USERDATA_FORMATS; i++) {
		if (!str_eq(u->opts.format, userdata_formats[i])) continue;
		*ret_format = (enum userdata_format)i;
		return NULL;
	}
	return arena_printf(&u->ctx->arena, "--format is script, mime or cloud-config, not '%s'", u->opts.format);
}

/* What is wrong with --agent by itself, NULL for nothing. */
static const char *check_agent(const struct userdata *u) {
	const char *agent = u->opts.agent;
	if (str_eq(agent, "ami")) return u->opts.files.count ? "--agent-file goes with an address, not with ami" : NULL;
	const char *wrong = agent_url_check(agent, &u->ctx->arena);
	if (!wrong && !u->opts.files.count)
		wrong = "the instance must know what it fetches: give a copy of the program by --agent-file FILE, once "
			"per architecture";
	return wrong;
}

static int read_agent_files(struct userdata *u, struct err *err) {
	bool has_arch = strstr(u->opts.agent, "{arch}") != NULL;
	for (size_t i = 0; i < u->opts.files.count; i++) {
		struct agent_file file;
		int rc = agent_file_read(u->opts.files.items[i], &file, err);
		if (rc) return rc;
		const char **slot = str_eq(file.arch, "x86_64") ? &u->x86_64 : &u->aarch64;
		if (**slot) return err_set(err, ERR_INVALID, "two --agent-file are for %s", file.arch);
		*slot = arena_strdup(&u->ctx->arena, file.sha256);
		if (file.is_dynamic)
			(void)fprintf(
				stderr,
				"dsagent: warning: %s needs the libraries of the system it was built on; take a static "
				"one\n",
				u->opts.files.items[i]);
	}
	if (u->opts.files.count > 1 && !has_arch)
		return err_set(
			err, ERR_INVALID,
			"--agent: two architectures need two addresses: write {arch}, which becomes x86_64 or aarch64");
	return 0;
}

static int add_file(struct userdata *u, const char *path, struct err *err) {
	AUTO_BUF struct buf bytes = BUF_INIT(TEXT_BYTES_MAX);
	struct userdata_doc *docs = NULL;
	size_t count = 0;
	if (str_eq(path, "-"))
		return err_set(err, ERR_INVALID, "a recipe from standard input cannot be read twice: name a file");
	int rc = recipe_bytes(path, &bytes, err);
	const char *own = rc ? NULL : arena_dup(&u->ctx->arena, buf_str(&bytes), bytes.len);
	if (!rc) rc = userdata_decode(own, bytes.len, &u->ctx->arena, &docs, &count, err);
	if (rc) return err_wrap(err, "%s", path);
	for (size_t i = 0; i < count; i++) {
		recipe_text_check_includes(path, &docs[i],
					   "the instance does not have it: name it on the command line before "
					   "this one and take it out of 'include', or put it to s3://",
					   false, &u->ctx->arena, &u->diags);
		vec_push(&u->texts, arena_dup(&u->ctx->arena, docs[i].data, docs[i].len));
	}
	return 0;
}

/* The texts that the instance gets. Settings follow the recipes that declare them. */
static int gather(struct userdata *u, struct err *err) {
	AUTO_BUF struct buf text = BUF_INIT(TEXT_BYTES_MAX);
	bool is_one_name = u->names->count == 1;
	for (size_t i = 0; i < u->names->count; i++) {
		const char *name = u->names->items[i];
		if (fetch_is_url(name) || recipe_builtin(name, NULL)) {
			buf_reset(&text);
			recipe_text_include(name, &text);
			if (is_one_name && u->opts.vars.count) recipe_text_vars(&u->opts.vars, &text);
			vec_push(&u->texts, arena_strdup(&u->ctx->arena, buf_str(&text)));
			if (is_one_name) return 0;
			continue;
		}
		int rc = add_file(u, name, err);
		if (rc) return rc;
	}
	if (!u->opts.vars.count) return 0;
	buf_reset(&text);
	buf_adds(&text, "recipe: settings\ninclude: []\n");
	recipe_text_vars(&u->opts.vars, &text);
	vec_push(&u->texts, arena_strdup(&u->ctx->arena, buf_str(&text)));
	return 0;
}

/* A default that is no reference, of a recipe that travels along; one at s3:// does not. */
static bool is_in_texts(const struct userdata *u, const char *value) {
	if (str_is_empty(value) || subst_has(value)) return false;
	for (size_t i = 0; i < u->texts.count; i++)
		if (strstr(u->texts.items[i], value)) return true;
	return false;
}

static void warn_of_secrets(const struct userdata *u) {
	for (size_t i = 0; i < u->recipe->var_count; i++) {
		const struct recipe_var *var = &u->recipe->vars[i];
		if (!var->is_sensitive || !(var->is_literal || is_in_texts(u, var->value))) continue;
		(void)fprintf(stderr,
			      "dsagent: warning: '%s' is a secret, and user-data can be read by every process on the "
			      "instance "
			      "and by whoever may describe it\n",
			      var->name);
	}
}

static void warn_of_end(const struct userdata *u) {
	char text[CLOCK_ISO8601_SIZE];
	int64_t ends_at = agent_url_ends_at(u->opts.agent);
	if (!ends_at) return;
	(void)fprintf(stderr,
		      "dsagent: warning: the address of --agent holds until %s at most: an instance that starts later "
		      "cannot fetch dsagent; an s3:// address holds as long as the instance's role may read it\n",
		      clock_iso8601(ends_at * 1000, text));
}

static void add_packed(const struct userdata *u, struct buf *out) {
	AUTO_BUF struct buf text = BUF_INIT(TEXT_BYTES_MAX), gzip = BUF_INIT(TEXT_BYTES_MAX),
			    base64 = BUF_INIT(TEXT_BYTES_MAX);
	if (u->texts.count == 1)
		buf_adds(&text, u->texts.items[0]);
	else
		recipe_text_mime(u->texts.items, u->texts.count, &u->ctx->arena, &text);
	codec_gzip(buf_str(&text), text.len, &gzip);
	codec_base64(buf_str(&gzip), gzip.len, &base64);
	for (size_t at = 0; at < base64.len; at += BASE64_COLUMNS)
		buf_addf(out, "%.*s\n", BASE64_COLUMNS, base64.data + at);
}

/* One recipe for an image that has dsagent is user-data as it stands, for people to read; unless it is too long so. */
static bool add_plain(const struct userdata *u, struct buf *out) {
	const char *text = u->texts.items[0];
	size_t marker = strlen(BOOT_LINE);
	if (!str_eq(u->opts.agent, "ami") || u->texts.count != 1) return false;
	if (strlen(text) + marker > USERDATA_BYTES_MAX - 1024) return false; /* room for its shape */
	if (!str_starts(text, "#!")) buf_adds(out, BOOT_LINE);
	buf_adds(out, text);
	if (!str_ends(text, "\n")) buf_addc(out, '\n');
	return true;
}

static int build(struct userdata *u, struct buf *out, struct err *err) {
	AUTO_BUF struct buf script = BUF_INIT(TEXT_BYTES_MAX), recipe = BUF_INIT(TEXT_BYTES_MAX);
	if (!add_plain(u, &script)) {
		add_packed(u, &recipe);
		struct userdata_stub stub = {.agent = str_eq(u->opts.agent, "ami") ? "" : u->opts.agent,
					     .x86_64 = u->x86_64,
					     .aarch64 = u->aarch64,
					     .recipe = buf_str(&recipe)};
		int rc = userdata_stub_fill(&stub, &script, err);
		if (rc) return rc;
	}
	userdata_wrap(u->format, buf_str(&script), out);
	return buf_check(out, "the user-data", err);
}

/* What to do when it is too long, with the figure that gzip gives. */
static int too_long(const struct userdata *u, const struct buf *out, struct err *err) {
	AUTO_BUF struct buf gzip = BUF_INIT(TEXT_BYTES_MAX);
	codec_gzip(buf_str(out), out->len, &gzip);
	if (!u->opts.is_gzip && gzip.len <= USERDATA_BYTES_MAX)
		return err_set(
			err, ERR_LIMIT,
			"the user-data has %zu bytes, EC2 takes %d: with --gzip it has %zu, and cloud-init unpacks it",
			out->len, USERDATA_BYTES_MAX, gzip.len);
	return err_set(err, ERR_LIMIT,
		       "the user-data has %zu bytes, EC2 takes %d: put the recipe to S3, where the instance's role may "
		       "read it, and name it so: `dsagent userdata s3://BUCKET/recipe.yaml`, or "
		       "https://...#sha256=...",
		       out->len, USERDATA_BYTES_MAX);
}

/* cloud-init unpacks user-data that is gzip as a whole. */
static void pack(struct buf *out) {
	AUTO_BUF struct buf gzip = BUF_INIT(TEXT_BYTES_MAX);
	codec_gzip(buf_str(out), out->len, &gzip);
	buf_reset(out);
	buf_add(out, gzip.data, gzip.len);
}

static int prepare(struct userdata *u, struct err *err) {
	const char *wrong = choose_format(u, &u->format);
	if (!wrong) wrong = check_agent(u);
	if (wrong) return err_set(err, ERR_INVALID, "%s", wrong);
	int rc = read_agent_files(u, err);
	return rc ? rc : gather(u, err);
}

static int userdata(struct userdata *u) {
	AUTO_BUF struct buf out = BUF_INIT(TEXT_BYTES_MAX);
	struct err err = {0};
	u->recipe = context_recipe(u->ctx, u->names, &u->opts.vars, false, &u->diags);
	if (!u->recipe) return cli_diags(&u->diags);
	int rc = prepare(u, &err);
	if (!rc && u->diags.count) return cli_diags(&u->diags);
	if (!rc) rc = build(u, &out, &err);
	if (!rc && u->opts.is_gzip) pack(&out);
	if (!rc && out.len > USERDATA_BYTES_MAX) rc = too_long(u, &out, &err);
	if (rc) return cli_fail(EXIT_USAGE, &err);
	warn_of_secrets(u);
	warn_of_end(u);
	(void)fprintf(stderr, "dsagent: user-data of %zu bytes; EC2 takes %d\n", out.len, USERDATA_BYTES_MAX);
	return cli_print(&out);
}

int cmd_userdata(struct context *ctx, int argc, char **argv) {
	AUTO_STRS struct strs args = {0};
	struct userdata u = {.ctx = ctx,
			     .opts = {.agent = "ami"},
			     .names = &args,
			     .diags = {.arena = &ctx->arena},
			     .x86_64 = "",
			     .aarch64 = ""};
	int code = opt_parse(&verb, ctx, argc, argv, &u.opts, &args);
	if (code == OPT_GO) code = userdata(&u);
	vec_clear(&u.texts);
	diags_clear(&u.diags);
	strs_clear(&u.opts.files);
	strs_clear(&u.opts.vars);
	return code;
}
