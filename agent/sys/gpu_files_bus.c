/*
 * The PCI bus. Ids: The PCI ID Repository; Neuron and EFA: aws-neuron-driver, torvalds/linux efa_main.c. A GPU is of
 * class 0x0300 (VGA) or 0x0302 (3D controller); 0x0680 with one of the ids below is an NVSwitch.
 */
#include <errno.h>
#include <fcntl.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/fs.h"
#include "sys/gpu_files.h"

#define PCI_DIR "/sys/bus/pci/devices"
#define PCI_NVIDIA 0x10de
#define PCI_AMAZON 0x1d0f
#define PCI_AMD 0x1002

static const struct {
	unsigned id;
	const char *name;
} neurons[] = {
	{0x7064, "Inf1"}, {0x7065, "Inf1"}, {0x7066, "Inf1"}, {0x7067, "Inf1"}, {0x7164, "Trn1"},
	{0x7264, "Inf2"}, {0x7364, "Trn2"}, {0x7564, "Trn3"}, {0x7565, "Trn3"},
};

struct card {
	const char *address;
	unsigned vendor, kind, id;
};

void gpu_files_link(const struct fs_root *root, const char *path, char *target, size_t size) {
	struct err ignored;
	int fd AUTO_CLOSE = -1;
	target[0] = '\0';
	if (fs_open(root, path, O_PATH | O_NOFOLLOW, 0, &fd, &ignored)) return;
	ssize_t n = readlinkat(fd, "", target, size);
	target[n > 0 && (size_t)n < size ? n : 0] = '\0'; /* cut short it would name something else */
}

/* "g5.xlarge", "p6-b200.48xlarge": what DMI says on Nitro; Xen says "HVM domU". */
static bool looks_like_type(const char *s) {
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789-";
	size_t family = strspn(s, letters), size = family && s[family] == '.' ? strspn(s + family + 1, letters) : 0;
	return *s >= 'a' && *s <= 'z' && size && !s[family + 1 + size];
}

static void read_type(struct gpu_scan *s) {
	static const char *const paths[] = {"/sys/class/dmi/id/product_name",
					    "/sys/devices/virtual/dmi/id/product_name"};
	struct gpu_report *r = s->r;
	char line[sizeof r->instance_type];
	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
		fs_read_line(s->m->root, paths[i], line, sizeof line);
		if (!looks_like_type(line)) continue;
		(void)snprintf(r->instance_type, sizeof r->instance_type, "%s", line);
		break;
	}
	s->type = gpu_type_find(r->instance_type);
	/* The API counts no whole GPU on the fractional types, yet the guest sees one. */
	r->expected = s->type && s->type->gpus ? s->type->gpus : SIZE_MAX;
}

static unsigned read_hex(const struct gpu_scan *s, const char *device, const char *file) {
	char path[128], line[32];
	(void)snprintf(path, sizeof path, PCI_DIR "/%s/%s", device, file);
	fs_read_line(s->m->root, path, line, sizeof line);
	return (unsigned)strtoul(line, NULL, 16); /* the kernel's own text; 0 when absent */
}

static void take_gpu(struct gpu_scan *s, const struct card *card) {
	struct gpu_report *r = s->r;
	char path[128], target[256];
	const char *name = gpu_device_name(card->id);
	(void)snprintf(path, sizeof path, PCI_DIR "/%s/driver", card->address);
	gpu_files_link(s->m->root, path, target, sizeof target);
	const char *driver = strrchr(target, '/') ? strrchr(target, '/') + 1 : target;
	if (*driver && !str_eq(driver, "nvidia") && !s->foreign_driver) {
		s->foreign_driver = arena_strdup(r->arena, driver);
		s->foreign_address = card->address;
	}
	s->on_bus++;
	if (r->count == GPU_MAX) return;
	struct gpu_device *d = &r->devices[r->count++];
	*d = (struct gpu_device){.device_id = card->id};
	(void)snprintf(d->address, sizeof d->address, "%s", card->address);
	if (name)
		(void)snprintf(d->name, sizeof d->name, "%s", name);
	else
		(void)snprintf(d->name, sizeof d->name, "10de:%04x", card->id & 0xffff);
}

static void take_card(struct gpu_scan *s, const struct card *card, const char **ret_neuron) {
	bool is_display = card->kind == 0x0300 || card->kind == 0x0302 || card->kind == 0x0380;
	if (card->vendor == PCI_NVIDIA && (card->kind == 0x0300 || card->kind == 0x0302)) take_gpu(s, card);
	bool is_switch = (card->id >= 0x1af0 && card->id <= 0x1aff) || (card->id >= 0x22a0 && card->id <= 0x22a7);
	if (card->vendor == PCI_NVIDIA && card->kind == 0x0680 && is_switch) s->nvswitches++;
	if (card->vendor == PCI_AMD && is_display) s->amds++;
	if (card->vendor == PCI_AMAZON && card->id >= 0xefa0 && card->id <= 0xefa3) s->efas++;
	for (size_t i = 0; card->vendor == PCI_AMAZON && i < sizeof neurons / sizeof *neurons; i++)
		if (card->id == neurons[i].id) {
			s->neurons++;
			*ret_neuron = neurons[i].name;
		}
}

/* Named and reported as found, not judged. */
static void add_others(struct gpu_scan *s, const char *neuron) {
	char version[GPU_VERSION_SIZE];
	if (s->amds)
		gpu_add(s->r, "gpu-amd", GPU_INFO, GPU_REMEDY_NONE, NULL,
			"%zu AMD GPU%s on the bus; only NVIDIA GPUs are checked", s->amds, s->amds > 1 ? "s" : "");
	if (!s->neurons) return;
	s->r->has_neuron = true;
	fs_read_line(s->m->root, "/sys/module/neuron/version", version, sizeof version);
	bool is_loaded = version[0] || fs_exists(s->m->root, "/sys/module/neuron");
	gpu_add(s->r, "neuron", GPU_INFO, GPU_REMEDY_NONE, NULL, "%zu AWS Neuron device%s (%s), %s%s%s", s->neurons,
		s->neurons > 1 ? "s" : "", neuron, is_loaded ? "driver " : "the neuron module is not loaded",
		is_loaded && !version[0] ? "loaded" : version,
		is_loaded ? "" : ": install aws-neuronx-dkms and the headers of the running kernel");
}

static void add_none(struct gpu_scan *s) {
	struct gpu_report *r = s->r;
	const char *type = r->instance_type[0] ? r->instance_type : "this machine";
	if (r->expected != SIZE_MAX)
		gpu_add(r, "gpu-none", GPU_FAIL, GPU_REMEDY_REPLACE, type,
			"%s should have %zu NVIDIA GPU%s, the PCI bus shows none: the host's GPU is missing. Stop and "
			"start the instance, or terminate and relaunch it; a reboot keeps the same host",
			type, r->expected, r->expected > 1 ? "s" : "");
	else if (s->want->is_required || s->want->gpus > 0)
		gpu_add(r, "gpu-none", GPU_FAIL, GPU_REMEDY_REPLACE, type,
			"The recipe asks for an NVIDIA GPU and %s has none. Launch an instance type with one, such as "
			"g6.xlarge",
			type);
}

static void judge_count(struct gpu_scan *s) {
	struct gpu_report *r = s->r;
	const char *type = r->instance_type;
	size_t wanted = s->want->gpus > 0 ? (size_t)s->want->gpus : 0;
	char evidence[96];
	(void)snprintf(evidence, sizeof evidence, "GPUs in " PCI_DIR ": %zu", s->on_bus);
	if (r->expected != SIZE_MAX && s->on_bus != r->expected) {
		gpu_add(r, "gpu-count", GPU_FAIL, GPU_REMEDY_REPLACE, evidence,
			"%zu GPU%s expected on %s, %zu on the bus: a hardware fault. Stop and start the instance, or "
			"terminate and relaunch it; a reboot keeps the same host",
			r->expected, r->expected > 1 ? "s" : "", type, s->on_bus);
		return;
	}
	if (wanted && s->on_bus != wanted)
		gpu_add(r, "gpu-count", GPU_FAIL, GPU_REMEDY_REPLACE, evidence,
			"The recipe asks for %zu GPU%s, this machine has %zu. Launch an instance type with %zu, or "
			"change 'gpus' in the recipe",
			wanted, wanted > 1 ? "s" : "", s->on_bus, wanted);
	else if (r->expected == SIZE_MAX && !wanted && *type && !s->type)
		gpu_add(r, "gpu-count", GPU_INFO, GPU_REMEDY_NONE, evidence,
			"How many GPUs %s should have is not in the table; %zu found", type, s->on_bus);
	else if (s->type && !s->type->gpus)
		gpu_add(r, "gpu-count", GPU_INFO, GPU_REMEDY_NONE, evidence,
			"%s has a part of one %s and needs the GRID driver", type, s->type->name);
}

static void judge_model(struct gpu_scan *s) {
	const struct gpu_report *r = s->r;
	for (size_t i = 0; s->type && s->type->device_id && i < r->count; i++) {
		const struct gpu_device *d = &r->devices[i];
		if (d->device_id == s->type->device_id) continue;
		gpu_add(s->r, "gpu-model", GPU_WARN, GPU_REMEDY_NONE, d->address,
			"GPU %s is %s (10de:%04x); %s should have %s (10de:%04x)", d->address, d->name,
			d->device_id & 0xffff, r->instance_type, s->type->name, s->type->device_id);
		return;
	}
}

int gpu_files_bus(struct gpu_scan *s, struct err *err) {
	AUTO_STRS struct strs names = {0};
	const char *neuron = "";
	read_type(s);
	int rc = fs_list(s->m->root, PCI_DIR, s->r->arena, &names, err);
	if (rc) return rc;
	for (size_t i = 0; i < names.count; i++) {
		struct card card = {.address = names.items[i], .vendor = read_hex(s, names.items[i], "vendor")};
		if (card.vendor != PCI_NVIDIA && card.vendor != PCI_AMAZON && card.vendor != PCI_AMD) continue;
		card.kind = read_hex(s, card.address, "class") >> 8;
		card.id = read_hex(s, card.address, "device");
		take_card(s, &card, &neuron);
	}
	add_others(s, neuron);
	if (s->on_bus) {
		judge_count(s);
		judge_model(s);
	} else
		add_none(s);
	return 0;
}
