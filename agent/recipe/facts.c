#include "recipe/facts.h"

#include <strings.h>
#include <unistd.h>

#include "aws/call.h"
#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "fmt/js.h"
#include "sys/user.h"

#define MEMBER(path) offsetof(struct facts, path), sizeof(((struct facts *)0)->path)

const struct fact_field facts_fields[] = {
	{"os", "ID of os-release: ubuntu, amzn, debian", FACT_TEXT, MEMBER(os.id)},
	{"os_version", "VERSION_ID of os-release: 24.04, 2023", FACT_TEXT, MEMBER(os.version)},
	{"os_codename", "VERSION_CODENAME of os-release: noble; empty where there is none", FACT_TEXT,
	 MEMBER(os.codename)},
	{"os_name", "PRETTY_NAME of os-release, for people", FACT_TEXT, MEMBER(os.pretty_name)},
	{"os_support", "supported, preview, unsupported or unknown to dsagent", FACT_TEXT, MEMBER(os.support)},
	{"package_manager", "apt or dnf; empty for neither", FACT_TEXT, MEMBER(os.package_manager)},
	{"arch", "x86_64 or aarch64", FACT_TEXT, MEMBER(os.arch)},
	{"kernel", "release of the running kernel", FACT_TEXT, MEMBER(os.kernel)},
	{"hostname", "name of the machine", FACT_TEXT, MEMBER(os.hostname)},
	{"cpus", "number of processors online", FACT_NUMBER, MEMBER(os.cpus)},
	{"memory_bytes", "memory of the machine in bytes", FACT_NUMBER, MEMBER(os.memory_bytes)},
	{"is_root", "dsagent runs as root", FACT_BOOL, MEMBER(is_root)},
	{"user", "who runs dsagent", FACT_TEXT, MEMBER(user)},
	{"home", "home directory of who runs dsagent", FACT_TEXT, MEMBER(home)},
	{"login_user", "the image's own login: ec2-user, ubuntu, admin; empty if it has none", FACT_TEXT,
	 MEMBER(os.login_user)},
	{"boot_id", "the kernel's id of this boot", FACT_TEXT, MEMBER(os.boot_id)},
	{"is_ec2", "the machine is an EC2 instance", FACT_BOOL, MEMBER(os.is_ec2)},
	{"is_dlami", "the image is an AWS Deep Learning AMI", FACT_BOOL, MEMBER(os.is_dlami)},
	{"dlami_flavor", "pytorch, neuron or base; empty off a Deep Learning AMI", FACT_TEXT, MEMBER(os.dlami_flavor)},
	{"gpu_count", "number of NVIDIA GPUs", FACT_NUMBER, MEMBER(os.gpu_count)},
	{"gpu_model", "model of the first GPU: T4, A10G, H100; empty without one", FACT_TEXT, MEMBER(os.gpu_model)},
	{"has_neuron", "the machine has an AWS Neuron accelerator", FACT_BOOL, MEMBER(os.has_neuron)},
	{"has_systemd", "systemd runs the machine", FACT_BOOL, MEMBER(os.has_systemd)},
	{"instance_id", "id of the instance; empty off EC2, as all that follow", FACT_TEXT,
	 MEMBER(instance.instance_id)},
	{"instance_type", "type of the instance: g5.xlarge", FACT_TEXT, MEMBER(instance.instance_type)},
	{"region", "region of the instance", FACT_TEXT, MEMBER(instance.region)},
	{"availability_zone", "availability zone of the instance", FACT_TEXT, MEMBER(instance.availability_zone)},
	{"account_id", "account that the instance belongs to", FACT_TEXT, MEMBER(instance.account_id)},
	{"ami_id", "image that the instance was launched from", FACT_TEXT, MEMBER(instance.image_id)},
	{"lifecycle", "on-demand or spot", FACT_TEXT, MEMBER(instance.lifecycle)},
	{"partition", "aws, aws-cn or aws-us-gov", FACT_TEXT, MEMBER(instance.partition)},
	{"private_ip", "private IPv4 address", FACT_TEXT, MEMBER(instance.private_ip)},
};

const size_t facts_fields_count = sizeof facts_fields / sizeof *facts_fields;

/* The one text that is an enum in the struct. */
static bool is_support(const struct fact_field *f) { return f->offset == offsetof(struct facts, os.support); }

static const void *member(const struct facts *facts, const struct fact_field *f) {
	return (const char *)facts + f->offset;
}

static const char *text_of(const struct facts *facts, const struct fact_field *f) {
	return is_support(f) ? osinfo_support_name(facts->os.support) : member(facts, f);
}

static int64_t number_of(const struct facts *facts, const struct fact_field *f) {
	return f->size == sizeof(int) ? *(const int *)member(facts, f) : *(const int64_t *)member(facts, f);
}

static bool bool_of(const struct facts *facts, const struct fact_field *f) { return *(const bool *)member(facts, f); }

bool facts_wants_imds(const struct osinfo *os, const char *const *env) {
	const char *disabled = aws_env(env, "AWS_EC2_METADATA_DISABLED"); /* as the AWS CLI and SDKs have it */
	if (disabled && strcasecmp(disabled, "true") == 0) return false;
	return os->is_ec2 || aws_env(env, "AWS_EC2_METADATA_SERVICE_ENDPOINT");
}

/* The account we run as: its entry in the root's passwd file, else what the environment says. */
static void gather_user(const struct fs_root *root, const char *const *env, struct facts *facts) {
	struct arena arena AUTO_ARENA = {0};
	struct exec_user user;
	struct err ignored; /* a tree or container without our account is no error */
	const char *uid = arena_printf(&arena, "%lu", (unsigned long)geteuid());
	bool is_known = user_find(root, uid, &arena, &user, &ignored) == 0;
	const char *name = is_known ? user.name : aws_env(env, "USER"),
		   *home = is_known ? user.home : aws_env(env, "HOME");
	facts->is_root = geteuid() == 0;
	snprintf(facts->user, sizeof facts->user, "%s", name ? name : uid);
	snprintf(facts->home, sizeof facts->home, "%s", home ? home : "/");
}

int facts_gather(const struct fs_root *root, struct imds *imds, const char *const *env, struct facts *ret_facts,
		 struct err *err) {
	struct facts facts = {0};
	int rc = osinfo_read(root, &facts.os, err);
	if (rc < 0) return err_wrap(err, "facts");
	gather_user(root, env, &facts);
	if (imds && facts_wants_imds(&facts.os, env)) {
		struct err silent;
		rc = imds_identity(imds, &facts.instance, &silent);
		if (rc == -ERR_CANCELLED) {
			*err = silent;
			return rc;
		}
		facts.has_instance = rc == 0;
		if (rc < 0) snprintf(facts.metadata_error, sizeof facts.metadata_error, "%.255s", silent.msg);
	}
	*ret_facts = facts;
	return 0;
}

const char *facts_get(const struct facts *facts, const char *name, struct arena *arena) {
	for (size_t i = 0; i < facts_fields_count; i++) {
		const struct fact_field *f = &facts_fields[i];
		if (!str_eq(f->name, name)) continue;
		switch (f->kind) {
		case FACT_TEXT: return arena_strdup(arena, text_of(facts, f));
		case FACT_NUMBER: return arena_printf(arena, "%lld", (long long)number_of(facts, f));
		case FACT_BOOL: return bool_of(facts, f) ? "true" : "false";
		}
	}
	return NULL;
}

struct js *facts_to_js(const struct facts *facts) {
	struct js *js = js_object();
	for (size_t i = 0; i < facts_fields_count; i++) {
		const struct fact_field *f = &facts_fields[i];
		switch (f->kind) {
		case FACT_TEXT: js_set_str(js, f->name, text_of(facts, f)); break;
		case FACT_NUMBER: js_set_int(js, f->name, number_of(facts, f)); break;
		case FACT_BOOL: js_set_bool(js, f->name, bool_of(facts, f)); break;
		}
	}
	return js;
}

static bool take_support(const char *text, struct facts *facts) {
	for (int support = OS_SUPPORTED; support <= OS_UNKNOWN; support++) {
		if (!str_eq(text, osinfo_support_name((enum os_support)support))) continue;
		facts->os.support = (enum os_support)support;
		return true;
	}
	return false;
}

/* No number among the facts is negative, so -1 stands for a member of another type. */
static bool take_number(const struct js *js, const struct fact_field *f, void *slot) {
	int64_t n = js_get_int(js, f->name, -1);
	if (n < 0 || (f->size == sizeof(int) && n > INT32_MAX)) return false;
	if (f->size == sizeof(int))
		*(int *)slot = (int)n;
	else
		*(int64_t *)slot = n;
	return true;
}

/* The getter gives its fallback for another type, so two fallbacks tell. */
static bool take_bool(const struct js *js, const struct fact_field *f, void *slot) {
	bool b = js_get_bool(js, f->name, true);
	if (b != js_get_bool(js, f->name, false)) return false;
	*(bool *)slot = b;
	return true;
}

static bool take_text(const struct js *js, const struct fact_field *f, struct facts *facts, void *slot) {
	const char *text = js_get_str(js, f->name);
	if (!text) return false;
	if (is_support(f)) return take_support(text, facts);
	if (strlen(text) >= f->size) return false;
	memcpy(slot, text, strlen(text) + 1);
	return true;
}

int facts_from_js(const struct js *js, struct facts *ret_facts, struct err *err) {
	static const char *const wants[] = {[FACT_TEXT] = "text of a fitting length",
					    [FACT_NUMBER] = "a whole number",
					    [FACT_BOOL] = "true or false"};
	struct facts facts = {.os.support = OS_UNKNOWN};
	if (!js_get(js, facts_fields[0].name)) {
		return err_set(err, ERR_INVALID,
			       "not a file of facts: it has no '%s'; make one with 'dsagent facts --save FILE'",
			       facts_fields[0].name);
	}
	for (size_t i = 0; i < facts_fields_count; i++) {
		const struct fact_field *f = &facts_fields[i];
		if (!js_get(js, f->name)) continue; /* saved by an older version */
		void *slot = (char *)&facts + f->offset;
		bool is_taken = false;
		switch (f->kind) {
		case FACT_TEXT: is_taken = take_text(js, f, &facts, slot); break;
		case FACT_NUMBER: is_taken = take_number(js, f, slot); break;
		case FACT_BOOL: is_taken = take_bool(js, f, slot); break;
		}
		if (!is_taken) return err_set(err, ERR_INVALID, "fact '%s' is not %s", f->name, wants[f->kind]);
	}
	facts.has_instance = facts.instance.instance_id[0] != '\0';
	*ret_facts = facts;
	return 0;
}
