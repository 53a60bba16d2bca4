#include "recipe/schema_impl.h"

#include "base/arena.h"
#include "recipe/recipe.h"

/*
 * Words that people bring along from GitHub Actions, AWSTOE, cloud-config, cfn-init, Ansible, PCS and SkyPilot. ours is
 * the key that stands for it here (NULL: there is none); hint says more where the word alone does not.
 */
static const struct {
	const char *foreign, *ours, *hint;
} words[] = {
	{"if", "when", NULL},
	{"condition", "when", NULL},
	{"onlyif", "when", "here it is 'when' for facts, or 'unless' and 'creates' for commands and files"},
	{"only_if", "when", "here it is 'when' for facts, or 'unless' and 'creates' for commands and files"},
	{"test", "unless", "here it is 'unless' (a command that says that nothing is to be done)"},
	{"not_if", "unless", NULL},
	{"removes", "when", "here it is 'unless', 'creates' or 'when'"},
	{"depends_on", "needs", NULL},
	{"dependsOn", "needs", NULL},
	{"requires", "needs", NULL},
	{"after", "needs", NULL},
	{"script", "run", NULL},
	{"runcmd", "run", NULL},
	{"bootcmd", "run", NULL},
	{"shell", "run", NULL},
	{"command", "run", NULL},
	{"commands", "run", NULL},
	{"cmd", "run", NULL},
	{"exec", "run", NULL},
	{"user", "run_as", NULL},
	{"become_user", "run_as", NULL},
	{"become", "run_as", NULL},
	{"RunAsUser", "run_as", NULL},
	{"runas", "run_as", NULL},
	{"continue_on_error", "on_error", "here it is 'on_error: continue', or 'optional: true'"},
	{"continue-on-error", "on_error", "here it is 'on_error: continue', or 'optional: true'"},
	{"ignore_errors", "on_error", "here it is 'on_error: continue', or 'optional: true'"},
	{"ignoreErrors", "on_error", "here it is 'on_error: continue', or 'optional: true'"},
	{"onFailure", "on_error", "here it is 'on_error' with 'stop' or 'continue'"},
	{"onError", "on_error", "here it is 'on_error' with 'stop' or 'continue'"},
	{"FatalOnError", "on_error", "here it is 'on_error' with 'stop' or 'continue'"},
	{"timeoutSeconds", "timeout", "here it is 'timeout', such as 90s or 10m; a bare number is seconds"},
	{"timeout-minutes", "timeout", "here it is 'timeout', such as 90s or 10m; a bare number is seconds"},
	{"timeout_minutes", "timeout", "here it is 'timeout', such as 90s or 10m; a bare number is seconds"},
	{"retry", "retries", "here it is 'retries' (how often) and 'retry_delay'"},
	{"maxAttempts", "retries", "here it is 'retries' (how often again) and 'retry_delay'"},
	{"until", "retries", "here it is 'retries' and 'retry_delay', or a 'check' step that waits"},
	{"delay", "retry_delay", NULL},
	{"executionPolicy", "frequency", "here it is 'frequency': change, instance, boot or always"},
	{"once", "frequency", "here it is 'frequency': change, instance, boot or always"},
	{"RunOnce", "frequency", "here it is 'frequency: instance'"},
	{"RunPerInstance", "frequency", "here it is 'frequency: instance'"},
	{"RunPerBoot", "frequency", "here it is 'frequency: boot'"},
	{"no_log", "sensitive", NULL},
	{"secrets", "sensitive", NULL},
	{"envs", "env", NULL},
	{"environment", "env", NULL},
	{"params", "vars", NULL},
	{"parameters", "vars", NULL},
	{"variables", "vars", NULL},
	{"inputs", "vars", NULL},
	{"tasks", "steps", NULL},
	{"jobs", "steps", NULL},
	{"imports", "include", NULL},
	{"includes", "include", NULL},
	{"extends", "include", NULL},
	{"file_mounts", "sync", "here it is a 'sync' or 'download' step"},
	{"data", "sync", "here it is a 'sync' or 'download' step"},
	{"write_files", "file", NULL},
	{"files", "file", NULL},
	{"users", "user", NULL},
	{"groups", "user", "here it is a 'user' step"},
	{"mounts", "volume", NULL},
	{"services", "service", NULL},
	{"package", "packages", NULL},
	{"apt", "packages", NULL},
	{"dnf", "packages", NULL},
	{"yum", "packages", NULL},
	{"pip", "python", NULL},
	{"pip_packages", "python", NULL},
	{"power_state", "reboot", NULL},
	{"working_directory", "cwd", NULL},
	{"working-directory", "cwd", NULL},
	{"workdir", "cwd", NULL},
	{"chdir", "cwd", NULL},
	{"permissions", "mode", NULL},
	{"source", "from", NULL},
	{"src", "from", NULL},
	{"dest", "path", NULL},
	{"copy", "file", NULL},
	{"template", "file", "here it is 'file'; its content may hold ${vars.x}"},
	{"name", "recipe", NULL},
	{"cmd", "script", NULL},
	{"yum", "dnf", NULL},
	{"finally", NULL, "there is no such thing: a step whose 'needs' failed does not run"},
	{"on_failure", NULL, "there is no such thing: 'on_error: continue' lets the steps after it run"},
	{"register", NULL, "there is no such thing: steps do not hand values on; use a file"},
	{"loop", NULL, "there are no loops: lists are part of the step types"},
	{"with_items", NULL, "there are no loops: lists are part of the step types"},
	{"matrix", NULL, "there are no loops: lists are part of the step types"},
	{"foreach", NULL, "there are no loops: lists are part of the step types"},
};

const char *schema_foreign_word(const char *word) {
	for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
		if (str_eq(words[i].foreign, word)) return words[i].ours;
	}
	return NULL;
}

/* The hint for a foreign word, if what it leads to is known here (or if it leads nowhere at all). */
static const char *foreign_hint(const char *key, const struct strs *known, struct arena *arena) {
	for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
		if (!str_eq(words[i].foreign, key)) continue;
		if (words[i].ours && !strs_has(known, words[i].ours)) continue;
		if (words[i].hint) return words[i].hint;
		return arena_printf(arena, "here it is '%s'", words[i].ours);
	}
	return NULL;
}

const char *schema_unknown_key(const char *key, const struct strs *known, struct arena *arena) {
	const char *hint = foreign_hint(key, known, arena);
	if (hint) return arena_printf(arena, "unknown key '%s'; %s", key, hint);
	const char *near = str_nearest(key, known->items, known->count);
	if (near) return arena_printf(arena, "unknown key '%s'; did you mean '%s'?", key, near);
	if (schema_field(&step_common_shape, key) != NULL) {
		return arena_printf(arena, "unknown key '%s' here; it is one of the common keys of a step", key);
	}
	return arena_printf(arena, "unknown key '%s'; known here: %s", key, strs_join(known, ", ", arena));
}
