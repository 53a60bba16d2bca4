"""Other people's programs that Go builds, once, into build/bin."""

import os
import shutil
import subprocess

from harness import TOP


def go_install(package, version):
    """(path, None), or (None, why it cannot be had: no go, or a module proxy that lacks it)."""
    name = package.rsplit("/", 1)[1]
    path = TOP / "build" / "bin" / f"{name}-{version}"
    if path.exists():
        return path, None
    if not shutil.which("go"):
        return None, "there is no go here to build it"
    path.parent.mkdir(parents=True, exist_ok=True)
    env = {**os.environ, "GOBIN": str(path.parent), "GOFLAGS": "-mod=mod"}
    done = subprocess.run(["go", "install", f"{package}@{version}"], env=env, capture_output=True, text=True, timeout=540)
    if done.returncode:
        return None, "the Go module proxy does not serve it" if "403" in done.stderr else done.stderr[-300:]
    (path.parent / name).rename(path)
    return path, None
