"""Packages by the real dpkg, apt, rpm and dnf: whole file lists before, between and after; under a booted systemd."""

import json

import packaged
import pytest

from harness import wait_until

pytestmark = pytest.mark.slow

# What the package managers keep of their own, and what a box is given at each start.
NOISE = ("/proc /sys /dev /run /tmp /shared /var/lib/dpkg /var/lib/rpm /var/lib/dnf /var/cache /var/lib/apt /var/log /opt/rig-libs "
         "/etc/hosts /etc/resolv.conf /root/.cache /usr/lib/sysimage").split()
LIST = "find / " + " ".join(f"-path {p} -prune -o" for p in NOISE) + " -printf '%y %m %p %l\\n' | sort"
EDIT = "echo '# mine' >> /etc/dsagent/dsagent.yaml; echo 'steps: []' > /etc/dsagent/recipes.d/10-team.yaml"
# What a run leaves: the recipe of user-data, state, logs.
USE = ("mkdir -p /var/lib/dsagent/runs/1; echo '{}' > /var/lib/dsagent/state.json; echo x > /var/lib/dsagent/boot.log; "
       "echo x > /etc/dsagent/recipes.d/user-data.yaml")
STATE = {"d 755 /var/lib/dsagent", "d 755 /var/lib/dsagent/runs", "d 755 /var/lib/dsagent/runs/1", "f 644 /var/lib/dsagent/state.json",
         "f 644 /var/lib/dsagent/boot.log", "f 644 /etc/dsagent/recipes.d/user-data.yaml"}


def rows(files, folders):
    return {f"f {mode} {path}" for path, mode in files.items()} | {f"d 755 {path}" for path in folders}


# Folders that a minimal system lacks and the package shares with others.
SHARED = {"d 755 /usr/share/bash-completion", "d 755 /usr/share/bash-completion/completions", "d 755 /usr/lib/systemd/system-preset",
          "d 755 /usr/share/licenses", "d 755 /usr/share/licenses/dsagent", "d 755 /usr/share/man/man5", "d 755 /usr/share/lintian",
          "d 755 /usr/share/lintian/overrides", "d 755 /usr/share/doc/dsagent", "d 755 /usr/lib/systemd", "d 755 /usr/lib/systemd/system",
          "d 755 /etc/update-motd.d", "d 755 /etc/motd.d"}
DEB = rows({**packaged.FILES, **packaged.DEB_DOC, **packaged.DEB_LOGIN}, packaged.FOLDERS)
RPM = rows({**packaged.FILES, **packaged.LICENSE}, packaged.FOLDERS) | {"l 777 %s %s" % packaged.RPM_LOGIN}


@pytest.fixture(scope="session")
def packages(tmp_path_factory):
    """{(kind, version)}: a release, and the next one with another unit and another dsagent.yaml."""
    folder = tmp_path_factory.mktemp("packages")
    program = folder / "dsagent"
    program.write_bytes(packaged.the_program())
    program.chmod(0o755)
    after = packaged.next_release(folder / "next")
    return {(kind, version): packaged.build(kind, version, program, folder, *top)
            for kind in ("deb", "rpm") for version, *top in (("1.0",), ("2.0", after))}


def listed(box):
    return {line.rstrip() for line in box.sh(LIST).splitlines()}


def new_since(before, box):
    """What is there and was not, but for shared folders; nothing may have gone or changed."""
    now = listed(box)
    assert before <= now, before - now
    return now - before - SHARED


@pytest.fixture
def deb_box(debian_root, box_in, packages, monkeypatch):
    box = box_in(debian_root)
    box.env["RIG_BINARY"] = "/nonexistent"
    for version in ("1.0", "2.0"):
        (box.shared / f"{version}.deb").write_bytes(packages["deb", version].read_bytes())
    return box


APT = "DEBIAN_FRONTEND=noninteractive apt-get -y -q -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold"


def test_a_deb_comes_and_goes(deb_box):
    before = listed(deb_box)
    deb_box.sh(f"{APT} install /shared/1.0.deb")
    assert new_since(before, deb_box) == DEB
    deb_box.sh(f"{APT} install /shared/2.0.deb")
    assert new_since(before, deb_box) == DEB
    assert "more: true" in deb_box.sh("cat /etc/dsagent/dsagent.yaml"), "untouched, it is the new one"
    deb_box.sh(USE + f"; {APT} remove dsagent")
    assert new_since(before, deb_box) == STATE | rows(
        {"/etc/dsagent/dsagent.yaml": "644", **packaged.DEB_LOGIN}, ["/etc/dsagent", "/etc/dsagent/recipes.d"])
    deb_box.sh(f"{APT} purge dsagent")
    assert new_since(before, deb_box) == set()
    assert deb_box.sh("dpkg --audit; dpkg-query -W dsagent 2>&1", code=None).count("dsagent") == 1


def test_a_deb_leaves_what_is_mine(deb_box):
    before = listed(deb_box)
    deb_box.sh(f"{APT} install /shared/1.0.deb; {EDIT}; {USE}; {APT} install /shared/2.0.deb")
    text = deb_box.sh("cat /etc/dsagent/dsagent.yaml")
    assert text.endswith("# mine\n") and "more: true" not in text
    assert "the next one" in deb_box.sh("cat /usr/lib/systemd/system/dsagent.service")
    deb_box.sh(f"{APT} purge dsagent")
    assert new_since(before, deb_box) == {"d 755 /etc/dsagent", "d 755 /etc/dsagent/recipes.d", "f 644 /etc/dsagent/recipes.d/10-team.yaml"}


BASE = """Name: rig-base
Version: 1
Release: 1
Summary: what a system has and this root's rpm does not know of
License: none
BuildArch: noarch
Provides: /bin/sh
Provides: ca-certificates
%description
%files
"""


@pytest.fixture
def rpm_box(dnf_root, box_in, packages):
    box = box_in(dnf_root)
    box.env["RIG_BINARY"] = "/nonexistent"
    for version in ("1.0", "2.0"):
        (box.shared / f"{version}.rpm").write_bytes(packages["rpm", version].read_bytes())
    (box.shared / "base.spec").write_text(BASE)
    box.sh("rpmbuild -bb --quiet --define '_topdir /tmp/b' --define '_rpmdir /tmp' /shared/base.spec && rpm -i /tmp/noarch/rig-base-1-1.noarch.rpm && rm -r /tmp/*")
    return box


def test_an_rpm_comes_and_goes(rpm_box):
    before = listed(rpm_box)
    rpm_box.sh("dnf -y -q install /shared/1.0.rpm")
    assert new_since(before, rpm_box) == RPM
    rpm_box.sh("rpm -V dsagent && dnf -y -q upgrade /shared/2.0.rpm && rpm -V dsagent")
    assert new_since(before, rpm_box) == RPM
    assert "more: true" in rpm_box.sh("cat /etc/dsagent/dsagent.yaml") and rpm_box.sh("rpm -q dsagent").startswith("dsagent-2.0-1.")
    rpm_box.sh(f"{USE}; dnf -y -q remove dsagent")
    # rpm keeps a folder that holds something of somebody else.
    assert new_since(before, rpm_box) == STATE | {"d 755 /etc/dsagent", "d 755 /etc/dsagent/recipes.d"}


def test_an_rpm_leaves_what_is_mine(rpm_box):
    before = listed(rpm_box)
    rpm_box.sh(f"dnf -y -q install /shared/1.0.rpm; {EDIT}; dnf -y -q upgrade /shared/2.0.rpm")
    assert rpm_box.sh("cat /etc/dsagent/dsagent.yaml").endswith("# mine\n")
    assert "more: true" in rpm_box.sh("cat /etc/dsagent/dsagent.yaml.rpmnew")
    rpm_box.sh("rm /etc/dsagent/dsagent.yaml.rpmnew; dnf -y -q remove dsagent")
    assert new_since(before, rpm_box) == {"d 755 /etc/dsagent", "d 755 /etc/dsagent/recipes.d", "f 644 /etc/dsagent/recipes.d/10-team.yaml",
                                          "f 644 /etc/dsagent/dsagent.yaml.rpmsave"}


# ---- under systemd

SLOW = "recipe: slow\nsteps: [{name: Long, run: 'touch /begun; until [ -e /go ]; do sleep 0.1; done; date >> /ran'}]\n"
HOW = {"deb": ("dpkg -i /shared/{}.deb", "dpkg -r dsagent"), "rpm": ("rpm -U --nodeps /shared/{}.rpm", "rpm -e dsagent")}
SHOW = "systemctl show dsagent.service -p ActiveState,MainPID,NRestarts,NeedDaemonReload,UnitFileState,LoadState"


def show(machine):
    return dict(line.split("=", 1) for line in machine.sh(SHOW).splitlines())


def status(machine):
    done = machine.run("cat", "/run/dsagent/status.json", code=None)
    return json.loads(done.stdout)["status"] if done.returncode == 0 else "none"


@pytest.mark.parametrize("kind", ["deb", "rpm"])
def test_a_service_through_install_upgrade_and_removal(systemd_root, booted_in, packages, kind):
    install, remove = HOW[kind]
    m = booted_in(systemd_root, {"/etc/dsagent/recipes.d/10-base.yaml": SLOW})
    for version in ("1.0", "2.0"):
        (m.shared / f"{version}.{kind}").write_bytes(packages[kind, version].read_bytes())
    m.boot()
    m.sh("rm /usr/sbin/policy-rc.d")  # this is no box: services may start and stop
    m.sh(install.format("1.0"))
    assert show(m) == {"ActiveState": "inactive", "MainPID": "0", "NRestarts": "0", "NeedDaemonReload": "no",
                       "UnitFileState": "disabled", "LoadState": "loaded"}, "there is a recipe, and it is not for the installer to run it"
    # An upgrade in the middle of a run.
    m.sh("systemctl enable --now dsagent.service")
    wait_until(lambda: m.run("test", "-e", "/begun", code=None).returncode == 0, 60, "the run")
    began = show(m)
    m.sh(install.format("2.0"))
    assert show(m) == began and began["ActiveState"] == "active" and began["UnitFileState"] == "enabled", began
    assert "the next one" in m.sh("systemctl show -p Description dsagent") and status(m) == "running"
    m.sh("touch /go")
    wait_until(lambda: show(m)["ActiveState"] == "inactive", 60, "the end")
    assert status(m) == "ready" and m.sh("wc -l </ran").strip() == "1"
    # The new program knows what the old one did.
    m.sh("systemctl start --wait dsagent.service")
    assert m.sh("wc -l </ran").strip() == "1" and show(m)["UnitFileState"] == "enabled"
    # Removed in the middle of a run: it is ended, and says so.
    m.sh("rm /begun /go; sed -i 's/Long/Longer/' /etc/dsagent/recipes.d/10-base.yaml; systemctl start dsagent.service")
    wait_until(lambda: m.run("test", "-e", "/begun", code=None).returncode == 0, 60, "the run")
    m.sh(remove)
    assert show(m)["LoadState"] == "not-found" and status(m) == "interrupted"
    assert m.run("sh", "-c", "find /etc/systemd /usr/lib/systemd /lib/systemd /usr/bin -name '*dsagent*'").stdout == ""
    m.sh(install.format("2.0"))
    again = show(m)
    assert again["UnitFileState"] == "disabled" and again["MainPID"] == "0", again
