"""manifest.json: what is installed with versions, when it is written, and apply --locked."""

import hashlib
import json
import os
import time

import pytest

from harness import tree_hash
from stubs import Stubs

RECIPE = "recipe: pkg\nsteps:\n  - {id: tools, packages: [git, make, {dnf: gcc-c++, apt: g++}]}\n  - {id: note, run: 'true'}\n"


@pytest.fixture(params=["apt", "dnf"])
def stubs(agent, request):
    s = Stubs(agent, ("git", "make", "g++", "gcc-c++", "curl"))
    if request.param == "dnf":
        s.amazon_linux()
    s.manager = request.param
    s.cpp = {"apt": "g++", "dnf": "gcc-c++"}[request.param]
    s.release = {"apt": "", "dnf": "-1"}[request.param]
    return s


def path(agent):
    return agent.state_dir / "manifest.json"


def manifest(agent):
    return json.loads(path(agent).read_text())


def fake_venv(tree, where, **versions):
    """A venv as the step finds one that somebody else made."""
    venv = tree / where.lstrip("/")
    site = venv / "lib/python3.11/site-packages"
    site.mkdir(parents=True)
    (venv / "bin").mkdir()
    (venv / "bin/python").symlink_to("/usr/bin/python3")
    (venv / "pyvenv.cfg").write_text("home = /usr/bin\nversion = 3.11.2\ninclude-system-site-packages = false\n")
    for name, version in versions.items():
        info = site / f"{name}-{version}.dist-info"
        info.mkdir()
        (info / "INSTALLER").write_text("pip\n")
        (info / "RECORD").write_text(f"{name}/__init__.py,sha256=abc,1\n")
    return venv


def test_packages_with_versions(agent, stubs):
    agent.apply(RECIPE)
    m = manifest(agent)
    one = "1.0" + stubs.release
    assert m["packages"] == {"git": one, "make": one, stubs.cpp: one}, m
    assert (m["version"], m["recipe"]["name"], len(m["recipe"]["hash"]), m["status"]) == (1, "pkg", 64, "ready")
    assert m["os"]["id"] == {"apt": "debian", "dnf": "amzn"}[stubs.manager] and m["driver"] is None
    assert m["dsagent"] and m["run_id"] == agent.status()["run_id"]
    assert oct(path(agent).stat().st_mode & 0o777) == "0o600"


def test_written_when_something_changed_and_only_then(agent, stubs):
    agent.apply(RECIPE)
    first = path(agent).stat()
    calls = len(stubs.calls())
    agent.apply(RECIPE)
    assert (path(agent).stat().st_mtime_ns, path(agent).stat().st_ino) == (first.st_mtime_ns, first.st_ino)
    assert len([c for c in stubs.calls()[calls:] if c.startswith("dpkg-query")]) <= 1, "asked once, by the probe"
    path(agent).unlink()
    agent.apply(RECIPE)
    assert manifest(agent)["packages"]["git"], "missing: written again"
    path(agent).write_text("{")
    agent.apply(RECIPE)
    assert manifest(agent)["packages"]["git"], "damaged: written again"
    agent.apply(RECIPE.replace("recipe: pkg", "recipe: other"))
    assert manifest(agent)["recipe"]["name"] == "other"


def test_a_killed_run_is_made_up_for(agent, stubs):
    agent.apply(RECIPE)
    old = path(agent).read_text()
    time.sleep(0.02)
    (agent.state_dir / "state.json").touch()  # a run that changed something and was killed before it wrote
    (stubs.state / "installed/git").write_text("1.1")
    agent.apply(RECIPE)
    assert path(agent).read_text() != old and manifest(agent)["packages"]["git"].startswith("1.1")


def test_a_failed_run_is_recorded_too(agent, stubs):
    agent.apply(RECIPE + "  - {id: bad, run: 'exit 1'}\n", code=1)
    assert manifest(agent)["status"] == "failed" and manifest(agent)["packages"]["git"]


def test_a_part_keeps_the_rest(agent, stubs):
    recipe = "recipe: pkg\nsteps:\n  - {id: a, packages: [git]}\n  - {id: b, packages: [make]}\n"
    agent.apply(recipe)
    (stubs.state / "installed/make").unlink()
    agent.apply(recipe, "--only", "b")
    assert set(manifest(agent)["packages"]) == {"git", "make"}
    (stubs.state / "installed/make").unlink()
    agent.apply(recipe.replace("recipe: pkg", "recipe: other"), "--only", "b")
    assert set(manifest(agent)["packages"]) == {"make"}, "of another recipe nothing is kept"


def test_sensitive_steps_are_not_in_it(agent, stubs):
    agent.apply("steps: [{packages: [git], sensitive: true}]\n")
    assert "packages" not in manifest(agent)


def test_wheels_r_packages_and_driver(agent):
    fake_venv(agent.tree, "/opt/ds", numpy="2.1.0", scikit_learn="1.5.0")
    for name, version in (("data.table", "1.15.4"), ("xgboost", "1.7.8.1")):
        package = agent.tree / "usr/local/lib/R/site-library" / name
        package.mkdir(parents=True)
        (package / "DESCRIPTION").write_text(f"Package: {name}\nVersion: {version}\nTitle: x\n")
    (agent.tree / "usr/local/lib/R/site-library/00LOCK").mkdir()
    (agent.tree / "sys/module/nvidia").mkdir(parents=True)
    (agent.tree / "sys/module/nvidia/version").write_text("580.105.08\n")
    agent.apply("steps: [{python: {venv: /opt/ds}}]\n")
    m = manifest(agent)
    sha = hashlib.sha256(b"scikit_learn/__init__.py,sha256=abc,1\n").hexdigest()
    assert m["venvs"]["/opt/ds"]["python"] == "3.11.2"
    assert m["venvs"]["/opt/ds"]["distributions"]["scikit-learn"] == {"version": "1.5.0", "record_sha256": sha}
    assert m["r"] == {"/usr/local/lib/R/site-library": {"data.table": "1.15.4", "xgboost": "1.7.8.1"}}
    assert m["driver"] == "580.105.08"


def lock(agent, **changes):
    m = manifest(agent)
    for key, value in changes.items():
        m[key].update(value)
    file = agent.work / "lock.json"
    file.write_text(json.dumps(m))
    return file


def test_locked_packages_are_asked_for_by_version(agent, stubs):
    agent.apply(RECIPE)
    file = lock(agent, packages={"git": "0.9" + stubs.release})
    sign = {"apt": "=", "dnf": "-"}[stubs.manager]
    plan = agent.run("plan", agent.recipe(RECIPE), "--locked", file)
    assert f"install git{sign}0.9{stubs.release} (1 of 3 packages missing)" in plan.out
    agent.apply(RECIPE)  # without it, what is there is fine
    assert agent.step("tools")["status"] == "ok"
    agent.apply(RECIPE, "--locked", file, code=1)  # the stubs' mirror has 1.0 alone
    call = [c for c in stubs.calls() if c.split()[0] in ("apt-get", "dnf") and " install" in c][-1]
    assert f"git{sign}0.9{stubs.release}" in call.split() and "make" not in call
    assert f"git{sign}0.9" in agent.status()["error"], agent.status()["error"]


def test_locked_as_it_is_changes_nothing(agent, stubs):
    agent.apply(RECIPE)
    before, installed = path(agent).read_text(), stubs.installed()
    agent.apply(RECIPE, "--locked", path(agent))
    assert agent.step("tools")["status"] == "ok" and path(agent).read_text() == before and stubs.installed() == installed


def test_locked_refuses_what_it_has_no_version_of(agent, stubs):
    agent.apply(RECIPE)
    file = lock(agent)
    agent.apply("recipe: pkg\nsteps:\n  - {id: more, packages: [git, curl]}\n", "--locked", file, code=1)
    assert "has no version of curl" in agent.status()["error"] and "curl" not in stubs.installed()


@pytest.mark.parametrize("text, says", [
    ("{", "JSON"), ("{}", "no manifest"), ('{"version": 2}', "no manifest"),
    ('{"version": 1, "os": {"id": "amzn", "version": "2023", "arch": "x86_64"}}', "it is of amzn 2023"), (None, "No such file"),
])
def test_a_bad_lock_is_refused_before_anything(agent, text, says):
    file = agent.work / "lock.json"
    if text is not None:
        file.write_text(text)
    recipe = agent.recipe("steps: [{file: {path: /made, content: x}}]\n")
    before = tree_hash(agent.tree)
    for verb in ("apply", "plan"):
        run = agent.run(verb, recipe, "--locked", "lock.json", code=2)
        assert says in run.err and "--locked lock.json" in run.err
    assert tree_hash(agent.tree) == before


def test_locked_venv_in_the_plan(agent):
    fake_venv(agent.tree, "/opt/ds", numpy="2.1.0", pandas="2.2.0")
    recipe = "recipe: v\nsteps: [{id: py, python: {venv: /opt/ds}}]\n"
    agent.apply(recipe)
    m = manifest(agent)
    m["venvs"]["/opt/ds"]["distributions"]["numpy"]["version"] = "1.26.4"
    (agent.work / "lock.json").write_text(json.dumps(m))
    plan = agent.run("plan", agent.recipe(recipe), "--locked", "lock.json").out
    assert "install numpy==1.26.4, as the manifest has them" in plan and "pandas" not in plan
    asks = recipe.replace("venv: /opt/ds", "venv: /opt/ds, packages: [polars]")
    assert "has no version of polars in /opt/ds" in agent.run("plan", agent.recipe(asks), "--locked", "lock.json").text


def test_a_run_without_changes_pays_little(agent, stubs):
    """The manifest is read, not made: no further process, no write."""
    agent.apply(RECIPE)
    calls = stubs.calls()
    before = {p: os.stat(p).st_mtime_ns for p in [path(agent), agent.state_dir / "state.json"]}
    agent.apply(RECIPE)
    assert {p: os.stat(p).st_mtime_ns for p in before} == before
    new = stubs.calls()[len(calls):]
    assert len(new) == len({c for c in new}), new
