#include "cli/fleet.h"

#include "aws/ec2_instances.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/parse.h"
#include "base/str.h"
#include "fmt/js.h"
#include "report/show.h"

/* A run at work speaks at least as often as its tags may change; a fleet that is throttled every ten minutes. */
#define SILENT_MS (15LL * 60 * 1000)
#define CELL_MAX 1024
#define ID_WIDTH 19
#define NAME_WIDTH 13
#define TYPE_WIDTH 11
#define STATUS_WIDTH 11
#define AGE_WIDTH 4
#define SPACES 5

enum urgency { NEEDS_HELP, IS_SILENT, IS_AT_WORK, IS_WELL, IS_OFF };

/* Milliseconds since the last word, -1 when there was none that can be read. */
static int64_t age_ms(const struct ec2_instance *i, int64_t now_ms) {
	int64_t at = 0;
	struct err ignored = {0};
	if (parse_time(ec2_tag_value(i, "dsagent:updated-at"), &at, &ignored)) return -1;
	return now_ms > at * 1000 ? now_ms - at * 1000 : 0;
}

static enum urgency urgency_of(const struct ec2_instance *i, int64_t now_ms) {
	const char *status = ec2_tag_value(i, "dsagent:status");
	bool is_at_work = str_eq(status, "running") || str_eq(status, "rebooting");
	if (!str_eq(i->state, "running") && !str_eq(i->state, "pending")) return IS_OFF;
	if (str_eq(status, "failed") || str_eq(status, "interrupted")) return NEEDS_HELP;
	if (is_at_work) return age_ms(i, now_ms) > SILENT_MS ? IS_SILENT : IS_AT_WORK;
	return IS_WELL;
}

struct sortable {
	struct fleet_member member;
	enum urgency urgency;
};

static int compare(const void *a, const void *b) {
	const struct sortable *x = a, *y = b;
	if (x->urgency != y->urgency) return x->urgency < y->urgency ? -1 : 1;
	int by_name = strcmp(ec2_tag_value(x->member.instance, "Name"), ec2_tag_value(y->member.instance, "Name"));
	return by_name ? by_name : strcmp(x->member.instance->id, y->member.instance->id);
}

void fleet_sort(struct fleet_member *members, size_t count, int64_t now_ms) {
	AUTO_ARENA struct arena arena = {0};
	struct sortable *all = arena_alloc(&arena, (count + 1) * sizeof *all);
	for (size_t i = 0; i < count; i++)
		all[i] = (struct sortable){members[i], urgency_of(members[i].instance, now_ms)};
	if (count) qsort(all, count, sizeof *all, compare);
	for (size_t i = 0; i < count; i++) members[i] = all[i].member;
}

/* Cut or filled up to width columns. */
static void cell(const char *text, size_t width, struct buf *out) {
	AUTO_BUF struct buf clean = BUF_INIT(CELL_MAX);
	show_clean(text, &clean);
	size_t n = show_fit(buf_str(&clean), width);
	buf_add(out, buf_str(&clean), n);
	buf_cut(&clean, n);
	for (size_t used = show_columns(buf_str(&clean)); used < width; used++) buf_addc(out, ' ');
}

static void end_line(struct buf *out) {
	while (out->len && out->data[out->len - 1] == ' ') buf_cut(out, out->len - 1);
	buf_addc(out, '\n');
}

static void line(const char *text, size_t width, struct buf *out) {
	cell(text, width, out);
	end_line(out);
}

static const char *age_text(int64_t ms, struct arena *arena) {
	if (ms < 0) return "?";
	long long s = ms / 1000;
	if (s < 100) return arena_printf(arena, "%llds", s);
	if (s < 100 * 60) return arena_printf(arena, "%lldm", s / 60);
	if (s < 100 * 3600) return arena_printf(arena, "%lldh", s / 3600);
	return arena_printf(arena, "%lldd", s / 86400);
}

/* A machine that is off has no status but that. */
static const char *status_text(const struct ec2_instance *i) {
	const char *status = ec2_tag_value(i, "dsagent:status");
	if (!str_eq(i->state, "running")) return i->state;
	return str_eq(status, "ready-with-warnings") ? "warnings" : status;
}

static void print_row(const char *const cells[6], size_t width, struct buf *out) {
	size_t fixed = ID_WIDTH + NAME_WIDTH + TYPE_WIDTH + STATUS_WIDTH + AGE_WIDTH + SPACES;
	const size_t widths[] = {ID_WIDTH,     NAME_WIDTH, TYPE_WIDTH,
				 STATUS_WIDTH, AGE_WIDTH,  width > fixed + 8 ? width - fixed : 8};
	for (size_t i = 0; i < 6; i++) {
		if (i) buf_addc(out, ' ');
		cell(cells[i], widths[i], out);
	}
	end_line(out);
}

static void print_help(const struct ec2_instance *i, enum urgency urgency, const char *age, size_t width,
		       struct arena *arena, struct buf *out) {
	const char *error = ec2_tag_value(i, "dsagent:error"), *bundle = ec2_tag_value(i, "dsagent:bundle");
	if (urgency == IS_SILENT)
		line(arena_printf(arena, "  ! no word for %s: is it out of memory, or without a way to EC2's API?",
				  age),
		     width, out);
	if (urgency == NEEDS_HELP && *error) line(arena_printf(arena, "  ! %s", error), width, out);
	if (urgency == NEEDS_HELP && *bundle) line(arena_printf(arena, "  > aws s3 cp %s .", bundle), width, out);
	if (urgency == NEEDS_HELP || urgency == IS_SILENT)
		line(arena_printf(arena, "  > aws ssm start-session --target %s; sudo dsagent logs", i->id), width,
		     out);
}

static void print_member(const struct fleet_member *m, int64_t now_ms, size_t width, struct arena *arena,
			 struct buf *out) {
	const struct ec2_instance *i = m->instance;
	const char *age = age_text(age_ms(i, now_ms), arena), *gpu = ec2_tag_value(i, "dsagent:gpu");
	const char *const cells[] = {
		i->id, ec2_tag_value(i, "Name"), i->type, status_text(i), age, ec2_tag_value(i, "dsagent:progress")};
	print_row(cells, width, out);
	line(arena_printf(arena, "  %s, %s%s%s", ec2_tag_value(i, "dsagent:recipe"), *i->zone ? i->zone : m->region,
			  *gpu ? ", gpu " : "", gpu),
	     width, out);
	print_help(i, urgency_of(i, now_ms), age, width, arena, out);
}

void fleet_print(const struct fleet_member *members, size_t count, int64_t now_ms, size_t width, struct arena *arena,
		 struct buf *out) {
	static const char *const heads[] = {"INSTANCE", "NAME", "TYPE", "STATUS", "AGE", "PROGRESS"};
	size_t counts[IS_OFF + 1] = {0};
	if (!count) {
		buf_adds(out, "no instance here carries the tag dsagent:status\n");
		return;
	}
	print_row(heads, width, out);
	for (size_t i = 0; i < count; i++) {
		counts[urgency_of(members[i].instance, now_ms)]++;
		print_member(&members[i], now_ms, width, arena, out);
	}
	buf_addf(out, "%zu instance%s: %zu failed, %zu silent, %zu at work, %zu ready, %zu off\n", count,
		 count == 1 ? "" : "s", counts[NEEDS_HELP], counts[IS_SILENT], counts[IS_AT_WORK], counts[IS_WELL],
		 counts[IS_OFF]);
}

static struct js *member_js(const struct fleet_member *m, int64_t now_ms) {
	static const char *const keys[][2] = {
		{"name", "Name"},
		{"status", "dsagent:status"},
		{"progress", "dsagent:progress"},
		{"error", "dsagent:error"},
		{"recipe", "dsagent:recipe"},
		{"gpu", "dsagent:gpu"},
		{"bundle", "dsagent:bundle"},
		{"updated_at", "dsagent:updated-at"},
		{"ready_at", "dsagent:ready-at"},
		{"version", "dsagent:version"},
	};
	static const char *const needs[] = {"failed", "silent", "at-work", "ready", "off"};
	struct js *js = js_object();
	int64_t age = age_ms(m->instance, now_ms);
	js_set_str(js, "instance_id", m->instance->id);
	js_set_str(js, "region", m->region);
	js_set_str(js, "zone", m->instance->zone);
	js_set_str(js, "type", m->instance->type);
	js_set_str(js, "state", m->instance->state);
	js_set_str(js, "is", needs[urgency_of(m->instance, now_ms)]);
	if (age >= 0) js_set_int(js, "age_ms", age);
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
		const char *value = ec2_tag_value(m->instance, keys[i][1]);
		js_set_str(js, keys[i][0], *value ? value : NULL);
	}
	return js;
}

struct js *fleet_js(const struct fleet_member *members, size_t count, int64_t now_ms) {
	struct js *js = js_object(), *list = js_array();
	for (size_t i = 0; i < count; i++) js_push(list, member_js(&members[i], now_ms));
	js_set(js, "instances", list);
	return js;
}
