"""clean and logs: what is forgotten, what stays, what is shown."""

import os
import pty
import time

import pytest

from harness import TOP, tree_hash, wait_until

TWO = "recipe: two\nsteps:\n  - {name: Talk, run: 'echo one; echo two >&2'}\n  - {name: More, run: 'echo three'}\n"
SLOW = "recipe: slow\nsteps:\n  - {name: First, run: 'echo first'}\n  - {name: Second, run: 'echo begun; touch MARK; while [ ! -e GO ]; do sleep 0.05; done; echo gone on'}\n"


def slow(agent):
    mark, go = agent.work / "mark", agent.work / "go"
    process = agent.start("apply", agent.recipe(SLOW.replace("MARK", str(mark)).replace("GO", str(go))))
    wait_until(mark.exists, what="the second step")
    return process, go


def names_below(path):
    return sorted(str(p.relative_to(path)) for p in path.rglob("*"))


@pytest.mark.parametrize("verb", ["clean", "logs"])
def test_help(agent, verb):
    before = tree_hash(agent.tree)
    run = agent.run(verb, "--help")
    assert run.out.startswith(f"Usage: dsagent {verb}") and "Example:\n" in run.out and run.err == ""
    assert f"\n  {verb} " in agent.run("--help").out and tree_hash(agent.tree) == before


def test_clean_forgets_and_a_run_step_runs_again(agent):
    recipe = "steps: [{name: Count, run: 'echo x >> COUNT'}, {file: {path: /etc/made, content: here}}]\n".replace("COUNT", str(agent.work / "count"))
    agent.apply(recipe)
    agent.apply(recipe)
    assert (agent.work / "count").read_text() == "x\n"
    (agent.state_dir / "s3").mkdir()
    (agent.state_dir / "s3" / "index").write_text("kept by a plain clean")
    (agent.state_dir / "state.json.damaged").write_text("old")
    out = agent.run("clean").out
    assert [line for line in out.splitlines() if "manifest" not in line] == [
        "removed /var/lib/dsagent/state.json", "removed /var/lib/dsagent/state.json.damaged",
        "removed /var/lib/dsagent/runs", "removed /run/dsagent/status.json", "removed /run/dsagent/motd"]
    assert names_below(agent.state_dir) == ["s3", "s3/index"] and (agent.tree / "etc/made").read_text() == "here"
    assert agent.run("clean").out == "nothing to remove\n"
    agent.run("status", code=3)
    agent.apply(recipe)
    assert (agent.work / "count").read_text() == "x\nx\n"


def test_clean_json(agent):
    agent.apply(TWO)
    removed = agent.run("clean", "--json").json()["removed"]
    assert "/var/lib/dsagent/runs" in removed
    assert agent.run("clean", "--json").json() == {"removed": []}


def test_clean_image_leaves_nothing_of_the_instance(agent):
    agent.apply(TWO)
    (agent.state_dir / "s3").mkdir()
    (agent.state_dir / "s3" / "index").write_text("of this instance")
    real = agent.tree / "var/lib/cloud/instances/i-1/scripts"
    real.mkdir(parents=True)
    (agent.tree / "var/lib/cloud/instance").symlink_to("/var/lib/cloud/instances/i-1")
    (real / "part-001").write_text("#!/bin/sh\ncurl -o /usr/bin/dsagent https://example.com/x\n")
    (real / "part-002").write_text("#!/bin/sh\necho somebody else\n")
    etc = agent.tree / "etc/dsagent/recipes.d"
    etc.mkdir(parents=True)
    (etc / "10-base.yaml").write_text(TWO)
    out = agent.run("clean", "--image").out
    assert "removed /var/lib/cloud/instance/scripts/part-001\n" in out
    assert names_below(agent.state_dir) == [] and [p.name for p in real.iterdir()] == ["part-002"]
    assert (etc / "10-base.yaml").exists(), "the image's own recipes are what it is for"


UNIT = (TOP / "packaging/dsagent.service").read_text()
UNIT_PATH, LINK = "/etc/systemd/system/dsagent.service", "/etc/systemd/system/multi-user.target.wants/dsagent.service"
CHANGED = f"dsagent: warning: {UNIT_PATH} stays: it is not what this dsagent writes there; remove it if the image shall not have it\n"
HOLDS = f"dsagent: warning: {UNIT_PATH} stays: it starts what /etc/dsagent/recipes.d/ still holds (10-base.yaml)\n"


@pytest.mark.parametrize("unit, target, recipes, removed, says", [
    (UNIT, UNIT_PATH, ["user-data.yaml"], [UNIT_PATH, LINK], ""),
    (UNIT.replace("/usr/bin/dsagent", "/opt/dsagent/bin/dsagent"), UNIT_PATH, ["user-data.yaml"], [UNIT_PATH, LINK], ""),
    (UNIT, None, [], [UNIT_PATH], ""),
    (UNIT, "/usr/lib/systemd/system/dsagent.service", ["user-data.yaml"], [UNIT_PATH], ""),  # a package's, enabled
    (UNIT, UNIT_PATH, ["10-base.yaml", "user-data.yaml"], [], HOLDS),
    (UNIT + "Nice=5\n", UNIT_PATH, ["user-data.yaml"], [], CHANGED),
    (UNIT.replace("RestartSec=30", "RestartSec=5"), UNIT_PATH, [], [], CHANGED),
    (UNIT.replace("/usr/bin/dsagent", "/usr/bin/nice dsagent"), UNIT_PATH, [], [], CHANGED),
    ("-> /dev/null", None, [], [], CHANGED),
    (None, UNIT_PATH, ["user-data.yaml"], [], ""),
])
def test_clean_image_takes_back_the_unit_that_boot_wrote(agent, unit, target, recipes, removed, says):
    def put(path, text):
        place = agent.tree / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(text[3:]) if text.startswith("-> ") else place.write_text(text)

    if unit:
        put(UNIT_PATH, unit)
    if target:
        put(LINK, f"-> {target}")
    put("/usr/lib/systemd/system/dsagent.service", UNIT)
    for name in recipes:
        put(f"/etc/dsagent/recipes.d/{name}", TWO)
    run = agent.run("clean", "--image")
    assert run.err == says
    own = [f"removed {path}" for path in (["/etc/dsagent/recipes.d/user-data.yaml"] if "user-data.yaml" in recipes else []) + removed]
    assert run.out.splitlines() == (own or ["nothing to remove"])
    left = {p for p, was in ((UNIT_PATH, unit), (LINK, target)) if was} - set(removed)
    assert {p for p in (UNIT_PATH, LINK) if os.path.lexists(f"{agent.tree}{p}")} == left


def test_clean_image_does_not_leave_by_a_link(agent, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "part-001").write_text("dsagent")
    agent.state_dir.mkdir(parents=True)
    (agent.state_dir / "s3").symlink_to(outside)
    (agent.tree / "var/lib/cloud/instance").mkdir(parents=True)
    (agent.tree / "var/lib/cloud/instance/scripts").symlink_to(outside)
    agent.run("clean", "--image")
    assert (outside / "part-001").exists() and names_below(agent.state_dir) == []


def test_clean_waits_for_nobody(agent):
    process, go = slow(agent)
    before = tree_hash(agent.state_dir)
    run = agent.run("clean", "--image", code=3)
    assert f"pid {process.pid}" in run.err and "nothing was removed" in run.err and run.out == ""
    assert tree_hash(agent.state_dir) == before
    go.touch()
    assert process.wait(20) == 0
    agent.run("clean")


def test_logs_of_all_steps_and_of_one(agent):
    agent.apply(TWO)
    out = agent.run("logs").out
    assert out.startswith("==> talk <==\n> ") and "one\n" in out and "two\n" in out
    assert out.index("two\n") < out.index("\n==> more <==\n") < out.index("three\n")
    alone = agent.run("logs", "more").out
    assert "three\n" in alone and "one" not in alone and "==>" not in alone
    assert agent.run("logs", "2").out == alone
    run_dir = agent.state_dir / "runs" / agent.status()["run_id"]
    assert alone == (run_dir / "02-more.log").read_text()


def test_logs_of_an_older_run(agent):
    agent.apply("steps: [{name: Talk, run: 'echo of the first run'}]\n")
    first = agent.status()["run_id"]
    time.sleep(1.1)  # run ids sort by the second
    agent.apply("steps: [{name: Talk, run: 'echo of the second run'}]\n")
    assert "of the second run" in agent.run("logs").out
    assert "of the first run" in agent.run("logs", "talk", "--run", first).out


def test_logs_say_what_there_is(agent):
    assert "nothing has run here yet" in agent.run("logs", code=3).err
    agent.apply(TWO)
    run = agent.run("logs", "mroe", code=3)
    assert "did you mean 'more'?" in run.err and run.out == ""
    assert "it has those of talk, more" in agent.run("logs", "entirely-different", code=3).err
    last = agent.status()["run_id"]
    assert f"there is no run '../..'; the last one is '{last}'" in agent.run("logs", "--run", "../..", code=3).err


def test_logs_follow_ends_with_the_run(agent):
    process, go = slow(agent)
    all_of_it, one = agent.start("logs", "--follow"), agent.start("logs", "-f", "first")
    wait_until(lambda: "begun" in all_of_it.log.read_text(), what="the second step's first line")
    assert one.wait(10) == 0 and "first\n" in one.log.read_text(), "its step has ended long ago"
    assert all_of_it.poll() is None and "gone on" not in all_of_it.log.read_text()
    go.touch()
    assert process.wait(20) == 0 and all_of_it.wait(10) == 0
    text = all_of_it.log.read_text()
    assert text.count("==> second <==") == 1 and text.count("begun\n") == 1 and text.endswith("gone on\n")


def test_a_log_cannot_play_with_the_terminal(agent):
    agent.apply("steps: [{name: Rude, run: \"printf 'a\\\\033[2Jb\\\\n'\"}]\n")
    assert "a\x1b[2Jb\n" in agent.run("logs").out, "a pipe gets it as it is"
    pid, fd = pty.fork()
    if pid == 0:
        os.execve(agent.binary, agent.argv("logs", "rude"), {**agent.env, "TERM": "xterm"})
    text = b""
    while True:
        try:
            chunk = os.read(fd, 4096)
        except OSError:
            break
        if not chunk:
            break
        text += chunk
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert b"\x1b[2J" not in text and b"ab" in text
