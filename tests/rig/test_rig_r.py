"""r by the real R, from Debian, with packages of the distribution and of a CRAN-like repository on file://."""

import json

import pytest

from conftest import made
from harness import TOP

pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def r_root():
    return made("r.sh")


@pytest.fixture
def box(r_root, box_in):
    return box_in(r_root)


def step(box, text, name="recipe.yaml"):
    return box.recipe(f"steps: [{{id: r, r: {{{text}, repository: 'file:///srv/cran'}}}}]\n", name)


def in_place(box, path):
    """Nothing to do, and no R and no package manager is started to see it."""
    seen = box.sh(f"apt-get install -y -q --no-install-recommends strace >&2; strace -f -e trace=execve -o /shared/execs dsagent apply {path}",
                  timeout=300)
    assert "nothing to do" in seen
    started = (box.shared / "execs").read_text()
    assert "Rscript" not in started and "apt" not in started and "dpkg" not in started, started


def test_from_source_left_alone_and_mended(box):
    path = step(box, "cran: [rigpure, riguser]")
    assert "install rigpure, riguser (2 of 2 R packages missing)" in box.run("dsagent", "plan", path, code=None).stdout
    box.run("dsagent", "apply", path, timeout=300)
    assert "rigpure 1.0" in box.sh("Rscript -e 'riguser::toy(); rigpure::toy()'")
    in_place(box, path)
    manifest = json.loads(box.sh("cat /var/lib/dsagent/manifest.json"))
    assert any("rigpure" in packages for packages in manifest["r"].values())
    box.sh("rm -r /usr/local/lib/R/site-library/rigpure")
    assert "install rigpure" in box.run("dsagent", "plan", path, code=None).stdout
    box.run("dsagent", "apply", path, timeout=300)
    box.run("dsagent", "plan", "--detailed-exitcode", path)


def test_half_a_package_is_installed_again(box):
    path = step(box, "cran: [rigpure]")
    box.run("dsagent", "apply", path, timeout=300)
    lib = "/usr/local/lib/R/site-library"
    box.sh(f"rm -r {lib}/rigpure/Meta; mkdir {lib}/00LOCK-rigpure; rm /usr/local/lib/R/.dsagent.json")
    assert "load rigpure to prove it" in box.run("dsagent", "plan", path, code=None).stdout
    box.run("dsagent", "apply", path, timeout=300)
    assert "rigpure 1.0" in box.sh("Rscript -e 'rigpure::toy()'")


def test_c_code_is_built(box):
    box.run("dsagent", "apply", step(box, "cran: [rigc]"), timeout=500)
    assert "42" in box.sh("""Rscript -e 'loadNamespace("rigc"); .C("rigc", 0L)[[1]]'""")


def test_a_missing_system_library_is_named(box):
    done = box.run("dsagent", "apply", step(box, "cran: [righeader]"), code=1, timeout=500)
    assert "R could not install righeader: a system library is missing" in done.stdout, done.stdout
    assert "libxml2-dev" in done.stdout and "libxml2-devel" in done.stdout


def test_installed_is_not_loaded(box):
    done = box.run("dsagent", "apply", step(box, "cran: [rigpure, rignoload]"), code=1, timeout=300)
    assert "package 'rignoload' did not load" in done.stdout and "libgsl" in done.stdout and "gsl" in done.stdout
    assert box.run("dsagent", "apply", step(box, "cran: [rigpure]"), timeout=300)


def test_a_package_that_ends_r_is_named(box):
    done = box.run("dsagent", "apply", step(box, "cran: [rigcrash]"), code=1, timeout=300)
    assert "rigcrash" in done.stdout


def test_an_unknown_package_is_named(box):
    done = box.run("dsagent", "apply", step(box, "cran: [rigpure, RigPure]"), code=1, timeout=300)
    assert "has no package RigPure" in done.stdout
    assert "rigpure 1.0" in box.sh("Rscript -e 'rigpure::toy()'")


def test_a_dead_repository_is_said(box):
    path = box.recipe("steps: [{r: {cran: [rigpure], repository: 'file:///srv/nowhere'}}]\n")
    done = box.run("dsagent", "apply", path, code=1, timeout=300)
    assert "file:///srv/nowhere does not answer" in done.stdout, done.stdout


def test_bioconductor_asks_nothing_and_updates_nothing(box):
    path = step(box, "bioconductor: [rigpure]")
    box.run("dsagent", "apply", path, timeout=300)
    box.run("dsagent", "plan", "--detailed-exitcode", path)
    assert "BiocManager" in box.sh("ls /usr/local/lib/R/site-library")


def test_a_user_has_a_library_of_their_own(box):
    box.sh("useradd -m ana")
    recipe = "steps: [{id: r, run_as: ana, r: {cran: [rigpure]%s, repository: 'file:///srv/cran'}}]\n"
    assert "give `library`" in box.run("dsagent", "apply", box.recipe(recipe % ""), code=1).stdout
    path = box.recipe(recipe % ", library: /home/ana/R")
    box.run("dsagent", "apply", path, timeout=300)
    assert box.sh("stat -c %U /home/ana/R/rigpure/DESCRIPTION /home/ana/R/.dsagent.json").split() == ["ana", "ana"]
    box.run("dsagent", "plan", "--detailed-exitcode", path)


def test_r_and_packages_of_the_distribution(debian_root, box_in):
    """No R yet; the index has r-cran-jsonlite, and no repository is asked."""
    cache = TOP / "build" / "rig" / "cache" / "apt"
    cache.mkdir(parents=True, exist_ok=True)
    box = box_in(debian_root, binds=[f"{cache}:/var/cache/apt/archives"])
    path = box.recipe("steps: [{id: r, r: [jsonlite]}]\n")
    plan = box.run("dsagent", "plan", path, code=None).stdout
    assert "install R" in plan and "install jsonlite" in plan
    box.run("dsagent", "apply", path, timeout=600)
    assert "ok installed" in box.sh("dpkg-query -W -f '${Status}' r-cran-jsonlite")
    assert '{"a":[1]}' in box.sh("Rscript -e 'cat(jsonlite::toJSON(list(a = 1)))'")
    box.run("dsagent", "plan", "--detailed-exitcode", path)
    box.sh("apt-get remove -y -q r-cran-jsonlite")
    box.run("dsagent", "apply", path, timeout=300)
    assert "ok installed" in box.sh("dpkg-query -W -f '${Status}' r-cran-jsonlite")
