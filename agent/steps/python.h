#pragma once
/*
 * What the files of the `python` step share: its parameters, what was read of the venv, and the stages in order:
 * interpreter (python_find.c) → venv (python_venv.c) → uv (python_uv.c) → one resolver call (python_install.c) → proof
 * by import (python_proof.c). Reading (python_venv.c, python_dist.c) never starts a Python: a run that changes nothing
 * must take milliseconds.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/exec.h"
#include "base/str.h"
#include "fmt/digest.h"
#include "steps/python_req.h"

struct buf;
struct facts;
struct js;
struct py_venv;
struct step_ctx;

enum python_installer { PYTHON_INSTALLER_AUTO, PYTHON_INSTALLER_UV, PYTHON_INSTALLER_PIP };

struct python_params {
	const char *version, *venv, *interpreter, *index_url;
	struct strs sets, packages, requirements, keep, imports;
	int installer; /* enum python_installer */
	bool has_system_packages;
};

/** Beside pyvenv.cfg: what was installed and proved (JSON); the other one is there while the venv is being made. */
#define PYTHON_RECORD_NAME ".dsagent.json"
#define PYTHON_MAKING_NAME ".dsagent-making"
/** Names the directory whose packages are kept (`keep`), as one more entry of sys.path. */
#define PYTHON_KEEP_PTH "dsagent-keep.pth"

/** The DLAMI's interpreter (DLAMI release notes, "python_location"). */
#define PYTHON_DLAMI "/opt/pytorch/bin/python"

struct py_dist {
	const char *name, *version; /* normalised name */
	const char *path;	    /* of its dist-info or egg-info */
};

struct py_dists {
	struct py_dist *items;
	size_t count, cap;
};

/**
 * Adds what dist-info and egg-info names in a site-packages directory say is installed. An absent one adds nothing.
 * pip and uv write INSTALLER when a package is whole: with ret_half, a dist-info without it is no package, and its path
 * goes there. NULL: every one counts.
 */
CHECK_RESULT int py_dists_read(struct py_dists *dists, const struct fs_root *root, const char *dir,
			       struct strs *ret_half, struct arena *arena, struct err *err);
/** {NAME: {"version": …, "record_sha256": …}} of what is installed in the venv itself: RECORD lists a wheel's files
 * with their hashes, so its own hash stands for all that was unpacked. */
CHECK_RESULT int py_dists_record(const struct py_venv *venv, const struct step_ctx *ctx, struct js *into,
				 struct err *err);
/** The first of that normalised name (sys.path order), or NULL. */
const struct py_dist *py_dists_find(const struct py_dists *dists, const char *name);

enum py_venv_state {
	PY_VENV_ABSENT,
	PY_VENV_HALF,	  /* ours, its making was interrupted */
	PY_VENV_OUTDATED, /* ours, of another Python version, or its interpreter is gone */
	PY_VENV_READY,
};

struct py_venv {
	enum py_venv_state state;
	const char *full_version, *home; /* of pyvenv.cfg; "" if unknown */
	const char *why;		 /* OUTDATED: "it has Python 3.10" */
	bool has_system_packages;
	const char *proof_hash; /* of the record: what was installed and loaded; "" without one */
	bool is_ours;		/* we made it, so we may make it anew */
	const char *site;	/* its site-packages, below root */
	struct py_dists dists;	/* all that it can import */
	const char *half;	/* dist-info directories of interrupted installations, one a line */
};

struct py_interpreter {
	const char *path;
	char version[8]; /* "3.11" */
	bool has_ensurepip;
	const char *site; /* when it is itself in a venv: that one's site-packages; else NULL */
};

/** A run of the step. */
struct py {
	const struct python_params *p;
	struct step_ctx *ctx;
	const char *venv;	      /* its path for commands (below --root: with the root in front) */
	const struct exec_user *user; /* who owns the venv; NULL: as we are */
	struct py_reqs reqs;
	char hash[SHA256_HEX_SIZE]; /* of all that was asked for */
	struct py_venv state;
	const char *const *env; /* for commands: caches, index, temporary directory */
	const char *uv;		/* NULL: pip */
};

/** Who owns the venv: run_as, else (as root) the owner of the nearest existing parent. */
const struct exec_user *py_owner(const struct python_params *p, const struct step_ctx *ctx);

/** The path as commands need it. */
const char *py_host_path(const struct step_ctx *ctx, const char *path);

/** Reads the venv. ERR_STATE with the remedy when something foreign lies there. */
CHECK_RESULT int py_venv_read(const struct python_params *p, const struct step_ctx *ctx, struct py_venv *ret_venv,
			      struct err *err);
/** Makes it, whole or not at all; wants_pip: ensurepip puts pip into it (3 s; uv does it in 0.1 s). */
CHECK_RESULT int py_venv_make(struct py *py, const struct py_interpreter *python, bool wants_pip, struct err *err);
/** Writes the record; is_proved: the proof holds for py->hash. */
CHECK_RESULT int py_venv_record(struct py *py, bool is_proved, struct err *err);

/** An interpreter that can make a venv and is there now; false if none. Starts nothing. */
bool py_interpreter_find(const struct python_params *p, const struct step_ctx *ctx, struct py_interpreter *ret_python);
/** The same, installed from the distribution or by uv if need be, and asked for its real version. */
CHECK_RESULT int py_interpreter_ensure(struct py *py, struct py_interpreter *ret_python, struct err *err);
/** Whether one is where distributions put them; for `resources`, which sees no root. */
bool py_interpreter_is_likely(const struct python_params *p, const struct facts *facts);

/** Path of a uv that is there, or NULL. */
const char *py_uv_find(const struct py *py);
/** Gets it with the pip of this interpreter, or (bootstrap) with the pip that its ensurepip provides. */
CHECK_RESULT int py_uv_fetch(struct py *py, const char *python, const char **ret_uv, struct err *err);
CHECK_RESULT int py_uv_bootstrap(struct py *py, const char *python, const char **ret_uv, struct err *err);
/** The version of Python asked for, managed by uv; its path. */
CHECK_RESULT int py_uv_python(struct py *py, const char *uv, const char **ret_python, struct err *err);

/** The environment of commands; needs py->venv and py->user. */
const char *const *py_environment(const struct py *py);
/** Runs one command as the venv's owner. what names it in errors: "install packages". */
CHECK_RESULT int py_command(struct py *py, const char *const *argv, const char *what, struct err *err);
/** One resolver call for all that is asked for. */
CHECK_RESULT int py_install(struct py *py, bool adds_pip, struct err *err);

/** --locked: refuses requirements that the manifest has no version of. */
CHECK_RESULT int py_lock_check(const struct py *py, struct err *err);
/** --locked: "name==version" of what is in the venv at another version than the manifest's. */
void py_lock_others(const struct py *py, struct strs *ret_requirements);
/** --locked: "name==version" lines for all that the manifest has of this venv but what is kept. */
void py_lock_constraints(const struct py *py, struct buf *out);

/** Imports what was asked for. */
CHECK_RESULT int py_prove(struct py *py, struct err *err);

/** What a failed installer said, for py_explain. */
struct py_failure {
	const char *output;	  /* all or the last lines of both streams */
	const char *last_package; /* being worked on at the end, "" if not known */
	const char *tool;	  /* "pip", "uv" */
	const char *python;	  /* "3.11" */
	const char *venv;
	int64_t free_bytes; /* where the venv is; -1: not known */
};

/** Replaces the message of a failed installer by what it means and what to do, where that is known. Returns the code.
 */
int py_explain(const struct py_failure *failure, struct arena *arena, struct err *err);
/** "install libgomp1 (apt) or libgomp (dnf)" for a missing shared library, or NULL. */
const char *py_library_hint(const char *message, struct arena *arena);
