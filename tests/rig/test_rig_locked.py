"""apply --locked by the real apt, pip and uv: the manifest's versions, older ones too, or a word on what is not to be had."""

import json

import pytest

from harness import TOP

pytestmark = pytest.mark.slow

RECIPE = """recipe: locked
steps:
  - {id: tools, packages: [file]}
  - {id: py, python: {venv: /opt/ds, installer: INSTALLER, packages: [jinja2]}}
"""


@pytest.fixture
def box(debian_root, box_in):
    cache = TOP / "build" / "rig" / "cache"
    for name in ("pip", "apt", "uv"):
        (cache / name).mkdir(parents=True, exist_ok=True)
    return box_in(debian_root, {}, [f"{cache}/apt:/var/cache/apt/archives", f"{cache}/pip:/root/.cache/pip", f"{cache}/uv:/root/.cache/uv"])


def manifest(box):
    return json.loads(box.sh("cat /var/lib/dsagent/manifest.json"))


def lock(box, m):
    (box.shared / "lock.json").write_text(json.dumps(m))
    return "/shared/lock.json"


@pytest.mark.parametrize("installer", ["pip", "uv"])
def test_locked(box, installer):
    path = box.recipe(RECIPE.replace("INSTALLER", installer))
    box.run("dsagent", "apply", path, timeout=400)
    m = manifest(box)
    file_version = box.sh("dpkg-query -W -f '${Version}' file").strip()
    assert m["packages"] == {"file": file_version}
    dists = m["venvs"]["/opt/ds"]["distributions"]
    asked = box.sh("/opt/ds/bin/python -c \"import importlib.metadata as m; print(m.version('jinja2'), m.version('markupsafe'))\"").split()
    assert [dists["jinja2"]["version"], dists["markupsafe"]["version"]] == asked and len(dists["jinja2"]["record_sha256"]) == 64
    assert "nothing" in box.run("dsagent", "apply", "--locked", lock(box, m), path).stdout

    dists["markupsafe"]["version"] = "2.1.5"  # a dependency: the recipe does not name it
    box.run("dsagent", "plan", "--detailed-exitcode", "--locked", lock(box, m), path, code=5)
    box.run("dsagent", "apply", "--locked", lock(box, m), path, timeout=300)
    assert manifest(box)["venvs"]["/opt/ds"]["distributions"]["markupsafe"]["version"] == "2.1.5"
    box.sh("rm -rf /opt/ds")
    box.run("dsagent", "apply", "--locked", lock(box, m), path, timeout=300)
    assert box.sh("/opt/ds/bin/python -c \"import importlib.metadata as m; print(m.version('markupsafe'))\"").strip() == "2.1.5"

    dists["markupsafe"]["version"] = "2.1.999"
    done = box.run("dsagent", "apply", "--locked", lock(box, m), path, code=1, timeout=300)
    assert "markupsafe" in done.stdout and "2.1.999" in done.stdout
    dists["markupsafe"]["version"] = "2.1.5"
    m["packages"]["file"] = "1:0.1-1"
    done = box.run("dsagent", "apply", "--locked", lock(box, m), path, code=1, timeout=300)
    assert "version '1:0.1-1' of package 'file' is in no repository" in done.stdout
    assert box.sh("dpkg-query -W -f '${Version}' file").strip() == file_version
