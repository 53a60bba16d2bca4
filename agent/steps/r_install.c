/* Sources: R's utils::install.packages, which warns and ends with 0 whatever fails; Posit Package Manager's manual,
 * "Serving Linux binaries": the user agent must name R's version and platform. */
#include <inttypes.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fs.h"
#include "recipe/facts.h"
#include "recipe/step.h"
#include "steps/r.h"
#include "sys/pkg.h"

/** Output kept for explaining a failure: compilers are wordy, and what counts stands near the end. */
#define OUTPUT_MAX (512 * 1024)
#define PROOF_MS (20 * 60 * 1000)
#define FAILURES_SHOWN 5
#define CRAN "https://cloud.r-project.org"
#define BINARIES "https://packagemanager.posit.co/cran/__linux__/"

/*
 * Arguments: library ("" for R's own first one), CPUs, repository, "cran" or "bioc", names. A lock of a killed
 * installation (00LOCK) is removed when no other R runs. Words for us begin with "dsagent" and a tab.
 */
static const char install_script[] =
	"a <- commandArgs(TRUE)\n"
	"say <- function(...) cat(paste('dsagent', ..., sep = '\\t'), '\\n', sep = '')\n"
	"lib <- if (nzchar(a[1])) a[1] else c(.Library.site, .Library)[1]\n"
	"names <- a[-(1:4)]\n"
	"dir.create(lib, showWarnings = FALSE, recursive = TRUE)\n"
	".libPaths(c(lib, .libPaths()))\n"
	"options(repos = c(CRAN = a[3]), Ncpus = as.integer(a[2]), timeout = 900, warn = 1,\n"
	"  HTTPUserAgent = sprintf('R/%s R (%s)', getRversion(),\n"
	"    paste(getRversion(), R.version$platform, R.version$arch, R.version$os)))\n"
	"running <- sum(vapply(Sys.glob('/proc/[0-9]*/comm'), function(f)\n"
	"  identical(tryCatch(suppressWarnings(readLines(f, 1)), error = function(e) ''), 'R'), TRUE))\n"
	"locks <- list.files(lib, pattern = '^00LOCK', full.names = TRUE)\n"
	"if (length(locks) && running <= 1) unlink(locks, recursive = TRUE)\n"
	"if (a[4] == 'bioc') {\n"
	"  if (!requireNamespace('BiocManager', quietly = TRUE)) install.packages('BiocManager', lib = lib)\n"
	"  BiocManager::install(names, lib = lib, ask = FALSE, update = FALSE, force = TRUE)\n"
	"} else {\n"
	"  known <- tryCatch(rownames(available.packages()), error = function(e) NULL)\n"
	"  if (!length(known)) { say('silent', a[3]); quit(status = 3) }\n"
	"  for (n in setdiff(names, known)) say('unknown', n)\n"
	"  names <- intersect(names, known)\n"
	"  if (length(names)) install.packages(names, lib = lib)\n"
	"}\n";

/* Arguments: library, names. */
static const char proof_script[] =
	"a <- commandArgs(TRUE)\n"
	"say <- function(...) { cat(paste('dsagent', ..., sep = '\\t'), '\\n', sep = ''); flush(stdout()) }\n"
	"if (nzchar(a[1])) .libPaths(c(a[1], .libPaths()))\n"
	"for (n in a[-1]) {\n"
	"  say('try', n)\n"
	"  bad <- tryCatch({ loadNamespace(n); NULL }, error = function(e) gsub('[[:space:]]+', ' ', "
	"conditionMessage(e)))\n"
	"  if (is.null(bad)) say('ok', n) else say('bad', n, bad)\n"
	"}\n";

/* An R process under way. */
struct watch {
	struct r_run *run;
	struct buf output, failures;
	const char *trying, *silent;
	struct strs unknown;
	size_t failed;
	int64_t done, total;
};

static void keep(struct watch *w, const char *line) {
	if (w->output.len + strlen(line) + 2 > OUTPUT_MAX) {
		AUTO_FREE char *all = buf_take(&w->output);
		w->output = BUF_INIT(OUTPUT_MAX);
		buf_adds(&w->output, all + strlen(all) / 2);
	}
	buf_addf(&w->output, "%s\n", line);
}

static void take_word(struct watch *w, const char *line) {
	struct arena *arena = w->run->ctx->arena;
	AUTO_STRS struct strs words = {0};
	str_split(line, "\t", arena, &words);
	if (words.count < 3) return;
	const char *kind = words.items[1], *name = words.items[2], *text = words.count > 3 ? words.items[3] : "";
	if (str_eq(kind, "silent")) w->silent = name;
	if (str_eq(kind, "unknown")) strs_add_once(&w->unknown, name);
	if (str_eq(kind, "try")) {
		w->trying = name;
		machine_note(&w->run->ctx->machine, w->done, w->total, "loading %s", name);
	} else if (str_eq(kind, "ok")) {
		w->done++;
		w->trying = NULL;
	} else if (str_eq(kind, "bad")) {
		w->trying = NULL;
		strs_add_once(&w->run->bad, name);
		if (++w->failed <= FAILURES_SHOWN)
			buf_addf(&w->failures, "%spackage '%s' did not load: %s%s", w->failed > 1 ? "; " : "", name,
				 text, r_hint(text, arena));
	}
}

static void on_line(enum exec_stream stream, const char *line, void *arg) {
	struct watch *w = arg;
	if (stream == EXEC_STDOUT && str_starts(line, "dsagent\t")) {
		take_word(w, line);
		return;
	}
	keep(w, line);
	if (str_starts(line, "* installing *")) {
		w->done++;
		machine_note(&w->run->ctx->machine, 0, 0, "%s", line + 2);
	} else if (str_starts(line, "trying URL")) {
		machine_note(&w->run->ctx->machine, 0, 0, "fetching %s", line + strlen("trying URL "));
	}
}

static void watch_clear(struct watch *w) {
	buf_clear(&w->output);
	buf_clear(&w->failures);
	strs_clear(&w->unknown);
}

static const char *library_arg(const struct r_run *run) {
	return run->p->library ? pkg_host_path(&run->ctx->machine, run->p->library) : "";
}

/* R_LIBS_USER is kept out: what root's home happens to hold is not what others load. */
static int run_script(struct watch *w, const char *script, struct strs *argv, int64_t timeout_ms, struct err *err) {
	static const char *const env[] = {"R_LIBS_USER=/nonexistent", "LANGUAGE=en", "R_DEFAULT_INTERNET_TIMEOUT=900",
					  NULL};
	const struct machine_command cmd = {
		.argv = strs_argv(argv),
		.label = "Rscript",
		.extra_env = env,
		.user = w->run->ctx->user,
		.stdin_data = script,
		.timeout_ms = timeout_ms,
		.on_line = on_line,
		.arg = w,
	};
	return machine_check(&w->run->ctx->machine, &cmd, NULL, err);
}

/* Posit's names of the distributions whose binaries run here. Amazon Linux 2023 has the C library, OpenSSL and ICU of
 * RHEL 9; what does not load is built from source. */
static const char *posit_name(const struct facts *facts) {
	static const char *const names[] = {"focal", "jammy", "noble", "bullseye", "bookworm", "trixie"};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (str_eq(facts->os.codename, names[i])) return names[i];
	return str_eq(facts->os.id, "amzn") && str_eq(facts->os.version, "2023") ? "rhel9" : NULL;
}

const char *r_repository(const struct r_run *run) {
	const char *name = posit_name(run->ctx->facts);
	if (run->p->repository && *run->p->repository) return run->p->repository;
	if (run->p->binaries == R_BINARIES_SOURCE || !name) return CRAN;
	return arena_printf(run->ctx->arena, BINARIES "%s/latest", name);
}

static int explain(const struct watch *w, const struct strs *names, struct err *err) {
	const struct r_run *run = w->run;
	struct arena *arena = run->ctx->arena;
	AUTO_STRS struct strs missing = {0};
	if (w->silent) {
		(void)err_set(err, ERR_NET,
			      "the R package repository %s does not answer: check the network, or give "
			      "`repository` a mirror that can be reached",
			      w->silent);
		err->is_retryable = true;
		return -(int)err->code;
	}
	if (w->unknown.count)
		return err_set(err, ERR_NOT_FOUND,
			       "%s has no package %s: R's names know upper and lower case; a Bioconductor package goes "
			       "under `bioconductor`",
			       r_repository(run), pkg_names_text(&w->unknown, FAILURES_SHOWN, arena));
	for (size_t i = 0; i < names->count; i++)
		if (!r_installed(run, names->items[i])) strs_add(&missing, names->items[i]);
	if (!missing.count) return 0;
	const char *hint = r_hint(buf_str(&w->output), arena);
	if (strstr(buf_str(&w->output), "No space left on device"))
		return err_set(err, ERR_NO_SPACE, "the disk is full: R packages %s were not installed",
			       pkg_names_text(&missing, FAILURES_SHOWN, arena));
	return err_set(err, ERR_COMMAND, "R could not install %s%s", pkg_names_text(&missing, FAILURES_SHOWN, arena),
		       *hint ? hint : ": the log of this step has what it said");
}

/* Compiler and headers, once it has shown that something must be built. */
static int add_compiler(struct r_run *run, struct err *err) {
	const struct pkg_manager *manager = pkg_manager(run->ctx->facts->os.package_manager);
	const char *apt[] = {"r-base-dev"}, *dnf[] = {"R-core-devel", "gcc", "gcc-c++", "gcc-gfortran", "make"};
	if (!manager || !run->ctx->facts->is_root)
		return err_set(
			err, ERR_COMMAND,
			"an R package has to be built, and a compiler or R's headers are missing: add a `packages` "
			"step with [{apt: r-base-dev, dnf: R-core-devel}, gcc, make]");
	bool is_apt = str_eq(manager->name, "apt");
	const struct pkg_change change = {
		.install = {.items = is_apt ? apt : dnf, .count = is_apt ? 1 : 5},
	};
	machine_note(&run->ctx->machine, 0, 0, "a package must be built: installing compilers");
	int r = manager->change(&run->ctx->machine, &change, err);
	return r < 0 ? err_wrap(err, "compilers for R packages") : 0;
}

static int install_once(struct r_run *run, const struct strs *names, bool is_bioconductor, bool *ret_wants_compiler,
			struct err *err) {
	AUTO(watch_clear)
	struct watch w = {.run = run, .output = BUF_INIT(OUTPUT_MAX), .failures = BUF_INIT(ERR_MSG_MAX)};
	AUTO_STRS struct strs argv = {0};
	struct arena *arena = run->ctx->arena;
	int64_t cpus = run->p->cpus ? run->p->cpus : run->ctx->facts->os.cpus ? run->ctx->facts->os.cpus : 1;
	strs_add(&argv, "Rscript");
	strs_add(&argv, "--vanilla");
	strs_add(&argv, "-");
	strs_add(&argv, library_arg(run));
	strs_add(&argv, arena_printf(arena, "%" PRId64, cpus));
	strs_add(&argv, r_repository(run));
	strs_add(&argv, is_bioconductor ? "bioc" : "cran");
	for (size_t i = 0; i < names->count; i++) strs_add(&argv, names->items[i]);
	machine_note(&run->ctx->machine, 0, 0, "installing %s", pkg_names_text(names, FAILURES_SHOWN, arena));
	int r = run_script(&w, install_script, &argv, 0, err);
	*ret_wants_compiler = r_lacks_compiler(buf_str(&w.output));
	if (r < 0 && err->code != ERR_COMMAND) return r;
	const char *said = r < 0 ? arena_strdup(arena, err->msg) : NULL;
	struct err why = {0};
	if (explain(&w, names, &why) == 0) return r; /* all is there: an error of R's, if any, stands */
	*err = why;
	return said && why.code == ERR_COMMAND ? err_set(err, ERR_COMMAND, "%s (%.300s)", why.msg, said)
					       : -(int)why.code;
}

int r_install(struct r_run *run, const struct strs *names, bool is_bioconductor, struct err *err) {
	bool wants_compiler = false;
	int r = install_once(run, names, is_bioconductor, &wants_compiler, err);
	if (r == 0 || !wants_compiler) return r;
	err_clear(err);
	r = add_compiler(run, err);
	return r < 0 ? r : install_once(run, names, is_bioconductor, &wants_compiler, err);
}

int r_prove(struct r_run *run, struct err *err) {
	AUTO(watch_clear)
	struct watch w = {.run = run, .output = BUF_INIT(OUTPUT_MAX), .failures = BUF_INIT(ERR_MSG_MAX)};
	AUTO_STRS struct strs argv = {0};
	strs_clear(&run->bad);
	run->why_bad = "";
	if (!run->names.count) return 0;
	w.total = (int64_t)run->names.count;
	strs_add(&argv, "Rscript");
	strs_add(&argv, "--vanilla");
	strs_add(&argv, "-");
	strs_add(&argv, library_arg(run));
	for (size_t i = 0; i < run->names.count; i++) strs_add(&argv, run->names.items[i]);
	int r = run_script(&w, proof_script, &argv, PROOF_MS, err);
	if (r < 0 && w.trying) return err_wrap(err, "package '%s' ends R when it is loaded", w.trying);
	if (r < 0) return r;
	if (w.failed > FAILURES_SHOWN) buf_addf(&w.failures, "; and %zu more", w.failed - FAILURES_SHOWN);
	run->why_bad = arena_strdup(run->ctx->arena, buf_str(&w.failures));
	return 0;
}
