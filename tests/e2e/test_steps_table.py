"""Every step type that runs in a tree: first apply changes, second leaves alone and starts nothing, third mends a drift."""

import os
import re

import pytest

from steps_table import MANAGERS, prove
from stubs import Stubs
from test_step_conda import installer  # noqa: F401  a fixture
from test_step_download import archive, sha, site  # noqa: F401  a fixture
from test_volume import box  # noqa: F401  a fixture


def spies(agent):
    """Wrappers ahead on PATH that note what is started and hand on to the real one. Returns the started() of prove."""
    folder, log = agent.folder / "spies", agent.folder / "started"
    folder.mkdir()
    for tool in MANAGERS:
        (folder / tool).write_text(f'#!/bin/sh\necho {tool} >> {log}\nPATH=${{PATH#*:}} exec {tool} "$@"\n')
        (folder / tool).chmod(0o755)
    agent.env["PATH"] = f"{folder}:{agent.env['PATH']}"

    def started():
        names = log.read_text().split() if log.exists() else []
        log.unlink(missing_ok=True)
        return names

    return started


def prove_in(agent, kind, step, drifts):
    started = spies(agent)
    path = agent.recipe(f"recipe: t\nsteps:\n  - {{id: s, {step}}}\n")
    prove(kind, drifts, lambda: agent.run("apply", path), lambda: agent.step_status("s"), started)


def test_file(agent):
    path = agent.tree / "etc/app.conf"
    prove_in(agent, "file", 'file: {path: /etc/app.conf, content: "a\\n", mode: 0640}', {
        "content edited": lambda: path.write_text("b\n"), "mode changed": lambda: path.chmod(0o666), "removed": path.unlink,
        "a link in its place": lambda: (path.unlink(), path.symlink_to("/etc/hostname"))})


def test_file_link(agent):
    path = agent.tree / "etc/app"
    prove_in(agent, "file (link)", "file: {path: /etc/app, state: link, target: /opt/app}", {
        "link to another place": lambda: (path.unlink(), path.symlink_to("/opt/other"))})


def test_file_directory(agent):
    path = agent.tree / "srv/shared"
    prove_in(agent, "file (directory)", "file: {path: /srv/shared, state: directory, mode: 02775}", {
        "removed": path.rmdir, "mode changed": lambda: path.chmod(0o700)})


def test_run(agent):
    made = agent.tree / "made"
    prove_in(agent, "run", f"creates: /made, run: 'touch {made}'", {"what it creates removed": made.unlink})


def test_download(agent, site):  # noqa: F811
    site.files["/f"] = data = os.urandom(100_000)
    path = agent.tree / "srv/f"
    prove_in(agent, "download", f'download: {{url: "{site.url}/f", sha256: {sha(data)}, to: /srv/f}}', {
        "modified": lambda: path.write_bytes(b"x"), "cut": lambda: os.truncate(path, 10), "removed": path.unlink})


def test_download_unpacked(agent, site):  # noqa: F811
    site.files["/t"] = data = archive(("a/x", b"1"), ("a/y", b"2"))
    prove_in(agent, "download (unpack)", f'download: {{url: "{site.url}/t", sha256: {sha(data)}, to: /opt/t, unpack: true}}', {
        "an entry removed": (agent.tree / "opt/t/a/x").unlink, "an entry modified": lambda: (agent.tree / "opt/t/a/y").write_bytes(b"33")})


def test_cert(agent):
    key = agent.tree / "etc/tls.key"
    prove_in(agent, "cert", "cert: {cert: /etc/tls.crt, key: /etc/tls.key}", {
        "key removed": key.unlink, "key readable by all": lambda: key.chmod(0o644),
        "expired": lambda: agent.env.update(DSAGENT_NOW=str(int(os.stat(key).st_mtime) + 400 * 86400))})


def test_conda(agent, installer):  # noqa: F811
    meta = agent.tree / "opt/conda/envs/ds/conda-meta"
    prove_in(agent, "conda", f"conda: {{prefix: /opt/conda, {installer.words}, environments: [{{name: ds, packages: ['python=3.11', numpy]}}]}}", {
        "a package removed": lambda: next(meta.glob("numpy-*")).unlink(),
        "another version": lambda: next(meta.glob("python-*")).rename(meta / "python-3.9-0.json")})


@pytest.mark.parametrize("manager", ["apt", "dnf"])
def test_packages(agent, manager):
    stubs = Stubs(agent)
    if manager == "dnf":
        stubs.amazon_linux()
    prove_in(agent, f"packages ({manager})", "packages: [git, make]", {
        "a package removed": (stubs.state / "installed/git").unlink})


def test_volume(box):  # noqa: F811
    box.disk()
    step = "volume: {device: nvme1n1, mount: /data}"
    fstab = box.tree / "etc/fstab"
    prove_in(box.agent, "volume", step, {
        "mount gone": box.umount,
        "line of fstab removed": lambda: fstab.write_text(re.sub(r".*/data.*\n", "", fstab.read_text()))})


def test_tags(on_ec2, world):
    from harness import http as ask
    path = on_ec2.recipe("recipe: t\nsteps:\n  - {id: s, tags: {Team: vision}}\n")
    prove("tags", {"all tags removed": lambda: ask("DELETE", f"{world.url}/_world/tags")},
          lambda: on_ec2.run("apply", "--no-tags", path), lambda: on_ec2.step_status("s"), lambda: [])


def test_check_and_nvidia_change_nothing(agent):
    """They look, and that is all: in place they are `ok`; what has drifted fails them until it is mended."""
    from steps_table import add
    path = agent.recipe("steps:\n  - {id: c, check: {path: /there}}\n  - {id: g, needs: [], nvidia: {}}\n")
    (agent.tree / "there").touch()
    started = spies(agent)
    for _ in range(2):
        agent.run("apply", path)
        assert (agent.step_status("c"), agent.step_status("g")) == ("ok", "ok") and not started()
    (agent.tree / "there").unlink()
    agent.run("apply", path, code=1)
    assert agent.step_status("c") == "failed"
    (agent.tree / "there").touch()
    agent.run("apply", path)
    assert agent.step_status("c") == "ok"
    add("check", "condition broken", first="ok", third="failed until mended")
    gpu = agent.recipe("steps:\n  - {id: g, nvidia: {required: true}}\n")
    agent.run("apply", gpu, code=1)
    add("nvidia", "GPU required, none there", first="ok", third="failed until mended")
