#pragma once
/*
 * What came before dsagent in this boot: from the launch of the instance over kernel, initrd and systemd to
 * cloud-init's stages, each by its own record. What is not there is left out: none of it is needed.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arena;
struct fs_root;

#define BOOT_PHASES_MAX 12

struct boot_phase {
	const char *name;	/* "kernel", "cloud-init: final" */
	int64_t from_ms, to_ms; /* wall clock */
};

struct boot_times {
	int64_t launched_at_ms; /* 0: not known, or the machine has been rebooted since */
	int64_t booted_at_ms;	/* when the kernel began; 0: not known */
	struct boot_phase phases[BOOT_PHASES_MAX];
	size_t count;
};

/**
 * Sources: pending_time of the instance identity document (EC2 User Guide: launch or start; may be ""), /proc/uptime,
 * the timestamps of `systemctl show` (org.freedesktop.systemd1(5); env's PATH), /run/cloud-init/status.json or
 * /var/lib/cloud/data/status.json.
 */
void boot_times_read(const struct fs_root *root, const char *const *env, const char *pending_time,
		     struct boot_times *ret_times);
