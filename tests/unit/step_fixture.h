#pragma once
/*
 * A step type run as a worker runs it, on a directory of its own: its YAML bound, checked, probed, applied. Texts live
 * until fixture_close.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fs.h"
#include "fmt/diag.h"
#include "fmt/yml.h"
#include "recipe/facts.h"
#include "recipe/step.h"

struct fixture {
	char dir[64];
	struct arena arena;
	struct fs_root root;
	struct facts facts;
	struct step_ctx ctx;
	struct err err;
	struct buf notes; /* "note text\n", "wait text\n" */
};

static inline void fixture_note(const char *text, int64_t done, int64_t total, void *arg) {
	buf_addf(&((struct fixture *)arg)->notes, "note %s\n", text);
}

static inline void fixture_wait(const char *what, int64_t waited_ms, void *arg) {
	buf_addf(&((struct fixture *)arg)->notes, "wait %s\n", what);
}

static const char *const fixture_env[] = {"PATH=/usr/bin:/bin", "LANG=C.UTF-8", NULL};

/* is_host: the machine's own root (to run commands), else the directory is the root. */
static inline void fixture_open(struct fixture *f, bool is_host) {
	memset(f, 0, sizeof *f);
	f->notes = BUF_INIT(64 * 1024);
	(void)snprintf(f->dir, sizeof f->dir, "/tmp/dsagent-test-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	assert_int_equal(fs_root_open(is_host ? NULL : f->dir, &f->root, &f->err), 0);
	f->facts.os.memory_bytes = 8LL << 30;
	f->ctx = (struct step_ctx){.machine = {.root = &f->root,
					       .env = fixture_env,
					       .deadline_at_ms = clock_mono_ms() + 60000,
					       .on_note = fixture_note,
					       .on_wait = fixture_wait,
					       .arg = f,
					       .arena = &f->arena},
				   .facts = &f->facts,
				   .arena = &f->arena};
}

static inline void fixture_close(struct fixture *f) {
	struct fs_root host;
	struct err err;
	assert_int_equal(fs_root_open(NULL, &host, &err), 0);
	assert_int_equal(fs_remove(&host, f->dir, true, &err), 0);
	fs_root_clear(&host);
	fs_root_clear(&f->root);
	buf_clear(&f->notes);
	arena_clear(&f->arena);
}

/* The parameters, or NULL with the diagnoses in *ret_diagnoses. */
static inline const void *fixture_bind(struct fixture *f, const struct step_type *type, const char *yaml,
				       const char **ret_diagnoses) {
	AUTO_DIAGS struct diags d = {.arena = &f->arena};
	AUTO_BUF struct buf text = BUF_INIT(64 * 1024);
	const struct yml_node *node = yml_parse("r", yaml, strlen(yaml), &f->arena, &d);
	void *params = arena_alloc(&f->arena, type->shape.size);
	if (node && schema_bind(&type->shape, node, SCHEMA_REFS_EXPANDED, params, &f->arena, &d) && type->check)
		type->check(params, node, &d);
	diags_print(&d, &text);
	*ret_diagnoses = arena_strdup(&f->arena, buf_str(&text));
	return d.count ? NULL : params;
}

/* What the probe says: each change and its diff on lines of their own, or "error: …", or the diagnoses. */
static inline const char *fixture_probe(struct fixture *f, const struct step_type *type, const char *yaml) {
	const char *diagnoses;
	const void *params = fixture_bind(f, type, yaml, &diagnoses);
	struct changes changes = {0};
	AUTO_BUF struct buf text = BUF_INIT(256 * 1024);
	if (!params) return diagnoses;
	if (type->probe(params, &f->ctx, &changes, &f->err) < 0)
		return arena_printf(&f->arena, "error: %s", f->err.msg);
	for (size_t i = 0; i < changes.count; i++)
		buf_addf(&text, "%s\n%s", changes.items[i].what, changes.items[i].diff ? changes.items[i].diff : "");
	return arena_strdup(&f->arena, buf_str(&text));
}

/* "" or the error. */
static inline const char *fixture_apply(struct fixture *f, const struct step_type *type, const char *yaml) {
	const char *diagnoses;
	const void *params = fixture_bind(f, type, yaml, &diagnoses);
	struct changes changes = {0};
	if (!params) return diagnoses;
	if (type->probe(params, &f->ctx, &changes, &f->err) < 0 || type->apply(params, &f->ctx, &changes, &f->err) < 0)
		return arena_printf(&f->arena, "%s: %s", err_code_name(f->err.code), f->err.msg);
	return "";
}
