/* Sources: sources.list(5) (deb822, Signed-By), dnf.conf(5), "Debian wiki: DebianRepository/UseThirdParty". */
#include "steps/repo.h"

#include <strings.h>

#include "aws/fetch.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/fs.h"
#include "fmt/digest.h"
#include "fmt/pgp.h"
#include "recipe/facts.h"
#include "recipe/step.h"
#include "steps/text_diff.h"
#include "sys/pkg.h"

/** A distribution's whole keyring has 100 KiB. */
#define KEY_BYTES_MAX (1024 * 1024)
#define FILE_BYTES_MAX (64 * 1024)
#define APT_KEYS "/etc/apt/keyrings"
#define DNF_KEYS "/etc/pki/rpm-gpg"

/* The repository on this machine. */
struct place {
	const struct pkg_manager *manager;
	bool is_apt;
	const char *file, *staged; /* the staged one is in no directory that the manager reads */
	const char *key;	   /* the key file that is there, or where a new one goes */
	bool has_key;		   /* a key file is there, and is the pinned one */
};

static const char *file_hash(const struct buf *b, struct arena *arena) {
	char hex[SHA256_HEX_SIZE];
	return arena_strdup(arena, digest_sha256_hex(buf_str(b), b->len, hex));
}

static bool is_pinned(const struct repo_key *key, const char *fingerprint, struct arena *arena) {
	for (size_t i = 0; i < key->fingerprints.count; i++) {
		AUTO_STRS struct strs parts = {0};
		str_split(key->fingerprints.items[i], " ", arena, &parts);
		const char *pin = strs_join(&parts, "", arena);
		if (str_starts(pin, "0x")) pin += 2;
		if (strcasecmp(pin, fingerprint) == 0) return true;
	}
	return false;
}

/* The pins of a key file; the first one that is not met is the error. */
static int check_key(const struct repo *repo, const struct buf *data, struct arena *arena, struct err *err) {
	const struct repo_key *key = &repo->key;
	AUTO_STRS struct strs found = {0};
	if (key->sha256 && strcasecmp(key->sha256, file_hash(data, arena)) != 0)
		return err_set(err, ERR_INVALID, "the key of %s has the SHA-256 %s, not %s as the recipe says",
			       repo->name, file_hash(data, arena), key->sha256);
	int r = pgp_fingerprints(buf_str(data), data->len, arena, &found, err);
	if (r < 0) return err_wrap(err, "the key of %s", repo->name);
	for (size_t i = 0; key->fingerprints.count && i < found.count; i++)
		if (!is_pinned(key, found.items[i], arena))
			return err_set(err, ERR_INVALID,
				       "the key file of %s holds the key %s, which is not among the fingerprints that "
				       "the recipe gives (%s)",
				       repo->name, found.items[i], strs_join(&key->fingerprints, ", ", arena));
	return 0;
}

static bool key_is_there(const struct repo *repo, const char *path, struct step_ctx *ctx) {
	AUTO_BUF struct buf data = BUF_INIT(KEY_BYTES_MAX);
	struct err ignored; /* absent or another one: it is fetched */
	return fs_read(ctx->machine.root, path, &data, &ignored) == 0 &&
	       check_key(repo, &data, ctx->arena, &ignored) == 0;
}

static int find_place(const struct repo *repo, struct step_ctx *ctx, struct place *place, struct err *err) {
	struct arena *arena = ctx->arena;
	place->manager = pkg_manager(ctx->facts->os.package_manager);
	if (!place->manager)
		return err_set(err, ERR_UNSUPPORTED, "this system (%s %s) has neither apt nor dnf", ctx->facts->os.id,
			       ctx->facts->os.version);
	place->is_apt = str_eq(place->manager->name, "apt");
	if (!place->is_apt) {
		place->file = arena_printf(arena, "/etc/yum.repos.d/%s.repo", repo->name);
		place->staged = arena_printf(arena, "/etc/dnf/dsagent-staged/%s.repo", repo->name);
		place->key = arena_printf(arena, DNF_KEYS "/RPM-GPG-KEY-%s", repo->name);
		place->has_key = key_is_there(repo, place->key, ctx);
		return 0;
	}
	place->file = arena_printf(arena, "/etc/apt/sources.list.d/%s.sources", repo->name);
	place->staged = arena_printf(arena, "/etc/apt/dsagent-staged/%s.sources", repo->name);
	/* apt goes by the extension: .asc is armored, .gpg binary. */
	const char *binary = arena_printf(arena, APT_KEYS "/%s.gpg", repo->name);
	place->key = arena_printf(arena, APT_KEYS "/%s.asc", repo->name);
	place->has_key = key_is_there(repo, place->key, ctx);
	if (place->has_key || !key_is_there(repo, binary, ctx)) return 0;
	place->key = binary;
	place->has_key = true;
	return 0;
}

static void apt_text(const struct repo *repo, const struct place *place, struct arena *arena, struct buf *out) {
	buf_addf(out, "# Written by dsagent.\nTypes: deb\nURIs: %s\nSuites: %s\n", strs_join(&repo->uris, " ", arena),
		 strs_join(&repo->suites, " ", arena));
	if (repo->components.count) buf_addf(out, "Components: %s\n", strs_join(&repo->components, " ", arena));
	if (repo->architectures.count)
		buf_addf(out, "Architectures: %s\n", strs_join(&repo->architectures, " ", arena));
	buf_addf(out, "Signed-By: %s\n", place->key);
}

static void dnf_text(const struct repo *repo, const struct place *place, struct buf *out) {
	buf_addf(out, "# Written by dsagent.\n[%s]\nname=%s\n", repo->name, repo->name);
	if (repo->baseurl) buf_addf(out, "baseurl=%s\n", repo->baseurl);
	if (repo->metalink) buf_addf(out, "metalink=%s\n", repo->metalink);
	if (repo->mirrorlist) buf_addf(out, "mirrorlist=%s\n", repo->mirrorlist);
	if (repo->priority) buf_addf(out, "priority=%lld\n", (long long)repo->priority);
	buf_addf(out, "enabled=1\ngpgcheck=1\ngpgkey=file://%s\n", place->key);
}

static const char *repo_text(const struct repo *repo, const struct place *place, struct step_ctx *ctx) {
	AUTO_BUF struct buf text = BUF_INIT(FILE_BYTES_MAX);
	if (place->is_apt)
		apt_text(repo, place, ctx->arena, &text);
	else
		dnf_text(repo, place, &text);
	return arena_strdup(ctx->arena, buf_str(&text));
}

static int probe_absent(const struct repo *repo, const struct place *place, struct step_ctx *ctx,
			struct changes *changes) {
	if (fs_exists(ctx->machine.root, place->file))
		changes_add(changes, ctx->arena, NULL, "remove the repository %s (%s)", repo->name, place->file);
	return 0;
}

int repo_probe(const struct repo *repo, struct step_ctx *ctx, struct changes *changes, struct err *err) {
	AUTO_BUF struct buf now = BUF_INIT(FILE_BYTES_MAX);
	struct place place = {.file = "", .staged = "", .key = ""};
	int r = find_place(repo, ctx, &place, err);
	if (r < 0) return r;
	if (repo->is_absent) return probe_absent(repo, &place, ctx, changes);
	if (!place.has_key) changes_add(changes, ctx->arena, NULL, "fetch the key of %s to %s", repo->name, place.key);
	r = fs_read(ctx->machine.root, place.file, &now, err);
	if (r < 0 && err->code != ERR_NOT_FOUND) return r;
	const char *text = repo_text(repo, &place, ctx);
	const char *diff = text_diff(place.file, r < 0 ? NULL : buf_str(&now), now.len, text, strlen(text), ctx->arena);
	err_clear(err);
	if (*diff) changes_add(changes, ctx->arena, diff, "write %s and fetch its index", place.file);
	return 0;
}

static int write_file(const char *path, const char *data, size_t len, struct step_ctx *ctx, struct err *err) {
	const struct fs_write how = {.mode = 0644, .uid = (uid_t)-1, .gid = (gid_t)-1};
	const char *slash = strrchr(path, '/');
	const char *dir = slash ? arena_dup(ctx->arena, path, (size_t)(slash - path)) : "/";
	int r = fs_mkdirs(ctx->machine.root, dir, 0755, (uid_t)-1, (gid_t)-1, err);
	return r < 0 ? r : fs_write(ctx->machine.root, path, data, len, &how, err);
}

static int put_key(const struct repo *repo, struct place *place, struct step_ctx *ctx, struct err *err) {
	AUTO_BUF struct buf data = BUF_INIT(KEY_BYTES_MAX);
	int r = fetch_get(ctx->fetch, repo->key.url, repo->key.sha256, &data, err);
	if (r == 0) r = check_key(repo, &data, ctx->arena, err);
	if (r < 0) return err_wrap(err, "key of the repository %s", repo->name);
	bool is_binary = data.len && ((unsigned char)data.data[0] & 0x80);
	if (is_binary && place->is_apt) place->key = arena_printf(ctx->arena, APT_KEYS "/%s.gpg", repo->name);
	if (is_binary && !place->is_apt)
		return err_set(err, ERR_UNSUPPORTED, "the key of %s is not armored, as rpm wants it", repo->name);
	return write_file(place->key, buf_str(&data), data.len, ctx, err);
}

/* rpm keeps keys of its own; dnf would import it as well, but asks. */
static int import_key(const struct place *place, struct step_ctx *ctx, struct err *err) {
	if (place->is_apt) return 0;
	const char *argv[] = {"rpm", "--import", pkg_host_path(&ctx->machine, place->key), NULL};
	const struct machine_command cmd = {.argv = argv};
	return machine_check(&ctx->machine, &cmd, NULL, err);
}

static int remove_repo(const struct repo *repo, const struct place *place, struct step_ctx *ctx, struct err *err) {
	const struct fs_root *root = ctx->machine.root;
	int r = fs_remove(root, place->file, false, err);
	if (r == 0) r = fs_remove(root, place->key, false, err);
	if (r == 0 && place->is_apt)
		r = fs_remove(root, arena_printf(ctx->arena, APT_KEYS "/%s.gpg", repo->name), false, err);
	return r;
}

int repo_apply(const struct repo *repo, struct step_ctx *ctx, struct err *err) {
	const struct fs_root *root = ctx->machine.root;
	struct place place = {.file = "", .staged = "", .key = ""};
	struct err ignored; /* a staged file that nobody reads */
	int r = find_place(repo, ctx, &place, err);
	if (r < 0) return r;
	if (!ctx->facts->is_root) return err_set(err, ERR_DENIED, "repositories need root: run sudo dsagent apply");
	if (repo->is_absent) return remove_repo(repo, &place, ctx, err);
	if (!place.has_key) r = put_key(repo, &place, ctx, err);
	if (r == 0) r = import_key(&place, ctx, err);
	if (r < 0) return r;
	const char *text = repo_text(repo, &place, ctx);
	r = write_file(place.staged, text, strlen(text), ctx, err);
	if (r == 0) r = place.manager->refresh(&ctx->machine, place.staged, repo->name, err);
	if (r == 0) r = write_file(place.file, text, strlen(text), ctx, err);
	const char *dir = arena_dup(ctx->arena, place.staged, (size_t)(strrchr(place.staged, '/') - place.staged));
	(void)!fs_remove(root, dir, true, &ignored);
	return r < 0 ? err_wrap(err, "repository %s", repo->name) : 0;
}
