#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "fmt/cert.h"
#include "fmt/diag.h"
#include "recipe/step.h"
#include "steps/steps.h"
#include "steps/text_file.h"
#include "sys/user.h"

#define CERT_MODE 0644
#define KEY_MODE 0600
#define PEM_MAX (64 * 1024)
#define DAY_MS (24LL * 60 * 60 * 1000)

struct cert_params {
	const char *cert, *key, *owner;
	struct strs names;
	int64_t days, renew_before_ms;
};

#define CERT_FIELD(n, k, member, text)                                                                                 \
	.name = n, .kind = k, .offset = offsetof(struct cert_params, member), .help = text

static const struct field cert_fields[] = {
	{CERT_FIELD("cert", FIELD_TEXT, cert, "where the certificate goes, PEM"), .is_required = true},
	{CERT_FIELD("key", FIELD_TEXT, key, "where its private key goes, PEM, mode 0600"), .is_required = true},
	{CERT_FIELD("names", FIELD_TEXTS, names, "DNS names and addresses; default: localhost, 127.0.0.1 and ::1")},
	{CERT_FIELD("owner", FIELD_TEXT, owner, "account that owns both files; default: run_as, else root")},
	{CERT_FIELD("days", FIELD_INT, days, "how long it is valid"), .fallback = "397", .min = 1,
	 .max = CERT_DAYS_MAX},
	{CERT_FIELD("renew_before", FIELD_DURATION, renew_before_ms, "made anew when it would end within this"),
	 .fallback = "30d"},
	{0},
};

static void cert_check(const void *params, const struct yml_node *node, struct diags *diags) {
	const struct cert_params *p = params;
	const char *paths[] = {p->cert, p->key};
	for (size_t i = 0; i < 2; i++)
		if (paths[i] && !step_text_is_open(paths[i]) && (paths[i][0] != '/' || str_ends(paths[i], "/")))
			diag_add(diags, node, "%s '%s' is no absolute path of a file", i ? "key" : "cert", paths[i]);
	if (p->cert && str_eq(p->cert, p->key))
		diag_add(diags, node, "cert and key are the same file: the key must stay with its owner");
	if (p->names.count > CERT_NAMES_MAX)
		diag_add(diags, node, "%zu names are too many: at most %d", p->names.count, CERT_NAMES_MAX);
	for (size_t i = 0; i < p->names.count; i++)
		if (!step_text_is_open(p->names.items[i]) && !cert_name_is_valid(p->names.items[i]))
			diag_add(diags, node, "'%s' is neither a DNS name nor an address", p->names.items[i]);
	if (p->renew_before_ms >= p->days * DAY_MS)
		diag_add(diags, node,
			 "renew_before is as long as the certificate is valid: it would be made anew each time");
}

static void cert_resources(const void *params, const struct facts *facts, struct arena *arena, struct strs *names) {
	const struct cert_params *p = params;
	strs_add_once(names, arena_printf(arena, "path:%s", p->cert));
	strs_add_once(names, arena_printf(arena, "path:%s", p->key));
}

static void wanted_names(const struct cert_params *p, struct arena *arena, struct strs *ret_names) {
	static const char *const usual[] = {"localhost", "127.0.0.1", "::1"};
	for (size_t i = 0; i < p->names.count; i++) strs_add_once(ret_names, cert_name_plain(p->names.items[i], arena));
	for (size_t i = 0; !p->names.count && i < 3; i++) strs_add(ret_names, usual[i]);
}

/* Why it must be made anew; NULL when it need not. */
static int find_fault(const struct cert_params *p, struct step_ctx *ctx, const struct strs *wanted,
		      const char **ret_why, struct err *err) {
	AUTO_STRS struct strs names = {0};
	struct cert_info info;
	const char *cert = NULL, *key = NULL;
	int64_t now_s = clock_now_ms() / 1000;
	int r = text_file_read(ctx, p->cert, &cert, err);
	if (r == 0) r = text_file_read(ctx, p->key, &key, err);
	if (r < 0) return r;
	*ret_why = "";
	if (!cert || !key) return 0;
	if (cert_read(cert, key, ctx->arena, &names, &info, err) < 0) {
		*ret_why = arena_printf(ctx->arena, " anew (%s)", err->msg);
		err_clear(err);
		return 0;
	}
	bool has_names = names.count == wanted->count;
	for (size_t i = 0; i < wanted->count; i++) has_names = has_names && strs_has(&names, wanted->items[i]);
	char end[CLOCK_ISO8601_SIZE];
	*ret_why = NULL;
	if (!info.is_key_its_own)
		*ret_why = " anew (the key is another's)";
	else if (!info.is_p256)
		*ret_why = " anew (it is of another kind than EC P-256)";
	else if (!has_names)
		*ret_why = arena_printf(ctx->arena, " anew (its names are %s)", strs_join(&names, ", ", ctx->arena));
	else if (info.not_after_s - now_s < p->renew_before_ms / 1000)
		*ret_why =
			arena_printf(ctx->arena, " anew (it ends at %s)", clock_iso8601(info.not_after_s * 1000, end));
	return 0;
}

static int files_of(const struct cert_params *p, struct step_ctx *ctx, struct text_file *ret_cert,
		    struct text_file *ret_key, struct err *err) {
	struct exec_user owner = {.uid = (uid_t)-1, .gid = (gid_t)-1};
	if (ctx->user) owner = *ctx->user;
	int r = p->owner ? user_find(ctx->machine.root, p->owner, ctx->arena, &owner, err) : 0;
	if (r < 0) return err_wrap(err, "owner");
	*ret_cert = (struct text_file){.path = p->cert, .mode = CERT_MODE, .uid = owner.uid, .gid = owner.gid};
	*ret_key = (struct text_file){
		.path = p->key, .mode = KEY_MODE, .uid = owner.uid, .gid = owner.gid, .is_secret = true};
	return 0;
}

static int cert_probe(const void *params, struct step_ctx *ctx, struct changes *changes, struct err *err) {
	const struct cert_params *p = params;
	AUTO_STRS struct strs wanted = {0};
	struct text_file cert, key;
	const char *why;
	wanted_names(p, ctx->arena, &wanted);
	int r = find_fault(p, ctx, &wanted, &why, err);
	if (r < 0) return r;
	if (why) {
		changes_add(changes, ctx->arena, NULL, "make the certificate %s for %s%s", p->cert,
			    strs_join(&wanted, ", ", ctx->arena), why);
		return 0;
	}
	r = files_of(p, ctx, &cert, &key, err);
	if (r == 0) r = text_file_probe(&cert, ctx, changes, err);
	return r < 0 ? r : text_file_probe(&key, ctx, changes, err);
}

/* The key first: a certificate without its key is made anew, so an interruption between the two mends itself. */
static int cert_apply(const void *params, struct step_ctx *ctx, const struct changes *changes, struct err *err) {
	const struct cert_params *p = params;
	AUTO_STRS struct strs wanted = {0};
	AUTO_BUF struct buf cert_pem = BUF_INIT(PEM_MAX);
	AUTO(buf_wipe) struct buf key_pem = BUF_INIT(PEM_MAX);
	struct text_file cert, key;
	const char *why;
	wanted_names(p, ctx->arena, &wanted);
	int r = find_fault(p, ctx, &wanted, &why, err);
	if (r == 0) r = files_of(p, ctx, &cert, &key, err);
	if (r == 0 && why) {
		r = cert_make(&wanted, clock_now_ms() / 1000, p->days, &cert_pem, &key_pem, err);
		cert.content = buf_str(&cert_pem);
		key.content = buf_str(&key_pem);
	}
	if (r == 0) r = text_file_apply(&key, ctx, NULL, err);
	return r < 0 ? r : text_file_apply(&cert, ctx, NULL, err);
}

const struct step_type step_cert = {
	.name = "cert",
	.summary = "a self-signed TLS certificate (EC P-256) with its key, made anew before it ends",
	.example = "- name: Certificate for Jupyter\n"
		   "  cert:\n"
		   "    cert: /etc/ssl/jupyter/cert.pem\n"
		   "    key: /etc/ssl/jupyter/key.pem\n"
		   "    names: [localhost, 127.0.0.1]\n",
	.shape = {.fields = cert_fields, .size = sizeof(struct cert_params)},
	.timeout_ms = 5LL * 60 * 1000,
	.check = cert_check,
	.resources = cert_resources,
	.probe = cert_probe,
	.apply = cert_apply,
};
