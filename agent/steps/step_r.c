#include <ctype.h>

#include "aws/fetch.h"
#include "base/err.h"
#include "fmt/diag.h"
#include "recipe/facts.h"
#include "recipe/step.h"
#include "steps/r.h"
#include "steps/repo.h"
#include "steps/steps.h"
#include "sys/pkg.h"

#define NAMES_SHOWN 12
/** All names of a distribution's r-cran-* packages: 1500 of 30 bytes. */
#define PKGNAMES_MAX (4 * 1024 * 1024)
#define PKGNAMES_MS (60 * 1000)
#define CPUS_MAX 256

enum r_source { R_SOURCE_DISTRIBUTION, R_SOURCE_CRAN };

static const char *const sources[] = {"distribution", "cran", NULL};
static const char *const binaries[] = {"auto", "distribution", "repository", "source", NULL};

#define R_FIELD(n, k, member, text) .name = n, .kind = k, .offset = offsetof(struct r_params, member), .help = text

static const struct field r_fields[] = {
	{R_FIELD("cran", FIELD_TEXTS, cran, "packages of CRAN")},
	{R_FIELD("bioconductor", FIELD_TEXTS, bioconductor,
		 "packages of Bioconductor, in the release that fits this R")},
	{R_FIELD("source", FIELD_CHOICE, source,
		 "where R itself comes from: the distribution, or CRAN's apt repository with a newer R"),
	 .choices = sources, .fallback = "distribution"},
	{R_FIELD("binaries", FIELD_CHOICE, binaries,
		 "auto: r-cran-* packages of the distribution, else built binaries where a repository has them for "
		 "this "
		 "system, else source; or one of these alone"),
	 .choices = binaries, .fallback = "auto"},
	{R_FIELD("repository", FIELD_TEXT, repository,
		 "CRAN-like repository, https:// or file://; a dated snapshot keeps versions; empty or "
		 "absent: by `binaries`")},
	{R_FIELD("library", FIELD_TEXT, library,
		 "directory for the packages; default: the site library; with `run_as` it must be given")},
	{R_FIELD("cpus", FIELD_INT, cpus, "packages built at a time; default: the machine's CPUs"), .min = 1,
	 .max = CPUS_MAX},
	{0},
};

static void check_names(const char *field, const struct strs *names, const struct yml_node *node, struct diags *diags) {
	for (size_t i = 0; i < names->count; i++) {
		const char *name = names->items[i];
		if (step_text_is_open(name)) continue;
		bool is_good = isalpha((unsigned char)*name);
		for (const char *c = name; *c; c++) is_good = is_good && (isalnum((unsigned char)*c) || *c == '.');
		if (is_good) continue;
		diag_add(diags, node, "%s: '%s' is no name of an R package%s", field, name,
			 name[strcspn(name, "=<>@")]	 ? ": for fixed versions give `repository` a dated snapshot"
			 : name[strcspn(name, " \t\n,")] ? ": write several as a list, [a, b]"
			 : strchr(name, '/')		 ? ": packages of GitHub are installed by a `run` step"
							 : "");
	}
}

static void r_check(const void *params, const struct yml_node *node, struct diags *diags) {
	const struct r_params *p = params;
	check_names("cran", &p->cran, node, diags);
	check_names("bioconductor", &p->bioconductor, node, diags);
	if (p->library && p->library[0] != '/' && !str_starts(p->library, "${"))
		diag_add(diags, node, "library '%s' is not absolute", p->library);
	bool has_repository = p->repository && *p->repository;
	if (has_repository && !step_text_is_open(p->repository) && !str_starts(p->repository, "https://") &&
	    !str_starts(p->repository, "file:///") && !str_starts(p->repository, "http://127.0.0.1"))
		diag_add(diags, node, "repository '%s' is neither https:// nor file:///", p->repository);
	if (has_repository && p->binaries == R_BINARIES_DISTRIBUTION)
		diag_add(diags, node, "repository and `binaries: distribution` exclude each other");
}

static void r_resources(const void *params, const struct facts *facts, struct arena *arena, struct strs *names) {
	const struct r_params *p = params;
	strs_add_once(names, "packages");
	strs_add_once(names, arena_printf(arena, "path:%s", p->library ? p->library : "/usr/local/lib/R"));
}

/* CRAN's own apt repository ("Ubuntu Packages For R", "Debian Packages of R Software": addresses and fingerprints). */
static int cran_repo(const struct step_ctx *ctx, struct repo *repo, struct err *err) {
	bool is_ubuntu = str_eq(ctx->facts->os.id, "ubuntu");
	if (!is_ubuntu && !str_eq(ctx->facts->os.id, "debian"))
		return err_set(err, ERR_UNSUPPORTED,
			       "`source: cran` has R for Ubuntu and Debian, not for %s: take the distribution's R",
			       ctx->facts->os.id);
	*repo = (struct repo){.name = "cran-r"};
	strs_add(&repo->uris, arena_printf(ctx->arena, "https://cloud.r-project.org/bin/linux/%s", ctx->facts->os.id));
	strs_add(&repo->suites, arena_printf(ctx->arena, "%s-cran40/", ctx->facts->os.codename));
	repo->key.url = is_ubuntu ? "https://cloud.r-project.org/bin/linux/ubuntu/marutter_pubkey.asc"
				  : "https://keyserver.ubuntu.com/pks/lookup?op=get&options=mr&search="
				    "0x95C0FAF38DB3CCAD0C080A7BDC78B2DDEABC47B7";
	strs_add(&repo->key.fingerprints,
		 is_ubuntu ? "E298A3A825C0D65DFD57CBB651716619E084DAB9" : "95C0FAF38DB3CCAD0C080A7BDC78B2DDEABC47B7");
	return 0;
}

static void repo_clear(struct repo *repo) {
	strs_clear(&repo->uris);
	strs_clear(&repo->suites);
	strs_clear(&repo->key.fingerprints);
}

static int check_user(const struct r_run *run, struct err *err) {
	bool is_plain = run->ctx->user ? run->ctx->user->uid != 0 : !run->ctx->facts->is_root;
	if (!is_plain || run->p->library || !run->names.count) return 0;
	return err_set(
		err, ERR_INVALID,
		"only root writes R's site library: give `library` a directory of the user's own, and name it in "
		"R_LIBS_USER of ~/.Renviron");
}

static int r_probe(const void *params, struct step_ctx *ctx, struct changes *changes, struct err *err) {
	AUTO(r_run_clear) struct r_run run = {.p = params, .ctx = ctx};
	int r = r_look(&run, err);
	if (r == 0) r = check_user(&run, err);
	if (r == 0 && run.p->source == R_SOURCE_CRAN) {
		AUTO(repo_clear) struct repo repo = {0};
		r = cran_repo(ctx, &repo, err);
		if (r == 0) r = repo_probe(&repo, ctx, changes, err);
	}
	if (r < 0) return r;
	if (!run.has_r) changes_add(changes, ctx->arena, NULL, "install R");
	if (run.absent.count)
		changes_add(changes, ctx->arena, NULL, "install %s (%zu of %zu R packages missing)",
			    pkg_names_text(&run.absent, NAMES_SHOWN, ctx->arena), run.absent.count, run.names.count);
	if (run.doubtful.count)
		changes_add(changes, ctx->arena, NULL, "load %s to prove %s",
			    pkg_names_text(&run.doubtful, NAMES_SHOWN, ctx->arena),
			    run.doubtful.count == 1 ? "it" : "them");
	return 0;
}

static int install_packages(struct step_ctx *ctx, const struct strs *names, bool upgrades, struct err *err) {
	const struct pkg_manager *manager = pkg_manager(ctx->facts->os.package_manager);
	if (!manager)
		return err_set(err, ERR_UNSUPPORTED, "this system (%s %s) has neither apt nor dnf: install R by hand",
			       ctx->facts->os.id, ctx->facts->os.version);
	if (!ctx->facts->is_root) return err_set(err, ERR_DENIED, "installing R needs root: run sudo dsagent apply");
	const struct pkg_change change = {.install = *names, .upgrades_listed = upgrades};
	return manager->change(&ctx->machine, &change, err);
}

static int ensure_r(struct r_run *run, struct err *err) {
	struct step_ctx *ctx = run->ctx;
	const char *name = str_eq(ctx->facts->os.package_manager, "dnf") ? "R-core" : "r-base-core";
	const struct strs names = {.items = &name, .count = 1};
	struct changes changes = {0};
	if (run->p->source == R_SOURCE_CRAN) {
		AUTO(repo_clear) struct repo repo = {0};
		int r = cran_repo(ctx, &repo, err);
		if (r == 0) r = repo_probe(&repo, ctx, &changes, err);
		if (r == 0 && changes.count) r = repo_apply(&repo, ctx, err);
		if (r < 0) return r;
	}
	if (run->has_r && !changes.count) return 0;
	int r = install_packages(ctx, &names, changes.count > 0, err);
	return r < 0 ? err_wrap(err, "R") : r_look(run, err);
}

/* "r-cran-data.table" */
static const char *distribution_name(const char *name, bool is_bioconductor, struct arena *arena) {
	char *text = arena_printf(arena, "r-%s-%s", is_bioconductor ? "bioc" : "cran", name);
	for (char *c = text; *c; c++) *c = (char)tolower((unsigned char)*c);
	return text;
}

/* Names that the index of apt knows, one a line; nothing where it cannot be asked. */
static const char *known_names(struct step_ctx *ctx) {
	static const char *const argv[] = {"apt-cache", "pkgnames", "r-", NULL};
	AUTO_EXEC_RESULT struct exec_result result = {0};
	struct machine_command cmd = {
		.argv = argv, .timeout_ms = PKGNAMES_MS, .stdout_max = PKGNAMES_MAX, .is_quiet = true};
	struct err ignored; /* then there are none */
	if (machine_check(&ctx->machine, &cmd, &result, &ignored) < 0) return "\n";
	return arena_printf(ctx->arena, "\n%s", buf_str(&result.out));
}

static void find_in_distribution(const struct r_run *run, const struct strs *wanted, bool is_bioconductor,
				 const char *known, struct strs *ret_names) {
	struct arena *arena = run->ctx->arena;
	for (size_t i = 0; i < wanted->count; i++) {
		const char *name = distribution_name(wanted->items[i], is_bioconductor, arena);
		if (strs_has(&run->absent, wanted->items[i]) && strstr(known, arena_printf(arena, "\n%s\n", name)))
			strs_add_once(ret_names, name);
	}
}

/* What the distribution has; where that fails, the repository has the last word. */
static int from_distribution(struct r_run *run, struct err *err) {
	const struct r_params *p = run->p;
	struct step_ctx *ctx = run->ctx;
	AUTO_STRS struct strs names = {0};
	bool is_wanted =
		p->binaries == R_BINARIES_DISTRIBUTION || (p->binaries == R_BINARIES_AUTO && !p->library &&
							   (!p->repository || !*p->repository) && ctx->facts->is_root);
	if (!run->absent.count || !is_wanted || !str_eq(ctx->facts->os.package_manager, "apt")) return 0;
	const char *known = known_names(ctx);
	find_in_distribution(run, &p->cran, false, known, &names);
	find_in_distribution(run, &p->bioconductor, true, known, &names);
	if (!names.count) return 0;
	int r = install_packages(ctx, &names, false, err);
	if (r < 0 && p->binaries == R_BINARIES_AUTO && err->code == ERR_COMMAND) {
		machine_note(&ctx->machine, 0, 0, "the distribution's R packages cannot be had: %s", err->msg);
		err_clear(err);
		r = 0;
	}
	return r < 0 ? r : r_look(run, err);
}

/* Those of names that are in some. */
static void intersect(const struct strs *names, const struct strs *some, struct strs *ret) {
	for (size_t i = 0; i < names->count; i++)
		if (strs_has(some, names->items[i])) strs_add_once(ret, names->items[i]);
}

static int from_repository(struct r_run *run, const struct strs *names, struct err *err) {
	AUTO_STRS struct strs cran = {0}, bioc = {0};
	int r = 0;
	intersect(&run->p->cran, names, &cran);
	intersect(&run->p->bioconductor, names, &bioc);
	if (cran.count) r = r_install(run, &cran, false, err);
	if (r == 0 && bioc.count) r = r_install(run, &bioc, true, err);
	return r < 0 ? r : r_look(run, err);
}

/* Half a package, or one built for another R, is installed once more. */
static int prove(struct r_run *run, struct err *err) {
	int r = r_prove(run, err);
	if (r < 0 || !run->bad.count) return r;
	const char *why = run->why_bad;
	if (run->p->binaries != R_BINARIES_DISTRIBUTION) {
		AUTO_STRS struct strs again = {0};
		for (size_t i = 0; i < run->bad.count; i++) strs_add(&again, run->bad.items[i]);
		struct err ignored; /* what did not load is the error to tell */
		if (from_repository(run, &again, &ignored) == 0) r = r_prove(run, err);
		if (r < 0) return r;
		why = run->bad.count ? run->why_bad : NULL;
	}
	return why ? err_set(err, ERR_COMMAND, "%s", why) : 0;
}

static int r_apply(const void *params, struct step_ctx *ctx, const struct changes *changes, struct err *err) {
	AUTO(r_run_clear) struct r_run run = {.p = params, .ctx = ctx};
	int r = r_look(&run, err);
	if (r == 0) r = check_user(&run, err);
	if (r == 0) r = ensure_r(&run, err);
	if (r == 0) r = from_distribution(&run, err);
	if (r == 0 && run.absent.count && run.p->binaries == R_BINARIES_DISTRIBUTION)
		r = err_set(err, ERR_NOT_FOUND, "the distribution has no package for %s: use `binaries: auto`",
			    pkg_names_text(&run.absent, NAMES_SHOWN, ctx->arena));
	if (r == 0 && run.absent.count) r = from_repository(&run, &run.absent, err); /* copies the names first */
	if (r == 0) r = prove(&run, err);
	if (r == 0) r = r_lock_check(&run, err);
	if (r == 0 && run.names.count) r = r_record(&run, err);
	return r;
}

const struct step_type step_r = {
	.name = "r",
	.summary = "R, CRAN and Bioconductor packages, binaries where they fit, each loaded once to prove it",
	.example = "- name: R\n"
		   "  needs: []\n"
		   "  r:\n"
		   "    cran: [data.table, tidyverse]\n"
		   "    bioconductor: [limma]\n",
	.shape = {.fields = r_fields, .size = sizeof(struct r_params), .scalar_field = "cran", .list_field = "cran"},
	.timeout_ms = 2LL * 60 * 60 * 1000,
	.check = r_check,
	.resources = r_resources,
	.probe = r_probe,
	.apply = r_apply,
};
