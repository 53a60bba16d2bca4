"""packages over stub tools: locks with their holder named, missing names, mirrors that come back, nothing twice."""

import threading

import pytest

from harness import wait_until
from stubs import Stubs, hold_lock

RECIPE = "recipe: pkg\nsteps:\n  - {id: tools, packages: [git, make, {dnf: gcc-c++, apt: g++}]}\n"


@pytest.fixture(params=["apt", "dnf"])
def stubs(agent, request):
    s = Stubs(agent, ("git", "make", "g++", "gcc-c++", "curl"))
    if request.param == "dnf":
        s.amazon_linux()
    s.manager = request.param
    s.lock = agent.tree / {"apt": "var/lib/dpkg/lock-frontend", "dnf": "var/lib/rpm/.rpm.lock"}[request.param]
    return s


def test_installed_then_left_alone(agent, stubs):
    agent.run("apply", agent.recipe(RECIPE), env={})
    assert stubs.installed() == sorted(["git", "make", {"apt": "g++", "dnf": "gcc-c++"}[stubs.manager]])
    changers = [c for c in stubs.calls() if c.split()[0] in ("apt-get", "dnf") and " install" in c]
    assert len([c for c in changers if "-s" not in c.split()]) == 1
    before = len(stubs.calls())
    agent.run("plan", "--detailed-exitcode", agent.recipe(RECIPE))
    run = agent.run("apply", agent.recipe(RECIPE))
    later = stubs.calls()[before:]
    assert all(c.split()[0] in ("dpkg-query", "rpm") for c in later), later
    assert agent.step("tools")["status"] == "ok" and "nothing" in run.text.lower()


def test_plan_names_what_is_missing(agent, stubs):
    (stubs.state / "installed/git").write_text("1.0")
    plan = agent.run("plan", agent.recipe(RECIPE)).out
    assert "make" in plan and "git" not in plan.replace("recipe", "")
    assert stubs.installed() == ["git"]


def test_removal(agent, stubs):
    (stubs.state / "installed/curl").write_text("1.0")
    agent.apply("steps: [{packages: {remove: [curl]}}]\n")
    assert stubs.installed() == []


def test_a_missing_package_is_named(agent, stubs):
    run = agent.apply("steps: [{packages: [git, no-such-thing]}]\n", code=1, timeout=60)
    assert "no-such-thing" in agent.status()["error"] and "no-such-thing" in run.text
    assert run.seconds < 30


def test_the_lock_is_waited_for_and_its_holder_named(agent, stubs):
    holder = hold_lock(stubs.lock, "unattended-upgr", 120)
    process = agent.start("apply", agent.recipe(RECIPE))
    step = wait_until(lambda: agent.status_path.exists() and agent.step("tools")["waiting_for"] and agent.step("tools"), 30,
                      "the wait to show in the status")
    assert "unattended-upgr" in step["waiting_for"] and str(holder.pid) in step["waiting_for"]
    first = step["waiting_ms"]
    wait_until(lambda: agent.step("tools")["waiting_ms"] > first, 10)
    assert "unattended-upgr" in agent.run("status", code=None).out
    threading.Timer(0.5, holder.kill).start()
    assert process.wait(40) == 0
    holder.wait()
    assert stubs.installed() and agent.step("tools")["waited_ms"] >= 1000


def test_the_holder_is_never_killed_and_the_lock_never_deleted(agent, stubs):
    holder = hold_lock(stubs.lock, "apt-get", 60)
    agent.run("apply", agent.recipe(RECIPE.replace("packages:", "timeout: 4s, packages:")), code=1, timeout=40)
    assert holder.poll() is None and stubs.lock.exists() and stubs.installed() == []
    assert str(holder.pid) in agent.status()["error"] or "lock" in agent.status()["error"]
    holder.kill()
    holder.wait()


def test_a_mirror_that_is_down_for_a_moment(agent, stubs):
    stubs.down(2)
    agent.run("apply", agent.recipe(RECIPE), timeout=120)
    assert stubs.installed()


def test_a_tree_without_a_package_manager(agent):
    (agent.tree / "etc/os-release").write_text("ID=slackware\nVERSION_ID=15\n")
    run = agent.apply("steps: [{packages: [git]}]\n", code=1)
    assert "slackware" in run.text
