"""packages by the real dnf and rpm, in a root that says it is Amazon Linux 2023."""

import json

import pytest

from harness import wait_until


@pytest.fixture
def box(dnf_root, box_in):
    return box_in(dnf_root)


@pytest.fixture
def box_on_ec2(dnf_root, box_in, world):
    return box_in(dnf_root, {"AWS_EC2_METADATA_SERVICE_ENDPOINT": world.url, "AWS_ENDPOINT_URL": world.url})


def rpms(box):
    return set(box.sh("rpm -qa --qf '%{NAME}-%{VERSION}\\n'").split()) - {"ds-release-2023"}


def test_install_then_nothing_then_remove(box):
    path = box.recipe("steps: [{id: p, packages: [ds-app, {dnf: ds-tool, apt: nonsense}]}]\n")
    plan = box.run("dsagent", "plan", path).stdout
    assert "ds-app" in plan and "ds-tool" in plan and rpms(box) == set()
    box.run("dsagent", "apply", path)
    assert rpms(box) == {"ds-app-1.0", "ds-lib-1.0", "ds-tool-2.0"}
    again = box.run("dsagent", "apply", path).stdout
    assert "nothing" in again.lower()
    box.run("dsagent", "plan", "--detailed-exitcode", path)
    path = box.recipe("steps: [{id: p, packages: {remove: [ds-app]}}]\n")
    box.run("dsagent", "apply", path)
    assert "ds-app-1.0" not in rpms(box)
    box.run("dsagent", "plan", "--detailed-exitcode", path)


def test_a_version_is_kept_and_an_upgrade_done_when_asked(box):
    box.run("dsagent", "apply", box.recipe("steps: [{packages: [ds-tool-1.0]}]\n"))
    assert rpms(box) == {"ds-tool-1.0"}
    box.run("dsagent", "apply", box.recipe("steps: [{packages: [ds-tool]}]\n"))
    assert rpms(box) == {"ds-tool-1.0"}


def test_a_virtual_name_is_in_place_once_provided(box):
    path = box.recipe("steps: [{packages: [ds-virtual-editor]}]\n")
    box.run("dsagent", "apply", path)
    assert rpms(box) == {"ds-editor-1.0"}
    box.run("dsagent", "plan", "--detailed-exitcode", path)


@pytest.mark.parametrize("name, says", [("ds-nowhere-at-all", "ds-nowhere-at-all"), ("ds-broken", "ds-nowhere")])
def test_what_cannot_be_installed_is_named(box, name, says):
    done = box.run("dsagent", "apply", box.recipe(f"steps: [{{packages: [ds-tool, {name}]}}]\n"), code=1)
    assert says in done.stdout + done.stderr and rpms(box) == set()


def test_the_lock_of_the_real_rpm_is_waited_for(box):
    path = box.recipe("steps: [{packages: [ds-tool]}]\n")
    out = box.sh(f"""python3 -c '
import fcntl, time
f = open("/var/lib/rpm/.rpm.lock", "a+"); fcntl.lockf(f, fcntl.LOCK_EX); open("/shared/held", "w"); time.sleep(4)' &
while [ ! -e /shared/held ]; do sleep 0.1; done
dsagent apply {path}; echo "exit $?"; cat /run/dsagent/status.json""")
    assert "exit 0" in out and "python3" in out and rpms(box) == {"ds-tool-2.0"}, out


def test_a_killed_dnf_is_repaired_by_the_next_apply(box):
    path = box.recipe("steps: [{packages: [ds-app, ds-tool]}]\n")
    for wait in (0.1, 0.3, 0.5):
        box.sh(f"dsagent apply {path} & sleep {wait}; kill -9 $!; sleep 0.2", code=None)
    box.run("dsagent", "apply", path)
    assert rpms(box) == {"ds-app-1.0", "ds-lib-1.0", "ds-tool-2.0"}
    box.run("rpm", "-V", "ds-app", "ds-lib", "ds-tool")


def test_daily_driver_is_ready_and_says_so_in_tags(box_on_ec2, world):
    """A minute: toy compilers and R by dnf, a real venv with the real science and Jupyter sets."""
    box = box_on_ec2
    recipe = ("daily-driver", "--var", "r_packages=no")  # toy R loads nothing
    box.run("dsagent", "apply", *recipe, timeout=900)
    final = json.loads(box.run("dsagent", "status", "--json").stdout)
    assert final["status"] == "ready" and final["percent"] == 100
    assert {"git-1.0", "gcc-c++-1.0", "R-core-4.3.2"} <= rpms(box)
    box.run("/opt/ds/bin/python", "-c", "import numpy, pandas, scipy, sklearn, matplotlib, pyarrow, jupyterlab")
    wait_until(lambda: world.tags().get("dsagent:status") == "ready", 30, "the tags")
    assert "100%" in world.tags()["dsagent:progress"] and world.tags()["dsagent:recipe"].startswith("daily-driver@")
    assert any(h["tags"].get("dsagent:status") == "running" for h in world.history())
    before = rpms(box)
    assert "nothing" in box.run("dsagent", "apply", *recipe, timeout=300).stdout.lower()
    assert rpms(box) == before
