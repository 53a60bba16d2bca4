"""Roots for the rigs: made once below build/rig, used through throw-away overlays."""

import os
import pathlib
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "e2e"), str(HERE)]

from fixtures import *  # noqa: E402,F401,F403
from booted import Booted  # noqa: E402
from harness import BINARY, TOP  # noqa: E402


def made(script, *args):
    if os.geteuid() != 0:
        pytest.skip("the rigs need root: debootstrap, chroot and namespaces")
    done = subprocess.run(["sh", HERE / script, *args], capture_output=True, text=True, timeout=900)
    if done.returncode:
        pytest.skip(f"{script} could not make its root: {done.stderr[-300:]}")
    return pathlib.Path(done.stdout.strip().splitlines()[-1])


@pytest.fixture(scope="session")
def debian_root():
    return made("debian.sh")


@pytest.fixture(scope="session")
def dnf_root():
    return made("dnf.sh")


@pytest.fixture(scope="session")
def systemd_root():
    return made("systemd.sh")


class Box:
    """Commands in an overlay of a root; what one writes the next one sees."""

    def __init__(self, root, folder, env=None, binds=()):
        self.root, self.folder = root, folder
        self.shared = folder / "shared"
        self.shared.mkdir(parents=True)
        self.env = {**os.environ, **(env or {}), "RIG_BINARY": str(BINARY)}
        self.binds = [f"{self.shared}:/shared", *binds]

    def run(self, *command, code=0, timeout=120):
        binds = [word for bind in self.binds for word in ("-b", bind)]
        done = subprocess.run(["sh", HERE / "box.sh", "-u", self.folder / "box", *binds, self.root, "--", *command],
                              env=self.env, capture_output=True, text=True, errors="replace", timeout=timeout,
                              stdin=subprocess.DEVNULL)
        assert code is None or done.returncode == code, f"{command} -> {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def sh(self, script, **how):
        return self.run("sh", "-c", script, **how).stdout

    def recipe(self, text, name="recipe.yaml"):
        (self.shared / name).write_text(text)
        return f"/shared/{name}"

    def clear(self):
        subprocess.run(["rm", "-rf", self.folder / "box"], check=False)


@pytest.fixture
def box_in(tmp_path):
    """box_in(root, …): a Box that is cleared at the end."""
    boxes = []

    def make(root, env=None, binds=()):
        # An overlay's upper directory must not itself lie on an overlay: below build it is on a real file system.
        folder = TOP / "build" / "rig" / f"test-{os.getpid()}-{len(boxes)}"
        subprocess.run(["rm", "-rf", folder], check=True)
        boxes.append(Box(root, folder, env, binds))
        return boxes[-1]

    yield make
    for box in boxes:
        subprocess.run(["rm", "-rf", box.folder], check=False)


@pytest.fixture
def booted_in(tmp_path):
    """booted_in(root, files, binds): a Booted that is powered off at the end."""
    machines = []

    def make(root, files=None, binds=()):
        folder = TOP / "build" / "rig" / f"boot-{os.getpid()}-{len(machines)}"
        subprocess.run(["rm", "-rf", folder], check=True)
        machines.append(Booted(root, folder, files, binds))
        return machines[-1]

    yield make
    for machine in machines:
        machine.close()
