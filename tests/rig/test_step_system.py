"""system by the real locale-gen, mkswap, swapon and sysctl."""

import pytest

pytestmark = pytest.mark.slow

RECIPE = """
steps:
  - system:
      timezone: Europe/Berlin
      locale: de_DE.UTF-8
      hostname: box.example
      sysctl: {kernel.msgmax: 9000}
      limits: [{item: nofile, value: 512}, {domain: "@data", item: memlock, type: soft, value: unlimited}]
"""


@pytest.fixture
def box(systemd_root, box_in):
    return box_in(systemd_root)


def test_names_and_kernel(box):
    path = box.recipe(RECIPE)
    # One box for all of it: host name and kernel.msgmax belong to its namespaces and go with it.
    out = box.sh(f"""dsagent apply {path} > /shared/first; dsagent apply {path} > /shared/second
readlink /etc/localtime; date +%Z; cat /etc/timezone; locale -a | grep de; grep LANG /etc/default/locale; hostname; cat /etc/hostname
getent hosts box.example; cat /proc/sys/kernel/msgmax; tail -1 /etc/sysctl.d/90-dsagent.conf
su -s /bin/sh -c 'ulimit -n' nobody; cat /etc/security/limits.d/90-dsagent.conf
sysctl -q kernel.msgmax=8192; sed -i s/Berlin/Paris/ /etc/timezone; : > /etc/default/locale
dsagent apply {path}; cat /proc/sys/kernel/msgmax /etc/timezone /etc/default/locale
echo 'steps: [{{system: {{sysctl: {{kernel.msgmnb: 17000}}}}}}]' > /shared/more.yaml; dsagent apply /shared/more.yaml >/dev/null
cat /etc/sysctl.d/90-dsagent.conf""")
    first, second = (box.shared / "first").read_text(), (box.shared / "second").read_text()
    assert "set the time zone to Europe/Berlin" in first and "make the locale de_DE.UTF-8" in first, first
    assert "nothing" in second.lower(), second
    lines = out.splitlines()
    assert lines[:3] == ["../usr/share/zoneinfo/Europe/Berlin", "CET", "Europe/Berlin"], out
    assert lines[3:8] == ["de_DE.utf8", "LANG=de_DE.UTF-8", "box.example", "box.example", "127.0.1.1       box.example"], out
    assert lines[8:11] == ["9000", "kernel.msgmax = 9000", "512"], out
    assert "* - nofile 512" in lines and "@data soft memlock unlimited" in lines
    assert "set kernel.msgmax to 9000 (now 8192)" in out and "\n9000\nEurope/Berlin\nLANG=de_DE.UTF-8\n" in out, out
    assert lines[-2:] == ["kernel.msgmax = 9000", "kernel.msgmnb = 17000"]


def test_what_is_not_there_is_named(box):
    for text, says in (("timezone: Europe/Berlen", "there is no time zone 'Europe/Berlen'"),
                       ("sysctl: {kernel.no_such: 1}", "this kernel has no sysctl 'kernel.no_such'"),
                       ("swap: 100T", "of swap at /swapfile and")):
        done = box.run("dsagent", "apply", box.recipe(f"steps: [{{system: {{{text}}}}}]\n"), code=1)
        assert says in done.stdout, done.stdout
    assert box.sh("ls /etc/sysctl.d | grep dsagent; ls / | grep swap; cat /etc/fstab", code=None).strip().startswith("#")


def test_swap(box):
    """On a real file system, since none can be had on an overlay."""
    path = box.recipe("steps: [{system: {swap: {size: 20M, path: /shared/swapfile}}}]\n")
    can = box.run("sh", "-c", "fallocate -l 20M /shared/try && chmod 600 /shared/try && mkswap /shared/try && "
                  "swapon /shared/try && swapoff /shared/try; s=$?; rm -f /shared/try; exit $s", code=None)
    if can.returncode:
        pytest.skip(f"this machine takes no swap file: {can.stderr.strip()[-200:]}")
    more = box.recipe("steps: [{system: {swap: {size: 30M, path: /shared/swapfile}}}]\n", "more.yaml")
    # One box for all of it: another would know the file by another path.
    out = box.sh(f"""trap 'swapoff /shared/swapfile' EXIT
dsagent apply {path}; stat -c '%a %s' /shared/swapfile; grep -c swapfile /proc/swaps; tail -1 /etc/fstab; echo =
dsagent apply {path}; echo =
swapoff /shared/swapfile; chmod 644 /shared/swapfile; sed -i /swapfile/d /etc/fstab
dsagent apply {path}; stat -c %a /shared/swapfile; grep -c swapfile /proc/swaps /etc/fstab; echo =
dsagent apply {more}; stat -c %s /shared/swapfile; grep -c swapfile /proc/swaps; ls /shared""").split("=\n")
    assert "make swap file /shared/swapfile" in out[0], out
    assert out[0].endswith("600 20971520\n1\n/shared/swapfile none swap sw,nofail 0 0\n"), out
    assert "nothing" in out[1].lower(), out
    assert "it holds memory" in out[2] and out[2].endswith("600\n/proc/swaps:1\n/etc/fstab:1\n"), out
    assert "31457280\n1\n" in out[3] and "part" not in out[3], out


def test_a_file_that_is_no_swap_stays(box):
    box.sh("echo precious > /swapfile")
    done = box.run("dsagent", "apply", box.recipe("steps: [{system: {swap: 20M}}]\n"), code=1)
    assert "/swapfile is there and is no swap file" in done.stdout and box.sh("cat /swapfile") == "precious\n"
