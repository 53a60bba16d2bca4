#pragma once
/*
 * What the files of the `r` step share. Order: R itself (step_r.c) → packages of the distribution → a binary or source
 * repository by one R process (r_install.c) → proof by loadNamespace (r_install.c) → record (r_library.c). Reading
 * (r_library.c) never starts R.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "sys/machine.h"

struct err;
struct js;
struct step_ctx;

enum r_binaries { R_BINARIES_AUTO, R_BINARIES_DISTRIBUTION, R_BINARIES_REPOSITORY, R_BINARIES_SOURCE };

struct r_params {
	struct strs cran, bioconductor;
	int source, binaries; /* enum r_source, enum r_binaries */
	const char *repository, *library;
	int64_t cpus;
};

/** A run of the step. */
struct r_run {
	const struct r_params *p;
	struct step_ctx *ctx;
	const char *version; /* of R: "4.2.2"; "" when it is not there or not known */
	bool has_r;
	struct strs names;    /* all that is wanted, once each */
	struct strs absent;   /* not in any library */
	struct strs doubtful; /* installed, but not recorded as loaded at this version */
	struct strs bad;      /* did not load */
	const char *why_bad;  /* "package 'x' did not load: …; …" */
};

void r_run_clear(struct r_run *run);

/** Fills version, absent and doubtful from the DESCRIPTION files of the libraries and from the record. */
CHECK_RESULT int r_look(struct r_run *run, struct err *err);
/** Writes the record: all that is wanted loads with this R. */
CHECK_RESULT int r_record(struct r_run *run, struct err *err);
/** The version of an installed package, or NULL. */
const char *r_installed(const struct r_run *run, const char *name);
/** With --locked: the first package whose version is another than the manifest's is the error. */
CHECK_RESULT int r_lock_check(const struct r_run *run, struct err *err);

/** Installs names (CRAN, or Bioconductor) by R from the repository that fits this system. */
CHECK_RESULT int r_install(struct r_run *run, const struct strs *names, bool is_bioconductor, struct err *err);
/** Loads all that is wanted; fills bad and why_bad. */
CHECK_RESULT int r_prove(struct r_run *run, struct err *err);
/** "https://packagemanager.posit.co/cran/__linux__/noble/latest", or CRAN where no binaries fit. */
const char *r_repository(const struct r_run *run);

/** What R printed when it could not build or load a package, and what to do about it; "" if nothing is known. */
const char *r_hint(const char *output, struct arena *arena);
/** True when a compiler or R's headers are missing. */
bool r_lacks_compiler(const char *output);
