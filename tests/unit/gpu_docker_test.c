#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gpu_tree.h"
#include "sys/gpu_files.h"

/* Does Docker give containers the GPU: checks 57 and 58. */

#define DOCKER_OK "ok 1x T4 driver 580.105.08 cuda 13.0\n"
#define DOCKER_WARN "warn docker-gpu 1x T4 driver 580.105.08 cuda 13.0\n"
#define DOCKER_RUN "`sudo nvidia-ctk runtime configure --runtime=docker && sudo systemctl restart docker`"
#define DOCKER_LOSE                                                                                                    \
	"info docker-cgroup fix: Containers that run lose the GPU when systemd reloads (`systemctl daemon-reload`, a " \
	"package upgrade). "
#define DOCKER_LINKS "Run `sudo nvidia-ctk system create-dev-char-symlinks --create-all` at each boot"
#define NO_LINK " [/dev/char/195:0 is absent]\n"

static const struct gpu_row docker_rows[] = {
	{"Docker without the toolkit",
	 GPU_BASE_T4,
	 {{"/usr/bin/dockerd", ""}},
	 {0},
	 DOCKER_WARN "warn docker-gpu fix: Docker cannot give the GPU to containers. Install nvidia-container-toolkit, "
		     "then run " DOCKER_RUN " [/etc/docker/daemon.json is absent]\n"},
	{"the toolkit is installed, not configured; podman's docker",
	 GPU_BASE_T4,
	 {{"/usr/bin/docker", ""},
	  {"/usr/bin/nvidia-ctk", ""},
	  {"/etc/docker/daemon.json", "{\"log-driver\":\"journald\",\"runtimes\":{\"runsc\":{}}}\n"}},
	 {0},
	 DOCKER_WARN "warn docker-gpu fix: Docker cannot give the GPU to containers. Run " DOCKER_RUN
		     " [/etc/docker/daemon.json names no nvidia runtime]\n"},
	{"an empty daemon.json is none",
	 GPU_BASE_T4,
	 {{"/usr/bin/dockerd", ""}, {"/usr/bin/nvidia-ctk", ""}, {"/etc/docker/daemon.json", " \n"}},
	 {0},
	 DOCKER_WARN "warn docker-gpu fix: Docker cannot give the GPU to containers. Run " DOCKER_RUN
		     " [/etc/docker/daemon.json names no nvidia runtime]\n"},
	{"daemon.json is no JSON",
	 GPU_BASE_T4,
	 {{"/usr/bin/dockerd", ""}, {"/etc/docker/daemon.json", "{\"runtimes\": nvidia}\n"}},
	 {0},
	 DOCKER_WARN "warn docker-gpu fix: /etc/docker/daemon.json is no valid JSON, so Docker may not start: mend or "
		     "remove it [JSON, line 1, column 19: invalid token]\n"},
	{"daemon.json of another shape",
	 GPU_BASE_T4,
	 {{"/usr/bin/dockerd", ""},
	  {"/usr/bin/nvidia-ctk", ""},
	  {"/etc/docker/daemon.json", "{\"runtimes\":[\"nvidia\"],\"exec-opts\":7}\n"}},
	 {0},
	 DOCKER_WARN "warn docker-gpu fix: Docker cannot give the GPU to containers. Run " DOCKER_RUN
		     " [/etc/docker/daemon.json names no nvidia runtime]\n"},
	{"the runtime is there, cgroups by cgroupfs: v1",
	 GPU_BASE_T4,
	 {{"/usr/bin/dockerd", ""}, {"/etc/docker/daemon.json", "{\"runtimes\":{\"nvidia\":{\"args\":[]}}}\n"}},
	 {0},
	 DOCKER_OK},
	{"CDI, unified cgroups, no links",
	 GPU_BASE_T4,
	 {{"/usr/bin/dockerd", ""},
	  {"/usr/bin/nvidia-ctk", ""},
	  {"/etc/cdi/nvidia.yaml", "cdiVersion: 0.5.0\n"},
	  {"/sys/fs/cgroup/cgroup.controllers", "cpuset cpu io memory\n"}},
	 {0},
	 DOCKER_OK DOCKER_LOSE DOCKER_LINKS NO_LINK},
	{"the hook alone, systemd by daemon.json, no nvidia-ctk",
	 GPU_BASE_T4,
	 {{"/usr/bin/dockerd", ""},
	  {"/usr/bin/nvidia-container-runtime-hook", ""},
	  {"/etc/docker/daemon.json", "{\"exec-opts\":[\"x=y\",\"native.cgroupdriver=systemd\"]}\n"}},
	 {0},
	 DOCKER_OK DOCKER_LOSE "Start such containers again" NO_LINK},
	{"cgroupfs by daemon.json",
	 GPU_BASE_T4,
	 {{"/usr/bin/dockerd", ""},
	  {"/run/cdi/nvidia.yaml", ""},
	  {"/etc/docker/daemon.json", "{\"exec-opts\":[\"native.cgroupdriver=cgroupfs\"]}\n"},
	  {"/sys/fs/cgroup/cgroup.controllers", "cpu\n"}},
	 {0},
	 DOCKER_OK},
	{"the links are there",
	 GPU_BASE_T4,
	 {{"/usr/bin/dockerd", ""},
	  {"/etc/cdi/nvidia.json", "{}"},
	  {"/sys/fs/cgroup/cgroup.controllers", "cpu\n"},
	  {"/dev/char/195:0", "->../nvidia0"}},
	 {0},
	 DOCKER_OK},
	{"no Docker, whatever else there is",
	 GPU_BASE_T4,
	 {{"/etc/docker/daemon.json", "{"}, {"/usr/bin/nvidia-ctk", ""}},
	 {0},
	 DOCKER_OK},
	{"no word of Docker where the driver is not loaded",
	 GPU_BASE_UNDRIVEN,
	 {{"/usr/bin/dockerd", ""}},
	 {0},
	 "fail drv-unloaded fix\n"
	 "fail drv-unloaded fix: The NVIDIA kernel module is not loaded. Run `sudo modprobe nvidia`; `sudo dmesg` says "
	 "why it fails [/sys/module/nvidia is absent]\n"},
};

static void containers_get_the_gpu_or_not(void **state) {
	gpu_rows_check(docker_rows, sizeof docker_rows / sizeof *docker_rows);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(containers_get_the_gpu_or_not),
	};
	return cmocka_run_group_tests_name("gpu_docker", tests, NULL, NULL);
}
