#include <inttypes.h>

#include "aws/fetch.h"
#include "aws/s3.h"
#include "aws/s3sync.h"
#include "aws/s3url.h"
#include "base/err.h"
#include "base/fs.h"
#include "fmt/diag.h"
#include "fmt/digest.h"
#include "fmt/js.h"
#include "recipe/step.h"
#include "steps/steps.h"
#include "sys/user.h"

#define FILE_MODE 0644
/* Of so few objects the manifest has each with its ETag; of more their number and one hash. */
#define RECORD_OBJECTS_MAX 100
/* What a file system needs for itself beside the files' bytes. */
#define SPARE_BYTES (64LL * 1024 * 1024)

struct sync_params {
	const char *from, *to, *owner, *group, *endpoint_url;
	struct strs exclude, include;
	bool deletes, compares_size, compares_content, pays_requests, has_max_delete;
	int64_t max_delete;
	mode_t mode;
};

#define SYNC_FIELD(n, k, member, text)                                                                                 \
	.name = n, .kind = k, .offset = offsetof(struct sync_params, member), .help = text

static const struct field sync_fields[] = {
	{SYNC_FIELD("from", FIELD_TEXT, from, "s3://BUCKET/PREFIX, or the absolute path of a folder to be uploaded"),
	 .is_required = true},
	{SYNC_FIELD("to", FIELD_TEXT, to, "the folder, or s3://BUCKET/PREFIX"), .is_required = true},
	{SYNC_FIELD("delete", FIELD_BOOL, deletes,
		    "delete what only the destination has; never if the source is empty")},
	{SYNC_FIELD("max_delete", FIELD_INT, max_delete,
		    "delete nothing if it would be more; default: 100 files, or half of all"),
	 .min = 0, .max = INT64_MAX, .presence = offsetof(struct sync_params, has_max_delete)},
	{SYNC_FIELD("exclude", FIELD_TEXTS, exclude, "patterns of paths to leave alone; * also matches /")},
	{SYNC_FIELD("include", FIELD_TEXTS, include, "patterns to take in again of what exclude leaves out")},
	{SYNC_FIELD("size_only", FIELD_BOOL, compares_size, "files of equal size are equal")},
	{SYNC_FIELD("checksum", FIELD_BOOL, compares_content, "compare contents with ETags that are an MD5")},
	{SYNC_FIELD("owner", FIELD_TEXT, owner, "user who owns what is downloaded; default: run_as, else as it comes")},
	{SYNC_FIELD("group", FIELD_TEXT, group, "group of what is downloaded")},
	{SYNC_FIELD("mode", FIELD_MODE, mode, "permissions of downloaded files; folders get x where they have r")},
	{SYNC_FIELD("endpoint_url", FIELD_TEXT, endpoint_url, "another S3 service, such as MinIO")},
	{SYNC_FIELD("request_payer", FIELD_BOOL, pays_requests, "you pay for requests (requester pays buckets)")},
	{0},
};

static void check_folder(const char *key, const char *path, const struct yml_node *node, struct diags *diags) {
	if (path[0] != '/') diag_add(diags, node, "%s '%s' is not absolute", key, path);
	if (path[0] == '/' && !path[strspn(path, "/.")])
		diag_add(diags, node, "%s '%s' is the root directory itself", key, path);
}

static void check_url(const char *url, const struct yml_node *node, struct diags *diags) {
	AUTO_ARENA struct arena arena = {0};
	struct s3url parsed;
	struct err err = {0};
	if (s3url_parse(url, &arena, &parsed, &err)) diag_add(diags, node, "%s", err.msg);
}

static void sync_check(const void *params, const struct yml_node *node, struct diags *diags) {
	const struct sync_params *p = params;
	if (p->compares_size && p->compares_content) diag_add(diags, node, "size_only and checksum exclude each other");
	if (p->has_max_delete && !p->deletes) diag_add(diags, node, "max_delete belongs to `delete: true`");
	if (!p->from || !p->to || step_text_is_open(p->from) || step_text_is_open(p->to)) return;
	bool is_from = s3url_is(p->from), is_to = s3url_is(p->to);
	if (is_from == is_to) {
		diag_add(diags, node, "one of from and to must be s3://BUCKET/PREFIX, the other an absolute path");
		return;
	}
	check_url(is_from ? p->from : p->to, node, diags);
	check_folder(is_from ? "to" : "from", is_from ? p->to : p->from, node, diags);
	if (is_to && (p->owner || p->group || p->mode != FIELD_MODE_UNSET))
		diag_add(diags, node, "owner, group and mode belong to a download");
}

static const char *folder_of(const struct sync_params *p) { return s3url_is(p->from) ? p->to : p->from; }

static void sync_resources(const void *params, const struct facts *facts, struct arena *arena, struct strs *names) {
	const char *folder = folder_of(params);
	size_t len = strlen(folder);
	while (len > 1 && folder[len - 1] == '/') len--;
	strs_add_once(names, arena_printf(arena, "path:%.*s", (int)len, folder));
}

/* One sync of the step: dry or not. */
struct syncing {
	const struct sync_params *p;
	struct step_ctx *ctx;
	struct s3 *s3;
	struct s3sync_options options;
	struct s3sync_counts counts;
	struct s3url url;
	int64_t total_bytes, total_files; /* as a dry run found them; 0: not asked */
	struct err first;		  /* failure, with its name */
	struct js *objects;		  /* for the manifest; may be NULL */
};

static bool is_cancelled(void *arg) {
	const struct syncing *s = arg;
	return exec_is_cancelled() || machine_left_ms(&s->ctx->machine) == 0;
}

static void on_event(const struct s3sync_event *e, void *arg) {
	struct syncing *s = arg;
	const struct machine *m = &s->ctx->machine;
	if (!e->err) return;
	struct err told = *e->err;
	if (e->path) (void)err_wrap(&told, "s3://%s/%s%s", s->url.bucket, s->options.prefix, e->path);
	if (e->verb != S3SYNC_NOTICE && s->first.code == ERR_NONE) s->first = told;
	if (!s->options.is_dry && m->on_line) m->on_line(EXEC_STDERR, told.msg, m->arg);
}

static void on_progress(const struct s3sync_counts *c, void *arg) {
	const struct syncing *s = arg;
	int64_t total = s->total_bytes > c->done_bytes ? s->total_bytes : c->done_bytes;
	if (s->total_bytes) machine_progress_bytes(&s->ctx->machine, c->done_bytes, total, NULL);
}

static void on_object(const struct s3_object *o, void *arg) {
	const struct syncing *s = arg;
	if (s->objects && js_count(s->objects) <= RECORD_OBJECTS_MAX) js_set_str(s->objects, o->key, o->etag);
}

/* Excludes first, so that an include takes in again what they leave out. */
static struct s3filter filter_of(const struct sync_params *p, struct arena *arena) {
	size_t count = p->exclude.count + p->include.count;
	struct s3rule *rules = arena_alloc(arena, (count + 1) * sizeof *rules);
	for (size_t i = 0; i < count; i++)
		rules[i] = i < p->exclude.count ? (struct s3rule){p->exclude.items[i], false}
						: (struct s3rule){p->include.items[i - p->exclude.count], true};
	return (struct s3filter){rules, count};
}

static int find_owner(struct syncing *s, struct err *err) {
	struct s3sync_options *o = &s->options;
	const struct fs_root *root = s->ctx->machine.root;
	struct exec_user user;
	int rc = 0;
	o->uid = s->ctx->user ? s->ctx->user->uid : (uid_t)-1;
	o->gid = s->ctx->user ? s->ctx->user->gid : (gid_t)-1;
	if (s->p->owner) {
		rc = user_find(root, s->p->owner, s->ctx->arena, &user, err);
		if (rc) return err_wrap(err, "owner");
		o->uid = user.uid;
		o->gid = user.gid;
	}
	if (s->p->group) rc = user_group(root, s->p->group, &o->gid, err);
	o->has_owner = geteuid() == 0 && (o->uid != (uid_t)-1 || o->gid != (gid_t)-1);
	return rc ? err_wrap(err, "group") : 0;
}

static const char *without_slash(const char *path, struct arena *arena) {
	size_t n = strlen(path);
	while (n > 1 && path[n - 1] == '/') n--;
	return arena_dup(arena, path, n);
}

static void set_options(struct syncing *s) {
	const struct sync_params *p = s->p;
	struct arena *arena = s->ctx->arena;
	bool has_mode = p->mode != FIELD_MODE_UNSET;
	mode_t mode = has_mode ? p->mode : FILE_MODE;
	s->options = (struct s3sync_options){
		.way = s3url_is(p->from) ? S3WAY_DOWN : S3WAY_UP,
		.compare = p->compares_size	 ? S3COMPARE_SIZE
			   : p->compares_content ? S3COMPARE_CHECKSUM
						 : S3COMPARE_STRICT,
		.bucket = s->url.bucket,
		.prefix = s3url_folder(s->url.key, arena),
		.root = s->ctx->machine.root,
		.folder = without_slash(folder_of(p), arena),
		.state_dir = s->ctx->state_dir ? arena_printf(arena, "%s/s3", s->ctx->state_dir) : NULL,
		.filter = filter_of(p, arena),
		.deletes = p->deletes,
		.max_delete = p->has_max_delete ? p->max_delete : -1,
		.has_mode = has_mode,
		.file_mode = mode,
		.folder_mode = mode | (mode & 0444) >> 2 | 0700,
		.is_cancelled = is_cancelled,
		.on_event = on_event,
		.on_object = on_object,
		.on_progress = on_progress,
		.arg = s,
	};
}

static int open_sync(const struct sync_params *p, struct step_ctx *ctx, struct syncing *s, struct err *err) {
	*s = (struct syncing){.p = p, .ctx = ctx};
	if (!ctx->fetch || !ctx->fetch->aws)
		return err_set(err, ERR_UNSUPPORTED, "S3 needs credentials and a region, which are not in use here");
	int rc = s3url_parse(s3url_is(p->from) ? p->from : p->to, ctx->arena, &s->url, err);
	if (rc) return rc;
	set_options(s);
	struct s3_options options = {
		.aws = ctx->fetch->aws,
		.bucket = s->url.bucket,
		.endpoint_url = p->endpoint_url,
		.pays_requests = p->pays_requests,
	};
	if (s->options.state_dir) options.state_dir = fs_host_path(ctx->machine.root, s->options.state_dir, ctx->arena);
	rc = find_owner(s, err);
	if (!rc) rc = s3_open(&options, &s->s3, err);
	s->options.s3 = s->s3;
	return rc;
}

static int run(struct syncing *s, bool is_dry, struct err *err) {
	s->options.is_dry = is_dry;
	s->first = (struct err){0};
	int rc = s3sync_run(&s->options, &s->counts, err);
	if (rc == -ERR_CANCELLED && machine_left_ms(&s->ctx->machine) == 0)
		return err_set(err, ERR_TIMEOUT, "the time for this step is over; the next run goes on from here");
	if (rc) return rc;
	/* More often a prefix that was mistyped than one that is meant to be empty. */
	if (s->options.way == S3WAY_DOWN && !s->counts.objects && !s->counts.failed)
		return err_set(err, ERR_NOT_FOUND, "s3://%s/%s holds nothing (that is to be downloaded)", s->url.bucket,
			       s->options.prefix);
	return 0;
}

static const char *bytes_of(int64_t bytes, struct arena *arena) { return str_bytes((unsigned long long)bytes, arena); }

static void list_changes(const struct syncing *s, struct changes *changes) {
	const struct s3sync_counts *c = &s->counts;
	struct arena *arena = s->ctx->arena;
	bool is_down = s->options.way == S3WAY_DOWN;
	if (c->planned)
		changes_add(changes, arena, NULL, "%s %" PRId64 " %s%s (%s) from %s to %s",
			    is_down ? "download" : "upload", c->planned, is_down ? "object" : "file",
			    c->planned == 1 ? "" : "s", bytes_of(c->planned_bytes, arena), s->p->from, s->p->to);
	if (c->folders) changes_add(changes, arena, NULL, "make %" PRId64 " empty folders in %s", c->folders, s->p->to);
	if (c->owned)
		changes_add(changes, arena, NULL, "set owner and mode of %" PRId64 " files in %s", c->owned, s->p->to);
	if (c->deleted)
		changes_add(changes, arena, NULL, "delete %" PRId64 " files that only %s has", c->deleted, s->p->to);
}

static int fail(const struct syncing *s, struct err *err) {
	*err = s->first;
	if (s->counts.failed > 1) return err_wrap(err, "%" PRId64 " files failed; the first", s->counts.failed);
	return -(int)err->code;
}

static int sync_probe(const void *params, struct step_ctx *ctx, struct changes *changes, struct err *err) {
	struct syncing s;
	int rc = open_sync(params, ctx, &s, err);
	if (!rc && s.options.way == S3WAY_UP && !fs_exists(ctx->machine.root, s.options.folder))
		rc = err_set(err, ERR_NOT_FOUND, "%s does not exist: there is nothing to upload", s.options.folder);
	if (!rc) rc = run(&s, true, err);
	if (!rc) list_changes(&s, changes);
	/* What can be done is done first; what cannot is told then. */
	if (!rc && s.counts.failed && !changes->count) rc = fail(&s, err);
	s3_close(s.s3);
	return rc;
}

static int check_space(const struct syncing *s, struct err *err) {
	int64_t free_bytes = 0;
	struct arena *arena = s->ctx->arena;
	if (s->options.way == S3WAY_UP || !s->total_bytes) return 0;
	int rc = fs_free_bytes(s->options.root, s->options.folder, &free_bytes, err);
	if (rc || free_bytes >= s->total_bytes + SPARE_BYTES) return rc;
	return err_set(err, ERR_NO_SPACE, "%s needs %s and has %s free: nothing was downloaded", s->options.folder,
		       bytes_of(s->total_bytes, arena), bytes_of(free_bytes, arena));
}

static int sync_apply(const void *params, struct step_ctx *ctx, const struct changes *changes, struct err *err) {
	struct syncing s;
	int rc = open_sync(params, ctx, &s, err);
	if (!rc) rc = run(&s, true, err); /* how much it is: for the disk, and for what is left */
	if (!rc) {
		s.total_bytes = s.counts.planned_bytes;
		s.total_files = s.counts.planned;
		rc = check_space(&s, err);
	}
	if (!rc) rc = run(&s, false, err);
	if (!rc && s.counts.failed) rc = fail(&s, err);
	if (!rc && s.counts.copied)
		machine_publish(&ctx->machine, "text",
				arena_printf(ctx->arena, "%s %" PRId64 " files, %s",
					     s.options.way == S3WAY_DOWN ? "downloaded" : "uploaded", s.counts.copied,
					     bytes_of(s.counts.copied_bytes, ctx->arena)));
	s3_close(s.s3);
	return rc;
}

static int sync_record(const void *params, struct step_ctx *ctx, struct js *into, struct err *err) {
	struct syncing s;
	char hex[SHA256_HEX_SIZE];
	AUTO_JS struct js *objects = js_object();
	int rc = open_sync(params, ctx, &s, err);
	s.objects = objects;
	if (!rc) rc = run(&s, true, err);
	s3_close(s.s3);
	if (rc) return rc;
	struct js *record = js_child(js_child(into, "sync"), folder_of(params));
	js_set_str(record, s.options.way == S3WAY_DOWN ? "from" : "to",
		   arena_printf(ctx->arena, "s3://%s/%s", s.url.bucket, s.options.prefix));
	js_set_int(record, "objects", s.counts.objects);
	js_set_int(record, "bytes", s.counts.objects_bytes);
	js_set_str(record, "listing_sha256", digest_hex(s.counts.digest, sizeof s.counts.digest, hex));
	if (s.counts.objects > RECORD_OBJECTS_MAX) return 0;
	js_set(record, "etags", objects);
	objects = NULL;
	return 0;
}

const struct step_type step_sync = {
	.name = "sync",
	.summary = "a folder equal to an S3 prefix, either way",
	.example = "- name: Data\n"
		   "  needs: []\n"
		   "  background: true\n"
		   "  sync: {from: s3://my-bucket/data/, to: /data}\n",
	.shape = {.fields = sync_fields, .size = sizeof(struct sync_params)},
	.timeout_ms = 6LL * 60 * 60 * 1000,
	.check = sync_check,
	.resources = sync_resources,
	.probe = sync_probe,
	.apply = sync_apply,
	.record = sync_record,
};
