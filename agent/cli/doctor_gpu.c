#include "cli/doctor_gpu.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/context.h"
#include "fmt/js.h"
#include "recipe/facts.h"
#include "sys/machine.h"
#include "sys/user.h"

#define TEXT_MAX (256 * 1024)

static const char *severity_word(enum gpu_severity severity) {
	switch (severity) {
	case GPU_INFO: return "info";
	case GPU_WARN: return "warn";
	case GPU_FAIL: return "fail";
	}
	return "";
}

static const char *remedy_word(enum gpu_remedy remedy) {
	switch (remedy) {
	case GPU_REMEDY_NONE: return NULL;
	case GPU_REMEDY_FIX: return "fix";
	case GPU_REMEDY_REBOOT: return "reboot";
	case GPU_REMEDY_REPLACE: return "replace";
	}
	return NULL;
}

static const char *status_word(const struct gpu_report *r) {
	if (gpu_severity(r) == GPU_FAIL) return "fail";
	if (gpu_severity(r) == GPU_WARN) return "warn";
	return r->count ? "ok" : "none";
}

int doctor_gpu_run(struct context *ctx, const struct doctor_gpu *how, const struct facts *facts,
		   const struct fs_root *root, struct gpu_report *ret_report, struct err *err) {
	struct exec_user user;
	struct err ignored; /* then torch runs as we are */
	bool has_user = facts->is_root && facts->os.login_user[0] &&
			user_find(root, facts->os.login_user, &ctx->arena, &user, &ignored) == 0;
	struct machine m = {.root = root,
			    .env = ctx->env,
			    .deadline_at_ms = clock_mono_ms() + how->timeout_ms,
			    .arena = &ctx->arena};
	struct gpu_want want = {.wants_probe = !how->is_short,
				.torch = how->is_short ? NULL : how->torch,
				.user = has_user ? &user : NULL,
				.wait_ms = how->wait_ms};
	*ret_report = (struct gpu_report){.arena = &ctx->arena, .expected = SIZE_MAX};
	(void)snprintf(ret_report->instance_type, sizeof ret_report->instance_type, "%.39s",
		       facts->instance.instance_type); /* no type is as long */
	return gpu_check(&m, &want, ret_report, err);
}

static struct js *devices_js(const struct gpu_report *r) {
	struct js *list = js_array();
	for (size_t i = 0; i < r->count; i++) {
		char id[16];
		struct js *item = js_object();
		(void)snprintf(id, sizeof id, "10de:%04x", r->devices[i].device_id & 0xFFFF); /* fits */
		js_set_str(item, "address", r->devices[i].address);
		js_set_str(item, "device", id);
		js_set_str(item, "name", r->devices[i].name);
		js_set_int(item, "memory_mib", r->devices[i].memory_mib);
		js_push(list, item);
	}
	return list;
}

static struct js *findings_js(const struct gpu_report *r) {
	struct js *list = js_array();
	for (size_t i = 0; i < r->finding_count; i++) {
		const struct gpu_finding *f = &r->findings[i];
		struct js *item = js_object();
		js_set_str(item, "code", f->code);
		js_set_str(item, "severity", severity_word(f->severity));
		js_set_str(item, "remedy", remedy_word(f->remedy));
		js_set_str(item, "text", f->text);
		js_set_str(item, "evidence", f->evidence);
		js_push(list, item);
	}
	return list;
}

static int print_json(const struct gpu_report *r) {
	char verdict[DOCTOR_VERDICT_SIZE];
	AUTO_JS struct js *js = js_object();
	struct js *ms = js_object();
	js_set_str(js, "status", status_word(r));
	js_set_str(js, "verdict", gpu_verdict(r, verdict, sizeof verdict));
	js_set_str(js, "instance_type", r->instance_type[0] ? r->instance_type : NULL);
	if (r->expected == SIZE_MAX)
		js_set_str(js, "expected", NULL);
	else
		js_set_int(js, "expected", (int64_t)r->expected);
	js_set(js, "gpus", devices_js(r));
	js_set_bool(js, "has_neuron", r->has_neuron);
	js_set_str(js, "driver", r->driver[0] ? r->driver : NULL);
	js_set_str(js, "cuda", r->cuda[0] ? r->cuda : NULL);
	js_set_str(js, "torch", r->torch[0] ? r->torch : NULL);
	js_set(js, "findings", findings_js(r));
	js_set_int(ms, "files", r->files_ms);
	js_set_int(ms, "smi", r->smi_ms);
	js_set_int(ms, "cuda", r->cuda_ms);
	js_set_int(ms, "torch", r->torch_ms);
	js_set(js, "ms", ms);
	return cli_print_json(js);
}

static void add_devices(const struct gpu_report *r, struct buf *out) {
	for (size_t i = 0; i < r->count; i++) {
		const struct gpu_device *d = &r->devices[i];
		const char *name = d->name[0] ? d->name : gpu_device_name(d->device_id);
		buf_addf(out, "  %zu  %s  %s", i, d->address, name ? name : "unknown model");
		if (d->memory_mib > 0) buf_addf(out, "  %lld MiB", (long long)d->memory_mib);
		buf_addc(out, '\n');
	}
}

static void add_layer(const char *name, int64_t ms, struct buf *out) {
	if (ms > 0) buf_addf(out, " %s %lld ms", name, (long long)ms);
}

static int print_table(const struct gpu_report *r) {
	char verdict[DOCTOR_VERDICT_SIZE];
	AUTO_BUF struct buf out = BUF_INIT(TEXT_MAX);
	buf_addf(&out, "%s\n", gpu_verdict(r, verdict, sizeof verdict));
	add_devices(r, &out);
	for (int severity = GPU_FAIL; severity >= GPU_INFO; severity--)
		for (size_t i = 0; i < r->finding_count; i++) {
			const struct gpu_finding *f = &r->findings[i];
			if ((int)f->severity != severity) continue;
			buf_addf(&out, "\n%s  %s: %s\n", severity_word(f->severity), f->code, f->text);
			if (!str_is_empty(f->evidence)) buf_addf(&out, "      [%s]\n", f->evidence);
		}
	if (r->count) {
		buf_adds(&out, "\nlooked at:");
		buf_addf(&out, " files %lld ms", (long long)r->files_ms);
		add_layer("nvidia-smi", r->smi_ms, &out);
		add_layer("CUDA", r->cuda_ms, &out);
		add_layer("PyTorch", r->torch_ms, &out);
		buf_addc(&out, '\n');
	}
	return cli_print(&out);
}

int doctor_gpu_print(struct context *ctx, const struct gpu_report *r) {
	int code = ctx->is_json ? print_json(r) : print_table(r);
	return code == EXIT_OK_ && gpu_severity(r) == GPU_FAIL ? EXIT_STEP_FAILED : code;
}
