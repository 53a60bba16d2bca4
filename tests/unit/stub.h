#pragma once
/*
 * Stub tools on PATH: each call, of whichever tool, is written to a log and answered by the next answer of a list.
 */
#include "tree.h"

struct answer {
	int status;
	const char *text; /* stdout; NULL ends a list */
};

#define STUB_SCRIPT                                                                                                    \
	"#!/bin/sh\n"                                                                                                  \
	"n=$(cat \"$STUB/n\")\n"                                                                                       \
	"echo $((n + 1)) >\"$STUB/n\"\n"                                                                               \
	"echo \"${0##*/} $*\" >>\"$STUB/calls\"\n"                                                                     \
	"[ -f \"$STUB/out.$n\" ] || { echo \"unexpected call $n: ${0##*/} $*\" >&2; exit 99; }\n"                      \
	"cat \"$STUB/out.$n\"\n"                                                                                       \
	"exit $(cat \"$STUB/status.$n\")\n"

struct stub {
	struct tree tree;
	char path[96], stub[96];
	const char *env[4];
	struct arena arena;
	struct buf told; /* notes and waits */
};

static inline void stub_on_note(const char *text, int64_t done, int64_t total, void *arg) {
	struct stub *s = arg;
	buf_addf(&s->told, "%lld/%lld %s\n", (long long)done, (long long)total, text);
}

static inline void stub_open(struct stub *s, const char *const *tools) {
	char path[64];
	*s = (struct stub){.told = BUF_INIT(64 * 1024)};
	tree_open(&s->tree);
	for (; *tools; tools++) {
		(void)snprintf(path, sizeof path, "/stub/bin/%s", *tools);
		tree_write(&s->tree, path, STUB_SCRIPT, 0755);
	}
	(void)snprintf(s->path, sizeof s->path, "PATH=%s/stub/bin:/usr/bin:/bin", s->tree.dir);
	(void)snprintf(s->stub, sizeof s->stub, "STUB=%s/stub", s->tree.dir);
	s->env[0] = s->path;
	s->env[1] = s->stub;
	s->env[2] = "LANG=C";
}

static inline void stub_answers(struct stub *s, const struct answer *answers, size_t max) {
	char path[64], text[16];
	tree_write(&s->tree, "/stub/n", "0\n", 0644);
	for (size_t i = 0; i < max && answers[i].text; i++) {
		(void)snprintf(path, sizeof path, "/stub/out.%zu", i);
		tree_write(&s->tree, path, answers[i].text, 0644);
		(void)snprintf(path, sizeof path, "/stub/status.%zu", i);
		(void)snprintf(text, sizeof text, "%d\n", answers[i].status);
		tree_write(&s->tree, path, text, 0644);
	}
}

static inline struct machine stub_machine(struct stub *s) {
	return (struct machine){.root = &s->tree.root,
				.env = s->env,
				.deadline_at_ms = clock_mono_ms() + 60000,
				.on_note = stub_on_note,
				.arg = s,
				.arena = &s->arena};
}

/** All calls so far, one a line. */
static inline const char *stub_calls(struct stub *s) {
	AUTO_FREE char *text = tree_read(&s->tree, "/stub/calls");
	return arena_strdup(&s->arena, text);
}

static inline void stub_close(struct stub *s) {
	arena_clear(&s->arena);
	buf_clear(&s->told);
	tree_close(&s->tree);
}
