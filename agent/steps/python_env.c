#include "base/err.h"
#include "base/log.h"
#include "recipe/facts.h"
#include "recipe/step.h"
#include "steps/python.h"

#define ENV_MAX 40

struct env {
	const char **items;
	size_t count;
	struct py const *py;
};

static void set(struct env *e, const char *name, const char *value) {
	if (e->count + 1 < ENV_MAX) e->items[e->count++] = arena_printf(e->py->ctx->arena, "%s=%s", name, value);
}

/* Ours only where the caller has set nothing. */
static void set_default(struct env *e, const char *name, const char *value) {
	if (!machine_env(&e->py->ctx->machine, name)) set(e, name, value);
}

/* A setting of pip that uv knows by another name. */
static void translate(struct env *e, const char *pip_name, const char *uv_name) {
	const char *value = machine_env(&e->py->ctx->machine, pip_name);
	if (value && value[0]) set_default(e, uv_name, value);
}

/* The index address travels in the environment: it may hold a password, and every user may read the process list. */
static void set_index(struct env *e, const char *url) {
	const char *at = strchr(url, '@'), *scheme = strstr(url, "://");
	if (at && scheme && at > scheme) {
		const char *user = arena_dup(e->py->ctx->arena, scheme + 3, (size_t)(at - scheme - 3));
		const char *colon = strchr(user, ':');
		log_secret_add(colon ? colon + 1 : user);
	}
	set(e, "PIP_INDEX_URL", url);
	set(e, "UV_DEFAULT_INDEX", url);
}

/* pip's manual, "Environment Variables", and ec2.md 4.3. */
static void add_pip(struct env *e) {
	set(e, "PIP_DISABLE_PIP_VERSION_CHECK", "1");
	set(e, "PIP_NO_INPUT", "1");
	set(e, "PIP_ROOT_USER_ACTION", "ignore");
	set(e, "PIP_PROGRESS_BAR", "off");
	set(e, "PIP_USER", "0"); /* a pip.conf with `user = true` would refuse any venv */
	set(e, "PIP_REQUIRE_VIRTUALENV", "0");
	set_default(e, "PIP_DEFAULT_TIMEOUT", "60");
	set_default(e, "PIP_RETRIES", "10");
	set(e, "PYTHONNOUSERSITE", "1");
	set(e, "PYTHONUNBUFFERED", "1");
}

/* uv's reference, "Environment variables". */
static void add_uv(struct env *e) {
	set(e, "UV_NO_PROGRESS", "1");
	set(e, "UV_NO_CONFIG", "1");
	set_default(e, "UV_LINK_MODE", "hardlink");
	set_default(e, "UV_HTTP_TIMEOUT", "60");
	translate(e, "PIP_INDEX_URL", "UV_DEFAULT_INDEX");
	translate(e, "PIP_EXTRA_INDEX_URL", "UV_INDEX");
	translate(e, "PIP_FIND_LINKS", "UV_FIND_LINKS");
	translate(e, "PIP_CERT", "SSL_CERT_FILE");
}

const char *const *py_environment(const struct py *py) {
	struct arena *arena = py->ctx->arena;
	struct env e = {.items = arena_alloc(arena, (ENV_MAX + 1) * sizeof *e.items), .py = py};
	add_pip(&e);
	add_uv(&e);
	if (py->p->index_url) set_index(&e, py->p->index_url);
	if (py->user) {
		set(&e, "HOME", py->user->home);
		set(&e, "USER", py->user->name);
		set(&e, "LOGNAME", py->user->name);
	} else if (py->ctx->facts->is_root) {
		set_default(&e, "PIP_CACHE_DIR", "/var/cache/dsagent/pip");
		set_default(&e, "UV_CACHE_DIR", "/var/cache/dsagent/uv");
		/* Outside /var/lib/dsagent, which is closed to users: they run what the venv links to. */
		set_default(&e, "UV_PYTHON_INSTALL_DIR", "/opt/dsagent/python");
	}
	/* /tmp may be memory and too small (Amazon Linux 2023): where the venv fits, its parts do. */
	set(&e, "TMPDIR", arena_printf(arena, "%s.dsagent-tmp", py->venv));
	return e.items;
}
