/*
 * Can Docker give containers the GPU? Three ways: a runtime named nvidia in daemon.json, a CDI specification, or the
 * hook that `docker run --gpus` looks for. Sources: NVIDIA Container Toolkit, "Installation Guide", "CDI Support",
 * "Troubleshooting" (containers that lose the GPU at a daemon-reload); moby, daemon/nvidia_linux.go.
 */
#include "base/buf.h"
#include "base/err.h"
#include "base/fs.h"
#include "fmt/js.h"
#include "sys/gpu_files.h"

#define DAEMON_JSON "/etc/docker/daemon.json"
#define DAEMON_JSON_MAX ((size_t)256 * 1024)
/* Character device 195:0 is the first GPU (Linux, devices.txt); systemd finds a container's devices by these links. */
#define CHAR_LINK "/dev/char/195:0"

static bool has_any(const struct gpu_scan *s, const char *const *paths, size_t count) {
	for (size_t i = 0; i < count; i++)
		if (fs_exists(s->m->root, paths[i])) return true;
	return false;
}

static bool has_docker(const struct gpu_scan *s) {
	static const char *const paths[] = {"/usr/bin/dockerd", "/usr/bin/docker"};
	return has_any(s, paths, sizeof paths / sizeof *paths);
}

static bool has_toolkit(const struct gpu_scan *s) { return fs_exists(s->m->root, "/usr/bin/nvidia-ctk"); }

static bool has_way(const struct gpu_scan *s, const struct js *config) {
	static const char *const paths[] = {"/etc/cdi/nvidia.yaml", "/etc/cdi/nvidia.json", "/run/cdi/nvidia.yaml",
					    "/usr/bin/nvidia-container-runtime-hook"};
	const struct js *runtimes = config ? js_get(config, "runtimes") : NULL;
	return (runtimes && js_get(runtimes, "nvidia")) || has_any(s, paths, sizeof paths / sizeof *paths);
}

/* Docker's default is systemd where the hierarchy is unified, cgroupfs elsewhere. */
static bool is_systemd_cgroup(const struct gpu_scan *s, const struct js *config) {
	const struct js *options = config ? js_get(config, "exec-opts") : NULL;
	for (size_t i = 0; options && i < js_count(options); i++) {
		const char *option = js_str(js_at(options, i));
		if (option && str_starts(option, "native.cgroupdriver="))
			return str_eq(option, "native.cgroupdriver=systemd");
	}
	return fs_exists(s->m->root, "/sys/fs/cgroup/cgroup.controllers");
}

static void add_invisible(struct gpu_scan *s, const char *evidence) {
	bool is_installed = has_toolkit(s);
	gpu_add(s->r, "docker-gpu", GPU_WARN, GPU_REMEDY_FIX, evidence,
		"Docker cannot give the GPU to containers. %s `sudo nvidia-ctk runtime configure --runtime=docker && "
		"sudo systemctl restart docker`",
		is_installed ? "Run" : "Install nvidia-container-toolkit, then run");
}

static void judge(struct gpu_scan *s, const struct js *config, bool has_config) {
	if (!has_way(s, config)) {
		add_invisible(s, has_config ? DAEMON_JSON " names no nvidia runtime" : DAEMON_JSON " is absent");
		return;
	}
	if (!is_systemd_cgroup(s, config) || fs_exists(s->m->root, CHAR_LINK)) return;
	gpu_add(s->r, "docker-cgroup", GPU_INFO, GPU_REMEDY_FIX, CHAR_LINK " is absent",
		"Containers that run lose the GPU when systemd reloads (`systemctl daemon-reload`, a package "
		"upgrade)%s",
		has_toolkit(s) ? ". Run `sudo nvidia-ctk system create-dev-char-symlinks --create-all` at each boot"
			       : ". Start such containers again");
}

void gpu_files_docker(struct gpu_scan *s) {
	AUTO_BUF struct buf b = BUF_INIT(DAEMON_JSON_MAX);
	AUTO_JS struct js *config = NULL;
	struct err why = {0};
	if (!has_docker(s)) return;
	int rc = fs_read(s->m->root, DAEMON_JSON, &b, &why);
	if (rc == 0 && buf_str(&b)[strspn(buf_str(&b), " \t\r\n")] && js_parse(buf_str(&b), b.len, &config, &why)) {
		gpu_add(s->r, "docker-gpu", GPU_WARN, GPU_REMEDY_FIX, why.msg,
			DAEMON_JSON " is no valid JSON, so Docker may not start: mend or remove it");
		return;
	}
	judge(s, config, rc == 0);
}
