#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "aws/call.h"
#include "aws/s3.h"
#include "aws/s3url.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "cli/cli.h"
#include "cli/context.h"
#include "cli/opt.h"
#include "cli/s3_cli.h"
#include "fmt/js.h"
#include "fmt/xml.h"
#include "report/show.h"

/* An account has at most 10,000 buckets (S3 User Guide, "General purpose bucket quotas"), in one answer. */
#define BUCKETS_BYTES_MAX (8 * 1024 * 1024)
#define LINE_MAX_BYTES (8 * 1024)
#define TURN_MS 200

struct options {
	struct s3_cli s3;
	bool is_recursive, is_human, sums_up;
};

static const struct opt opts[] = {
	{"recursive", 'r', NULL, "everything below, not only the next folders", OPT_FLAG,
	 offsetof(struct options, is_recursive), 0, 0},
	{"human-readable", 0, NULL, "sizes as 1.5 GB", OPT_FLAG, offsetof(struct options, is_human), 0, 0},
	{"summarize", 0, NULL, "number and size of all objects at the end", OPT_FLAG, offsetof(struct options, sums_up),
	 0, 0},
	S3_CLI_CONNECTION(struct options, s3),
	{0},
};

static const struct opt_verb verb = {
	.name = "ls",
	.arguments = "[s3://BUCKET/PREFIX]",
	.description = "Lists buckets, or the objects below a prefix with time (of this machine), size and name.\n"
		       "Exit code 1: there is nothing of that name.",
	.opts = opts,
	.example = "dsagent ls s3://my-bucket/data/ --recursive --human-readable --summarize",
	.max_args = 1,
	.has_json = true,
};

struct listing {
	const struct options *o;
	bool is_json, is_terminal, has_ended, has_failed;
	size_t name_from; /* what of keys is not shown: the folder that is listed */
	int64_t objects, bytes, prefixes;
	struct err err;
	struct arena *arena;
	char *bucket, *created; /* of the bucket that is being read */
};

static void print_js(const struct js *js) {
	AUTO_BUF struct buf line = BUF_INIT(LINE_MAX_BYTES);
	js_print(js, JS_COMPACT, &line);
	(void)printf("%s\n", buf_str(&line));
}

static void print_name(const struct listing *l, const char *name) {
	AUTO_BUF struct buf clean = BUF_INIT(LINE_MAX_BYTES);
	if (l->is_terminal)
		show_clean(name, &clean);
	else
		buf_adds(&clean, name);
	(void)printf("%s\n", buf_str(&clean));
}

static void print_time(int64_t at_ms) {
	time_t at = (time_t)(at_ms / 1000);
	struct tm tm;
	char text[32] = "";
	if (localtime_r(&at, &tm)) (void)strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &tm);
	(void)printf("%19s ", text);
}

static void print_size(const struct listing *l, int64_t size) {
	AUTO_ARENA struct arena arena = {0};
	if (l->o->is_human)
		(void)printf("%10s ", str_bytes((unsigned long long)size, &arena));
	else
		(void)printf("%10" PRId64 " ", size);
}

static void print_object(const struct listing *l, const struct s3_object *o) {
	char text[CLOCK_ISO8601_SIZE];
	if (!l->is_json) {
		print_time(o->modified_at_ms);
		print_size(l, o->size);
		print_name(l, o->key + l->name_from);
		return;
	}
	AUTO_JS struct js *js = js_object();
	js_set_str(js, "type", "object");
	js_set_str(js, "key", o->key);
	js_set_int(js, "size", o->size);
	js_set_str(js, "modified_at", clock_iso8601(o->modified_at_ms, text));
	js_set_str(js, "etag", o->etag);
	js_set_str(js, "storage_class", o->storage_class);
	print_js(js);
}

static void print_prefix(const struct listing *l, const char *prefix) {
	if (!l->is_json) {
		(void)printf("%30s ", "PRE");
		print_name(l, prefix + l->name_from);
		return;
	}
	AUTO_JS struct js *js = js_object();
	js_set_str(js, "type", "prefix");
	js_set_str(js, "key", prefix);
	print_js(js);
}

static bool on_page(const struct s3_page *page, void *arg) {
	struct listing *l = arg;
	size_t p = 0;
	/* Both are sorted: one order for the reader. */
	for (size_t i = 0; i <= page->count; i++) {
		const struct s3_object *o = i < page->count ? &page->objects[i] : NULL;
		for (; p < page->prefix_count && (!o || strcmp(page->prefixes[p], o->key) < 0); p++)
			print_prefix(l, page->prefixes[p]);
		if (!o) break;
		print_object(l, o);
		l->objects++;
		l->bytes += o->size;
	}
	l->prefixes += (int64_t)page->prefix_count;
	return !ferror(stdout);
}

static void on_end(const struct err *err, void *arg) {
	struct listing *l = arg;
	l->has_ended = true;
	l->has_failed = err != NULL;
	if (err) l->err = *err;
}

static void sum_up(const struct listing *l) {
	AUTO_ARENA struct arena arena = {0};
	if (l->is_json) {
		AUTO_JS struct js *js = js_object();
		js_set_str(js, "type", "summary");
		js_set_int(js, "objects", l->objects);
		js_set_int(js, "bytes", l->bytes);
		print_js(js);
		return;
	}
	(void)printf("\nTotal Objects: %" PRId64 "\n   Total Size: ", l->objects);
	if (l->o->is_human)
		(void)printf("%s\n", str_bytes((unsigned long long)l->bytes, &arena));
	else
		(void)printf("%" PRId64 "\n", l->bytes);
}

static int list_objects(struct context *ctx, struct listing *l, const char *argument, struct err *err) {
	AUTO_S3 struct s3 *s3 = NULL;
	struct s3url url;
	int rc = s3url_parse(argument, &ctx->arena, &url, err);
	if (!rc) rc = s3_cli_open(ctx, &l->o->s3, url.bucket, &s3, err);
	if (rc) return rc;
	const char *slash = strrchr(url.key, '/');
	l->name_from = !l->o->is_recursive && slash ? (size_t)(slash + 1 - url.key) : 0;
	struct s3_list spec = {
		.prefix = url.key,
		.delimiter = l->o->is_recursive ? NULL : "/",
		.on_page = on_page,
		.on_end = on_end,
		.arg = l,
	};
	(void)s3_list(s3, &spec); /* it is not resumed: it pauses only when nobody reads any more */
	while (!rc && !l->has_ended && !ferror(stdout)) rc = s3_run(s3, TURN_MS, err);
	if (!rc && l->has_failed) {
		*err = l->err;
		rc = -(int)err->code;
	}
	return rc;
}

static int on_bucket(const char *path, const char *text, void *arg) {
	static const char bucket[] = "/ListAllMyBucketsResult/Buckets/Bucket";
	struct listing *l = arg;
	if (!str_starts(path, bucket)) return 0;
	path += strlen(bucket);
	if (str_eq(path, "/Name")) l->bucket = arena_strdup(l->arena, text);
	if (str_eq(path, "/CreationDate")) l->created = arena_strdup(l->arena, text);
	if (*path || !l->bucket) return 0;
	l->objects++;
	if (l->is_json) {
		AUTO_JS struct js *js = js_object();
		js_set_str(js, "type", "bucket");
		js_set_str(js, "name", l->bucket);
		js_set_str(js, "created_at", l->created);
		print_js(js);
	} else {
		(void)printf("%.10s %.8s ", l->created ? l->created : "",
			     l->created && strlen(l->created) > 11 ? l->created + 11 : "");
		print_name(l, l->bucket);
	}
	l->bucket = l->created = NULL;
	return 0;
}

static int list_buckets(struct context *ctx, struct listing *l, struct err *err) {
	static const struct retry_policy retry = {.base_ms = 200, .cap_ms = 5000, .budget_ms = 30000, .attempts = 4};
	AUTO_BUF struct buf answer = {0};
	struct aws *aws = NULL;
	char code[64] = "";
	struct aws_request req = {
		.service = "s3",
		.endpoint_url = l->o->s3.endpoint_url,
		.uses_dualstack = l->o->s3.uses_dualstack,
		.method = "GET",
		.path = "/",
		.body_max = BUCKETS_BYTES_MAX,
		.retry = retry,
		.connect_timeout_ms = 10000,
		.total_timeout_ms = 60000,
	};
	int rc = s3_cli_aws(ctx, &l->o->s3, &aws, err);
	if (!rc) rc = aws_call(aws, &req, &answer, code, err);
	l->has_failed = *code != '\0';
	if (rc) return err_wrap(err, "s3:ListAllMyBuckets");
	l->arena = &ctx->arena;
	return xml_parse(buf_str(&answer), answer.len, on_bucket, l, err);
}

int cmd_ls(struct context *ctx, int argc, char **argv) {
	struct options o = {0};
	AUTO_STRS struct strs args = {0};
	struct err err = {0};
	int code = opt_parse(&verb, ctx, argc, argv, &o, &args);
	if (code != OPT_GO) return code;
	struct listing l = {.o = &o, .is_json = ctx->is_json};
	l.is_terminal = show_style_of(1).is_terminal;
	bool is_buckets = !args.count || str_eq(args.items[0], "s3://");
	int rc = is_buckets ? list_buckets(ctx, &l, &err) : list_objects(ctx, &l, args.items[0], &err);
	if (!rc && o.sums_up && !is_buckets) sum_up(&l);
	code = cli_flush();
	if (rc == -ERR_INVALID && !l.has_failed) return cli_fail(EXIT_USAGE, &err); /* else it is S3's word */
	if (rc) return cli_fail(EXIT_STEP_FAILED, &err);
	if (!is_buckets && !l.objects && !l.prefixes) return EXIT_STEP_FAILED;
	return code;
}
