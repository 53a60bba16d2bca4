#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/str.h"
#include "sys/osinfo.h"
#include "tree.h"

#define DMI "/sys/devices/virtual/dmi/id"
#define PCI "/sys/bus/pci/devices"
#define FILES_MAX 24

#define AL2023                                                                                                         \
	"NAME=\"Amazon Linux\"\nVERSION=\"2023\"\nID=\"amzn\"\nID_LIKE=\"fedora\"\nVERSION_ID=\"2023\"\n"              \
	"PLATFORM_ID=\"platform:al2023\"\nPRETTY_NAME=\"Amazon Linux 2023.10.20260202\"\n"
#define UBUNTU(version, codename)                                                                                      \
	"PRETTY_NAME=\"Ubuntu " version " LTS\"\nID=ubuntu\nID_LIKE=debian\nVERSION_ID=\"" version                     \
	"\"\nVERSION_CODENAME=" codename "\n"
#define PCI_CARD(address, vendor_id, class_id, device_id)                                                              \
	{PCI "/" address "/vendor", vendor_id "\n"}, {PCI "/" address "/class", class_id "\n"}, {                      \
		PCI "/" address "/device", device_id "\n"                                                              \
	}

struct file {
	const char *path, *text;
};

static const struct {
	const char *name;
	struct file files[FILES_MAX];
	const char *answer; /* id version codename manager support user ec2 dlami gpu neuron systemd */
} rows[] = {
	{"AL2023 on Nitro",
	 {{"/etc/os-release", AL2023},
	  {"/etc/passwd", "root:x:0:0::/root:/bin/bash\nec2-user:x:1000:1000::/home/ec2-user:/bin/bash\n"},
	  {DMI "/sys_vendor", "Amazon EC2\n"},
	  {"/run/systemd/system/x", ""}},
	 "amzn 2023 '' dnf supported ec2-user ec2 - 0 '' - systemd"},
	{"Ubuntu on Xen, os-release in /usr/lib",
	 {{"/usr/lib/os-release", UBUNTU("22.04", "jammy")},
	  {"/etc/passwd", "ubuntu:x:1000:1000::/home/ubuntu:/bin/bash\nec2-user:x:1001:1001::/:/bin/sh\n"},
	  {DMI "/sys_vendor", "Xen\n"},
	  {"/sys/hypervisor/uuid", "ec2f0a1b-0000-0000-0000-000000000000\n"}},
	 "ubuntu 22.04 jammy apt supported ubuntu ec2 - 0 '' - -"},
	{"PyTorch DLAMI with four A10G, an NVSwitch and an ENA card",
	 {{"/etc/os-release", UBUNTU("24.04", "noble")},
	  {"/opt/pytorch/bin/python", ""},
	  {DMI "/product_uuid", "EC2A1B2C-0000-0000-0000-000000000000\n"},
	  PCI_CARD("0000:00:05.0", "0x1d0f", "0x020000", "0xec20"),
	  PCI_CARD("0000:00:1b.0", "0x10de", "0x030200", "0x2237"),
	  PCI_CARD("0000:00:1c.0", "0x10de", "0x030000", "0x2237"),
	  PCI_CARD("0000:00:1d.0", "0x10de", "0x068000", "0x22a3")},
	 "ubuntu 24.04 noble apt supported '' ec2 pytorch 2 'A10G' - -"},
	{"Neuron DLAMI",
	 {{"/etc/os-release", AL2023},
	  {"/opt/aws/dlami/info/x", ""},
	  {"/opt/aws_neuronx_venv_pytorch_2_9/bin/python", ""},
	  PCI_CARD("0000:00:1e.0", "0x1d0f", "0x088000", "0x7264")},
	 "amzn 2023 '' dnf supported '' - neuron 0 '' neuron -"},
	{"base DLAMI by its unit, a GPU that is not in the table",
	 {{"/etc/os-release", UBUNTU("22.04", "jammy")},
	  {"/etc/systemd/system/dlami-nvme.service", ""},
	  PCI_CARD("0000:00:1e.0", "0x10de", "0x030200", "0x99ff")},
	 "ubuntu 22.04 jammy apt supported '' - base 1 '10de:99ff' - -"},
	{"Debian 12, no ID_LIKE, a laptop",
	 {{"/etc/os-release", "ID=debian\nVERSION_ID=\"12\"\nVERSION_CODENAME=bookworm\n"},
	  {"/etc/passwd", "admin:x:1000:1000::/home/admin:/bin/bash\n"},
	  {DMI "/sys_vendor", "LENOVO\n"},
	  {DMI "/product_uuid", "4c4c4544-0ec2-0000-0000-000000000000\n"}},
	 "debian 12 bookworm apt supported admin - - 0 '' - -"},
	{"Amazon Linux 2",
	 {{"/etc/os-release", "ID=\"amzn\"\nVERSION_ID=\"2\"\n"}},
	 "amzn 2 '' dnf unsupported '' - - 0 '' - -"},
	{"Amazon Linux 2027",
	 {{"/etc/os-release", "ID=amzn\nVERSION_ID=\"2027\"\n"}},
	 "amzn 2027 '' dnf preview '' - - 0 '' - -"},
	{"a relative by ID_LIKE",
	 {{"/etc/os-release", "ID=mint\nVERSION_ID=21\nID_LIKE='ubuntu debian'\n"}, {"/usr/bin/dnf", ""}},
	 "mint 21 '' apt unknown '' - - 0 '' - -"},
	{"Rocky",
	 {{"/etc/os-release", "ID=rocky\nVERSION_ID=9.4\nID_LIKE=\"rhel centos fedora\"\n"}},
	 "rocky 9.4 '' dnf unknown '' - - 0 '' - -"},
	{"strangers are known by their tool",
	 {{"/etc/os-release", "ID=azurelinux\nVERSION_ID=3.0\n"}, {"/usr/bin/dnf", ""}},
	 "azurelinux 3.0 '' dnf unknown '' - - 0 '' - -"},
	{"no os-release, no tool", {{"/etc/passwd", "me:x:1:1::/:/bin/sh\n"}}, "linux  '' '' unknown '' - - 0 '' - -"},
};

static const char *text_of(const struct osinfo *o, struct arena *a) {
	return arena_printf(a, "%s %s %s %s %s %s %s %s %d '%s' %s %s", o->id, o->version,
			    o->codename[0] ? o->codename : "''", o->package_manager[0] ? o->package_manager : "''",
			    osinfo_support_name(o->support), o->login_user[0] ? o->login_user : "''",
			    o->is_ec2 ? "ec2" : "-", o->is_dlami ? o->dlami_flavor : "-", o->gpu_count, o->gpu_model,
			    o->has_neuron ? "neuron" : "-", o->has_systemd ? "systemd" : "-");
}

static void systems_are_told_apart(void **state) {
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		AUTO_ARENA struct arena arena = {0};
		struct err err = {0};
		struct osinfo info;
		struct tree t;
		tree_open(&t);
		for (size_t k = 0; k < FILES_MAX && rows[i].files[k].path; k++)
			tree_write(&t, rows[i].files[k].path, rows[i].files[k].text, 0644);
		if (osinfo_read(&t.root, &info, &err)) fail_msg("%s: %s", rows[i].name, err.msg);
		const char *got = text_of(&info, &arena);
		if (!str_eq(got, rows[i].answer)) fail_msg("%s: %s, not %s", rows[i].name, got, rows[i].answer);
		tree_close(&t);
	}
}

static void kernel_facts_come_from_the_root(void **state) {
	static const struct {
		const char *online;
		int cpus;
	} cpus[] = {{"0\n", 1}, {"0-3\n", 4}, {"0-1,4-5,8\n", 5}};
	for (size_t i = 0; i < sizeof cpus / sizeof *cpus; i++) {
		struct err err = {0};
		struct osinfo o;
		struct tree t;
		tree_open(&t);
		tree_write(&t, "/sys/devices/system/cpu/online", cpus[i].online, 0644);
		tree_write(&t, "/proc/meminfo", "MemTotal:       16307632 kB\nMemFree: 1 kB\n", 0644);
		tree_write(&t, "/proc/sys/kernel/osrelease", "6.8.0-1021-aws\n", 0644);
		tree_write(&t, "/proc/sys/kernel/hostname", "ip-10-0-0-7\n", 0644);
		tree_write(&t, "/proc/sys/kernel/random/boot_id", "11f0c1f6-7d0b-4a4e-9c57-000000000001\n", 0644);
		assert_int_equal(osinfo_read(&t.root, &o, &err), 0);
		assert_int_equal(o.cpus, cpus[i].cpus);
		assert_true(o.memory_bytes == 16307632LL * 1024);
		assert_string_equal(o.kernel, "6.8.0-1021-aws");
		assert_string_equal(o.hostname, "ip-10-0-0-7");
		assert_string_equal(o.boot_id, "11f0c1f6-7d0b-4a4e-9c57-000000000001");
		assert_string_not_equal(o.arch, "");
		tree_close(&t);
	}
}

static void a_bare_tree_has_the_running_kernel(void **state) {
	struct err err = {0};
	struct osinfo o;
	struct tree t;
	tree_open(&t);
	tree_write(&t, "/sys/devices/system/cpu/online", "0-\n", 0644);
	assert_int_equal(osinfo_read(&t.root, &o, &err), 0);
	assert_true(o.cpus >= 1 && o.memory_bytes > 0 && o.kernel[0] && o.hostname[0]);
	assert_string_equal(o.boot_id, "");
	tree_close(&t);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(systems_are_told_apart),
		cmocka_unit_test(kernel_facts_come_from_the_root),
		cmocka_unit_test(a_bare_tree_has_the_running_kernel),
	};
	return cmocka_run_group_tests_name("osinfo", tests, NULL, NULL);
}
