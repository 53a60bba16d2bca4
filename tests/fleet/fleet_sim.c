/*
 * fleet-sim [--agents N] [--minutes M]: the product's own schedule (report/beat) of N reporters on a virtual clock,
 * against EC2's limit for CreateTags: a bucket of 100 calls that fills by 10 a second, for a whole account and region.
 * Each reporter has new progress to tell every second. Prints a table; ends with 1 if a last state was never heard.
 */
#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/str.h"
#include "report/beat.h"

#define BUCKET_SIZE 100
#define BUCKET_PER_S 10
#define STEP_MS 20
#define LATENCY_MS 100 /* of a call */
#define AGENTS_MAX 20000

struct agent {
	struct beat beat;
	int64_t starts_at_ms, ends_at_ms;
	int64_t busy_until_ms, heard_at_ms; /* of the last state; 0: not yet */
	int64_t told_at_ms;		    /* of progress */
	bool has_started, has_ended, has_given_up;
};

struct row {
	const char *name;
	struct beat_policy policy;
	int64_t start_ms, end_ms; /* over how long the agents begin, and end */
};

struct outcome {
	uint64_t calls, refused;
	size_t heard;
	int64_t median_ms, p99_ms, last_ms, progress_ms;
};

/* SplitMix64 (Steele, Lea, Flood 2014): the same numbers in every run. */
static uint64_t seed;
static uint64_t random_u64(void) {
	uint64_t z = (seed += 0x9e3779b97f4a7c15u);
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static int64_t random_in(int64_t range) { return range ? (int64_t)(random_u64() % (uint64_t)range) : 0; }

struct sim {
	const struct row *row;
	struct agent *agents;
	size_t count;
	double tokens;
	struct outcome out;
	int64_t ages_ms, age_count; /* of progress, at every call that was heard */
};

static bool server_takes(struct sim *s) {
	s->out.calls++;
	if (s->tokens < 1) {
		s->out.refused++;
		return false;
	}
	s->tokens -= 1;
	return true;
}

static void call(struct sim *s, struct agent *a, int64_t now) {
	struct err err = {.code = ERR_REMOTE, .is_retryable = true};
	bool is_last = a->has_ended;
	int64_t done = now + LATENCY_MS;
	a->busy_until_ms = done;
	if (!server_takes(s)) {
		a->has_given_up = !beat_failed(&a->beat, &s->row->policy, done, random_u64(), &err);
		return;
	}
	beat_sent(&a->beat, &s->row->policy, done, random_u64());
	if (a->has_started) {
		s->ages_ms += done - a->told_at_ms;
		s->age_count++;
	}
	a->has_started = true;
	a->told_at_ms = done;
	if (is_last) a->heard_at_ms = done;
}

static void act(struct sim *s, struct agent *a, int64_t now) {
	if (now < a->starts_at_ms || now < a->busy_until_ms || a->heard_at_ms || a->has_given_up) return;
	if (now >= a->ends_at_ms && !a->has_ended) {
		a->has_ended = true;
		beat_end(&a->beat, &s->row->policy, now);
	}
	bool is_urgent = !a->has_started || a->has_ended;
	if (beat_wait_ms(&a->beat, is_urgent, now) == 0) call(s, a, now);
}

static int compare(const void *a, const void *b) {
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
	return x < y ? -1 : x > y;
}

static void judge(struct sim *s) {
	int64_t *late = mem_zalloc((s->count + 1) * sizeof *late);
	size_t n = 0;
	for (size_t i = 0; i < s->count; i++)
		if (s->agents[i].heard_at_ms) late[n++] = s->agents[i].heard_at_ms - s->agents[i].ends_at_ms;
	qsort(late, n, sizeof *late, compare);
	s->out.heard = n;
	if (n) {
		s->out.median_ms = late[n / 2];
		s->out.p99_ms = late[(n * 99 + 99) / 100 - 1];
		s->out.last_ms = late[n - 1];
	}
	s->out.progress_ms = s->age_count ? s->ages_ms / s->age_count : 0;
	free(late);
}

static struct outcome simulate(const struct row *row, size_t count, int64_t run_ms) {
	struct sim s = {.row = row, .count = count, .tokens = BUCKET_SIZE};
	int64_t until =
		run_ms + row->start_ms + row->end_ms + 3 * row->policy.final_budget_ms + row->policy.refused_budget_ms;
	s.agents = mem_zalloc(count * sizeof *s.agents);
	seed = 20261120;
	for (size_t i = 0; i < count; i++) {
		s.agents[i].starts_at_ms = random_in(row->start_ms);
		s.agents[i].ends_at_ms = run_ms + random_in(row->end_ms);
	}
	for (int64_t now = 0; now < until; now += STEP_MS) {
		s.tokens += (double)BUCKET_PER_S * STEP_MS / 1000;
		if (s.tokens > BUCKET_SIZE) s.tokens = BUCKET_SIZE;
		size_t first = (size_t)random_in((int64_t)count); /* nobody is always the first */
		for (size_t i = 0; i < count; i++) act(&s, &s.agents[(first + i) % count], now);
	}
	judge(&s);
	free(s.agents);
	return s.out;
}

static void print(const struct row *row, size_t count, const struct outcome *o) {
	printf("| %zu %s | %zu | %.1f s | %.1f s | %.1f s | %.0f s | %llu | %llu |\n", count, row->name, o->heard,
	       (double)o->median_ms / 1000, (double)o->p99_ms / 1000, (double)o->last_ms / 1000,
	       (double)o->progress_ms / 1000, (unsigned long long)o->calls, (unsigned long long)o->refused);
}

static int64_t number(const char *text, int64_t max) {
	int64_t n = 0;
	struct err err = {0};
	if (!text || parse_i64(text, 1, max, &n, &err)) {
		(void)fprintf(stderr, "fleet-sim: %s\n", text ? err.msg : "a number is missing");
		exit(2);
	}
	return n;
}

int main(int argc, char **argv) {
	static const struct row rows[] = {
		{"end within 5 min", BEAT_POLICY_TAGS, 60000, 300000},
		{"end within 1 min", BEAT_POLICY_TAGS, 60000, 60000},
		{"end in one second", BEAT_POLICY_TAGS, 60000, 1000},
		{"begin and end in one second", BEAT_POLICY_TAGS, 1000, 1000},
		{"the same, intervals that never grow",
		 {.interval_ms = 15000,
		  .interval_cap_ms = 15000,
		  .backoff_base_ms = 1000,
		  .backoff_cap_ms = 12000,
		  .final_budget_ms = 300000},
		 1000,
		 1000},
	};
	size_t agents = 1000;
	int64_t minutes = 20;
	bool is_all_heard = true;
	for (int i = 1; i < argc; i += 2) {
		if (str_eq(argv[i], "--agents")) agents = (size_t)number(argv[i + 1], AGENTS_MAX);
		if (str_eq(argv[i], "--minutes")) minutes = number(argv[i + 1], 600);
	}
	printf("| agents that | last states heard | late: median | 99%% | last | progress is old | calls | refused |\n"
	       "|---|---|---|---|---|---|---|---|\n");
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct outcome o = simulate(&rows[i], agents, minutes * 60 * 1000);
		print(&rows[i], agents, &o);
		bool is_ours = i + 1 < sizeof rows / sizeof *rows;
		is_all_heard = is_all_heard && (!is_ours || o.heard == agents);
	}
	return is_all_heard ? 0 : 1;
}
