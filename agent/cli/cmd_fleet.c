#include "aws/call.h"
#include "aws/ec2_instances.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/context.h"
#include "cli/fleet.h"
#include "cli/opt.h"
#include "fmt/js.h"
#include "report/show.h"

/* Four lines an instance. */
#define TABLE_MAX (32 * 1024 * 1024)
/* As often as tags change; DescribeInstances is limited for the whole account. */
#define WATCH_MS (15LL * 1000)
#define WATCH_MIN_MS 1000
#define REGIONS_MAX 40
#define WIDTH_WITHOUT_TERMINAL 80

struct options {
	struct strs regions;
	bool is_watching;
	int64_t interval_ms;
};

static const struct opt opts[] = {
	{"region", 0, "NAME", "look there; may be given again (default: AWS_REGION, the profile's, the instance's)",
	 OPT_TEXTS, offsetof(struct options, regions), 0, 0},
	{"watch", 'w', NULL, "show it again and again until Ctrl-C", OPT_FLAG, offsetof(struct options, is_watching), 0,
	 0},
	{"interval", 0, "TIME", "between two looks (default 15s)", OPT_DURATION, offsetof(struct options, interval_ms),
	 0, 0},
	{0},
};

static const struct opt_verb verb = {
	.name = "fleet",
	.arguments = "",
	.description =
		"Lists the account's instances that carry dsagent's tags, those that need somebody first, with what "
		"to\n"
		"do. From anywhere; needs ec2:DescribeInstances. Ready, failed, at work, silent (at work, but no word\n"
		"for a quarter of an hour) or off.",
	.opts = opts,
	.example = "dsagent fleet --watch --region us-east-1 --region eu-central-1",
	.has_json = true,
};

struct look {
	struct context *ctx;
	struct arena arena; /* of this look alone */
	struct fleet_member *members;
	size_t count;
};

static int look_in(struct look *l, const struct aws *base, const char *region, struct err *err) {
	struct aws aws = *base;
	struct ec2_instance *found = NULL;
	size_t count = 0;
	if (!str_eq(region, base->region)) aws.domain = NULL; /* it may be another partition's */
	aws.region = region;
	int rc = ec2_describe_instances(&aws, "dsagent:status", &l->arena, &found, &count, err);
	if (rc) return region ? err_wrap(err, "%s", region) : rc;
	struct fleet_member *all = arena_alloc(&l->arena, (l->count + count + 1) * sizeof *all);
	if (l->count) memcpy(all, l->members, l->count * sizeof *all);
	for (size_t i = 0; i < count; i++) all[l->count + i] = (struct fleet_member){&found[i], region ? region : ""};
	l->members = all;
	l->count += count;
	return 0;
}

static int look(struct look *l, const struct options *o, struct err *err) {
	struct aws *aws = NULL;
	int rc = context_aws(l->ctx, &aws, err);
	if (!rc && !o->regions.count) rc = look_in(l, aws, aws->region, err);
	for (size_t i = 0; !rc && i < o->regions.count; i++) rc = look_in(l, aws, o->regions.items[i], err);
	if (!rc) fleet_sort(l->members, l->count, clock_now_ms());
	return rc;
}

static int show(struct look *l, const struct options *o) {
	AUTO_BUF struct buf out = BUF_INIT(TABLE_MAX);
	size_t width = show_style_of(STDOUT_FILENO).width;
	bool is_terminal = show_style_of(STDOUT_FILENO).is_terminal;
	if (l->ctx->is_json) {
		AUTO_JS struct js *js = fleet_js(l->members, l->count, clock_now_ms());
		if (!o->is_watching) return cli_print_json(js);
		js_print(js, JS_COMPACT, &out); /* one look a line, for who reads them one by one */
		buf_addc(&out, '\n');
		return cli_print(&out);
	}
	if (o->is_watching && is_terminal) buf_adds(&out, "\033[H\033[2J");
	fleet_print(l->members, l->count, clock_now_ms(), width ? width : WIDTH_WITHOUT_TERMINAL, &l->arena, &out);
	if (o->is_watching && !is_terminal) buf_addc(&out, '\n');
	return cli_print(&out);
}

static int look_once(struct context *ctx, const struct options *o) {
	struct look l = {.ctx = ctx};
	struct err err = {0};
	int code = look(&l, o, &err) ? cli_fail(EXIT_NO_START, &err) : show(&l, o);
	arena_clear(&l.arena);
	return code;
}

int cmd_fleet(struct context *ctx, int argc, char **argv) {
	struct options o = {.interval_ms = WATCH_MS};
	struct err err = {0};
	AUTO_STRS struct strs args = {0};
	int code = opt_parse(&verb, ctx, argc, argv, &o, &args);
	if (code == OPT_GO && (o.interval_ms < WATCH_MIN_MS || o.regions.count > REGIONS_MAX)) {
		(void)err_set(&err, ERR_INVALID, "--interval is at least 1s, and at most %d regions are looked at",
			      REGIONS_MAX);
		code = cli_fail(EXIT_USAGE, &err);
	}
	if (code == OPT_GO) code = look_once(ctx, &o);
	/* Once it has worked, a look that fails is no reason to stop: the next may succeed. */
	while (o.is_watching && code == EXIT_OK_ && !ferror(stdout)) {
		clock_sleep_ms(o.interval_ms);
		(void)look_once(ctx, &o);
	}
	strs_clear(&o.regions);
	return code;
}
