#include "base/clock.h"
#include "base/err.h"
#include "base/fs.h"
#include "sys/pkg_impl.h"

#define CACHE_DIR "/var/cache/dnf"
#define CACHE5_DIR "/var/cache/libdnf5"

static const char *const lock_paths[] = {"/var/lib/rpm/.rpm.lock", "/usr/lib/sysimage/rpm/.rpm.lock", NULL};

static const struct pkg_tool dnf = {
	.lock_name = "rpm lock",
	.lock_paths = lock_paths,
	.rules = dnf_rules,
	.env = dnf_env,
	.on_line = dnf_on_line,
};

/*
 * rpm -q answers in the order of its arguments, one line each unless a name has several packages; a name that is not
 * installed has a line too, but a path that nobody provides has none. With as many lines as names the order is the
 * mapping; otherwise each name is asked alone, at 15 ms.
 */
static int ask_rpm(const struct machine *m, const char *const *names, size_t count, bool is_provider,
		   struct strs *lines, struct err *err) {
	AUTO_EXEC_RESULT struct exec_result result = {0};
	AUTO_STRS struct strs argv = {0};
	strs_add(&argv, "rpm");
	strs_add(&argv, "-q");
	if (is_provider) strs_add(&argv, "--whatprovides");
	strs_add(&argv, "--qf");
	strs_add(&argv, "%{NAME}\t%{VERSION}-%{RELEASE}\n");
	strs_add(&argv, "--");
	for (size_t i = 0; i < count; i++) strs_add(&argv, names[i]);
	int rc = pkg_ask(m, strs_argv(&argv), dnf_env, &result, err);
	if (rc) return rc;
	str_split(buf_str(&result.out), "\n", m->arena, lines);
	return 0;
}

static void take_line(const char *line, bool is_provider, struct pkg_installed *ret) {
	const char *tab = strchr(line, '\t');
	if (!tab) return; /* "package X is not installed", "no package provides X" */
	ret->version = tab + 1;
	ret->is_provided = is_provider;
}

static int ask_all(const struct machine *m, const struct strs *names, const size_t *places, bool is_provider,
		   struct pkg_installed *ret, struct err *err) {
	AUTO_STRS struct strs lines = {0};
	bool has_path = false;
	if (!names->count) return 0;
	for (size_t i = 0; i < names->count; i++) has_path |= is_provider && names->items[i][0] == '/';
	int rc = has_path ? 0 : ask_rpm(m, names->items, names->count, is_provider, &lines, err);
	if (rc) return rc;
	for (size_t i = 0; i < names->count; i++) {
		AUTO_STRS struct strs own = {0};
		if (lines.count == names->count && !has_path) {
			take_line(lines.items[i], is_provider, &ret[places[i]]);
			continue;
		}
		rc = ask_rpm(m, &names->items[i], 1, is_provider, &own, err);
		if (rc) return rc;
		/* Several versions of a kernel: the last is the newest. */
		if (own.count) take_line(own.items[own.count - 1], is_provider, &ret[places[i]]);
	}
	return 0;
}

/* By name or name-version first; what that does not find, by what installed packages provide (names, files). */
static int query(const struct machine *m, const struct strs *names, struct pkg_installed *ret, struct err *err) {
	AUTO_STRS struct strs missing = {0};
	size_t *places = arena_alloc(m->arena, (names->count + 1) * sizeof *places);
	struct pkg_installed *found = arena_alloc(m->arena, (names->count + 1) * sizeof *found);
	for (size_t i = 0; i < names->count; i++) {
		found[i].name = names->items[i];
		places[i] = i;
	}
	int rc = ask_all(m, names, places, false, found, err);
	for (size_t i = 0; !rc && i < names->count; i++) {
		if (found[i].version) continue;
		places[missing.count] = i;
		strs_add(&missing, names->items[i]);
	}
	if (!rc) rc = ask_all(m, &missing, places, true, found, err);
	if (rc) return err_wrap(err, "which packages are installed");
	if (names->count) memcpy(ret, found, names->count * sizeof *ret);
	return 0;
}

static void add_common(const struct machine *m, const char *releasever, struct strs *argv) {
	static const char *const args[] = {"dnf", "-y", "--setopt=retries=10", "--setopt=timeout=30", NULL};
	for (const char *const *arg = args; *arg; arg++) strs_add(argv, *arg);
	if (releasever) strs_add(argv, arena_printf(m->arena, "--releasever=%s", releasever));
}

static int upgradable(const struct machine *m, bool security_only, const char *releasever, struct strs *ret_names,
		      struct err *err) {
	AUTO_EXEC_RESULT struct exec_result result = {0};
	AUTO_STRS struct strs argv = {0}, lines = {0};
	static const char *const args[] = {"dnf", "-q", "repoquery", "--upgrades", "--qf", "%{name}\n", NULL};
	for (const char *const *arg = args; *arg; arg++) strs_add(&argv, *arg);
	/* Another release's index is not on disk yet: it has to be fetched. */
	strs_add(&argv, releasever ? arena_printf(m->arena, "--releasever=%s", releasever) : "-C");
	if (security_only) strs_add(&argv, "--security");
	int rc = pkg_ask(m, strs_argv(&argv), dnf_env, &result, err);
	if (!rc && result.exit_code)
		rc = err_set(err, ERR_COMMAND, "dnf repoquery ended with exit status %d: %s", result.exit_code,
			     buf_str(&result.tail));
	if (rc) return err_wrap(err, "which packages have an update");
	str_split(buf_str(&result.out), "\n", m->arena, &lines);
	for (size_t i = 0; i < lines.count; i++) strs_add_once(ret_names, lines.items[i]);
	return 0;
}

static int64_t newest_in(const struct machine *m, const char *dir) {
	AUTO_STRS struct strs names = {0};
	struct err ignored;
	struct stat st;
	int64_t at_s = 0;
	if (fs_list(m->root, dir, m->arena, &names, &ignored) || !names.count) return 0;
	strs_add(&names, ".");
	for (size_t i = 0; i < names.count; i++) {
		const char *path = arena_printf(m->arena, "%s/%s", dir, names.items[i]);
		if (!fs_lstat(m->root, path, &st, &ignored) && st.st_mtime > at_s) at_s = st.st_mtime;
	}
	return at_s;
}

/*
 * One folder REPO-HASH/repodata for each repository. An index that was looked at and found unchanged is dated anew
 * by libdnf on its primary file, a new one by the folder itself: so the newest date of all counts.
 */
static bool is_index_fresh(const struct machine *m) {
	static const char *const dirs[] = {CACHE_DIR, CACHE5_DIR};
	int64_t at_s = 0;
	for (size_t d = 0; d < sizeof dirs / sizeof *dirs; d++) {
		AUTO_STRS struct strs names = {0};
		struct err ignored;
		if (fs_list(m->root, dirs[d], m->arena, &names, &ignored)) continue;
		for (size_t i = 0; i < names.count; i++) {
			int64_t own_s = newest_in(m, arena_printf(m->arena, "%s/%s/repodata", dirs[d], names.items[i]));
			if (own_s > at_s) at_s = own_s;
		}
	}
	int64_t age_s = clock_now_ms() / 1000 - at_s;
	return age_s < PKG_INDEX_AGE_MAX_S && age_s > -PKG_INDEX_AGE_MAX_S;
}

struct verb {
	const char *verb;
	const char *const *extra; /* NULL-terminated, or NULL */
};

static int run_verb(const struct machine *m, const char *releasever, const struct verb *verb, const struct strs *names,
		    bool refreshes, enum pkg_trouble *ret_trouble, struct err *err) {
	AUTO_PKG_RUN struct pkg_run run = {0};
	AUTO_STRS struct strs argv = {0};
	pkg_run_init(&run, m, &dnf);
	add_common(m, releasever, &argv);
	if (refreshes) strs_add(&argv, "--refresh");
	for (const char *const *arg = verb->extra; arg && *arg; arg++) strs_add(&argv, *arg);
	strs_add(&argv, verb->verb);
	for (size_t i = 0; names && i < names->count; i++) strs_add(&argv, names->items[i]);
	int rc = pkg_run(&run, strs_argv(&argv), err);
	*ret_trouble = rc ? run.trouble : PKG_TROUBLE_OTHER;
	return rc ? dnf_explain(m, &run, err) : 0;
}

/* dnf fetches an expired index itself; one that is not expired may still lack a name, or name what is gone. */
static int run_fresh(const struct machine *m, const char *releasever, const struct verb *verb, const struct strs *names,
		     bool refreshes, struct err *err) {
	enum pkg_trouble trouble;
	int rc = run_verb(m, releasever, verb, names, refreshes, &trouble, err);
	if (rc && !refreshes && (trouble == PKG_TROUBLE_NOT_FOUND || trouble == PKG_TROUBLE_STALE)) {
		machine_note(m, 0, 0, "refreshing the package index");
		rc = run_verb(m, releasever, verb, names, true, &trouble, err);
	}
	return rc;
}

static const char *exclude_arg(struct arena *arena) {
	struct strs patterns = {0};
	for (const char *const *p = pkg_kept_patterns; *p; p++) strs_add(&patterns, *p);
	const char *arg = arena_printf(arena, "--exclude=%s", strs_join(&patterns, ",", arena));
	strs_clear(&patterns);
	return arg;
}

static int change(const struct machine *m, const struct pkg_change *change, struct err *err) {
	/* Only what is named goes: dnf would take along what it believes nobody needs any more. */
	static const char *const remove_args[] = {"--setopt=clean_requirements_on_remove=False", NULL};
	const char *const upgrade_args[] = {exclude_arg(m->arena), change->security_only ? "--security" : NULL, NULL};
	const struct verb removes = {"remove", remove_args}, installs = {"install", NULL}, renews = {"upgrade", NULL},
			  upgrades = {"upgrade", upgrade_args};
	const char *release = change->releasever;
	bool refreshes = (change->upgrades_all || change->upgrades_listed) && !is_index_fresh(m);
	enum pkg_trouble trouble;
	int rc = 0;
	if (change->remove.count) rc = run_verb(m, NULL, &removes, &change->remove, false, &trouble, err);
	if (!rc && change->install.count) {
		rc = run_fresh(m, release, &installs, &change->install, refreshes, err);
		refreshes = false;
	}
	if (!rc && change->upgrades_listed && change->install.count)
		rc = run_fresh(m, release, &renews, &change->install, false, err);
	if (!rc && change->upgrades_all) rc = run_fresh(m, release, &upgrades, NULL, refreshes, err);
	return rc;
}

static int refresh_one(const struct machine *m, const char *path, const char *id, struct err *err) {
	const char *file = pkg_host_path(m, path);
	const char *dir = arena_dup(m->arena, file, (size_t)(strrchr(file, '/') - file));
	const char *const args[] = {arena_printf(m->arena, "--setopt=reposdir=%s", dir), "--disablerepo=*",
				    arena_printf(m->arena, "--enablerepo=%s", id), NULL};
	const struct verb fetches = {"makecache", args};
	enum pkg_trouble trouble;
	machine_note(m, 0, 0, "fetching the index of %s", id);
	return run_verb(m, NULL, &fetches, NULL, true, &trouble, err);
}

const struct pkg_manager pkg_dnf = {
	.name = "dnf",
	.lock_name = "rpm lock",
	.lock_paths = lock_paths,
	.query = query,
	.upgradable = upgradable,
	.is_index_fresh = is_index_fresh,
	.change = change,
	.refresh = refresh_one,
};
