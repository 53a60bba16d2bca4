"""packages, python and the built-in recipes by the real apt, dpkg, pip and uv, in a Debian of its own."""

import json

import pytest

from harness import TOP, wait_until

pytestmark = pytest.mark.slow


@pytest.fixture
def box(debian_root, box_in, world):
    # Wheels and packages that were fetched once are kept below build, so that the next run is quick.
    cache = TOP / "build" / "rig" / "cache"
    for name in ("pip", "apt", "uv"):
        (cache / name).mkdir(parents=True, exist_ok=True)
    return box_in(debian_root, {"AWS_EC2_METADATA_SERVICE_ENDPOINT": world.url, "AWS_ENDPOINT_URL_EC2": world.url,
                                "no_proxy": "127.0.0.1"},
                  [f"{cache}/apt:/var/cache/apt/archives", f"{cache}/pip:/root/.cache/pip", f"{cache}/uv:/root/.cache/uv"])


def status(box):
    return json.loads(box.sh("cat /run/dsagent/status.json"))


def test_packages(box):
    path = box.recipe("steps: [{id: p, packages: [htop, {apt: file, dnf: nonsense}]}]\n")
    assert "htop" in box.run("dsagent", "plan", path).stdout
    box.run("dsagent", "apply", path, timeout=300)
    box.run("htop", "--version")
    box.run("file", "/bin/sh")
    log = box.sh("cat /var/log/apt/history.log")
    again = box.run("dsagent", "apply", path)
    assert "nothing" in again.stdout.lower() and box.sh("cat /var/log/apt/history.log") == log
    box.run("dsagent", "plan", "--detailed-exitcode", path)
    box.run("dsagent", "apply", box.recipe("steps: [{packages: {remove: [htop]}}]\n"))
    box.run("htop", "--version", code=None)
    assert "install ok installed" not in box.sh("dpkg-query -W -f '${Status}' htop", code=None)


def test_a_missing_package_is_named(box):
    done = box.run("dsagent", "apply", box.recipe("steps: [{packages: [file, no-such-thing-at-all]}]\n"), code=1, timeout=300)
    assert "no-such-thing-at-all" in done.stdout


def test_an_interrupted_dpkg_is_configured(debian_root, box_in):
    """Packages that were unpacked, and no more, when the power went."""
    box = box_in(debian_root)
    path = box.recipe("steps: [{packages: [file, htop]}]\n")
    box.sh("cd /var/cache/apt/archives && apt-get install -y -q --download-only htop && dpkg --unpack libnl-*.deb htop_*.deb",
           timeout=300)
    assert "unpacked" in box.sh("dpkg-query -W -f '${Status}' htop")
    box.run("dsagent", "apply", path, timeout=300)
    assert box.sh("dpkg --audit") == "" and "ok installed" in box.sh("dpkg-query -W -f '${Status}' htop")


def test_the_lock_of_the_real_dpkg_is_waited_for(box):
    path = box.recipe("steps: [{packages: [htop]}]\n")
    out = box.sh(f"""python3 -c '
import fcntl, time
f = open("/var/lib/dpkg/lock-frontend", "a+"); fcntl.lockf(f, fcntl.LOCK_EX); open("/shared/held", "w"); time.sleep(4)' &
while [ ! -e /shared/held ]; do sleep 0.1; done
dsagent apply {path}; echo "exit $?" """, timeout=300)
    assert "exit 0" in out and "python3" in out and "lock" in out, out


def test_quickstart(box, world):
    box.run("dsagent", "apply", "quickstart", timeout=500)
    assert status(box)["status"] in ("ready", "ready-with-warnings")
    assert "nothing" in box.run("dsagent", "apply", "quickstart").stdout.lower()
    wait_until(lambda: world.tags().get("dsagent:status", "").startswith("ready"), 30, "the tags")
    box.run("dsagent", "plan", "--detailed-exitcode", "quickstart")


def test_daily_driver_is_ready_and_really_there(box, world):
    """Minutes: compilers, Python, the science and Jupyter sets, R."""
    done = box.run("dsagent", "apply", "daily-driver", timeout=1700, code=None)
    final = status(box)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    assert final["status"] in ("ready", "ready-with-warnings") and final["percent"] == 100
    for tool in ("git", "make", "gcc", "g++", "Rscript"):
        box.run(tool, "--version")
    python = "/opt/ds/bin/python"
    box.run(python, "-c", "import numpy, pandas, scipy, sklearn, matplotlib; print(pandas.DataFrame({'a': [1, 2]}).sum())")
    box.run(python, "-m", "jupyter", "--version")
    wait_until(lambda: world.tags().get("dsagent:status", "").startswith("ready"), 30, "the tags")
    assert world.tags()["dsagent:recipe"].startswith("daily-driver@")
    assert "100%" in world.tags()["dsagent:progress"]
    assert any("%" in h["tags"].get("dsagent:progress", "") and h["tags"].get("dsagent:status", "running") == "running"
               for h in world.history())
    assert "nothing" in box.run("dsagent", "apply", "daily-driver", timeout=300).stdout.lower()
