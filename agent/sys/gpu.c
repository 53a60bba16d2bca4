#include "sys/gpu.h"

#include <stdarg.h>

#include "base/arena.h"
#include "base/str.h"

/** Longest sentence of a finding. */
#define TEXT_MAX 1024

/* Findings after which a GPU program can only fail or hang: no device, no module, or one that does not answer. */
static const char *const hopeless[] = {"gpu-none",	 "drv-nouveau",	 "drv-unloaded",    "drv-nomodule",
				       "drv-secureboot", "drv-mismatch", "drv-unsupported", "drv-init-all",
				       "xid-119",	 "xid-120",	 "gpu-hung",	    "smi-missing"};

/* The last place says how many more there were; its text starts with that number. */
static void add_more(struct gpu_report *r, enum gpu_severity severity, enum gpu_remedy remedy) {
	struct gpu_finding *last = &r->findings[GPU_FINDINGS_MAX - 1];
	bool is_more = str_eq(last->code, "more");
	unsigned long count = is_more ? strtoul(last->text, NULL, 10) + 1 : 2; /* it replaces one that was there */
	if (severity < last->severity) severity = last->severity;
	if (remedy < last->remedy) remedy = last->remedy;
	*last = (struct gpu_finding){
		.code = "more",
		.severity = severity,
		.remedy = remedy,
		.text = arena_printf(r->arena, "%lu more findings, which are not listed", count),
	};
}

void gpu_add(struct gpu_report *r, const char *code, enum gpu_severity severity, enum gpu_remedy remedy,
	     const char *evidence, const char *fmt, ...) {
	char text[TEXT_MAX];
	va_list args;
	va_start(args, fmt);
	(void)vsnprintf(text, sizeof text, fmt, args); /* a sentence may be cut */
	va_end(args);
	for (size_t i = 0; i < r->finding_count; i++)
		if (str_eq(r->findings[i].code, code) && str_eq(r->findings[i].text, text)) return;
	if (r->finding_count == GPU_FINDINGS_MAX) {
		add_more(r, severity, remedy);
		return;
	}
	r->findings[r->finding_count++] = (struct gpu_finding){
		.code = arena_strdup(r->arena, code),
		.severity = severity,
		.remedy = remedy,
		.text = arena_strdup(r->arena, text),
		.evidence = arena_strdup(r->arena, evidence),
	};
}

bool gpu_is_hopeless(const struct gpu_report *r) {
	for (size_t i = 0; i < r->finding_count; i++) {
		const struct gpu_finding *f = &r->findings[i];
		for (size_t k = 0; f->severity == GPU_FAIL && k < sizeof hopeless / sizeof *hopeless; k++)
			if (str_eq(f->code, hopeless[k])) return true;
	}
	return false;
}

/* The worst finding; among equals the one with the strongest remedy, then the first. NULL if there is none. */
static const struct gpu_finding *worst(const struct gpu_report *r) {
	const struct gpu_finding *found = NULL;
	for (size_t i = 0; i < r->finding_count; i++) {
		const struct gpu_finding *f = &r->findings[i];
		if (!found || f->severity > found->severity ||
		    (f->severity == found->severity && f->remedy > found->remedy))
			found = f;
	}
	return found;
}

enum gpu_severity gpu_severity(const struct gpu_report *r) {
	const struct gpu_finding *f = worst(r);
	return f ? f->severity : GPU_INFO;
}

static const char *remedy_word(enum gpu_remedy remedy) {
	switch (remedy) {
	case GPU_REMEDY_NONE: return "";
	case GPU_REMEDY_FIX: return " fix";
	case GPU_REMEDY_REBOOT: return " reboot";
	case GPU_REMEDY_REPLACE: return " replace";
	}
	return "";
}

static bool has_amd(const struct gpu_report *r) {
	for (size_t i = 0; i < r->finding_count; i++)
		if (str_eq(r->findings[i].code, "gpu-amd")) return true;
	return false;
}

char *gpu_verdict(const struct gpu_report *r, char *text, size_t size) {
	const struct gpu_finding *f = worst(r);
	enum gpu_severity severity = gpu_severity(r);
	const char *name = r->count ? gpu_device_name(r->devices[0].device_id) : NULL;
	if (severity == GPU_FAIL) {
		(void)snprintf(text, size, "fail %s%s", f->code, remedy_word(f->remedy));
		return text;
	}
	if (!r->count) {
		(void)snprintf(text, size, "none%s%s", r->has_neuron ? " neuron" : "", has_amd(r) ? " amd" : "");
		return text;
	}
	(void)snprintf(text, size, "%s%s %zux %s%s%s%s%s%s%s", severity == GPU_WARN ? "warn " : "ok",
		       severity == GPU_WARN ? f->code : "", r->count, name ? name : r->devices[0].name,
		       r->driver[0] ? " driver " : "", r->driver, r->cuda[0] ? " cuda " : "", r->cuda,
		       r->torch[0] ? " torch " : "", r->torch);
	return text;
}
