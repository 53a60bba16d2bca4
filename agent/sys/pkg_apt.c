#include "base/clock.h"
#include "base/err.h"
#include "base/fs.h"
#include "sys/pkg_impl.h"

#define LISTS_DIR "/var/lib/apt/lists"
#define LISTS_LOCK "/var/lib/apt/lists/lock"

static const char *const lock_paths[] = {"/var/lib/dpkg/lock-frontend", "/var/lib/dpkg/lock", LISTS_LOCK,
					 "/var/cache/apt/archives/lock", NULL};
static const char *const configure_argv[] = {"dpkg", "--force-confdef", "--force-confold", "--configure", "-a", NULL};

static const struct pkg_tool apt = {
	.lock_name = "dpkg lock",
	.lock_paths = lock_paths,
	.rules = apt_rules,
	.env = apt_env,
	.on_line = apt_on_line,
	.repair = configure_argv,
};

/* apt's own wait is silent, so it is short and pkg_run waits with the holder's name. */
static const char *const common_args[] = {"apt-get",
					  "-y",
					  "-q",
					  "-o",
					  "DPkg::Lock::Timeout=60",
					  "-o",
					  "Acquire::Retries=5",
					  "-o",
					  "Acquire::http::Timeout=30",
					  "-o",
					  "Acquire::https::Timeout=30",
					  "-o",
					  "Dpkg::Use-Pty=0",
					  "-o",
					  "Dpkg::Options::=--force-confdef",
					  "-o",
					  "Dpkg::Options::=--force-confold",
					  NULL};

static int query(const struct machine *m, const struct strs *names, struct pkg_installed *ret, struct err *err) {
	static const char *const argv[] = {
		"dpkg-query", "-W", "-f", "${db:Status-Status}\t${Package}\t${Architecture}\t${Version}\t${Provides}\n",
		NULL};
	AUTO_EXEC_RESULT struct exec_result result = {0};
	if (!names->count) return 0;
	int rc = pkg_ask(m, argv, apt_env, &result, err);
	if (!rc && result.exit_code)
		rc = err_set(err, ERR_COMMAND, "dpkg-query ended with exit status %d: %s", result.exit_code,
			     buf_str(&result.tail));
	if (rc) return err_wrap(err, "which packages are installed");
	apt_match(result.out.data, names, m->arena, ret);
	return 0;
}

static int find_pending(const struct machine *m, bool security_only, struct strs *ret_names, struct strs *ret_kept,
			struct err *err) {
	static const char *const argv[] = {"apt-get",	      "-s",	 "-o", "Debug::NoLocking=true",
					   "--with-new-pkgs", "upgrade", NULL};
	AUTO_EXEC_RESULT struct exec_result result = {0};
	int rc = pkg_ask(m, argv, apt_env, &result, err);
	if (!rc && result.exit_code)
		rc = err_set(err, ERR_COMMAND, "apt-get -s upgrade ended with exit status %d: %s", result.exit_code,
			     buf_str(&result.tail));
	if (rc) return err_wrap(err, "which packages have an update");
	apt_upgrades(result.out.data, security_only, m->arena, ret_names, ret_kept);
	return 0;
}

static int upgradable(const struct machine *m, bool security_only, const char *releasever, struct strs *ret_names,
		      struct err *err) {
	return find_pending(m, security_only, ret_names, NULL, err);
}

static void newest(const struct machine *m, const char *path, int64_t *seconds) {
	struct stat st;
	struct err ignored;
	if (!fs_lstat(m->root, path, &st, &ignored) && st.st_mtime > *seconds) *seconds = st.st_mtime;
}

static bool has_index(const struct machine *m) {
	AUTO_STRS struct strs names = {0};
	struct err ignored;
	if (fs_list(m->root, LISTS_DIR, m->arena, &names, &ignored)) return false;
	for (size_t i = 0; i < names.count; i++)
		if (strstr(names.items[i], "_Packages")) return true;
	return false;
}

static bool is_index_fresh(const struct machine *m) {
	int64_t at_s = 0;
	if (!has_index(m)) return false;
	newest(m, LISTS_DIR, &at_s);
	newest(m, LISTS_DIR "/partial", &at_s);
	newest(m, "/var/lib/apt/periodic/update-success-stamp", &at_s);
	int64_t age_s = clock_now_ms() / 1000 - at_s;
	return age_s < PKG_INDEX_AGE_MAX_S && age_s > -PKG_INDEX_AGE_MAX_S;
}

static void add_common(struct strs *argv) {
	for (const char *const *arg = common_args; *arg; arg++) strs_add(argv, *arg);
}

/* only: the one sources file whose index is fetched; NULL: all. */
static int refresh_from(const struct machine *m, const char *only, struct err *err) {
	AUTO_PKG_RUN struct pkg_run run = {0};
	AUTO_STRS struct strs argv = {0};
	pkg_run_init(&run, m, &apt);
	add_common(&argv);
	/* Without it, apt-get update ends with 0 although nothing could be fetched. */
	strs_add(&argv, "-o");
	strs_add(&argv, "APT::Update::Error-Mode=any");
	if (only) {
		strs_add(&argv, "-o");
		strs_add(&argv, arena_printf(m->arena, "Dir::Etc::sourcelist=%s", only));
		strs_add(&argv, "-o");
		strs_add(&argv, "Dir::Etc::sourceparts=-");
		strs_add(&argv, "-o");
		strs_add(&argv, "APT::Get::List-Cleanup=0");
	}
	strs_add(&argv, "update");
	machine_note(m, 0, 0, "refreshing the package index%s", only ? " of the repository" : "");
	if (!pkg_run(&run, strs_argv(&argv), err)) return 0;
	(void)apt_explain(m, &run, err); /* the same error in better words */
	return err_wrap(err, "apt-get update");
}

static int refresh(const struct machine *m, struct err *err) { return refresh_from(m, NULL, err); }

static int refresh_one(const struct machine *m, const char *path, const char *id, struct err *err) {
	return refresh_from(m, pkg_host_path(m, path), err);
}

static void add_names(struct strs *argv, const struct strs *names) {
	for (size_t i = 0; i < names->count; i++) strs_add_once(argv, names->items[i]);
}

/* What is listed, in one transaction: a trailing "-" removes. */
static void build_listed(const struct machine *m, const struct pkg_change *change, struct strs *argv) {
	bool has_version = false;
	add_common(argv);
	for (size_t i = 0; i < change->install.count; i++) has_version |= strchr(change->install.items[i], '=') != NULL;
	strs_add(argv, "--no-install-recommends");
	/* A version that the recipe names may be an older one. */
	if (has_version) strs_add(argv, "--allow-downgrades");
	if (!has_version && !change->upgrades_listed) strs_add(argv, "--no-upgrade");
	strs_add(argv, "install");
	strs_add(argv, "--");
	add_names(argv, &change->install);
	for (size_t i = 0; i < change->remove.count; i++)
		strs_add(argv, arena_printf(m->arena, "%s-", change->remove.items[i]));
}

/*
 * Everything that has an update, by name. Kernel and NVIDIA packages are named too, at the version that they have: so
 * no dependency of another package can move them. --only-upgrade leaves the marks of automatic installation alone.
 */
static int build_all(const struct machine *m, const struct pkg_change *change, struct strs *argv, size_t *ret_count,
		     struct err *err) {
	AUTO_STRS struct strs names = {0}, kept = {0};
	int rc = find_pending(m, change->security_only, &names, &kept, err);
	if (rc) return rc;
	add_common(argv);
	strs_add(argv, "--no-install-recommends");
	strs_add(argv, "--only-upgrade");
	strs_add(argv, "install");
	strs_add(argv, "--");
	*ret_count = 0;
	for (size_t i = 0; i < names.count; i++) {
		if (pkg_is_kept(names.items[i])) continue;
		strs_add(argv, names.items[i]);
		++*ret_count;
	}
	add_names(argv, &kept);
	return 0;
}

static int run_argv(const struct machine *m, struct strs *argv, enum pkg_trouble *ret_trouble, struct err *err) {
	AUTO_PKG_RUN struct pkg_run run = {0};
	pkg_run_init(&run, m, &apt);
	int rc = pkg_run(&run, strs_argv(argv), err);
	*ret_trouble = rc ? run.trouble : PKG_TROUBLE_OTHER;
	return rc ? apt_explain(m, &run, err) : 0;
}

static int transact(const struct machine *m, const struct pkg_change *change, enum pkg_trouble *ret_trouble,
		    struct err *err) {
	AUTO_STRS struct strs listed = {0}, all = {0};
	size_t count = 0;
	int rc = 0;
	*ret_trouble = PKG_TROUBLE_OTHER;
	if (change->install.count || change->remove.count) {
		build_listed(m, change, &listed);
		rc = run_argv(m, &listed, ret_trouble, err);
	}
	if (!rc && change->upgrades_all) {
		rc = build_all(m, change, &all, &count, err);
		if (!rc && count) rc = run_argv(m, &all, ret_trouble, err);
	}
	return rc;
}

static int finish_interrupted(const struct machine *m, struct err *err) {
	AUTO_PKG_RUN struct pkg_run run = {0};
	AUTO_STRS struct strs names = {0};
	struct err ignored;
	if (fs_list(m->root, "/var/lib/dpkg/updates", m->arena, &names, &ignored) || !names.count) return 0;
	pkg_run_init(&run, m, &apt);
	run.has_repaired = true;
	machine_note(m, 0, 0, "finishing what an interrupted package run has left");
	if (!pkg_run(&run, configure_argv, err)) return 0;
	(void)apt_explain(m, &run, err); /* the same error in better words */
	return err_wrap(err, "an earlier package run was interrupted");
}

/*
 * A dead third-party repository must not keep packages of the others away: when only the refresh failed, the
 * transaction has the last word, unless upgrades were asked for, which an old index would pretend to be done.
 */
static int change(const struct machine *m, const struct pkg_change *change, struct err *err) {
	enum pkg_trouble trouble;
	struct err refresh_err = {0};
	bool has_refreshed = false;
	int rc = finish_interrupted(m, err);
	if (rc) return rc;
	if ((change->install.count || change->upgrades_all) && !is_index_fresh(m)) {
		has_refreshed = true;
		rc = refresh(m, &refresh_err);
		if (rc && (change->upgrades_all || change->upgrades_listed || !has_index(m))) {
			*err = refresh_err;
			return rc;
		}
	}
	rc = transact(m, change, &trouble, err);
	if (rc && !has_refreshed && (trouble == PKG_TROUBLE_NOT_FOUND || trouble == PKG_TROUBLE_STALE)) {
		struct err first = *err;
		if (refresh(m, &refresh_err))
			*err = first;
		else
			rc = transact(m, change, &trouble, err);
	}
	if (rc && refresh_err.code) {
		struct err last = *err;
		return err_set(err, last.code, "%s (the package index could not be refreshed: %s)", last.msg,
			       refresh_err.msg);
	}
	return rc;
}

const struct pkg_manager pkg_apt = {
	.name = "apt",
	.lock_name = "dpkg lock",
	.lock_paths = lock_paths,
	.query = query,
	.upgradable = upgradable,
	.is_index_fresh = is_index_fresh,
	.change = change,
	.refresh = refresh_one,
};
