"""What an installation consists of, as tests expect it, and a way to make packages of any program."""

import hashlib
import os
import pathlib
import re
import shutil
import subprocess

from harness import BINARY, TOP

# Path below the root: mode. Directories that others have too are not in it.
FILES = {
    "/usr/bin/dsagent": "755",
    "/usr/lib/systemd/system/dsagent.service": "644",
    "/usr/lib/systemd/system-preset/90-dsagent.preset": "644",
    "/usr/share/bash-completion/completions/dsagent": "644",
    "/usr/share/man/man1/dsagent.1.gz": "644",
    "/usr/share/man/man5/dsagent-recipe.5.gz": "644",
    **{f"/usr/share/dsagent/recipes/{p.name}": "644" for p in (TOP / "recipes").glob("*.yaml")},
    **{f"/usr/share/dsagent/sets/{p.name}": "644" for p in (TOP / "recipes/sets").glob("*.txt")},
    "/etc/dsagent/dsagent.yaml": "644",
}
FOLDERS = ["/etc/dsagent", "/etc/dsagent/recipes.d", "/usr/share/dsagent", "/usr/share/dsagent/recipes", "/usr/share/dsagent/sets"]
# How a login shows messages: by scripts, or by files.
DEB_LOGIN = {"/etc/update-motd.d/99-dsagent": "755"}
RPM_LOGIN = ("/etc/motd.d/99-dsagent", "/run/dsagent/motd")
LICENSE = {"/usr/share/licenses/dsagent/LICENSE": "644"}  # in a DEB it is in the copyright file
# With a program that has the notices of its libraries beside it.
RPM_NOTICES = {"/usr/share/licenses/dsagent/THIRD-PARTY-NOTICES": "644"}
DEB_NOTICES = {"/usr/share/doc/dsagent/THIRD-PARTY-NOTICES.gz": "644"}
DEB_DOC = {"/usr/share/doc/dsagent/changelog.gz": "644", "/usr/share/doc/dsagent/copyright": "644",
           "/usr/share/lintian/overrides/dsagent": "644"}

# Starts the program with the libraries that the rigs put beside it.
WRAPPER = b'#!/bin/sh\nexec /opt/rig-libs/loader --library-path /opt/rig-libs /opt/rig-libs/dsagent "$@"\n'


def libraries():
    """What the static program is linked from: the fields of the manifest, a dictionary each."""
    blocks = re.split(r"\n\s*\n", (TOP / "packaging/static/manifest").read_text())
    found = [dict(re.findall(r"^([a-z0-9-]+): (.*)$", block, re.M)) for block in blocks]
    return [fields for fields in found if "name" in fields and fields.get("use") != "tests"]


def the_program():
    """What an instance of a rig can fetch and run: the binary, or what starts it with the libraries that are there."""
    is_dynamic = b"ld-linux" in subprocess.run(["ldd", BINARY], capture_output=True).stdout
    return WRAPPER if is_dynamic else BINARY.read_bytes()


def build(kind, version, program, out, top=TOP):
    """The path of a package (kind: rpm, deb) of a program, made from the tree at top."""
    done = subprocess.run(["sh", f"{top}/{kind}/build.sh", version, program, BINARY, out], capture_output=True, text=True,
                          env={**os.environ, "SOURCE_DATE_EPOCH": "1790000000"})
    assert done.returncode == 0, done.stdout + done.stderr
    return pathlib.Path(done.stdout.strip())


def next_release(folder):
    """A tree whose packages differ from this one's in what an upgrade is about: the unit, and a setting's example."""
    for name in ("packaging", "recipes", "rpm", "deb"):
        shutil.copytree(TOP / name, folder / name)
    shutil.copy(TOP / "LICENSE", folder)
    unit, settings = folder / "packaging/dsagent.service", folder / "packaging/dsagent.yaml"
    unit.write_text(re.sub("^Description=.*", "Description=dsagent: the next one", unit.read_text(), flags=re.M))
    settings.write_text(settings.read_text() + "#\n# New in this release:\n# more: true\n")
    return folder


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()
