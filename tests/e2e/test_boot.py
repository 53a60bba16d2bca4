"""boot: PRODUCT.md, "Who uses it, and how". The real systemd and cloud-init are in tests/rig/test_boot.py."""

import base64
import gzip
import os
import subprocess
import sys

import pytest

from harness import TOP, wait_until

RECIPE = "recipe: box\nsteps: [{file: {path: /etc/motd, content: done}}]\n"
KEPT = "etc/dsagent/recipes.d/user-data.yaml"

def is_ready(agent):
    return agent.status_path.exists() and agent.status()["status"] == "ready"


def test_keeps_the_recipe_and_returns_at_once(agent):
    mark = agent.work / "go"
    recipe = agent.recipe(f"steps: [{{run: 'until [ -e {mark} ]; do sleep 0.1; done'}}]\n")
    out = agent.run("boot", recipe, timeout=10).out
    assert out.startswith("the recipe is kept as /etc/dsagent/recipes.d/user-data.yaml\n") and "background" in out
    kept = agent.tree / KEPT
    assert kept.read_text() == recipe.read_text() and kept.stat().st_mode & 0o777 == 0o600
    wait_until(lambda: agent.status_path.exists() and agent.status()["status"] == "running", what="the run")
    mark.touch()
    wait_until(lambda: is_ready(agent), what="the end of the run")
    assert "user-data" in agent.status()["recipe"]
    assert (agent.state_dir / "boot.log").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("pack", [
    lambda text: text.encode(),
    lambda text: gzip.compress(text.encode()),
    lambda text: base64.encodebytes(gzip.compress(text.encode())),
    lambda text: b"#!/usr/bin/dsagent boot\n" + text.encode(),
], ids=["plain", "gzip", "base64", "script"])
def test_recipes_as_user_data_brings_them(agent, pack):
    path = agent.recipes / "part-001"
    path.write_bytes(pack(RECIPE))
    agent.run("boot", path)
    assert (agent.tree / KEPT).read_text().endswith(RECIPE)
    wait_until(lambda: is_ready(agent))
    assert (agent.tree / "etc/motd").read_text() == "done"


def test_from_standard_input_and_by_name(agent):
    packed = base64.encodebytes(gzip.compress(RECIPE.encode())).decode()
    agent.run("boot", "-", stdin=packed)
    assert (agent.tree / KEPT).read_text() == RECIPE
    wait_until(lambda: is_ready(agent))
    agent.run("boot", "-", stdin="", code=2)
    agent.run("boot", "quickstart")
    assert (agent.tree / KEPT).read_text() == 'recipe: quickstart\ninclude: ["quickstart"]\n'


def test_several_recipes_stay_as_they_came(agent):
    mime = ("Content-Type: multipart/mixed; boundary=X\nMIME-Version: 1.0\n\n--X\nContent-Type: text/x-dsagent\n\n"
            "steps: [{file: {path: /etc/one, content: a}}]\n--X\nContent-Type: text/x-dsagent\n\n"
            "steps: [{file: {path: /etc/two, content: b}}]\n--X--\n")
    agent.run("boot", agent.recipe(mime, "part-002"))
    assert (agent.tree / KEPT).read_text() == mime
    wait_until(lambda: is_ready(agent))
    assert (agent.tree / "etc/two").exists()


def test_a_wrong_recipe_is_refused_where_it_is_seen(on_ec2, world):
    console = on_ec2.tree / "dev/console"
    console.parent.mkdir()
    console.touch()
    run = on_ec2.run("boot", on_ec2.recipe("steps:\n  - fil: {path: /x}\n    nmae: a\n", "part-001"), code=2)
    assert "part-001:2:5: " in run.err and "did you mean 'file'?" in run.err and run.out == ""
    text = console.read_bytes().decode()
    assert text.startswith("dsagent: the recipe is refused, nothing was done: ") and text.endswith("\r\n")
    assert "part-001:2:5: " in text and text.count("\n") == 1
    tags = world.tags()
    assert tags["dsagent:status"] == "failed" and "part-001:2:5" in tags["dsagent:error"], tags
    assert not (on_ec2.tree / KEPT).exists() and not on_ec2.state_dir.exists()


def test_the_service_refuses_as_loudly(on_ec2, world):
    console, recipes = on_ec2.tree / "dev/console", on_ec2.tree / "etc/dsagent/recipes.d"
    console.parent.mkdir()
    console.touch()
    recipes.mkdir(parents=True)
    (recipes / "10-team.yaml").write_text("stepz: []\n")
    run = on_ec2.run("apply", "--boot", code=2)
    assert "10-team.yaml:1:1: " in run.err and "10-team.yaml:1:1: " in console.read_text()
    assert world.tags()["dsagent:status"] == "failed" and "10-team.yaml:1:1: " in world.tags()["dsagent:error"]


def test_files_beside_a_recipe_stay_behind(agent):
    agent.recipe("steps: [{run: 'true'}]\n", "more.yaml")
    run = agent.run("boot", agent.recipe("include: ./more.yaml\n"), code=2)
    assert "recipe.yaml:1:10: './more.yaml' is a file beside this one" in run.err and "whole path" in run.err
    agent.run("boot", agent.recipe(f"include: [{agent.recipes}/more.yaml, quickstart]\n"))


def test_an_older_recipe_stays_when_the_new_one_is_wrong(agent):
    agent.run("boot", agent.recipe(RECIPE))
    wait_until(lambda: is_ready(agent))
    agent.run("boot", agent.recipe("steps: []\n"), code=2)
    assert (agent.tree / KEPT).read_text() == RECIPE


def test_it_must_fit_the_recipes_of_the_image(agent):
    base = agent.tree / "etc/dsagent/recipes.d/10-base.yaml"
    base.parent.mkdir(parents=True)
    base.write_text("steps: [{id: base, file: {path: /etc/base, content: a}}]\n")
    run = agent.run("boot", agent.recipe("steps: [{id: base, run: 'true'}]\n"), code=2)
    assert "base" in run.err and not (agent.tree / KEPT).exists()
    agent.run("boot", agent.recipe("steps: [{needs: [base], file: {path: /etc/more, content: b}}]\n"))
    wait_until(lambda: is_ready(agent))
    assert (agent.tree / "etc/base").exists() and (agent.tree / "etc/more").exists()


def test_a_recipe_of_user_data_is_not_for_the_image(agent):
    agent.run("boot", agent.recipe(RECIPE))
    wait_until(lambda: is_ready(agent))
    # The run has said its last word; its process may still hold the lock for a moment.
    done = wait_until(lambda: (run := agent.run("clean", "--image", code=None)).code == 0 and run)
    assert f"removed /{KEPT}\n" in done.out
    assert not (agent.tree / KEPT).exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes a plain user: needs root")
def test_needs_root(agent):
    done = subprocess.run([sys.executable, "-c", "import os, sys; fd = os.open(sys.argv[1], os.O_RDONLY);"
                           "os.setuid(65534); os.execve(fd, sys.argv[1:], os.environ)", agent.binary, "boot", "quickstart"], capture_output=True, text=True, env=agent.env, cwd="/")
    assert done.returncode == 3 and "needs root" in done.stderr, done


def complete(agent, *words):
    script = ('source "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _dsagent; printf "%s\\n" "${COMPREPLY[@]}"')
    done = subprocess.run(["bash", "-c", script, TOP / "packaging/dsagent.bash", agent.binary, *words],
                          capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout.split()


def test_completion_asks_the_program(agent):
    commands = complete(agent, "")
    assert {"apply", "boot", "status", "clean"} <= set(commands) and "dsagent" not in commands
    assert complete(agent, "--root", "/tmp", "st") == ["status"]
    assert complete(agent, "apply", "--no-") == ["--no-tags", "--no-wait"]
    assert complete(agent, "help", "val") == ["validate"]
    assert "packages" in complete(agent, "explain", "p")
    assert complete(agent, "apply", "x") == [], "files come from the shell"
