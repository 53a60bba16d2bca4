#include "sys/osinfo.h"

#include <stdio.h>
#include <strings.h>
#include <sys/utsname.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/parse.h"
#include "base/str.h"
#include "fmt/keyval.h"
#include "sys/gpu.h"

/** Largest os-release or passwd file that is read. */
#define OSINFO_FILE_MAX (1024 * 1024)
#define PCI_DIR "/sys/bus/pci/devices"

static const struct {
	const char *id, *version;
	enum os_support support;
} supports[] = {
	{"amzn", "2023", OS_SUPPORTED},	   {"amzn", "2027", OS_PREVIEW},      {"amzn", "2", OS_UNSUPPORTED},
	{"ubuntu", "22.04", OS_SUPPORTED}, {"ubuntu", "24.04", OS_SUPPORTED}, {"debian", "12", OS_SUPPORTED},
	{"debian", "13", OS_SUPPORTED},
};

/* A distribution is of the family that its ID, or else a word of its ID_LIKE, names. */
static const struct {
	const char *id, *manager;
} families[] = {
	{"amzn", "dnf"},  {"fedora", "dnf"},	{"rhel", "dnf"},   {"centos", "dnf"},
	{"rocky", "dnf"}, {"almalinux", "dnf"}, {"debian", "apt"}, {"ubuntu", "apt"},
};

/* The account that the publisher's image makes (EC2 User Guide, "Default user names"). */
static const struct {
	const char *id, *user;
} login_users[] = {{"amzn", "ec2-user"}, {"ubuntu", "ubuntu"}, {"debian", "admin"}, {"fedora", "fedora"}};
static const char *const other_login_users[] = {"ec2-user", "ubuntu", "admin"};

#define PCI_NVIDIA 0x10de
#define PCI_AMAZON 0x1d0f /* of ENA and NVMe too: the device id tells an accelerator */
static const unsigned neuron_ids[] = {0x7064, 0x7065, 0x7066, 0x7067, 0x7164, 0x7264, 0x7364, 0x7564, 0x7565};

struct release {
	struct osinfo *info;
	char like[128];
};

static void copy(char *out, size_t size, const char *text) {
	size_t n = strlen(text);
	if (n >= size) n = size - 1;
	memcpy(out, text, n);
	out[n] = '\0';
}

static void on_release(const char *section, const char *key, const char *value, void *arg) {
	struct release *r = arg;
	struct osinfo *info = r->info;
	if (str_eq(key, "ID")) copy(info->id, sizeof info->id, value);
	if (str_eq(key, "VERSION_ID")) copy(info->version, sizeof info->version, value);
	if (str_eq(key, "VERSION_CODENAME")) copy(info->codename, sizeof info->codename, value);
	if (str_eq(key, "PRETTY_NAME")) copy(info->pretty_name, sizeof info->pretty_name, value);
	if (str_eq(key, "ID_LIKE")) copy(r->like, sizeof r->like, value);
}

static const char *family_manager(const char *id) {
	for (size_t i = 0; i < sizeof families / sizeof *families; i++)
		if (str_eq(families[i].id, id)) return families[i].manager;
	return NULL;
}

static const char *manager_of(const struct fs_root *root, const struct osinfo *info, const char *like,
			      struct arena *arena) {
	static const char *const dnf_tools[] = {"/usr/bin/dnf", "/usr/bin/dnf5"};
	struct strs words = {0};
	const char *manager = family_manager(info->id);
	str_split(like, " ", arena, &words);
	for (size_t i = 0; i < words.count && !manager; i++) manager = family_manager(words.items[i]);
	strs_clear(&words);
	if (manager) return manager;
	if (fs_exists(root, "/usr/bin/apt-get")) return "apt";
	for (size_t i = 0; i < sizeof dnf_tools / sizeof *dnf_tools; i++)
		if (fs_exists(root, dnf_tools[i])) return "dnf";
	return "";
}

static int read_release(const struct fs_root *root, struct osinfo *info, struct arena *arena, struct err *err) {
	AUTO_BUF struct buf b = BUF_INIT(OSINFO_FILE_MAX);
	struct release r = {.info = info};
	int rc = fs_read(root, "/etc/os-release", &b, err);
	if (rc == -ERR_NOT_FOUND) rc = fs_read(root, "/usr/lib/os-release", &b, err);
	if (rc && rc != -ERR_NOT_FOUND) return rc;
	copy(info->id, sizeof info->id, "linux"); /* os-release(5): the default */
	if (!rc) keyval_os_release(buf_str(&b), b.len, on_release, &r);
	copy(info->package_manager, sizeof info->package_manager, manager_of(root, info, r.like, arena));
	info->support = OS_UNKNOWN;
	for (size_t i = 0; i < sizeof supports / sizeof *supports; i++)
		if (str_eq(supports[i].id, info->id) && str_eq(supports[i].version, info->version))
			info->support = supports[i].support;
	return 0;
}

/* "0-3,8": how many. */
static int count_cpus(const char *list) {
	int count = 0;
	while (*list) {
		char *end;
		long first = strtol(list, &end, 10), last = first;
		if (end == list || first < 0) return 0;
		if (*end == '-') {
			list = end + 1;
			last = strtol(list, &end, 10);
			if (end == list || last < first) return 0;
		}
		if (last - first >= 65536) return 0;
		count += (int)(last - first) + 1;
		list = *end == ',' ? end + 1 : end;
		if (*end && *end != ',') return 0;
	}
	return count;
}

static int64_t read_memory(const struct fs_root *root) {
	AUTO_BUF struct buf b = BUF_INIT(OSINFO_FILE_MAX);
	struct err ignored;
	char digits[24];
	int64_t kib;
	if (fs_read(root, "/proc/meminfo", &b, &ignored)) return 0;
	const char *line = strstr(buf_str(&b), "MemTotal:");
	if (!line) return 0;
	line += strlen("MemTotal:");
	line += strspn(line, " ");
	(void)snprintf(digits, sizeof digits, "%.*s", (int)strspn(line, "0123456789"), line);
	if (parse_i64(digits, 0, INT64_MAX / 1024, &kib, &ignored)) return 0;
	return kib * 1024;
}

/* A bare tree below --root has no /proc of its own: then the running kernel answers. */
static void read_kernel(const struct fs_root *root, struct osinfo *info) {
	struct utsname uts;
	char cpus[256];
	if (uname(&uts)) return;
	copy(info->arch, sizeof info->arch, uts.machine);
	fs_read_line(root, "/proc/sys/kernel/osrelease", info->kernel, sizeof info->kernel);
	if (!info->kernel[0]) copy(info->kernel, sizeof info->kernel, uts.release);
	fs_read_line(root, "/proc/sys/kernel/hostname", info->hostname, sizeof info->hostname);
	if (!info->hostname[0]) fs_read_line(root, "/etc/hostname", info->hostname, sizeof info->hostname);
	if (!info->hostname[0]) copy(info->hostname, sizeof info->hostname, uts.nodename);
	fs_read_line(root, "/proc/sys/kernel/random/boot_id", info->boot_id, sizeof info->boot_id);
	fs_read_line(root, "/sys/devices/system/cpu/online", cpus, sizeof cpus);
	info->cpus = count_cpus(cpus);
	if (info->cpus <= 0) info->cpus = (int)sysconf(_SC_NPROCESSORS_ONLN);
	info->memory_bytes = read_memory(root);
	if (info->memory_bytes <= 0) info->memory_bytes = (int64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE);
	info->has_systemd = fs_exists(root, "/run/systemd/system");
}

static bool has_account(const char *passwd, const char *name) {
	size_t len = strlen(name);
	for (const char *line = passwd; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
		if (!strncmp(line, name, len) && line[len] == ':') return true;
	return false;
}

static void read_login_user(const struct fs_root *root, struct osinfo *info) {
	AUTO_BUF struct buf b = BUF_INIT(OSINFO_FILE_MAX);
	struct err ignored;
	if (fs_read(root, "/etc/passwd", &b, &ignored)) return;
	for (size_t i = 0; i < sizeof login_users / sizeof *login_users; i++)
		if (str_eq(login_users[i].id, info->id) && has_account(buf_str(&b), login_users[i].user))
			copy(info->login_user, sizeof info->login_user, login_users[i].user);
	for (size_t i = 0; i < sizeof other_login_users / sizeof *other_login_users && !info->login_user[0]; i++)
		if (has_account(buf_str(&b), other_login_users[i]))
			copy(info->login_user, sizeof info->login_user, other_login_users[i]);
}

/* EC2 User Guide, "Identify EC2 instances": DMI on Nitro, the hypervisor's uuid on Xen. */
static bool is_ec2(const struct fs_root *root) {
	static const char *const vendors[] = {"/sys/devices/virtual/dmi/id/sys_vendor",
					      "/sys/devices/virtual/dmi/id/board_vendor"};
	static const char *const uuids[] = {"/sys/devices/virtual/dmi/id/product_uuid", "/sys/hypervisor/uuid"};
	char line[64];
	for (size_t i = 0; i < sizeof vendors / sizeof *vendors; i++) {
		fs_read_line(root, vendors[i], line, sizeof line);
		if (str_eq(line, "Amazon EC2")) return true;
	}
	for (size_t i = 0; i < sizeof uuids / sizeof *uuids; i++) {
		fs_read_line(root, uuids[i], line, sizeof line);
		if (!strncasecmp(line, "ec2", 3)) return true;
	}
	return false;
}

static unsigned read_hex(const struct fs_root *root, const char *device, const char *file, struct arena *arena) {
	char line[32];
	fs_read_line(root, arena_printf(arena, PCI_DIR "/%s/%s", device, file), line, sizeof line);
	return (unsigned)strtoul(line, NULL, 16); /* the kernel's own text; 0 when absent */
}

static void name_gpu(struct osinfo *info, unsigned id) {
	const char *name = gpu_device_name(id);
	if (name)
		copy(info->gpu_model, sizeof info->gpu_model, name);
	else
		(void)snprintf(info->gpu_model, sizeof info->gpu_model, "10de:%04x", id & 0xffff);
}

static int read_pci(const struct fs_root *root, struct osinfo *info, struct arena *arena, struct err *err) {
	AUTO_STRS struct strs devices = {0};
	int rc = fs_list(root, PCI_DIR, arena, &devices, err);
	if (rc) return rc;
	for (size_t i = 0; i < devices.count; i++) {
		unsigned vendor = read_hex(root, devices.items[i], "vendor", arena);
		unsigned kind = read_hex(root, devices.items[i], "class", arena) >> 8;
		unsigned id = read_hex(root, devices.items[i], "device", arena);
		/* VGA or 3D controller; 0x0680 would be an NVSwitch. */
		if (vendor == PCI_NVIDIA && (kind == 0x0300 || kind == 0x0302) && info->gpu_count++ == 0)
			name_gpu(info, id);
		for (size_t j = 0; vendor == PCI_AMAZON && j < sizeof neuron_ids / sizeof *neuron_ids; j++)
			if (id == neuron_ids[j]) info->has_neuron = true;
	}
	return 0;
}

/* Markers of the Deep Learning AMIs; the release notes promise the interpreter's place, the rest was seen. */
static int read_dlami(const struct fs_root *root, struct osinfo *info, struct arena *arena, struct err *err) {
	AUTO_STRS struct strs names = {0};
	bool has_pytorch = fs_exists(root, "/opt/pytorch/bin/python"), has_neuron_venv = false;
	int rc = fs_list(root, "/opt", arena, &names, err);
	if (rc) return rc;
	for (size_t i = 0; i < names.count; i++) has_neuron_venv |= str_starts(names.items[i], "aws_neuron");
	info->is_dlami = has_pytorch || fs_exists(root, "/opt/aws/dlami") ||
			 fs_exists(root, "/etc/systemd/system/dlami-nvme.service") ||
			 fs_exists(root, "/usr/lib/systemd/system/dlami-nvme.service");
	if (info->is_dlami)
		copy(info->dlami_flavor, sizeof info->dlami_flavor,
		     has_pytorch       ? "pytorch"
		     : has_neuron_venv ? "neuron"
				       : "base");
	return 0;
}

int osinfo_read(const struct fs_root *root, struct osinfo *ret_info, struct err *err) {
	AUTO_ARENA struct arena arena = {0};
	struct osinfo info = {0};
	int rc = read_release(root, &info, &arena, err);
	if (!rc) rc = read_pci(root, &info, &arena, err);
	if (!rc) rc = read_dlami(root, &info, &arena, err);
	if (rc) return err_wrap(err, "what system this is");
	read_kernel(root, &info);
	read_login_user(root, &info);
	info.is_ec2 = is_ec2(root);
	*ret_info = info;
	return 0;
}

const char *osinfo_support_name(enum os_support support) {
	switch (support) {
	case OS_SUPPORTED: return "supported";
	case OS_PREVIEW: return "preview";
	case OS_UNSUPPORTED: return "unsupported";
	case OS_UNKNOWN: return "unknown";
	}
	return "unknown";
}
