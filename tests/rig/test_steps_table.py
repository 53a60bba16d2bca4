"""The rows of the steps table that need the real apt, dpkg, pip, R, useradd or systemd: see e2e/steps_table.py."""

import json
import re

import pytest

import test_rig_repo
from conftest import made
from harness import TOP
from steps_table import MANAGERS, prove
from test_rig_repo import key  # noqa: F401  a fixture

pytestmark = pytest.mark.slow


def spy(machine):
    """Wrappers of what is there, to be put ahead on PATH: each notes that it was started and hands on to the real one."""
    folder = machine.shared / "spies"
    folder.mkdir()
    there = machine.sh(f"for t in {' '.join(MANAGERS)}; do command -v $t >/dev/null && echo $t; done; true").split()
    for tool in there:
        (folder / tool).write_text(f'#!/bin/sh\necho {tool} >> /shared/started\nPATH=${{PATH#*:}} exec {tool} "$@"\n')
        (folder / tool).chmod(0o755)


def prove_in(machine, kind, steps, drifts, timeout=600, run="dsagent"):
    """steps: of a recipe, the last one is meant. drifts: {name: script}."""
    spy(machine)
    path, log, execs = machine.recipe(f"recipe: t\nsteps:\n{steps}\n"), machine.shared / "started", machine.shared / "execs"

    def started():
        names = log.read_text().split() if log.exists() else []
        log.unlink(missing_ok=True)
        # pip and uv are not found by PATH: the venv's own python runs them. strace has seen it.
        lines = execs.read_text().splitlines() if execs.exists() else []
        names += [line for line in lines if re.search(r'"(-m", "(pip|venv|ensurepip)|pip\d?|.*/uv|uv)"', line)]
        return [n for n in names if n != "systemctl" or kind != "service"]  # it asks systemd, and that is its work

    def status():
        return json.loads(machine.sh("cat /run/dsagent/status.json"))["steps"][-1]["status"]

    prove(kind, {name: (lambda s=script: machine.sh(s, timeout=timeout)) for name, script in drifts.items()},
          lambda: machine.sh(f"PATH=/shared/spies:$PATH {run} apply {path} >&2", timeout=timeout), status, started)


@pytest.fixture
def cache():
    folder = TOP / "build" / "rig" / "cache"
    for name in ("pip", "apt", "uv"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    return [f"{folder}/apt:/var/cache/apt/archives", f"{folder}/pip:/root/.cache/pip", f"{folder}/uv:/root/.cache/uv"]


def test_packages(debian_root, box_in, cache):
    box = box_in(debian_root, binds=cache)
    prove_in(box, "packages (real apt)", "  - packages: [htop, file]", {"a package removed": "apt-get remove -y -q htop >&2"})


def test_python(debian_root, box_in, cache):
    box = box_in(debian_root, binds=cache)
    box.sh("apt-get install -y -q --no-install-recommends strace >&2", timeout=300)
    prove_in(box, "python", "  - python: {venv: /opt/v, packages: ['tabulate>=0.9', six], imports: [tabulate]}", {
        "wheel downgraded": "/opt/v/bin/python -m pip install -q tabulate==0.8.10",
        "wheel removed": "/opt/v/bin/python -m pip uninstall -y -q tabulate",
        "interpreter missing": "rm -f /opt/v/bin/python /opt/v/bin/python3*"},
        run="strace -f -qq -s 200 -e trace=execve -o /shared/execs dsagent")


def test_r(box_in):
    box = box_in(made("r.sh"))
    prove_in(box, "r", "  - r: {cran: [rigpure, riguser], repository: 'file:///srv/cran'}", {
        "an R package removed": "rm -r /usr/local/lib/R/site-library/rigpure"})


def test_repo(debian_root, box_in, key, request):  # noqa: F811
    box = request.getfixturevalue("repo_box")
    prove_in(box, "repo", f"""  - repo:
      name: toys
      apt: {{uris: "file:/shared/repo", suites: ./}}
      key: /shared/key.asc
      key_fingerprint: {key[2]}""", {
        "repository's file edited": "sed -i 's/^URIs.*/URIs: file:\\/elsewhere/' $(grep -rl shared/repo /etc/apt/sources.list.d)",
        "key removed": "rm $(sed -n 's/^Signed-By: *//p' $(grep -rl shared/repo /etc/apt/sources.list.d))"})


repo_box = test_rig_repo.box


def test_user(systemd_root, box_in):
    box = box_in(systemd_root)
    line = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ1GyCMnvLWE1DzmDCHGPxIZ0VQDSnZ1d2xYg5mG4n2A ana@laptop"
    prove_in(box, "user", f'  - user: {{name: ana, groups: [data], keys: ["{line}"], sudo: all}}', {
        "group of the user removed": "gpasswd -d ana data >&2", "key removed": ": > /home/ana/.ssh/authorized_keys",
        "password set": "echo ana:secret | chpasswd", "sudo's file removed": "rm /etc/sudoers.d/90-dsagent-ana",
        "account removed": "userdel ana"})


def test_system(systemd_root, box_in):
    box = box_in(systemd_root)
    prove_in(box, "system", "  - system: {timezone: Europe/Berlin, limits: [{domain: '*', item: nofile, value: 65536}]}", {
        "time zone changed": "ln -sf /usr/share/zoneinfo/UTC /etc/localtime", "limits' file removed": "rm /etc/security/limits.d/*dsagent*"})


def test_service(systemd_root, booted_in):
    machine = booted_in(systemd_root)
    machine.boot()
    prove_in(machine, "service", "  - service: {name: clock, command: [/bin/sleep, '1000']}", {
        "stopped": "systemctl stop clock", "disabled": "systemctl disable -q clock",
        "unit edited": "sed -i s/1000/999/ /etc/systemd/system/clock.service", "unit removed": "rm /etc/systemd/system/clock.service"})
