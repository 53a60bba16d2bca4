/*
 * Making a file system, once and only on what is provably blank. Its UUID is drawn first and noted beside the disk's
 * identity, so that a run after a power cut knows what it began and where.
 */
#include <fcntl.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fs.h"
#include "fmt/js.h"
#include "steps/volume.h"

#define MKFS_TIMEOUT_MS (30LL * 60 * 1000)
#define NOTE_MAX 4096
#define NOTES_DIR "/var/lib/dsagent/volumes"

const char *volume_new_type(const struct volume_params *p) { return p->fstype == VOLUME_FS_XFS ? "xfs" : "ext4"; }

/* RFC 9562, version 4. */
static void draw_uuid(char uuid[VOLUME_UUID_SIZE]) {
	uint64_t a = clock_random(UINT64_MAX), b = clock_random(UINT64_MAX);
	(void)snprintf(uuid, VOLUME_UUID_SIZE, "%08x-%04x-4%03x-%04x-%012llx", (unsigned)(a >> 32),
		       (unsigned)(a >> 16 & 0xffff), (unsigned)(a & 0xfff), 0x8000U | (unsigned)(b >> 48 & 0x3fff),
		       (unsigned long long)(b & 0xffffffffffff)); /* fits by its format */
}

/* What tells this disk from every other, and does not change from boot to boot; NULL: nothing does. */
static const char *identity(const struct volume *v) { return v->disk->volume_id[0] ? v->disk->volume_id : NULL; }

/* An interrupted run began on this very disk. */
static bool is_begun(const struct volume *v) {
	return v->making_uuid && identity(v) && str_eq(v->making_disk, identity(v));
}

/* One note for each mount point: "/data/big" is data-big.json. */
static const char *note_path(const struct volume *v) {
	char *name = arena_strdup(v->ctx->arena, v->p->mount + 1);
	for (char *c = name; *c; c++)
		if (*c == '/') *c = '-';
	return arena_printf(v->ctx->arena, NOTES_DIR "/%s.json", name);
}

void volume_read_making(struct volume *v) {
	AUTO_BUF struct buf text = BUF_INIT(NOTE_MAX);
	AUTO_JS struct js *note = NULL;
	struct err ignored = {0}; /* absent or damaged: nothing was begun that could be told for sure */
	if (fs_read(v->ctx->machine.root, note_path(v), &text, &ignored) ||
	    js_parse(buf_str(&text), text.len, &note, &ignored))
		return;
	const char *uuid = js_get_str(note, "uuid"), *disk = js_get_str(note, "disk");
	if (!uuid || strlen(uuid) != VOLUME_UUID_SIZE - 1) return;
	v->making_uuid = arena_strdup(v->ctx->arena, uuid);
	v->making_disk = arena_strdup(v->ctx->arena, disk);
}

static int note_making(struct volume *v, struct err *err) {
	AUTO_JS struct js *note = js_object();
	AUTO_BUF struct buf text = BUF_INIT(NOTE_MAX);
	struct fs_write how = {.mode = 0600, .uid = (uid_t)-1, .gid = (gid_t)-1};
	if (!is_begun(v)) {
		char *uuid = arena_alloc(v->ctx->arena, VOLUME_UUID_SIZE);
		draw_uuid(uuid);
		v->making_uuid = uuid;
		v->making_disk = identity(v);
	}
	js_set_str(note, "uuid", v->making_uuid);
	js_set_str(note, "disk", identity(v));
	js_print(note, JS_COMPACT, &text);
	buf_addc(&text, '\n');
	int rc = fs_mkdirs(v->ctx->machine.root, NOTES_DIR, 0700, (uid_t)-1, (gid_t)-1, err);
	return rc ? rc : fs_write(v->ctx->machine.root, note_path(v), buf_str(&text), text.len, &how, err);
}

int volume_end_making(struct volume *v, struct err *err) {
	v->making_uuid = v->making_disk = NULL;
	return fs_remove(v->ctx->machine.root, note_path(v), false, err);
}

/* A mkfs of ours on this very disk was cut short: no signature, and its blocks are nobody's data. */
static bool is_ours_half(const struct volume *v, const struct disk_content *c) {
	return is_begun(v) && !c->type[0] && !c->table[0] && !c->is_ambiguous && !v->disk->partitions.count &&
	       !v->disk->holders.count && !mounts_of(&v->mounts, v->dev);
}

int volume_may_make(struct volume *v, struct err *err) {
	const struct volume_params *p = v->p;
	const char *reason = NULL, *text = disk_text(v->disk, v->ctx->arena);
	char tool[256];
	const char *mkfs = arena_printf(v->ctx->arena, "mkfs.%s", volume_new_type(p));
	if (!p->may_format)
		return err_set(err, ERR_STATE, "%s holds no file system, and `format: false` forbids to make one",
			       text);
	int rc = is_ours_half(v, &v->content) ? 0 : disk_check_blank(&v->ctx->machine, v->disk, &reason, err);
	if (rc) return rc;
	if (reason)
		return err_set(err, ERR_STATE,
			       "%s is not blank: %s. Nothing was written to it. If its content is not needed, clear it "
			       "yourself: sudo wipefs -a %s && sudo blkdiscard -f %s (or dd zeros over its first and "
			       "last MiB)",
			       text, reason, v->path, v->path);
	if (!exec_find(v->ctx->machine.root, mkfs, tool, sizeof tool))
		return err_set(err, ERR_NOT_FOUND, "%s is not here: put `packages: [%s]` above this step", mkfs,
			       p->fstype == VOLUME_FS_XFS ? "xfsprogs" : "e2fsprogs");
	return 0;
}

/* What mkfs has left to the page cache must be on the disk before anything relies on it. */
static int sync_disk(const struct volume *v, struct err *err) {
	AUTO_CLOSE int fd = -1;
	int rc = fs_open(v->ctx->machine.root, v->path, O_RDONLY, 0, &fd, err);
	if (!rc && fsync(fd) < 0) rc = err_set(err, ERR_IO, "cannot sync %s: %m", v->path);
	return rc;
}

int volume_make(struct volume *v, struct err *err) {
	const struct volume_params *p = v->p;
	const char *argv[10], *type = volume_new_type(p);
	bool is_xfs = p->fstype == VOLUME_FS_XFS;
	size_t n = 0;
	int rc = volume_may_make(v, err); /* again: time has passed since the plan */
	if (!rc) rc = note_making(v, err);
	if (rc) return rc;
	argv[n++] = arena_printf(v->ctx->arena, "mkfs.%s", type);
	argv[n++] = "-q";
	argv[n++] = is_xfs ? "-m" : "-U";
	argv[n++] = is_xfs ? arena_printf(v->ctx->arena, "uuid=%s", v->making_uuid) : v->making_uuid;
	if (p->label) {
		argv[n++] = "-L";
		argv[n++] = p->label;
	}
	argv[n++] = disk_host_path(&v->ctx->machine, v->path);
	argv[n] = NULL;
	machine_note(&v->ctx->machine, 0, 0, "making an %s file system on %s", type, disk_text(v->disk, v->ctx->arena));
	struct machine_command cmd = {.argv = argv, .timeout_ms = MKFS_TIMEOUT_MS};
	rc = machine_check(&v->ctx->machine, &cmd, NULL, err);
	if (!rc) rc = sync_disk(v, err);
	if (!rc) rc = disk_read_content(&v->ctx->machine, v->path, &v->content, err);
	if (!rc && !str_eq(v->content.uuid, v->making_uuid))
		rc = err_set(err, ERR_STATE, "mkfs.%s has ended well, but %s does not hold its file system", type,
			     v->path);
	return rc;
}
