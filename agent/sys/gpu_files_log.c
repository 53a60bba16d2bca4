#include "base/buf.h"
#include "sys/gpu_files.h"

/* Addresses named in one sentence. */
#define NAMED_MAX 8

const struct gpu_kmsg_event *gpu_files_event(const struct gpu_scan *s, enum gpu_kmsg_kind kind) {
	const struct gpu_kmsg_event *found = NULL;
	for (size_t i = 0; i < s->log->count; i++) {
		const struct gpu_kmsg_event *e = &s->log->events[i];
		if (e->kind == kind && (!found || e->address[0] || !found->address[0])) found = e;
	}
	return found;
}

/* "(PCI ID: 10de:1db1)" in the driver's text, as a name. */
static const char *model_in(const char *text) {
	const char *id = strstr(text, "10de:");
	const char *name = id ? gpu_device_name((unsigned)strtoul(id + 5, NULL, 16)) : NULL;
	return name ? name : "this GPU";
}

bool gpu_files_add_init(struct gpu_scan *s) {
	const struct gpu_kmsg_event *open = gpu_files_event(s, GPU_KMSG_OPEN_UNSUPPORTED);
	const struct gpu_kmsg_event *old = gpu_files_event(s, GPU_KMSG_UNSUPPORTED);
	const struct gpu_kmsg_event *init = gpu_files_event(s, GPU_KMSG_INIT_FAILED);
	const char *driver = s->r->driver;
	if (open)
		gpu_add(s->r, "drv-unsupported", GPU_FAIL, GPU_REMEDY_FIX, open->text,
			"NVIDIA's open kernel module does not support %s: it needs the proprietary driver. Use the "
			"Deep "
			"Learning AMI with the proprietary NVIDIA driver",
			model_in(open->text));
	else if (old)
		gpu_add(s->r, "drv-unsupported", GPU_FAIL, GPU_REMEDY_FIX, old->text,
			"Driver%s%s does not support %s: it is too old or too new for it. Use a current Deep Learning "
			"AMI, or install another branch of the driver",
			*driver ? " " : "", driver, model_in(old->text));
	else if (init)
		gpu_add(s->r, "drv-init", GPU_FAIL, GPU_REMEDY_REBOOT, init->text,
			"%s%s failed to initialise. Reboot once; if it returns, stop and start the instance, or "
			"relaunch "
			"it",
			init->address[0] ? "GPU " : "A GPU", init->address);
	return open || old || init;
}

/* What an event means here: the table, but the driver's own words weigh more where it gives them. */
static struct gpu_xid judge(const struct gpu_scan *s, const struct gpu_kmsg_event *e) {
	const struct gpu_xid *known = gpu_xid_find(e->number);
	struct gpu_xid x = {.xid = e->number, .severity = GPU_WARN, .text = "not in dsagent's table of Xids"};
	if (known) x = *known;
	if (e->number >= 144 && e->number <= 150 && e->is_fatal) {
		x.severity = GPU_FAIL;
		x.remedy = GPU_REMEDY_REBOOT;
	}
	if (e->number == 154) {
		const char *to = strstr(e->text, " to ");
		bool is_over = to && strstr(to, "(None)"), is_drain = to && strstr(to, "(Drain P2P)");
		x.severity = is_over ? GPU_INFO : is_drain ? GPU_WARN : GPU_FAIL;
		x.remedy = is_over || is_drain ? GPU_REMEDY_NONE : GPU_REMEDY_REBOOT;
	}
	/* A program is taken off the GPU after every other trouble: only alone is it a sign of its own. */
	for (size_t i = 0; e->number == 45 && i < s->log->count; i++)
		if (s->log->events[i].kind == GPU_KMSG_XID && s->log->events[i].number != 45) x.severity = GPU_INFO;
	return x;
}

static const char *advice(const struct gpu_xid *x) {
	switch (x->remedy) {
	case GPU_REMEDY_REPLACE:
		return "Hardware: stop and start the instance, or terminate and relaunch it; a reboot keeps the same "
		       "GPU";
	case GPU_REMEDY_REBOOT: return "Reboot once; if it returns, stop and start the instance, or relaunch it";
	case GPU_REMEDY_FIX:
	case GPU_REMEDY_NONE: break;
	}
	if (x->xid == 154 && x->severity == GPU_INFO) return "That is over";
	return x->severity == GPU_WARN ? "Training may go on; watch it" : "No fault of the machine";
}

/* The events of one Xid on all GPUs as one finding, the worst deciding. */
static void add_xid(struct gpu_scan *s, size_t first) {
	AUTO_BUF struct buf where = BUF_INIT(512);
	const struct gpu_kmsg_event *events = s->log->events, *shown = NULL;
	struct gpu_xid worst = {0};
	size_t gpus = 0, times = 0;
	char code[24];
	for (size_t i = first; i < s->log->count; i++) {
		if (events[i].kind != GPU_KMSG_XID || events[i].number != events[first].number) continue;
		struct gpu_xid x = judge(s, &events[i]);
		if (!shown || x.severity >= worst.severity) {
			worst = x;
			shown = &events[i];
		}
		times += events[i].count;
		if (gpus++ < NAMED_MAX && events[i].address[0])
			buf_addf(&where, "%s%s", where.len ? ", " : "", events[i].address);
	}
	if (!worst.text) return;
	if (gpus > NAMED_MAX) buf_addf(&where, " and %zu more", gpus - NAMED_MAX);
	(void)snprintf(code, sizeof code, "xid-%u", worst.xid);
	const char *change = worst.xid == 154 ? strstr(shown->text, "GPU recovery action changed") : NULL;
	gpu_add(s->r, code, worst.severity, worst.remedy, shown->text, "Xid %u%s%s%s: %s. %s", worst.xid,
		where.len ? " on GPU " : "", buf_str(&where),
		times > gpus ? arena_printf(s->r->arena, " (%zu times)", times) : "", change ? change : worst.text,
		advice(&worst));
}

static void add_sxids(struct gpu_scan *s) {
	const struct gpu_kmsg_event *shown = NULL;
	size_t times = 0;
	for (size_t i = 0; i < s->log->count; i++) {
		const struct gpu_kmsg_event *e = &s->log->events[i];
		if (e->kind != GPU_KMSG_SXID) continue;
		times += e->count;
		if (!shown || e->is_fatal >= shown->is_fatal) shown = e;
	}
	if (!shown) return;
	gpu_add(s->r, "sxid", shown->is_fatal ? GPU_FAIL : GPU_WARN,
		shown->is_fatal ? GPU_REMEDY_REPLACE : GPU_REMEDY_NONE, shown->text,
		"NVSwitch %s reported %zu error%s, the last SXid %u (%s): jobs on several GPUs may fail. %s",
		shown->address, times, times > 1 ? "s" : "", shown->number, shown->is_fatal ? "fatal" : "not fatal",
		shown->is_fatal ? "Stop and start the instance, or relaunch it" : "Watch it");
}

static bool is_first_of_number(const struct gpu_kmsg *log, size_t at) {
	for (size_t i = 0; i < at; i++)
		if (log->events[i].kind == GPU_KMSG_XID && log->events[i].number == log->events[at].number)
			return false;
	return true;
}

void gpu_files_log(struct gpu_scan *s) {
	const struct gpu_kmsg *log = s->log;
	if (s->is_loaded && !s->foreign_driver) (void)gpu_files_add_init(s); /* the finding is all that is wanted */
	for (size_t i = 0; i < log->count; i++)
		if (log->events[i].kind == GPU_KMSG_XID && is_first_of_number(log, i)) add_xid(s, i);
	add_sxids(s);
	if (!log->has_log && log->is_denied)
		gpu_add(s->r, "kmsg-denied", GPU_INFO, GPU_REMEDY_NONE, "/dev/kmsg",
			"The kernel log may not be read by this user, so GPU errors in it (Xid) were not looked for: "
			"run as "
			"root");
	if (log->has_lost || log->is_cut || log->forgotten)
		gpu_add(s->r, "kmsg-cut", GPU_INFO, GPU_REMEDY_NONE, NULL,
			"The kernel log was not read whole (%s): older GPU errors may be missing here",
			log->has_lost ? "it was overwritten meanwhile"
			: log->is_cut ? "it is very large"
				      : "it holds very many GPU errors");
}
