/*
 * What dnf and rpm print, in the C locale (dnf 4.14 and dnf5, rpm 4.16 to 6). Exit status 1 stands for nearly every
 * failure of dnf, so only the text tells them apart.
 */
#include "base/err.h"
#include "base/parse.h"
#include "sys/pkg_impl.h"

/** Unknown packages named in one message; the rest is counted. */
#define DNF_UNKNOWN_MAX 5

const char *const dnf_env[] = {"LC_ALL=C", NULL};

/* The order matters: a transaction that lacks its lock also says "Could not run transaction". */
const struct pkg_rule dnf_rules[] = {
	{"superuser privileges", PKG_TROUBLE_OTHER},
	{"has to be run with superuser", PKG_TROUBLE_OTHER},
	{"can't create transaction lock", PKG_TROUBLE_LOCK},
	{"Could not acquire lock", PKG_TROUBLE_LOCK},
	{"Failed to obtain the transaction lock", PKG_TROUBLE_LOCK},
	{"Failed to obtain rpm transaction lock", PKG_TROUBLE_LOCK},
	{"database is locked", PKG_TROUBLE_LOCK},
	{"No space left on device", PKG_TROUBLE_NO_SPACE},
	{"more space needed on the", PKG_TROUBLE_NO_SPACE},
	{"more space on the", PKG_TROUBLE_NO_SPACE},
	{"No match for argument", PKG_TROUBLE_NOT_FOUND},
	{"Unable to find a match", PKG_TROUBLE_NOT_FOUND},
	{"Status code: 404", PKG_TROUBLE_STALE},
	{"Curl error", PKG_TROUBLE_NET},
	{"Status code: ", PKG_TROUBLE_NET},
	{"Failed to download metadata", PKG_TROUBLE_NET},
	{"Cannot download", PKG_TROUBLE_NET},
	{"All mirrors were tried", PKG_TROUBLE_NET},
	{"No more mirrors to try", PKG_TROUBLE_NET},
	{"Error downloading packages", PKG_TROUBLE_NET},
	{"scriptlet failed", PKG_TROUBLE_SCRIPT},
	{"Problem", PKG_TROUBLE_CONFLICT},
	{"Transaction test error", PKG_TROUBLE_CONFLICT},
	{NULL, PKG_TROUBLE_OTHER},
};

/* "  5/12" at the end of a line. */
static bool tail_count(const char *line, int *ret_n, int *ret_total) {
	const char *slash = strrchr(line, '/'), *at = slash;
	char digits[12];
	int64_t n, total;
	struct err ignored;
	while (at && at > line && at[-1] >= '0' && at[-1] <= '9') at--;
	if (!at || at == slash || slash - at >= (ptrdiff_t)sizeof digits) return false;
	(void)snprintf(digits, sizeof digits, "%.*s", (int)(slash - at), at);
	if (parse_i64(digits, 0, 1000000, &n, &ignored)) return false;
	(void)snprintf(digits, sizeof digits, "%.*s", (int)strspn(slash + 1, "0123456789"), slash + 1);
	if (parse_i64(digits, 1, 1000000, &total, &ignored) || n > total) return false;
	*ret_n = (int)n;
	*ret_total = (int)total;
	return true;
}

/* Three phases, each counted by dnf itself: downloads "(3/12): …", the transaction "  Installing : git-2…  5/12 ". */
void dnf_on_line(enum exec_stream stream, const char *line, void *arg) {
	static const struct {
		const char *word, *text;
		int phase;
	} phases[] = {{"Installing ", "installing", 1},	  {"Upgrading ", "upgrading", 1},
		      {"Downgrading ", "downgrading", 1}, {"Cleanup ", "cleaning up", 1},
		      {"Erasing ", "removing", 1},	  {"Removing ", "removing", 1},
		      {"Verifying ", "verifying", 2}};
	const struct pkg_run *run = arg;
	const struct machine *m = run->machine;
	int n, total;
	if (stream != EXEC_STDOUT) return;
	line += strspn(line, " ");
	if (line[0] == '(' && strstr(line, "): ")) {
		char head[32];
		(void)snprintf(head, sizeof head, "%.*s", (int)strcspn(line, ")"), line);
		if (tail_count(head, &n, &total))
			machine_note(m, n, 3LL * total, "downloading %d of %d packages", n, total);
		return;
	}
	const char *colon = strstr(line, ": ");
	if (!colon || !tail_count(line, &n, &total)) return;
	for (size_t i = 0; i < sizeof phases / sizeof *phases; i++) {
		if (!str_starts(line, phases[i].word)) continue;
		const char *name = colon + 2 + strspn(colon + 2, " ");
		machine_note(m, (int64_t)phases[i].phase * total + n, 3LL * total, "%s %.*s (%d of %d)", phases[i].text,
			     (int)strcspn(name, " "), name, n, total);
		return;
	}
}

static int explain_unknown(const struct machine *m, const char *output, struct err *err) {
	static const char *const all_names[] = {"dnf", "-q", "-C", "repoquery", "--qf", "%{name}\n", NULL};
	AUTO_STRS struct strs lines = {0}, names = {0}, texts = {0};
	str_split(output, "\n", m->arena, &lines);
	for (size_t i = 0; i < lines.count; i++) {
		const char *name = pkg_between(lines.items[i], "No match for argument: ", "", m->arena);
		const char *all = pkg_between(lines.items[i], "Unable to find a match: ", "", m->arena);
		if (name) strs_add_once(&names, name);
		if (!names.count && all) str_split(all, " ", m->arena, &names);
	}
	for (size_t i = 0; i < names.count && i < DNF_UNKNOWN_MAX; i++)
		strs_add(&texts, arena_printf(m->arena, "package '%s' is in no repository%s", names.items[i],
					      pkg_did_you_mean(m, names.items[i], all_names, dnf_env)));
	if (!texts.count) return -err->code;
	if (names.count > DNF_UNKNOWN_MAX) strs_add(&texts, "and more");
	return err_set(err, ERR_NOT_FOUND, "%s", strs_join(&texts, "; ", m->arena));
}

static int explain_conflict(const struct machine *m, const char *output, struct err *err) {
	const char *line = pkg_line_with(output, "Problem", m->arena);
	const char *why = pkg_line_with(output, " conflicts with ", m->arena);
	const char *hint = "";
	if (!line) line = pkg_line_with(output, "Transaction test error", m->arena);
	if (!why) why = pkg_line_with(output, "nothing provides", m->arena);
	if (strstr(output, "curl-minimal"))
		hint = "; Amazon Linux comes with curl-minimal, which has the curl command: leave curl out, or run "
		       "`sudo dnf swap curl-minimal curl-full` first";
	if (why && *why == '-') why += 1 + strspn(why + 1, " ");
	return err_set(err, ERR_COMMAND, "the packages do not fit together: %s%s%s%s",
		       line ? line : "see the step's log", why && line && !strstr(line, why) ? ": " : "",
		       why && line && !strstr(line, why) ? why : "", hint);
}

/* dnf's own words after "Error: ", which say more than the tail of its output. */
static int explain_other(const struct machine *m, const char *output, struct err *err) {
	enum err_code code = strstr(output, "superuser") ? ERR_DENIED : err->code;
	const char *line = pkg_between(output, "Error: ", "", m->arena);
	if (!line) return -err->code;
	return err_set(err, code, "dnf: %s", line);
}

static int explain_net(const struct machine *m, const char *output, struct err *err) {
	static const char *const texts[] = {"Curl error", "Status code: ", "Failed to download metadata",
					    "Cannot download", "Error"};
	const char *line = NULL, *repo = pkg_between(output, "metadata for repo '", "'", m->arena);
	for (size_t i = 0; i < sizeof texts / sizeof *texts && !line; i++)
		line = pkg_line_with(output, texts[i], m->arena);
	if (line && *line == '-') line += 1 + strspn(line + 1, " ");
	(void)err_set(err, ERR_NET, "a package repository could not be used%s%s%s: %s; check DNS, routes and proxy",
		      repo ? " (" : "", repo ? repo : "", repo ? ")" : "", line ? line : "dnf names no reason");
	err->is_retryable = true;
	return -err->code;
}

int dnf_explain(const struct machine *m, const struct pkg_run *run, struct err *err) {
	const char *out = buf_str(&run->output), *line;
	if (err->code != ERR_COMMAND) return -err->code; /* a timeout or a missing tool says enough */
	switch (run->trouble) {
	case PKG_TROUBLE_NOT_FOUND: return explain_unknown(m, out, err);
	case PKG_TROUBLE_CONFLICT: return explain_conflict(m, out, err);
	case PKG_TROUBLE_NET: return explain_net(m, out, err);
	case PKG_TROUBLE_LOCK:
		line = pkg_line_with(out, "lock", m->arena);
		return err_set(err, ERR_BUSY, "the rpm database stayed locked for %lld min: %s",
			       PKG_LOCK_WAIT_MS / 60000, line);
	case PKG_TROUBLE_NO_SPACE:
		line = pkg_line_with(out, "space", m->arena);
		return err_set(
			err, ERR_NO_SPACE,
			"the disk is full: %s; free some space (`sudo dnf clean packages`) or enlarge the volume",
			line);
	case PKG_TROUBLE_STALE:
		line = pkg_line_with(out, "Status code: 404", m->arena);
		return err_set(err, ERR_REMOTE, "the repository lacks a file that its own index names: %s", line);
	case PKG_TROUBLE_SCRIPT:
		line = pkg_line_with(out, "scriptlet failed", m->arena);
		return err_set(err, ERR_COMMAND, "a package's own script failed: %s; see the step's log", line);
	case PKG_TROUBLE_INTERRUPTED:
	case PKG_TROUBLE_HELD:
	case PKG_TROUBLE_OTHER: return explain_other(m, out, err);
	}
	return -err->code;
}
