#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/str.h"
#include "fmt/diag.h"
#include "fmt/yml.h"
#include "recipe/facts.h"
#include "recipe/step.h"
#include "steps/steps.h"
#include "stub.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))
#define ANSWERS_MAX 6
static const char *const tools[] = {"apt-get", "dpkg-query", "dnf", "rpm", NULL};

static const void *bind(const char *yaml, struct arena *arena, struct diags *diags, const struct yml_node **ret_node) {
	void *params = arena_alloc(arena, step_packages.shape.size);
	*ret_node = yml_parse("r.yaml", yaml, strlen(yaml), arena, diags);
	if (!*ret_node || !schema_bind(&step_packages.shape, *ret_node, SCHEMA_REFS_EXPANDED, params, arena, diags))
		return NULL;
	return params;
}

static const struct {
	const char *yaml, *said;
} checks[] = {
	{"[git, make, {dnf: gcc-c++, apt: g++}]", ""},
	{"git", ""},
	{"{install: ['perl(JSON)', /usr/bin/git, 'git=1:2.39~rc1', 'libc6:i386']}", ""},
	{"{update: true}", ""},
	{"{}", "r.yaml:1:1: packages needs something to do: install, remove, upgrade, update or security_updates\n"},
	{"{update: no}", "r.yaml:1:1: packages needs something to do: install, remove, upgrade, update or "
			 "security_updates\n"},
	{"[git make]", "r.yaml:1:1: install: 'git make' is not one name: write several packages as a list, [a, b]\n"},
	{"'git, make'", "r.yaml:1:1: install: 'git, make' is not one name: write several packages as a list, [a, b]\n"},
	{"['-y']", "r.yaml:1:1: install: '-y' begins with '-'\n"},
	{"{remove: ['python3-*']}",
	 "r.yaml:1:1: remove: 'python3-*' is a pattern: whether it is installed could not be "
	 "told\n"},
	{"['@Development Tools']", "r.yaml:1:1: install: '@Development Tools' is a group: name its packages\n"},
	{"[{apt: ./x.deb}]",
	 "r.yaml:1:1: install: './x.deb' is a file or URL: fetch it with a `download` step and install "
	 "it with a `run` step\n"},
	{"['a;b']", "r.yaml:1:1: install: 'a;b' has a character that no package name has\n"},
	{"{upgrade: [{}]}", "r.yaml:1:1: upgrade: entry 1 names no package: give name, apt or dnf\n"},
	{"{update: true, releasever: ../x}", "r.yaml:1:1: releasever '../x' is no release\n"},
};

static void parameters_are_checked(void **state) {
	for (size_t i = 0; i < COUNT(checks); i++) {
		AUTO_ARENA struct arena arena = {0};
		AUTO_DIAGS struct diags diags = {.arena = &arena};
		AUTO_BUF struct buf said = BUF_INIT(4096);
		const struct yml_node *node;
		const void *params = bind(checks[i].yaml, &arena, &diags, &node);
		if (params) step_packages.check(params, node, &diags);
		diags_print(&diags, &said);
		if (!str_eq(buf_str(&said), checks[i].said)) fail_msg("%s: %s", checks[i].yaml, buf_str(&said));
	}
}

#define DB "installed\tdpkg\tamd64\t1\t\ninstalled\tgit\tamd64\t2\t\ninstalled\tnano\tamd64\t7\teditor\n"
#define UPDATES                                                                                                        \
	"Inst libssl3 [1] (2 Ubuntu:22.04/jammy-security [amd64])\nInst git [2] (3 Ubuntu:22.04/jammy-updates "        \
	"[amd64])\nInst linux-aws [1] (2 Ubuntu:22.04/jammy-security [amd64])\n"
#define APT_TAIL                                                                                                       \
	"-y -q -o DPkg::Lock::Timeout=60 -o Acquire::Retries=5 -o Acquire::http::Timeout=30 -o "                       \
	"Acquire::https::Timeout=30 -o Dpkg::Use-Pty=0 -o Dpkg::Options::=--force-confdef -o "                         \
	"Dpkg::Options::=--force-confold "

static const struct {
	const char *name, *yaml, *manager;
	bool has_index;
	struct answer answers[ANSWERS_MAX];
	const char *changes; /* or the error */
} probes[] = {
	{"some missing",
	 "{install: [git, make, {dnf: gcc-c++, apt: g++}, {dnf: only-there}]}",
	 "apt",
	 true,
	 {{0, DB}},
	 "install make, g++ (2 of 3 packages missing)\n"},
	{"all there, and what a name provides", "{install: [git, editor]}", "apt", true, {{0, DB}}, ""},
	{"empty for this family", "{install: [{name: x, apt: ''}]}", "apt", true, {{0, NULL}}, ""},
	{"removal: not what only provides", "{remove: [nano, editor, vim]}", "apt", true, {{0, DB}}, "remove nano\n"},
	{"newest of what is there, and missing",
	 "{upgrade: [git, nano, make]}",
	 "apt",
	 true,
	 {{0, DB}, {0, UPDATES}},
	 "install make (1 of 3 packages missing)\nupgrade git\n"},
	{"newest with an old index", "{upgrade: [git]}", "apt", false, {{0, DB}}, "look for newer versions of git\n"},
	{"everything but the kernel",
	 "{update: true}",
	 "apt",
	 true,
	 {{0, UPDATES}},
	 "upgrade 2 packages: libssl3, git\n"},
	{"security only", "{security_updates: true}", "apt", true, {{0, UPDATES}}, "upgrade 1 package: libssl3\n"},
	{"everything with an old index",
	 "{update: true}",
	 "apt",
	 false,
	 {{0, NULL}},
	 "refresh the package index, which is absent or older than a day, and upgrade what is outdated\n"},
	{"dnf's own names",
	 "[{dnf: gcc-c++, apt: g++}]",
	 "dnf",
	 true,
	 {{1, "package gcc-c++ is not installed\n"}, {1, "no package provides gcc-c++\n"}},
	 "install gcc-c++ (1 of 1 package missing)\n"},
	{"dnf: updates of a release",
	 "{update: true, releasever: '2023.12'}",
	 "dnf",
	 true,
	 {{0, "git\nkernel\n\nvim\n"}},
	 "upgrade 2 packages: git, vim\n"},
	{"neither",
	 "[git]",
	 "",
	 true,
	 {{0, NULL}},
	 "this system (test 1) has neither apt nor dnf: packages cannot be installed here"},
};

static void context(struct stub *s, const char *manager, struct facts *facts, struct step_ctx *ctx) {
	*facts = (struct facts){.os = {.id = "test", .version = "1"}, .is_root = true};
	(void)snprintf(facts->os.package_manager, sizeof facts->os.package_manager, "%s", manager);
	*ctx = (struct step_ctx){.machine = stub_machine(s), .facts = facts, .arena = &s->arena};
}

static void make_index(struct stub *s) {
	tree_write(&s->tree, "/var/lib/apt/lists/m_dists_noble_main_binary-amd64_Packages", "", 0644);
	tree_write(&s->tree, "/var/cache/dnf/amazonlinux-0123/repodata/repomd.xml", "", 0644);
}

static const char *probe_text(const void *params, struct step_ctx *ctx) {
	struct changes changes = {0};
	struct err err = {0};
	const char *text = "";
	if (step_packages.probe(params, ctx, &changes, &err)) return arena_strdup(ctx->arena, err.msg);
	for (size_t i = 0; i < changes.count; i++)
		text = arena_printf(ctx->arena, "%s%s\n", text, changes.items[i].what);
	return text;
}

static void what_is_missing_is_said(void **state) {
	for (size_t i = 0; i < COUNT(probes); i++) {
		struct stub s;
		struct facts facts;
		struct step_ctx ctx;
		const struct yml_node *node;
		stub_open(&s, tools);
		stub_answers(&s, probes[i].answers, ANSWERS_MAX);
		if (probes[i].has_index) make_index(&s);
		struct diags diags = {.arena = &s.arena};
		context(&s, probes[i].manager, &facts, &ctx);
		const void *params = bind(probes[i].yaml, &s.arena, &diags, &node);
		assert_non_null(params);
		const char *text = probe_text(params, &ctx);
		if (!str_eq(text, probes[i].changes)) fail_msg("%s: %s", probes[i].name, text);
		diags_clear(&diags);
		stub_close(&s);
	}
}

static const struct {
	const char *name, *yaml;
	bool has_index, is_user;
	struct answer answers[ANSWERS_MAX];
	const char *calls, *error;
} applies[] = {
	{"what is missing, what must go, what is old",
	 "{install: [git, make], remove: [nano], upgrade: [git]}",
	 true,
	 false,
	 {{0, DB}, {0, DB}, {0, UPDATES}, {0, ""}},
	 "dpkg-query\ndpkg-query\napt-get -s -o Debug::NoLocking=true --with-new-pkgs upgrade\napt-get " APT_TAIL
	 "--no-install-recommends install -- make git nano-\n",
	 NULL},
	{"nothing", "[git]", true, false, {{0, DB}}, "dpkg-query\n", NULL},
	{"everything, the index first",
	 "{update: true}",
	 false,
	 false,
	 {{0, ""}, {0, UPDATES}, {0, ""}},
	 "apt-get " APT_TAIL "-o APT::Update::Error-Mode=any update\n"
	 "apt-get -s -o Debug::NoLocking=true --with-new-pkgs upgrade\napt-get " APT_TAIL
	 "--no-install-recommends --only-upgrade install -- libssl3 git linux-aws=1\n",
	 NULL},
	{"not root", "[make]", true, true, {{0, NULL}}, "", "installing packages needs root: run sudo dsagent apply"},
};

/* dpkg-query's format spans several lines in the log: only the command is kept. */
static const char *shorten(const char *calls, struct arena *arena) {
	struct strs lines = {0};
	const char *text = "";
	str_split(calls, "\n", arena, &lines);
	for (size_t i = 0; i < lines.count; i++)
		text = arena_printf(arena, "%s%s\n", text,
				    str_starts(lines.items[i], "dpkg-query ") ? "dpkg-query" : lines.items[i]);
	strs_clear(&lines);
	return text;
}

static void it_is_applied(void **state) {
	for (size_t i = 0; i < COUNT(applies); i++) {
		struct stub s;
		struct facts facts;
		struct step_ctx ctx;
		struct err err = {0};
		const struct yml_node *node;
		stub_open(&s, tools);
		stub_answers(&s, applies[i].answers, ANSWERS_MAX);
		if (applies[i].has_index) make_index(&s);
		struct diags diags = {.arena = &s.arena};
		context(&s, "apt", &facts, &ctx);
		facts.is_root = !applies[i].is_user;
		const void *params = bind(applies[i].yaml, &s.arena, &diags, &node);
		assert_non_null(params);
		struct changes none = {0};
		int rc = step_packages.apply(params, &ctx, &none, &err);
		if (!str_eq(rc ? err.msg : NULL, applies[i].error))
			fail_msg("%s: %s", applies[i].name, rc ? err.msg : "no error");
		const char *calls = shorten(stub_calls(&s), &s.arena);
		if (!str_eq(calls, applies[i].calls)) fail_msg("%s called:\n%s", applies[i].name, calls);
		diags_clear(&diags);
		stub_close(&s);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parameters_are_checked),
		cmocka_unit_test(what_is_missing_is_said),
		cmocka_unit_test(it_is_applied),
	};
	return cmocka_run_group_tests_name("step_packages", tests, NULL, NULL);
}
