/*
 * What apt-get and dpkg print, in the C locale (apt 2.4 to 3.0, dpkg 1.21 to 1.22). Exit status 100 stands for every
 * failure of apt-get, so only the text tells them apart.
 */
#include "base/err.h"
#include "base/glob.h"
#include "base/parse.h"
#include "base/vec.h"
#include "sys/pkg_impl.h"

/** Unknown packages named in one message; the rest is counted. */
#define APT_UNKNOWN_MAX 5
/** Installed packages that are looked at: a full desktop has some 4,000. */
#define APT_PACKAGES_MAX 100000

const char *const apt_env[] = {"DEBIAN_FRONTEND=noninteractive", "NEEDRESTART_MODE=a", "APT_LISTCHANGES_FRONTEND=none",
			       "UCF_FORCE_CONFFOLD=1",		 "LC_ALL=C",	       NULL};

/* The order matters: a full disk also ends in a failed dpkg, a failed download also in "unable to fetch". */
const struct pkg_rule apt_rules[] = {
	{"are you root?", PKG_TROUBLE_OTHER},
	{"Could not get lock", PKG_TROUBLE_LOCK},
	{"is another process using it", PKG_TROUBLE_LOCK},
	{"lock was locked by another process", PKG_TROUBLE_LOCK},
	{"dpkg was interrupted", PKG_TROUBLE_INTERRUPTED},
	{"No space left on device", PKG_TROUBLE_NO_SPACE},
	{"You don't have enough free space", PKG_TROUBLE_NO_SPACE},
	{"Unable to locate package", PKG_TROUBLE_NOT_FOUND},
	{"has no installation candidate", PKG_TROUBLE_NOT_FOUND},
	{"' was not found", PKG_TROUBLE_NOT_FOUND},
	{"does not have a Release file", PKG_TROUBLE_OTHER},
	{"404  Not Found", PKG_TROUBLE_STALE},
	{"Hash Sum mismatch", PKG_TROUBLE_NET},
	{"Temporary failure resolving", PKG_TROUBLE_NET},
	{"Could not resolve", PKG_TROUBLE_NET},
	{"Could not connect", PKG_TROUBLE_NET},
	{"Failed to fetch", PKG_TROUBLE_NET},
	{"Held packages were changed", PKG_TROUBLE_HELD},
	{"unmet dependencies", PKG_TROUBLE_CONFLICT},
	{"held broken packages", PKG_TROUBLE_CONFLICT},
	{"dpkg: error processing", PKG_TROUBLE_SCRIPT},
	{"Sub-process /usr/bin/dpkg returned an error code", PKG_TROUBLE_SCRIPT},
	{NULL, PKG_TROUBLE_OTHER},
};

struct apt_line {
	const char *name, *arch, *version, *provides;
	bool is_installed;
};
typedef VEC(struct apt_line) apt_lines;

/* Cuts text up at tabs; missing fields are "". */
static struct apt_line cut_fields(char *text) {
	const char *fields[5];
	for (size_t i = 0; i < 5; i++) {
		fields[i] = text ? text : "";
		text = text ? strchr(text, '\t') : NULL;
		if (text) *text++ = '\0';
	}
	return (struct apt_line){.name = fields[1],
				 .arch = fields[2],
				 .version = fields[3],
				 .provides = fields[4],
				 .is_installed = str_eq(fields[0], "installed")};
}

/* "name:arch=version/release" */
struct apt_wish {
	char *name, *arch, *version; /* the latter two may be NULL */
};

static struct apt_wish parse_wish(const char *text, struct arena *arena) {
	struct apt_wish wish = {.name = arena_strdup(arena, text)};
	wish.name[strcspn(wish.name, "/")] = '\0';
	wish.version = strchr(wish.name, '=');
	if (wish.version) *wish.version++ = '\0';
	wish.arch = strchr(wish.name, ':');
	if (wish.arch) *wish.arch++ = '\0';
	if (str_eq(wish.arch, "any")) wish.arch = NULL;
	return wish;
}

/* "a, b (= 1.2), c": does the list hold name? Its version, if it has one, goes to *ret_version. */
static bool provides(const char *list, const char *name, struct arena *arena, const char **ret_version) {
	size_t len = strlen(name);
	while (*list) {
		list += strspn(list, ", ");
		size_t word = strcspn(list, " ,:");
		if (word == len && !strncmp(list, name, len)) {
			const char *rest = list + word, *at = strstr(rest, "(= ");
			if (at && at < rest + strcspn(rest, ","))
				*ret_version = arena_dup(arena, at + 3, strcspn(at + 3, ")"));
			return true;
		}
		list += strcspn(list, ",");
	}
	return false;
}

static void match_one(const apt_lines *all, const char *native, const char *asked, struct arena *arena,
		      struct pkg_installed *ret) {
	struct apt_wish wish = parse_wish(asked, arena);
	const char *arch = wish.arch && !str_eq(wish.arch, "native") ? wish.arch : native;
	*ret = (struct pkg_installed){.name = asked};
	for (size_t i = 0; i < all->count; i++) {
		const struct apt_line *l = &all->items[i];
		if (!l->is_installed) continue;
		if (str_eq(l->name, wish.name)) {
			if (arch && !str_eq(l->arch, arch) && !str_eq(l->arch, "all")) continue;
			if (wish.version && !glob_match(wish.version, l->version)) continue;
			*ret = (struct pkg_installed){.name = asked, .version = arena_strdup(arena, l->version)};
			return;
		}
		const char *version = l->version;
		if (wish.version || ret->version || !provides(l->provides, wish.name, arena, &version)) continue;
		ret->version = arena_strdup(arena, version);
		ret->is_provided = true;
	}
}

void apt_match(char *lines, const struct strs *names, struct arena *arena, struct pkg_installed *ret) {
	apt_lines all = {0};
	const char *native = NULL; /* dpkg is always of the machine's own architecture */
	while (lines && *lines && all.count < APT_PACKAGES_MAX) {
		char *end = strchr(lines, '\n');
		if (end) *end++ = '\0';
		struct apt_line line = cut_fields(lines);
		if (line.is_installed && str_eq(line.name, "dpkg")) native = line.arch;
		vec_push(&all, line);
		lines = end;
	}
	for (size_t i = 0; i < names->count; i++) match_one(&all, native, names->items[i], arena, &ret[i]);
	vec_clear(&all);
}

void apt_upgrades(char *lines, bool security_only, struct arena *arena, struct strs *ret_names, struct strs *ret_kept) {
	while (lines && *lines) {
		char *end = strchr(lines, '\n');
		if (end) *end++ = '\0';
		/* "Inst name [old] (new origin:suite [arch])"; without [old] it is a new dependency. */
		char *name = lines + strlen("Inst "), *old = str_starts(lines, "Inst ") ? strchr(name, ' ') : NULL;
		lines = end;
		if (!old || old[1] != '[') continue;
		*old++ = '\0';
		if (ret_kept && pkg_is_kept(name))
			strs_add(ret_kept, arena_printf(arena, "%s=%.*s", name, (int)strcspn(old + 1, "]"), old + 1));
		if (!security_only || strstr(old, "-security")) strs_add_once(ret_names, arena_strdup(arena, name));
	}
}

/* The number in front of word: "3 upgraded, 2 newly installed". */
static int count_before(const char *line, const char *word) {
	const char *end = strstr(line, word), *at = end;
	char digits[12];
	int64_t value = 0;
	struct err ignored;
	while (at && at > line && at[-1] >= '0' && at[-1] <= '9') at--;
	if (!at || at == end || (size_t)(end - at) >= sizeof digits) return 0;
	(void)snprintf(digits, sizeof digits, "%.*s", (int)(end - at), at);
	return parse_i64(digits, 0, 1000000, &value, &ignored) ? 0 : (int)value;
}

/* Three phases a package: fetched, unpacked, set up; so the bar never goes back. */
void apt_on_line(enum exec_stream stream, const char *line, void *arg) {
	struct pkg_run *run = arg;
	const struct machine *m = run->machine;
	int n = run->total;
	char name[64];
	if (stream != EXEC_STDOUT) return;
	if (strstr(line, " newly installed")) {
		run->total = count_before(line, " upgraded") + count_before(line, " newly installed") +
			     count_before(line, " downgraded");
	} else if (str_starts(line, "Get:") || str_starts(line, "Hit:")) {
		if (n == 0)
			machine_note(m, 0, 0, "refreshing the package index");
		else if (run->fetched < n) {
			run->fetched++;
			machine_note(m, run->fetched, 3LL * n, "downloading %d of %d packages", run->fetched, n);
		}
	} else if (str_starts(line, "Unpacking ") && run->unpacked < n) {
		line += strlen("Unpacking ");
		(void)snprintf(name, sizeof name, "%.*s", (int)strcspn(line, " "), line);
		run->unpacked++;
		machine_note(m, n + run->unpacked, 3LL * n, "unpacking %s (%d of %d)", name, run->unpacked, n);
	} else if (str_starts(line, "Setting up ") && run->done < n) {
		line += strlen("Setting up ");
		(void)snprintf(name, sizeof name, "%.*s", (int)strcspn(line, " "), line);
		run->done++;
		machine_note(m, 2LL * n + run->done, 3LL * n, "setting up %s (%d of %d)", name, run->done, n);
	} else if (str_starts(line, "Removing ")) {
		line += strlen("Removing ");
		machine_note(m, n + run->unpacked, 3LL * n, "removing %.*s", (int)strcspn(line, " "), line);
	}
}

/* One line of apt about a package that it cannot have, as we say it; NULL if it is none. */
static const char *unknown_text(const struct machine *m, const char *line) {
	static const char *const all_names[] = {"apt-cache", "pkgnames", NULL};
	const char *name = pkg_between(line, "Unable to locate package ", "", m->arena);
	if (name)
		return arena_printf(m->arena, "package '%s' is in no repository%s", name,
				    pkg_did_you_mean(m, name, all_names, apt_env));
	name = pkg_between(line, "E: Package '", "' has no installation candidate", m->arena);
	if (name)
		return arena_printf(m->arena,
				    "package '%s' is known by name only: no repository of this machine has it", name);
	const char *version = pkg_between(line, "E: Version '", "' for '", m->arena);
	name = pkg_between(line, "' for '", "' was not found", m->arena);
	if (name && version)
		return arena_printf(m->arena,
				    "version '%s' of package '%s' is in no repository; `apt-cache madison %s` lists "
				    "those that are",
				    version, name, name);
	return NULL;
}

static int explain_unknown(const struct machine *m, const char *output, struct err *err) {
	AUTO_STRS struct strs texts = {0}, lines = {0};
	str_split(output, "\n", m->arena, &lines);
	for (size_t i = 0; i < lines.count && texts.count <= APT_UNKNOWN_MAX; i++) {
		const char *text = unknown_text(m, lines.items[i]);
		if (text) strs_add_once(&texts, text);
	}
	if (!texts.count) return -err->code;
	if (texts.count > APT_UNKNOWN_MAX) texts.items[APT_UNKNOWN_MAX] = "and more";
	return err_set(err, ERR_NOT_FOUND, "%s", strs_join(&texts, "; ", m->arena));
}

/* The line after the one that holds text. */
static const char *line_after(const char *output, const char *text, struct arena *arena) {
	const char *at = strstr(output, text);
	at = at ? strchr(at, '\n') : NULL;
	return at ? str_trim(arena_dup(arena, at + 1, strcspn(at + 1, "\n"))) : "";
}

static int explain_script(const struct machine *m, const char *output, struct err *err) {
	const char *name = pkg_between(output, "dpkg: error processing package ", " (", m->arena);
	const char *archive = pkg_between(output, "dpkg: error processing archive ", " (", m->arena);
	if (name)
		return err_set(err, ERR_COMMAND,
			       "package '%s' could not be set up: %s; mend the cause, then `sudo dpkg --configure -a`",
			       name, line_after(output, "dpkg: error processing package ", m->arena));
	if (archive)
		return err_set(err, ERR_COMMAND, "%s could not be unpacked: %s", archive,
			       line_after(output, "dpkg: error processing archive ", m->arena));
	return -err->code;
}

/* apt's own "E:" lines, which say more than the tail of its output. */
static int explain_other(const struct machine *m, const char *output, struct err *err) {
	AUTO_STRS struct strs lines = {0}, said = {0};
	enum err_code code = strstr(output, "are you root?") ? ERR_DENIED : err->code;
	str_split(output, "\n", m->arena, &lines);
	for (size_t i = 0; i < lines.count && said.count < APT_UNKNOWN_MAX; i++)
		if (str_starts(lines.items[i], "E: ")) strs_add_once(&said, lines.items[i] + 3);
	if (!said.count) return -err->code;
	return err_set(err, code, "apt-get: %s", strs_join(&said, "; ", m->arena));
}

int apt_explain(const struct machine *m, const struct pkg_run *run, struct err *err) {
	const char *out = buf_str(&run->output), *line;
	if (err->code != ERR_COMMAND) return -err->code; /* a timeout or a missing tool says enough */
	switch (run->trouble) {
	case PKG_TROUBLE_NOT_FOUND: return explain_unknown(m, out, err);
	case PKG_TROUBLE_SCRIPT: return explain_script(m, out, err);
	case PKG_TROUBLE_LOCK:
		line = pkg_line_with(out, "lock", m->arena);
		return err_set(err, ERR_BUSY, "the package database stayed locked for %lld min: %s",
			       PKG_LOCK_WAIT_MS / 60000, line);
	case PKG_TROUBLE_INTERRUPTED:
		return err_set(err, ERR_STATE, "dpkg was interrupted and `dpkg --configure -a` did not mend it");
	case PKG_TROUBLE_NO_SPACE:
		line = pkg_line_with(out, "space", m->arena);
		return err_set(err, ERR_NO_SPACE,
			       "the disk is full: %s; free some space (`sudo apt-get clean`) or "
			       "enlarge the volume",
			       line);
	case PKG_TROUBLE_STALE:
		line = pkg_line_with(out, "404  Not Found", m->arena);
		return err_set(err, ERR_REMOTE, "the mirror lacks a file that its own index names: %s", line);
	case PKG_TROUBLE_NET:
		line = pkg_line_with(out, "Failed to fetch", m->arena);
		(void)err_set(err, ERR_NET, "a package mirror could not be used: %s; check DNS, routes and proxy",
			      line ? line : pkg_line_with(out, "E: ", m->arena));
		err->is_retryable = true;
		return -err->code;
	case PKG_TROUBLE_HELD:
		return err_set(err, ERR_INVALID,
			       "held packages would have to change: %s; release them with `apt-mark unhold` or leave "
			       "them out",
			       line_after(out, "held packages will be changed:", m->arena));
	case PKG_TROUBLE_CONFLICT:
		line = line_after(out, "unmet dependencies:", m->arena);
		return err_set(err, ERR_COMMAND, "the packages do not fit together: %s",
			       *line ? line : "apt-get names no reason; see the step's log");
	case PKG_TROUBLE_OTHER: return explain_other(m, out, err);
	}
	return -err->code;
}
