#include <ctype.h>

#include "base/err.h"
#include "fmt/diag.h"
#include "fmt/digest.h"
#include "recipe/facts.h"
#include "recipe/step.h"
#include "steps/conda.h"
#include "steps/steps.h"
#include "sys/pkg.h"

#define NAMES_SHOWN 12
#define BASE "base"

#define ITEM_FIELD(n, k, member, text) .name = n, .kind = k, .offset = offsetof(struct conda_item, member), .help = text
#define CONDA_FIELD(n, k, member, text)                                                                                \
	.name = n, .kind = k, .offset = offsetof(struct conda_params, member), .help = text

static const struct field item_fields[] = {
	{ITEM_FIELD("name", FIELD_TEXT, name, "name of the environment"), .is_required = true},
	{ITEM_FIELD("packages", FIELD_TEXTS, packages, "packages, such as `python=3.11`, `numpy>=1.26`")},
	{ITEM_FIELD("pip", FIELD_TEXTS, pip, "packages that pip adds afterwards")},
	{ITEM_FIELD("file", FIELD_TEXT, file, "path of an environment.yml: its channels and dependencies too")},
	{ITEM_FIELD("channels", FIELD_TEXTS, channels, "channels of this one; default: those of the step")},
	{0},
};
static const struct shape item_shape = {
	.fields = item_fields, .size = sizeof(struct conda_item), .scalar_field = "name"};

static const struct field conda_fields[] = {
	{CONDA_FIELD("prefix", FIELD_TEXT, prefix, "where Miniforge goes"), .fallback = "/opt/conda"},
	{CONDA_FIELD("environments", FIELD_ITEMS, environments, "environments that must be there with their packages"),
	 .shape = &item_shape},
	{CONDA_FIELD("packages", FIELD_TEXTS, packages, "packages of the base environment")},
	{CONDA_FIELD("channels", FIELD_TEXTS, channels, "where packages come from; default: conda-forge alone")},
	{CONDA_FIELD("installer", FIELD_TEXT, installer,
		     "URL of another Miniforge installer; empty or absent: Miniforge 25.3.1-0 of conda-forge")},
	{CONDA_FIELD("sha256", FIELD_TEXT, sha256, "SHA-256 of that installer")},
	{CONDA_FIELD("allow_anaconda", FIELD_BOOL, allows_anaconda,
		     "allow Anaconda's own channels, which organisations above its size limit must pay for")},
	{0},
};

static void check_paid(const struct strs *texts, const struct conda_params *p, const struct yml_node *node,
		       struct diags *diags) {
	for (size_t i = 0; !p->allows_anaconda && i < texts->count; i++)
		if (conda_paid_channel(texts->items[i]))
			diag_add(diags, node,
				 "'%s' comes from Anaconda's channels, which larger organisations must pay for: use "
				 "conda-forge, or say `allow_anaconda: true`",
				 texts->items[i]);
}

static void check_specs(const struct strs *specs, const struct conda_params *p, const struct yml_node *node,
			struct diags *diags) {
	AUTO_ARENA struct arena arena = {0};
	for (size_t i = 0; i < specs->count; i++) {
		const char *spec = specs->items[i], *name = conda_spec_name(spec, &arena);
		if (step_text_is_open(spec)) continue;
		bool is_good = isalnum((unsigned char)*name) || *name == '_';
		for (const char *c = name; *c; c++)
			is_good = is_good && (isalnum((unsigned char)*c) || strchr("-_.", *c));
		if (!is_good) diag_add(diags, node, "'%s' names no conda package", spec);
		if (!p->allows_anaconda && strstr(spec, "::") && conda_paid_channel(spec))
			diag_add(diags, node,
				 "'%s' comes from Anaconda's channels, which larger organisations must pay for: use "
				 "conda-forge, or say `allow_anaconda: true`",
				 spec);
	}
}

static void check_environments(const struct conda_params *p, const struct yml_node *node, struct diags *diags) {
	const struct conda_item *item = p->environments.items;
	for (size_t i = 0; i < p->environments.count; i++) {
		if (item[i].name && !step_text_is_open(item[i].name) &&
		    (!item[i].name[0] || item[i].name[0] == '.' || item[i].name[strcspn(item[i].name, "/ :#")]))
			diag_add(diags, node, "'%s' is no name of an environment: no '/', ' ', ':' and '#'",
				 item[i].name);
		if (item[i].file && item[i].file[0] != '/' && !str_starts(item[i].file, "${"))
			diag_add(diags, node, "file '%s' is not absolute", item[i].file);
		for (size_t k = 0; k < i; k++)
			if (str_eq(item[i].name, item[k].name))
				diag_add(diags, node, "environment '%s' is there twice", item[i].name);
		check_paid(&item[i].channels, p, node, diags);
		check_specs(&item[i].packages, p, node, diags);
	}
}

static void conda_check(const void *params, const struct yml_node *node, struct diags *diags) {
	const struct conda_params *p = params;
	bool is_open = p->prefix && str_starts(p->prefix, "${");
	if (p->prefix && !is_open && (p->prefix[0] != '/' || !p->prefix[strspn(p->prefix, "/.")]))
		diag_add(diags, node, "prefix '%s' is no absolute path of a directory", p->prefix);
	if (p->prefix && p->prefix[strcspn(p->prefix, " \t")])
		diag_add(diags, node, "prefix '%s' has white space, which the installer refuses", p->prefix);
	if (!conda_is_given(p->installer) != !conda_is_given(p->sha256))
		diag_add(diags, node, "installer and sha256 go together");
	if (conda_is_given(p->sha256) && !step_text_is_open(p->sha256) &&
	    (strlen(p->sha256) != SHA256_HEX_SIZE - 1 ||
	     strspn(p->sha256, "0123456789abcdefABCDEF") != SHA256_HEX_SIZE - 1))
		diag_add(diags, node, "sha256 '%.80s' is not a SHA-256: 64 hexadecimal digits are needed", p->sha256);
	if (p->installer && !p->allows_anaconda && strstr(p->installer, "repo.anaconda.com"))
		diag_add(diags, node,
			 "installer: Anaconda's own installers use its paid channels: use Miniforge, or say "
			 "`allow_anaconda: true`");
	check_paid(&p->channels, p, node, diags);
	check_specs(&p->packages, p, node, diags);
	check_environments(p, node, diags);
}

static void conda_resources(const void *params, const struct facts *facts, struct arena *arena, struct strs *names) {
	const struct conda_params *p = params;
	strs_add_once(names, arena_printf(arena, "path:%s", p->prefix));
}

static void add_all(struct strs *to, const struct strs *from) {
	for (size_t i = 0; i < from->count; i++)
		if (!str_eq(from->items[i], "nodefaults")) strs_add_once(to, from->items[i]);
}

/* Environment i as it shall be; i == count is base. Channels of a file are seen here for the first time. */
static int make_env(const struct conda_params *p, size_t i, struct step_ctx *ctx, struct conda_env *env,
		    struct err *err) {
	const struct conda_item *item =
		i < p->environments.count ? (const struct conda_item *)p->environments.items + i : NULL;
	int r = 0;
	env->name = item ? item->name : BASE;
	env->dir = str_eq(env->name, BASE) ? p->prefix : arena_printf(ctx->arena, "%s/envs/%s", p->prefix, env->name);
	if (item) {
		add_all(&env->channels, &item->channels);
		add_all(&env->packages, &item->packages);
		add_all(&env->pip, &item->pip);
		if (item->file) r = conda_env_read_file(env, item->file, ctx, err);
	} else {
		add_all(&env->packages, &p->packages);
	}
	if (!env->channels.count) add_all(&env->channels, &p->channels);
	if (!env->channels.count) strs_add(&env->channels, "conda-forge");
	for (size_t k = 0; r == 0 && !p->allows_anaconda && k < env->channels.count; k++)
		if (conda_paid_channel(env->channels.items[k]))
			r = err_set(
				err, ERR_DENIED,
				"%s asks for the channel '%s' of Anaconda, which larger organisations must pay for: "
				"use conda-forge there, or say `allow_anaconda: true`",
				item && item->file ? item->file : env->name, env->channels.items[k]);
	if (r == 0) r = conda_env_lock(env, ctx, err);
	return r < 0 ? err_wrap(err, "environment '%s'", env->name) : conda_env_look(env, ctx, err);
}

static void add_changes(const struct conda_env *env, struct step_ctx *ctx, struct changes *changes) {
	struct arena *arena = ctx->arena;
	if (!env->is_there && !str_eq(env->name, BASE))
		changes_add(changes, arena, NULL, "make the environment %s with %s", env->name,
			    env->packages.count ? pkg_names_text(&env->packages, NAMES_SHOWN, arena) : "nothing in it");
	else if (env->lacking.count)
		changes_add(changes, arena, NULL, "install %s in %s", pkg_names_text(&env->lacking, NAMES_SHOWN, arena),
			    env->name);
	if (env->lacking_pip.count)
		changes_add(changes, arena, NULL, "install %s in %s by pip",
			    pkg_names_text(&env->lacking_pip, NAMES_SHOWN, arena), env->name);
}

static int conda_probe(const void *params, struct step_ctx *ctx, struct changes *changes, struct err *err) {
	const struct conda_params *p = params;
	enum conda_prefix state;
	int r = conda_prefix_look(p, ctx, &state, err);
	if (r < 0) return r;
	if (state != CONDA_READY)
		changes_add(changes, ctx->arena, NULL, "install Miniforge to %s%s", p->prefix,
			    state == CONDA_HALF ? " (an earlier attempt was interrupted)" : "");
	for (size_t i = 0; r == 0 && i <= p->environments.count; i++) {
		AUTO(conda_env_clear) struct conda_env env = {0};
		r = make_env(p, i, ctx, &env, err);
		if (r == 0) add_changes(&env, ctx, changes);
	}
	return r;
}

static int run_conda(const struct conda_params *p, const struct conda_env *env, struct step_ctx *ctx, struct err *err) {
	AUTO_STRS struct strs argv = {0};
	const struct machine *m = &ctx->machine;
	strs_add(&argv, arena_printf(ctx->arena, "%s/bin/conda", pkg_host_path(m, p->prefix)));
	strs_add(&argv, env->is_there ? "install" : "create");
	strs_add(&argv, "-y");
	strs_add(&argv, "-q");
	strs_add(&argv, "-p");
	strs_add(&argv, pkg_host_path(m, env->dir));
	strs_add(&argv, "--override-channels");
	for (size_t i = 0; i < env->channels.count; i++) {
		strs_add(&argv, "-c");
		strs_add(&argv, env->channels.items[i]);
	}
	/* All, not only what lacks: so that one does not push out another. */
	for (size_t i = 0; i < env->packages.count; i++) strs_add(&argv, env->packages.items[i]);
	machine_note(m, 0, 0, "%s %s: %s", env->is_there ? "installing in" : "making", env->name,
		     pkg_names_text(&env->packages, NAMES_SHOWN, ctx->arena));
	return conda_run(ctx, strs_argv(&argv), "conda", err);
}

static int run_pip(const struct conda_env *env, struct step_ctx *ctx, struct err *err) {
	AUTO_STRS struct strs argv = {0};
	strs_add(&argv, arena_printf(ctx->arena, "%s/bin/python", pkg_host_path(&ctx->machine, env->dir)));
	strs_add(&argv, "-m");
	strs_add(&argv, "pip");
	strs_add(&argv, "install");
	for (size_t i = 0; i < env->pip.count; i++) strs_add(&argv, env->pip.items[i]);
	machine_note(&ctx->machine, 0, 0, "pip in %s: %s", env->name,
		     pkg_names_text(&env->pip, NAMES_SHOWN, ctx->arena));
	return conda_run(ctx, strs_argv(&argv), "pip", err);
}

/* conda's own words for what cannot be had stand in the message; what to do about it is added. */
static int explain(const struct conda_env *env, struct step_ctx *ctx, struct err *err) {
	static const struct {
		const char *text, *advice;
		enum err_code code;
	} known[] = {
		{"PackagesNotFoundError", "check the name, or add the channel that has it", ERR_NOT_FOUND},
		{"LibMambaUnsatisfiableError", "the packages exclude each other: loosen a version", ERR_INVALID},
		{"UnsatisfiableError", "the packages exclude each other: loosen a version", ERR_INVALID},
		{"CondaHTTPError", "the channel does not answer: check the network or the mirror", ERR_NET},
		{"NoSpaceLeftError", "the disk is full: grow the volume", ERR_NO_SPACE},
		{"No space left on device", "the disk is full: grow the volume", ERR_NO_SPACE},
	};
	for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
		if (!strstr(err->msg, known[i].text)) continue;
		const char *said = arena_strdup(ctx->arena, err->msg);
		(void)err_set(err, known[i].code, "%s (%s)", known[i].advice, said);
		err->is_retryable = known[i].code == ERR_NET;
		break;
	}
	return err_wrap(err, "environment '%s'", env->name);
}

static int ensure_env(const struct conda_params *p, size_t i, struct step_ctx *ctx, struct err *err) {
	AUTO(conda_env_clear) struct conda_env env = {0};
	int r = make_env(p, i, ctx, &env, err);
	if (r < 0) return r;
	bool is_missing = !env.is_there && !str_eq(env.name, BASE);
	if (is_missing || env.lacking.count) r = run_conda(p, &env, ctx, err);
	if (r == 0) r = conda_env_look(&env, ctx, err);
	if (r == 0 && env.lacking_pip.count) r = run_pip(&env, ctx, err);
	return r < 0 ? explain(&env, ctx, err) : 0;
}

static int conda_apply(const void *params, struct step_ctx *ctx, const struct changes *changes, struct err *err) {
	const struct conda_params *p = params;
	enum conda_prefix state;
	int r = conda_prefix_look(p, ctx, &state, err);
	if (r == 0 && state != CONDA_READY) r = conda_prefix_install(p, ctx, err);
	for (size_t i = 0; r == 0 && i <= p->environments.count; i++) r = ensure_env(p, i, ctx, err);
	return r;
}

static int conda_record(const void *params, struct step_ctx *ctx, struct js *into, struct err *err) {
	const struct conda_params *p = params;
	int r = 0;
	for (size_t i = 0; r == 0 && i <= p->environments.count; i++) {
		AUTO(conda_env_clear) struct conda_env env = {0};
		r = make_env(p, i, ctx, &env, err);
		if (r == 0) r = conda_env_record(&env, ctx, into, err);
	}
	return r;
}

const struct step_type step_conda = {
	.name = "conda",
	.summary = "Miniforge at a prefix, environments from lists or environment.yml, no paid channel",
	.example = "- name: Conda\n"
		   "  conda:\n"
		   "    prefix: /opt/conda\n"
		   "    environments:\n"
		   "      - {name: geo, packages: [python=3.11, geopandas, gdal]}\n",
	.shape = {.fields = conda_fields, .size = sizeof(struct conda_params), .scalar_field = "prefix"},
	.timeout_ms = 90LL * 60 * 1000,
	.check = conda_check,
	.resources = conda_resources,
	.probe = conda_probe,
	.apply = conda_apply,
	.record = conda_record,
};
