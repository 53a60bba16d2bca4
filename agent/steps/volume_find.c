#include "base/buf.h"
#include "base/err.h"
#include "base/fs.h"
#include "recipe/facts.h"
#include "steps/volume.h"

/** fstab(5) of a person has twenty lines. */
#define FSTAB_MAX (1024 * 1024)
/** Disks named in one message; the rest is counted. */
#define DISKS_SHOWN 6
#define DLAMI_SCRATCH "/opt/dlami/nvme"

const char *volume_wanted_text(const struct volume_params *p, struct arena *arena) {
	if (p->id) return arena_printf(arena, "volume %s", p->id);
	if (p->device) return arena_printf(arena, "device %s", p->device);
	if (p->is_blank)
		return p->kind == VOLUME_KIND_EBS	       ? "blank EBS volume"
		       : p->kind == VOLUME_KIND_INSTANCE_STORE ? "blank instance-store disk"
							       : "blank disk";
	return arena_printf(arena, "file system labelled '%s'", p->label);
}

static int set_path(struct volume *v, const struct disk *disk, const char *path, struct err *err) {
	const struct machine *m = &v->ctx->machine;
	int rc = disk_number(m, path, &v->dev, err);
	if (!rc) rc = disk_read_content(m, path, &v->content, err);
	if (rc) return rc;
	v->disk = disk;
	v->path = path;
	return 0;
}

/* The whole disk, or its one partition. */
static int choose_partition(struct volume *v, const struct disk *disk, struct err *err) {
	struct arena *arena = v->ctx->arena;
	if (disk->partitions.count > 1)
		return err_set(err, ERR_INVALID,
			       "%s has %zu partitions: name the one that is meant by the `label` of its file system",
			       disk_text(disk, arena), disk->partitions.count);
	if (!disk->partitions.count) return set_path(v, disk, disk->path, err);
	return set_path(v, disk, arena_printf(arena, "/dev/%s", disk->partitions.items[0]), err);
}

static int find_named(struct volume *v, const struct disks *disks, struct err *err) {
	const struct volume_params *p = v->p;
	for (size_t i = 0; i < disks->count; i++) {
		const struct disk *d = &disks->items[i];
		bool is_it = p->id ? str_eq(d->volume_id, p->id) : disk_has_name(&v->ctx->machine, d, p->device);
		if (is_it) return choose_partition(v, d, err);
	}
	return 0;
}

/* Looks for a file system by label or UUID on all disks and partitions; two of one label are refused. */
static int find_content(struct volume *v, const struct disks *disks, const char *label, const char *uuid,
			struct err *err) {
	for (size_t i = 0; i < disks->count; i++) {
		const struct disk *d = &disks->items[i];
		size_t count = d->partitions.count ? d->partitions.count : 1;
		for (size_t k = 0; k < count; k++) {
			struct disk_content c;
			const char *path = d->partitions.count
						   ? arena_printf(v->ctx->arena, "/dev/%s", d->partitions.items[k])
						   : d->path;
			int rc = disk_read_content(&v->ctx->machine, path, &c, err);
			if (rc) return rc;
			if (!c.uuid[0] || !(label ? str_eq(c.label, label) : str_eq(c.uuid, uuid))) continue;
			if (v->path && label)
				return err_set(err, ERR_INVALID,
					       "both %s and %s hold a file system labelled '%s': say which by `id` or "
					       "`device`",
					       v->path, path, label);
			rc = set_path(v, d, path, err);
			if (rc) return rc;
		}
	}
	return 0;
}

static bool is_of_kind(const struct volume *v, const struct disk *d) {
	/* The Deep Learning AMI makes these into its own scratch space; before its unit has run they look blank. */
	if (d->kind == DISK_INSTANCE_STORE && v->ctx->facts->os.is_dlami) return false;
	switch ((enum volume_kind)v->p->kind) {
	case VOLUME_KIND_ANY: return d->kind != DISK_LOOP;
	case VOLUME_KIND_EBS: return d->kind == DISK_EBS;
	case VOLUME_KIND_INSTANCE_STORE: return d->kind == DISK_INSTANCE_STORE;
	}
	return false;
}

/* The only blank one. Two are a question that only a person can answer. */
static int find_blank(struct volume *v, const struct disks *disks, struct err *err) {
	AUTO_STRS struct strs found = {0};
	const struct disk *only = NULL;
	for (size_t i = 0; i < disks->count; i++) {
		const struct disk *d = &disks->items[i];
		const char *reason = NULL;
		if (!is_of_kind(v, d)) continue;
		int rc = disk_check_blank(&v->ctx->machine, d, &reason, err);
		if (rc) return rc;
		if (reason) continue;
		only = d;
		if (found.count < DISKS_SHOWN) strs_add(&found, disk_text(d, v->ctx->arena));
	}
	if (found.count > 1)
		return err_set(err, ERR_INVALID, "several disks are blank: %s: say which by `id`, `device` or `kind`",
			       strs_join(&found, ", ", v->ctx->arena));
	return only ? set_path(v, only, only->path, err) : 0;
}

/* What `blank` has become: the file system that fstab names for this mount point, or that an interrupted run made. */
static int find_made(struct volume *v, const struct disks *disks, struct err *err) {
	int rc = 0;
	if (v->has_fstab_entry && str_starts(v->entry.source, "UUID="))
		rc = find_content(v, disks, NULL, v->entry.source + strlen("UUID="), err);
	if (!rc && !v->path && v->making_uuid) rc = find_content(v, disks, NULL, v->making_uuid, err);
	for (size_t i = 0; !rc && !v->path && v->making_disk && i < disks->count; i++)
		if (str_eq(disks->items[i].volume_id, v->making_disk)) rc = choose_partition(v, &disks->items[i], err);
	return rc;
}

static int refuse_dlami(const struct volume *v, struct err *err) {
	const struct volume_params *p = v->p;
	bool wants_store = (v->disk && v->disk->kind == DISK_INSTANCE_STORE) || p->kind == VOLUME_KIND_INSTANCE_STORE;
	if (!wants_store || !v->ctx->facts->os.is_dlami) return 0;
	return err_set(err, ERR_INVALID,
		       "a Deep Learning AMI mounts its instance store itself, at " DLAMI_SCRATCH
		       " (dlami-nvme.service): use that path and leave this step out there (when: !facts.is_dlami)");
}

static int read_fstab(struct volume *v, struct err *err) {
	AUTO_BUF struct buf text = BUF_INIT(FSTAB_MAX);
	int rc = fs_read(v->ctx->machine.root, VOLUME_FSTAB, &text, err);
	if (rc && err->code != ERR_NOT_FOUND) return rc;
	err_clear(err);
	v->fstab = arena_strdup(v->ctx->arena, buf_str(&text));
	v->has_fstab_entry = fstab_find(v->fstab, v->p->mount, v->ctx->arena, &v->entry);
	return 0;
}

static int find(struct volume *v, struct err *err) {
	const struct volume_params *p = v->p;
	struct disks disks = {0};
	int rc = disk_list(&v->ctx->machine, &disks, err);
	if (rc) return rc;
	volume_read_making(v);
	if (p->id || p->device) return find_named(v, &disks, err);
	if (!p->is_blank) return find_content(v, &disks, p->label, NULL, err);
	rc = find_made(v, &disks, err);
	return rc || v->path ? rc : find_blank(v, &disks, err);
}

int volume_find(const struct volume_params *p, struct step_ctx *ctx, struct volume *ret_volume, struct err *err) {
	struct volume v = {.p = p, .ctx = ctx, .mount_path = disk_host_path(&ctx->machine, p->mount)};
	AUTO_FREE char *real = realpath(v.mount_path, NULL);
	if (real) v.mount_path = arena_strdup(ctx->arena, real); /* the kernel's list has no links */
	if (!ctx->facts->is_root) return err_set(err, ERR_DENIED, "looking at disks needs root: run sudo dsagent");
	int rc = read_fstab(&v, err);
	if (!rc) rc = mounts_read(ctx->arena, &v.mounts, err);
	if (!rc) rc = find(&v, err);
	if (!rc) rc = refuse_dlami(&v, err);
	if (rc) return rc;
	*ret_volume = v;
	return 0;
}
