/*
 * Faults are lines: `KIND word=value…`, for example `CreateTags status=503 code=RequestLimitExceeded count=20`,
 * `token reset=0 for=4000`, `creds expired`, `any delay=250`, `metadata path=placement stall after=2`. The first line
 * that fits a request is used.
 */
#include <stdlib.h>
#include <string.h>

#include "world.h"

const char *const kind_names[KIND_COUNT] = {"token",
					    "metadata",
					    "creds",
					    "CreateTags",
					    "DescribeTags",
					    "other",
					    "ListBuckets",
					    "HeadBucket",
					    "ListObjectsV2",
					    "GetObject",
					    "HeadObject",
					    "PutObject",
					    "DeleteObject",
					    "DeleteObjects",
					    "CreateMultipartUpload",
					    "UploadPart",
					    "CompleteMultipartUpload",
					    "AbortMultipartUpload",
					    "ListParts",
					    "ListMultipartUploads",
					    "s3-other",
					    "control"};

static bool fits(const struct fault *f, enum kind kind, const char *target) {
	bool is_s3 = kind >= KIND_LIST_BUCKETS && kind <= KIND_S3_OTHER;

	if (f->kind != KIND_COUNT && f->kind != kind && !(f->kind == KIND_S3 && is_s3)) return false;
	return !f->path[0] || strstr(target, f->path);
}

/* The same ones in every run: a sequence of its own for each fault. */
static bool is_chosen(struct fault *f) {
	f->seed = f->seed * 6364136223846793005 + 1442695040888963407;
	return f->rate == 0 || (double)(f->seed >> 40) < f->rate * (double)(1 << 24);
}

/* Takes a token of the fault's bucket; true, and the fault, when there is none left. */
static bool is_empty(struct fault *f) {
	int64_t now = mono_ms();

	if (f->bucket == 0) return true;
	f->tokens += (double)(now - f->filled_at) / 1000 * f->refill_per_s;
	if (f->tokens > f->bucket || f->filled_at == 0) f->tokens = f->bucket;
	f->filled_at = now;
	if (f->tokens < 1) return true;
	f->tokens -= 1;
	return false;
}

struct fault fault_take(struct world *world, enum kind kind, const char *target) {
	for (size_t i = 0; i < world->fault_count && kind != KIND_CONTROL; i++) {
		struct fault *f = &world->faults[i];
		if (!fits(f, kind, target)) continue;
		if (f->count == 0 || (f->until && mono_ms() > f->until)) continue;
		if (f->after > 0) {
			f->after--;
			continue;
		}
		if (!is_chosen(f)) continue;
		if (!is_empty(f)) continue;
		if (f->count > 0) f->count--;
		world->faulted++;
		f->is_used = true;
		return *f;
	}
	return (struct fault){0};
}

static bool is_number(const char *s, long *ret) {
	char *end;

	*ret = strtol(s, &end, 10);
	return end != s && !*end;
}

/* Words without a value. */
static bool set_flag(struct fault *f, const char *word) {
	const struct {
		const char *name;
		bool *slot;
	} flags[] = {{"expired", &f->is_expired},
		     {"ignore-range", &f->ignores_range},
		     {"wrong", &f->is_wrong},
		     {"change", &f->changes},
		     {"expire-token", &f->rotates},
		     {"empty-page", &f->is_empty_page},
		     {"repeat-token", &f->repeats_token},
		     {"doctype", &f->has_doctype},
		     {"late-error", &f->fails_late}};
	const struct {
		const char *name;
		enum fault_action action;
	} actions[] = {{"stall", FAULT_STALL}, {"garbage", FAULT_GARBAGE}, {"html", FAULT_HTML}};

	for (size_t i = 0; i < sizeof actions / sizeof *actions; i++) {
		if (strcmp(word, actions[i].name) != 0) continue;
		f->action = actions[i].action;
		return true;
	}
	for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
		if (strcmp(word, flags[i].name) != 0) continue;
		return *flags[i].slot = true;
	}
	return false;
}

static void set_text(char *out, size_t size, const char *value) { snprintf(out, size, "%s", value); }

/* Words that take a number. */
static bool set_number(struct fault *f, const char *word, long n) {
	if (strcmp(word, "status") == 0) {
		f->action = FAULT_STATUS;
		f->status = (int)n;
	} else if (strcmp(word, "count") == 0) {
		f->count = (int)n;
	} else if (strcmp(word, "after") == 0) {
		f->after = (int)n;
	} else if (strcmp(word, "for") == 0) {
		f->until = mono_ms() + n;
	} else if (strcmp(word, "delay") == 0) {
		f->delay_ms = n;
	} else if (strcmp(word, "seed") == 0) {
		f->seed = (uint64_t)n;
	} else if (strcmp(word, "skew") == 0) {
		f->skew_s = n;
	} else if (strcmp(word, "bucket") == 0) {
		f->bucket = (double)n;
	} else if (strcmp(word, "refill") == 0) {
		f->refill_per_s = (double)n;
	} else if (strcmp(word, "reset") == 0) {
		f->action = FAULT_RESET;
		f->bytes = n;
	} else if (strcmp(word, "truncated") == 0) {
		f->action = FAULT_TRUNCATED;
		f->bytes = n;
	} else {
		return false;
	}
	return true;
}

static bool set_word(struct fault *f, char *word) {
	char *value = strchr(word, '=');
	long n;

	if (!value) return set_flag(f, word);
	*value++ = '\0';
	if (strcmp(word, "path") == 0)
		set_text(f->path, sizeof f->path, value);
	else if (strcmp(word, "code") == 0)
		set_text(f->code, sizeof f->code, value);
	else if (strcmp(word, "message") == 0)
		set_text(f->message, sizeof f->message, value);
	else if (strcmp(word, "creds-code") == 0)
		set_text(f->creds_code, sizeof f->creds_code, value);
	else if (strcmp(word, "etag") == 0)
		set_text(f->etag, sizeof f->etag, value);
	else if (strcmp(word, "refuse") == 0)
		set_text(f->refuses, sizeof f->refuses, value);
	else if (strcmp(word, "rate") == 0)
		return (f->rate = strtod(value, NULL)) > 0;
	else
		return is_number(value, &n) && set_number(f, word, n);
	return true;
}

static bool parse_line(char *line, struct fault *f, char **ret_error) {
	char *save = NULL, *word = strtok_r(line, " \t", &save);

	*f = (struct fault){.kind = KIND_COUNT, .count = -1, .seed = 1};
	if (strcmp(word, "s3") == 0) {
		f->kind = KIND_S3;
	} else if (strcmp(word, "any") != 0) {
		int kind = 0;
		while (kind < KIND_CONTROL && strcmp(word, kind_names[kind]) != 0) kind++;
		if (kind == KIND_CONTROL) {
			*ret_error = text_print("unknown kind of request '%s'\n", word);
			return false;
		}
		f->kind = (enum kind)kind;
	}
	while ((word = strtok_r(NULL, " \t", &save))) {
		char *whole = text_dup(word);
		bool is_ok = set_word(f, word);
		if (!is_ok) *ret_error = text_print("cannot read '%s'\n", whole);
		free(whole);
		if (!is_ok) return false;
	}
	return true;
}

bool fault_parse(struct world *world, const char *text, char **ret_error) {
	struct fault faults[FAULTS_MAX];
	size_t count = 0;
	bool is_ok = true;
	char *copy = text_dup(text), *save = NULL;

	for (char *line = strtok_r(copy, "\r\n", &save); line && is_ok; line = strtok_r(NULL, "\r\n", &save)) {
		if (line[strspn(line, " \t")] == '\0' || *line == '#') continue;
		if (count == FAULTS_MAX) {
			*ret_error = text_print("more than %d faults\n", FAULTS_MAX);
			is_ok = false;
		} else {
			is_ok = parse_line(line, &faults[count++], ret_error);
		}
	}
	free(copy);
	if (!is_ok) return false;
	memcpy(world->faults, faults, count * sizeof *faults);
	world->fault_count = count;
	return true;
}
