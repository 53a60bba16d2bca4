#include <ctype.h>

#include "aws/fetch.h"
#include "base/err.h"
#include "fmt/diag.h"
#include "fmt/digest.h"
#include "recipe/facts.h"
#include "recipe/step.h"
#include "steps/repo.h"
#include "steps/steps.h"

struct repo_apt {
	struct strs uris, suites, components, architectures;
};

struct repo_dnf {
	const char *baseurl, *metalink, *mirrorlist;
	int64_t priority;
};

struct repo_params {
	const char *name, *ppa;
	int state;
	struct repo_apt apt;
	struct repo_dnf dnf;
	bool has_apt, has_dnf;
	const char *key, *key_sha256;
	struct strs key_fingerprint;
};

enum { REPO_PRESENT, REPO_ABSENT };
static const char *const repo_states[] = {"present", "absent", NULL};

/* The one PPA that data science boxes need; its key as Launchpad shows it ("Technical details about this PPA"). */
#define DEADSNAKES "deadsnakes/ppa"
#define DEADSNAKES_KEY "F23C5A6CF475977595C89F51BA6932366A755776"

#define APT_FIELD(n, member, text)                                                                                     \
	{ .name = n, .kind = FIELD_TEXTS, .offset = offsetof(struct repo_apt, member), .help = text }
#define DNF_FIELD(n, member, text)                                                                                     \
	{ .name = n, .kind = FIELD_TEXT, .offset = offsetof(struct repo_dnf, member), .help = text }
#define REPO_FIELD(n, k, member, text)                                                                                 \
	.name = n, .kind = k, .offset = offsetof(struct repo_params, member), .help = text

static const struct field apt_fields[] = {
	APT_FIELD("uris", uris, "where it is, https://…"),
	APT_FIELD("suites", suites, "default: the release's code name, such as noble; `./` for a flat one"),
	APT_FIELD("components", components, "default: main"),
	APT_FIELD("architectures", architectures, "such as amd64; default: the machine's"),
	{0},
};
static const struct shape apt_shape = {.fields = apt_fields, .size = sizeof(struct repo_apt), .scalar_field = "uris"};

static const struct field dnf_fields[] = {
	DNF_FIELD("baseurl", baseurl, "where it is, https://…; $releasever and $basearch are dnf's own"),
	DNF_FIELD("metalink", metalink, "instead: URL of a metalink"),
	DNF_FIELD("mirrorlist", mirrorlist, "instead: URL of a list of mirrors"),
	{.name = "priority",
	 .kind = FIELD_INT,
	 .offset = offsetof(struct repo_dnf, priority),
	 .min = 1,
	 .max = 99,
	 .help = "1 to 99, lower ones win; default 99"},
	{0},
};
static const struct shape dnf_shape = {
	.fields = dnf_fields, .size = sizeof(struct repo_dnf), .scalar_field = "baseurl"};

static const struct field repo_fields[] = {
	{REPO_FIELD("name", FIELD_TEXT, name, "name of its file and key; default: that of the PPA")},
	{REPO_FIELD("state", FIELD_CHOICE, state, "present or absent"), .choices = repo_states, .fallback = "present"},
	{REPO_FIELD("apt", FIELD_STRUCT, apt, "on Ubuntu and Debian; without it the step does nothing there"),
	 .shape = &apt_shape, .presence = offsetof(struct repo_params, has_apt)},
	{REPO_FIELD("dnf", FIELD_STRUCT, dnf, "on Amazon Linux; without it the step does nothing there"),
	 .shape = &dnf_shape, .presence = offsetof(struct repo_params, has_dnf)},
	{REPO_FIELD("ppa", FIELD_TEXT, ppa,
		    "instead of apt: a PPA of Ubuntu, OWNER/NAME, as plain sources; the key of deadsnakes/ppa is "
		    "known, others need key_fingerprint")},
	{REPO_FIELD("key", FIELD_TEXT, key, "URL or path of its OpenPGP key")},
	{REPO_FIELD("key_sha256", FIELD_TEXT, key_sha256, "SHA-256 of the key file")},
	{REPO_FIELD("key_fingerprint", FIELD_TEXTS, key_fingerprint,
		    "instead, or too: fingerprints of the keys that the file may hold")},
	{0},
};

static void check_name(const char *name, const struct yml_node *node, struct diags *diags) {
	if (!name || step_text_is_open(name)) return;
	bool is_good = isalnum((unsigned char)*name);
	for (const char *c = name; *c; c++) is_good = is_good && (isalnum((unsigned char)*c) || strchr("-_.", *c));
	if (!is_good) diag_add(diags, node, "name '%s': letters, digits, '-', '_' and '.' only", name);
}

static void check_urls(const char *field, const struct strs *urls, const struct yml_node *node, struct diags *diags) {
	for (size_t i = 0; i < urls->count; i++) {
		const char *url = urls->items[i];
		if (step_text_is_open(url)) continue;
		if (!str_starts(url, "https://") && !str_starts(url, "http://") && !str_starts(url, "file:/"))
			diag_add(diags, node, "%s: '%s' is no URL", field, url);
		if (url[strcspn(url, " \t\r\n")]) diag_add(diags, node, "%s: '%s' holds white space", field, url);
	}
}

static void check_words(const char *field, const struct strs *words, const struct yml_node *node, struct diags *diags) {
	for (size_t i = 0; i < words->count; i++)
		if (words->items[i][strcspn(words->items[i], " \t\r\n#")])
			diag_add(diags, node, "%s: '%s' is no word", field, words->items[i]);
}

static void check_key(const struct repo_params *p, const struct yml_node *node, struct diags *diags) {
	bool is_known = p->ppa && str_eq(p->ppa, DEADSNAKES);
	if (!p->key && !p->ppa) diag_add(diags, node, "key is missing: the URL of the repository's OpenPGP key");
	if (!p->key_sha256 && !p->key_fingerprint.count && !is_known)
		diag_add(
			diags, node,
			"the key must be pinned: give key_sha256 (`sha256sum`) or key_fingerprint (`gpg --show-keys`)");
	if (p->key_sha256 && !step_text_is_open(p->key_sha256) &&
	    (strlen(p->key_sha256) != SHA256_HEX_SIZE - 1 ||
	     strspn(p->key_sha256, "0123456789abcdefABCDEF") != SHA256_HEX_SIZE - 1))
		diag_add(diags, node, "key_sha256 '%.80s' is not a SHA-256: 64 hexadecimal digits are needed",
			 p->key_sha256);
	for (size_t i = 0; i < p->key_fingerprint.count; i++) {
		const char *text = p->key_fingerprint.items[i];
		size_t digits = 0;
		for (const char *c = str_starts(text, "0x") ? text + 2 : text; *c; c++) {
			if (isxdigit((unsigned char)*c)) digits++;
			if (!isxdigit((unsigned char)*c) && *c != ' ') digits = 1000;
		}
		if (digits != 40 && digits != 64 && !step_text_is_open(text))
			diag_add(diags, node,
				 "key_fingerprint '%s' is not one: 40 or 64 hexadecimal digits (a short key id can be "
				 "forged)",
				 text);
	}
}

static void repo_check(const void *params, const struct yml_node *node, struct diags *diags) {
	const struct repo_params *p = params;
	const struct strs dnf_urls[] = {
		{.items = (const char **)&p->dnf.baseurl, .count = p->dnf.baseurl ? 1 : 0},
		{.items = (const char **)&p->dnf.metalink, .count = p->dnf.metalink ? 1 : 0},
		{.items = (const char **)&p->dnf.mirrorlist, .count = p->dnf.mirrorlist ? 1 : 0}};
	if (!p->name && !p->ppa) diag_add(diags, node, "name is missing");
	check_name(p->name, node, diags);
	if (p->state == REPO_ABSENT) return;
	if (!p->has_apt && !p->has_dnf && !p->ppa) diag_add(diags, node, "apt, dnf or ppa is missing");
	if (p->has_apt && p->ppa) diag_add(diags, node, "apt and ppa exclude each other");
	if (p->has_apt && !p->apt.uris.count) diag_add(diags, node, "apt: uris is missing");
	if (p->ppa && !step_text_is_open(p->ppa) &&
	    (!strchr(p->ppa, '/') || strchr(p->ppa, ':') || p->ppa[strcspn(p->ppa, " ")]))
		diag_add(diags, node, "ppa '%s' is not OWNER/NAME, such as deadsnakes/ppa", p->ppa);
	check_urls("apt: uris", &p->apt.uris, node, diags);
	check_words("apt: suites", &p->apt.suites, node, diags);
	check_words("apt: components", &p->apt.components, node, diags);
	check_words("apt: architectures", &p->apt.architectures, node, diags);
	size_t sources = 0;
	for (size_t i = 0; i < 3; i++) {
		check_urls("dnf", &dnf_urls[i], node, diags);
		sources += dnf_urls[i].count;
	}
	if (p->has_dnf && sources != 1) diag_add(diags, node, "dnf: give one of baseurl, metalink and mirrorlist");
	check_key(p, node, diags);
}

static void repo_resources(const void *params, const struct facts *facts, struct arena *arena, struct strs *names) {
	strs_add_once(names, "packages");
}

static int add_ppa(const struct repo_params *p, struct step_ctx *ctx, struct repo *repo, struct err *err) {
	struct arena *arena = ctx->arena;
	if (!str_eq(ctx->facts->os.id, "ubuntu"))
		return err_set(err, ERR_UNSUPPORTED,
			       "PPAs are built for Ubuntu, this is %s: add `when: facts.os == \"ubuntu\"` to the step",
			       ctx->facts->os.id);
	strs_add(&repo->uris, arena_printf(arena, "https://ppa.launchpadcontent.net/%s/ubuntu", p->ppa));
	if (str_eq(p->ppa, DEADSNAKES) && !repo->key.fingerprints.count && !repo->key.sha256)
		strs_add(&repo->key.fingerprints, DEADSNAKES_KEY);
	if (!repo->key.url && repo->key.fingerprints.count)
		repo->key.url =
			arena_printf(arena, "https://keyserver.ubuntu.com/pks/lookup?op=get&options=mr&search=0x%s",
				     repo->key.fingerprints.items[0]);
	return 0;
}

static void copy(struct strs *to, const struct strs *from) {
	for (size_t i = 0; i < from->count; i++) strs_add(to, from->items[i]);
}

/* False: this step says nothing of this machine's package manager. */
static int make_repo(const struct repo_params *p, struct step_ctx *ctx, struct repo *repo, bool *ret_applies,
		     struct err *err) {
	bool is_apt = str_eq(ctx->facts->os.package_manager, "apt");
	char *name = arena_strdup(ctx->arena, p->name ? p->name : p->ppa);
	int r = 0;
	for (char *c = name; *c; c++)
		if (*c == '/') *c = '-';
	*repo = (struct repo){.name = name,
			      .is_absent = p->state == REPO_ABSENT,
			      .baseurl = p->dnf.baseurl,
			      .metalink = p->dnf.metalink,
			      .mirrorlist = p->dnf.mirrorlist,
			      .priority = p->dnf.priority,
			      .key = {.url = p->key, .sha256 = p->key_sha256}};
	*ret_applies = repo->is_absent || (is_apt ? p->has_apt || p->ppa : p->has_dnf);
	if (!*ret_applies || repo->is_absent) return 0;
	copy(&repo->uris, &p->apt.uris);
	copy(&repo->suites, &p->apt.suites);
	copy(&repo->components, &p->apt.components);
	copy(&repo->architectures, &p->apt.architectures);
	copy(&repo->key.fingerprints, &p->key_fingerprint);
	if (is_apt && p->ppa) r = add_ppa(p, ctx, repo, err);
	if (r < 0) return r;
	if (is_apt && !repo->suites.count) {
		if (!ctx->facts->os.codename[0])
			return err_set(err, ERR_INVALID, "this system has no code name: give apt.suites");
		strs_add(&repo->suites, ctx->facts->os.codename);
	}
	/* A suite that ends in '/' is a flat repository, which has no components. */
	if (is_apt && !repo->components.count && !str_ends(repo->suites.items[0], "/"))
		strs_add(&repo->components, "main");
	return r;
}

static void repo_clear(struct repo *repo) {
	strs_clear(&repo->uris);
	strs_clear(&repo->suites);
	strs_clear(&repo->components);
	strs_clear(&repo->architectures);
	strs_clear(&repo->key.fingerprints);
}

static int step_repo_probe(const void *params, struct step_ctx *ctx, struct changes *changes, struct err *err) {
	AUTO(repo_clear) struct repo repo = {0};
	bool applies;
	int r = make_repo(params, ctx, &repo, &applies, err);
	return r < 0 || !applies ? r : repo_probe(&repo, ctx, changes, err);
}

static int step_repo_apply(const void *params, struct step_ctx *ctx, const struct changes *changes, struct err *err) {
	AUTO(repo_clear) struct repo repo = {0};
	bool applies;
	int r = make_repo(params, ctx, &repo, &applies, err);
	return r < 0 || !applies ? r : repo_apply(&repo, ctx, err);
}

const struct step_type step_repo = {
	.name = "repo",
	.summary = "an apt or dnf repository with its key, the key pinned",
	.example = "- name: Docker's packages\n"
		   "  repo:\n"
		   "    name: docker\n"
		   "    apt: {uris: https://download.docker.com/linux/ubuntu, components: [stable]}\n"
		   "    key: https://download.docker.com/linux/ubuntu/gpg\n"
		   "    key_fingerprint: 9DC858229FC7DD38854AE2D88D81803C0EBFCD88\n",
	.shape = {.fields = repo_fields, .size = sizeof(struct repo_params), .scalar_field = "ppa"},
	.timeout_ms = 20LL * 60 * 1000,
	.check = repo_check,
	.resources = repo_resources,
	.probe = step_repo_probe,
	.apply = step_repo_apply,
};
