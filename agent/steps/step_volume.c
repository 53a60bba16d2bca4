#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fs.h"
#include "fmt/diag.h"
#include "recipe/facts.h"
#include "steps/steps.h"
#include "steps/text_diff.h"
#include "steps/volume.h"
#include "sys/user.h"

#define FSTAB_MAX (1024 * 1024)
#define POLL_MS 1000
#define MOUNT_TIMEOUT_MS (5LL * 60 * 1000)
/* mke2fs(8) and mkfs.xfs(8). */
#define LABEL_MAX_EXT4 16
#define LABEL_MAX_XFS 12
/* A boot must survive a volume that is gone; 90 s is systemd's own patience (systemd.mount(5)). */
#define OPTIONS_ALWAYS "nofail,x-systemd.device-timeout=30"

static const char *const fstypes[] = {"auto", "ext4", "xfs", NULL};
static const char *const kinds[] = {"any", "ebs", "instance-store", NULL};

#define VOLUME_FIELD(n, k, member, text)                                                                               \
	.name = n, .kind = k, .offset = offsetof(struct volume_params, member), .help = text

static const struct field volume_fields[] = {
	{VOLUME_FIELD("mount", FIELD_TEXT, mount, "absolute path of the directory to mount it at"),
	 .is_required = true},
	{VOLUME_FIELD("id", FIELD_TEXT, id, "EBS volume id, such as vol-0123456789abcdef0")},
	{VOLUME_FIELD("device", FIELD_TEXT, device, "name it was attached under, such as /dev/sdf")},
	{VOLUME_FIELD("blank", FIELD_BOOL, is_blank, "the one disk that holds nothing at all yet")},
	{VOLUME_FIELD(
		"label", FIELD_TEXT, label,
		"alone: the file system of this label; with id, device or blank: the label of the one to be made")},
	{VOLUME_FIELD("kind", FIELD_CHOICE, kind, "with blank: which disks are looked at"), .choices = kinds,
	 .fallback = "any"},
	{VOLUME_FIELD("fstype", FIELD_CHOICE, fstype,
		      "what is made, and must be there; auto makes ext4 and takes what is there"),
	 .choices = fstypes, .fallback = "auto"},
	{VOLUME_FIELD("format", FIELD_BOOL, may_format,
		      "make a file system if, and only if, the disk is provably blank"),
	 .fallback = "true"},
	{VOLUME_FIELD("options", FIELD_TEXT, options, "mount options; " OPTIONS_ALWAYS " are always added"),
	 .fallback = "defaults"},
	{VOLUME_FIELD("owner", FIELD_TEXT, owner, "user who owns its top directory; default: run_as, else as it is")},
	{VOLUME_FIELD("group", FIELD_TEXT, group, "group of its top directory")},
	{VOLUME_FIELD("mode", FIELD_MODE, mode, "permissions of its top directory, such as 0755")},
	{VOLUME_FIELD("wait", FIELD_DURATION, wait_ms, "how long to wait for it to be attached"), .fallback = "5m"},
	{0},
};

static void check_label(const struct volume_params *p, const struct yml_node *node, struct diags *diags) {
	size_t max = p->fstype == VOLUME_FS_XFS ? LABEL_MAX_XFS : LABEL_MAX_EXT4;
	if (step_text_is_open(p->label)) return;
	if (!p->label[0] || strlen(p->label) > max)
		diag_add(diags, node, "label '%s' is empty or longer than the %zu characters of %s", p->label, max,
			 volume_new_type(p));
	if (p->label[strcspn(p->label, " \t\n\"'\\/")])
		diag_add(diags, node, "label '%s' has a blank, a quote or a slash", p->label);
}

static void volume_check(const void *params, const struct yml_node *node, struct diags *diags) {
	const struct volume_params *p = params;
	int selectors = (p->id != NULL) + (p->device != NULL) + p->is_blank;
	if (selectors > 1) diag_add(diags, node, "id, device and blank exclude each other: one says which disk it is");
	if (!selectors && !p->label)
		diag_add(diags, node, "volume needs one of id, device, label or blank: which disk it is");
	if (p->mount && !step_text_is_open(p->mount) &&
	    (p->mount[0] != '/' || !p->mount[strspn(p->mount, "/.")] || str_ends(p->mount, "/") ||
	     strstr(p->mount, "/../") || strstr(p->mount, "//")))
		diag_add(diags, node,
			 "mount '%s' is no absolute path of a directory below /, without a slash at its end", p->mount);
	if (p->id && !step_text_is_open(p->id) &&
	    (!str_starts(p->id, "vol-") || !p->id[4] || p->id[4 + strspn(p->id + 4, "0123456789abcdef")]))
		diag_add(diags, node, "id '%s' is no volume id, such as vol-0123456789abcdef0", p->id);
	if (p->device && !step_text_is_open(p->device) &&
	    strchr(str_starts(p->device, "/dev/") ? p->device + 5 : p->device, '/'))
		diag_add(diags, node, "device '%s' is no device name, such as /dev/sdf", p->device);
	if (p->kind != VOLUME_KIND_ANY && !p->is_blank) diag_add(diags, node, "kind belongs to `blank: true`");
	if (p->options && !step_text_is_open(p->options) && p->options[strcspn(p->options, " \t\n")])
		diag_add(diags, node, "options '%s' has a blank: separate them by commas", p->options);
	if (p->label) check_label(p, node, diags);
}

static void volume_resources(const void *params, const struct facts *facts, struct arena *arena, struct strs *names) {
	const struct volume_params *p = params;
	strs_add_once(names, "disks");
	strs_add_once(names, arena_printf(arena, "path:%s", p->mount));
}

static const char *wanted_options(const struct volume *v) {
	struct arena *arena = v->ctx->arena;
	const char *options = v->p->options;
	if (!fstab_has_option(options, "nofail")) options = arena_printf(arena, "%s,nofail", options);
	if (!strstr(options, "x-systemd.device-timeout="))
		options = arena_printf(arena, "%s,x-systemd.device-timeout=30", options);
	return options;
}

/* The text that fstab shall have, in the arena; v->fstab itself when it is right. uuid: of what is to be made. */
static const char *wanted_fstab(const struct volume *v, const char *type, const char *uuid) {
	AUTO_BUF struct buf text = BUF_INIT(2 * FSTAB_MAX);
	struct fstab_entry entry = {arena_printf(v->ctx->arena, "UUID=%s", uuid), v->p->mount, type, wanted_options(v)};
	/* Where the recipe asks for nothing else, a person's options are fine as long as a boot survives without it. */
	bool is_fine = v->has_fstab_entry &&
		       (str_eq(v->entry.options, entry.options) ||
			(str_eq(v->p->options, "defaults") && fstab_has_option(v->entry.options, "nofail")));
	bool is_right = is_fine && str_eq(v->entry.source, entry.source) &&
			(str_eq(v->entry.type, type) || str_eq(v->entry.type, "auto"));
	if (is_right) return v->fstab;
	fstab_set(v->fstab, &entry, &text);
	return arena_strdup(v->ctx->arena, buf_str(&text));
}

static bool is_mounted(const struct volume *v) {
	const struct mount *mount = mounts_at(&v->mounts, v->mount_path);
	return mount && v->path && mount->dev == v->dev;
}

/* What stands in the way and only a person can clear. */
static int check_place(const struct volume *v, struct err *err) {
	AUTO_STRS struct strs names = {0};
	const struct machine *m = &v->ctx->machine;
	const char *mount_path = v->p->mount;
	const struct mount *here = mounts_at(&v->mounts, v->mount_path);
	const struct mount *there = v->path ? mounts_of(&v->mounts, v->dev) : NULL;
	struct stat st;
	if (is_mounted(v)) return 0;
	if (here)
		return err_set(err, ERR_STATE, "something else is mounted at %s: umount it, or give another `mount`",
			       mount_path);
	if (there)
		return err_set(err, ERR_STATE, "%s is mounted at %s already: umount it there, or use that path",
			       disk_text(v->disk, v->ctx->arena), there->path);
	int rc = fs_lstat(m->root, mount_path, &st, err);
	if (rc == -ERR_NOT_FOUND) {
		err_clear(err);
		return 0;
	}
	if (rc) return rc;
	if (!S_ISDIR(st.st_mode)) return err_set(err, ERR_STATE, "%s is no directory: move it away", mount_path);
	rc = fs_list(m->root, mount_path, v->ctx->arena, &names, err);
	if (!rc && names.count)
		rc = err_set(
			err, ERR_STATE,
			"%s holds %zu entries, which the mount would hide: move them away (and back onto the volume)",
			mount_path, names.count);
	return rc;
}

static int check_content(const struct volume *v, struct err *err) {
	const struct disk_content *c = &v->content;
	const char *text = disk_text(v->disk, v->ctx->arena);
	bool is_fs = c->uuid[0] && !str_eq(c->type, "LVM2_member") && !str_ends(c->type, "_raid_member") &&
		     !str_eq(c->type, "swap") && !str_starts(c->type, "crypto_");
	if (!c->type[0]) return 0;
	if (!is_fs || c->is_ambiguous)
		return err_set(err, ERR_STATE,
			       "%s holds %s, which is no file system to mount: nothing was changed on it", text,
			       c->type);
	if (v->p->fstype != VOLUME_FS_ANY && !str_eq(c->type, volume_new_type(v->p)))
		return err_set(
			err, ERR_STATE,
			"%s holds an %s file system, not %s: nothing was changed on it; leave `fstype` out to take it "
			"as it is",
			text, c->type, volume_new_type(v->p));
	return 0;
}

/* The step's own idea of the top directory's owner: user, then group. */
static int find_owner(const struct volume *v, uid_t *ret_uid, gid_t *ret_gid, struct err *err) {
	struct exec_user user;
	const struct step_ctx *ctx = v->ctx;
	*ret_uid = ctx->user ? ctx->user->uid : (uid_t)-1;
	*ret_gid = ctx->user ? ctx->user->gid : (gid_t)-1;
	int rc = 0;
	if (v->p->owner) {
		rc = user_find(ctx->machine.root, v->p->owner, ctx->arena, &user, err);
		if (rc) return err_wrap(err, "owner");
		*ret_uid = user.uid;
		*ret_gid = user.gid;
	}
	if (v->p->group) rc = user_group(ctx->machine.root, v->p->group, ret_gid, err);
	return rc ? err_wrap(err, "group") : 0;
}

static int top_differs(const struct volume *v, bool *ret_differs, struct err *err) {
	struct stat st;
	uid_t uid;
	gid_t gid;
	int rc = find_owner(v, &uid, &gid, err);
	if (!rc) rc = fs_lstat(v->ctx->machine.root, v->p->mount, &st, err);
	if (rc) return rc;
	*ret_differs = (uid != (uid_t)-1 && uid != st.st_uid) || (gid != (gid_t)-1 && gid != st.st_gid) ||
		       (v->p->mode != FIELD_MODE_UNSET && v->p->mode != (st.st_mode & 07777));
	return 0;
}

static void add_fstab_change(const struct volume *v, const char *type, const char *uuid, struct changes *changes) {
	const char *text = wanted_fstab(v, type, uuid);
	if (text == v->fstab) return;
	changes_add(changes, v->ctx->arena,
		    text_diff(VOLUME_FSTAB, v->fstab, strlen(v->fstab), text, strlen(text), v->ctx->arena),
		    "write " VOLUME_FSTAB);
}

static int volume_probe(const void *params, struct step_ctx *ctx, struct changes *changes, struct err *err) {
	const struct volume_params *p = params;
	struct volume v;
	int rc = volume_find(p, ctx, &v, err);
	if (!rc) rc = check_place(&v, err);
	if (rc) return rc;
	if (!v.path) {
		changes_add(changes, ctx->arena, NULL, "wait up to %s for the %s, and mount it at %s",
			    str_duration(p->wait_ms, ctx->arena), volume_wanted_text(p, ctx->arena), p->mount);
		return 0;
	}
	rc = check_content(&v, err);
	if (rc) return rc;
	const char *disk = disk_text(v.disk, ctx->arena);
	if (!v.content.type[0]) {
		rc = volume_may_make(&v, err);
		if (rc) return rc;
		changes_add(changes, ctx->arena, NULL, "make an %s file system on %s, which is blank",
			    volume_new_type(p), disk);
		add_fstab_change(&v, volume_new_type(p), "to-be-made", changes);
	} else
		add_fstab_change(&v, v.content.type, v.content.uuid, changes);
	bool differs = false;
	if (!is_mounted(&v))
		changes_add(changes, ctx->arena, NULL, "mount %s at %s", disk, p->mount);
	else
		rc = top_differs(&v, &differs, err);
	if (differs) changes_add(changes, ctx->arena, NULL, "set owner and mode of %s", p->mount);
	return rc;
}

static int await_volume(const struct volume_params *p, struct step_ctx *ctx, struct volume *v, struct err *err) {
	int64_t start_ms = clock_mono_ms();
	for (;;) {
		int rc = volume_find(p, ctx, v, err);
		if (rc || v->path) return rc;
		int64_t waited_ms = clock_mono_ms() - start_ms;
		const char *wanted = volume_wanted_text(p, ctx->arena);
		if (waited_ms >= p->wait_ms || !machine_left_ms(&ctx->machine))
			return err_set(err, ERR_TIMEOUT,
				       "waited %s for the %s, and it is not here: attach it to this instance (aws ec2 "
				       "attach-volume), or mend its name in the recipe; `lsblk` shows what is here",
				       str_duration(waited_ms, ctx->arena), wanted);
		machine_wait(&ctx->machine, waited_ms, "%s", wanted);
		clock_sleep_ms(POLL_MS);
	}
}

static int write_fstab(const struct volume *v, struct err *err) {
	const struct fs_root *root = v->ctx->machine.root;
	const char *text = wanted_fstab(v, v->content.type, v->content.uuid);
	struct fs_write how = {.mode = 0644, .uid = (uid_t)-1, .gid = (gid_t)-1};
	int rc = 0;
	if (text == v->fstab) return 0;
	if (v->fstab[0]) rc = fs_write(root, VOLUME_FSTAB_BACKUP, v->fstab, strlen(v->fstab), &how, err);
	if (!rc) rc = fs_write(root, VOLUME_FSTAB, text, strlen(text), &how, err);
	if (rc || !fs_root_is_host(root) || !v->ctx->facts->os.has_systemd) return rc;
	const char *argv[] = {"systemctl", "daemon-reload", NULL};
	struct machine_command cmd = {.argv = argv, .timeout_ms = MOUNT_TIMEOUT_MS};
	return machine_check(&v->ctx->machine, &cmd, NULL, err);
}

static int mount_volume(const struct volume *v, struct err *err) {
	const struct machine *m = &v->ctx->machine;
	const char *argv[] = {"mount",	     "-t", v->content.type, "-o", wanted_options(v), disk_host_path(m, v->path),
			      v->mount_path, NULL};
	struct machine_command cmd = {.argv = argv, .timeout_ms = MOUNT_TIMEOUT_MS, .may_hang = true};
	int rc = fs_mkdirs(m->root, v->p->mount, 0755, (uid_t)-1, (gid_t)-1, err);
	return rc ? rc : machine_check(m, &cmd, NULL, err);
}

static int set_top(const struct volume *v, struct err *err) {
	uid_t uid;
	gid_t gid;
	const struct fs_root *root = v->ctx->machine.root;
	int rc = find_owner(v, &uid, &gid, err);
	if (!rc && (uid != (uid_t)-1 || gid != (gid_t)-1)) rc = fs_chown(root, v->p->mount, uid, gid, err);
	if (!rc && v->p->mode != FIELD_MODE_UNSET) rc = fs_chmod(root, v->p->mount, v->p->mode, err);
	return rc;
}

static int volume_apply(const void *params, struct step_ctx *ctx, const struct changes *changes, struct err *err) {
	const struct volume_params *p = params;
	struct volume v;
	int rc = await_volume(p, ctx, &v, err);
	if (!rc) rc = check_place(&v, err);
	if (!rc) rc = check_content(&v, err);
	if (!rc && !v.content.type[0]) rc = volume_make(&v, err);
	if (!rc) rc = write_fstab(&v, err);
	if (!rc) rc = volume_end_making(&v, err);
	if (!rc && !is_mounted(&v)) rc = mount_volume(&v, err);
	return rc ? rc : set_top(&v, err);
}

const struct step_type step_volume = {
	.name = "volume",
	.summary = "an EBS volume or instance-store disk, with a file system, mounted and in fstab",
	.example = "- name: Data volume\n"
		   "  volume: {device: /dev/sdf, mount: /data, fstype: xfs, label: data}\n",
	.shape = {.fields = volume_fields, .size = sizeof(struct volume_params)},
	.timeout_ms = 45LL * 60 * 1000,
	.check = volume_check,
	.resources = volume_resources,
	.probe = volume_probe,
	.apply = volume_apply,
};
