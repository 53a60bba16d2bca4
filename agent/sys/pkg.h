#pragma once
/*
 * Packages: apt and dnf behind one table of functions. Presence is asked from the database (dpkg-query, rpm), never by
 * starting apt or dnf. Changes are one transaction, never a prompt, stdin /dev/null; locks are waited for (10 min) with
 * their holder named; only mirror trouble is retried; an interrupted dpkg is configured once. Kernel and NVIDIA
 * packages are not touched unless named.
 */
#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

struct err;
struct facts;
struct machine;

/** Longest wait for a package database lock: unattended-upgrades hold it for minutes after first boot. */
#define PKG_LOCK_WAIT_MS (10LL * 60 * 1000)

/** An index older than a day is fetched anew before anything is installed. */
#define PKG_INDEX_AGE_MAX_S (24LL * 60 * 60)

struct pkg_installed {
	const char *name, *version; /* as asked for / as installed; version NULL: not installed */
	bool is_provided;	    /* by another package (a virtual name) */
};

struct pkg_change {
	struct strs install; /* names, or "name=version" (apt), "name-version" (dnf) */
	struct strs remove;
	bool upgrades_listed;	/* the listed ones to their newest version too */
	bool upgrades_all;	/* everything installed, kernel and NVIDIA held back */
	bool security_only;	/* with upgrades_all: security updates only */
	const char *releasever; /* dnf only: the Amazon Linux release to move to; may be NULL */
};

struct pkg_manager {
	const char *name;	       /* "apt", "dnf": the word recipes use */
	const char *lock_name;	       /* "dpkg lock" */
	const char *const *lock_paths; /* NULL-terminated */
	/** Fills one entry per name, in order; from the database only. */
	int (*query)(const struct machine *m, const struct strs *names, struct pkg_installed *ret, struct err *err);
	/** Names with an update pending; "" names none. Works on the index as it lies on disk. */
	int (*upgradable)(const struct machine *m, bool security_only, const char *releasever, struct strs *ret_names,
			  struct err *err);
	/** False: the index is absent or older than PKG_INDEX_AGE_MAX_S, and what upgradable says may be too little. */
	bool (*is_index_fresh)(const struct machine *m);
	/** Locks, index refresh when stale or a name is unknown, one transaction, progress by machine_note. */
	int (*change)(const struct machine *m, const struct pkg_change *change, struct err *err);
	/** Fetches the index of one repository alone: id of the repository file at path. */
	int (*refresh)(const struct machine *m, const char *path, const char *id, struct err *err);
};

extern const struct pkg_manager pkg_apt, pkg_dnf;

/** True for kernel and NVIDIA packages, which upgrades_all leaves alone. */
bool pkg_is_kept(const char *name);

/** Path as package tools need it: with the root in front where they do not run inside it. */
const char *pkg_host_path(const struct machine *m, const char *path);

/** "a, b, c and 9 more", in the arena: for texts. */
const char *pkg_names_text(const struct strs *names, size_t max, struct arena *arena);

/** The manager of that name ("apt", "dnf"), or NULL. */
const struct pkg_manager *pkg_manager(const char *name);
