"""status and wait: what runs, how far, what failed, and the truth about the dead."""

import json
import os
import signal
import threading
import time

from harness import wait_until

SLOW = "recipe: slow\nsteps:\n  - {name: First, run: 'true'}\n  - {name: Second, run: 'touch MARK; while [ ! -e GO ]; do sleep 0.05; done'}\n"


def slow(agent):
    mark, go = agent.work / "mark", agent.work / "go"
    process = agent.start("apply", agent.recipe(SLOW.replace("MARK", str(mark)).replace("GO", str(go))))
    wait_until(mark.exists, what="the second step")
    return process, go


def test_nothing_has_run(agent):
    run = agent.run("status", code=3)
    assert "nothing has run" in run.err


def test_status_while_running_and_after(agent):
    process, go = slow(agent)
    status = wait_until(lambda: (lambda s: s if s["steps"][1]["status"] == "running" else None)(agent.status_now()))
    assert (status["status"], status["done"], status["total"], status["error"]) == ("running", 1, 2, None)
    assert [s["status"] for s in status["steps"]] == ["changed", "running"]
    assert status["pid"] == process.pid and status["recipe"].startswith("slow@")
    text = agent.run("status", code=None).out
    assert "Second" in text and "running" in text and "1/2" in text
    go.touch()
    assert process.wait(20) == 0
    status = agent.status_now()
    assert (status["status"], status["done"], status["percent"], status["ready"]) == ("ready", 2, 100, True)
    assert status["ended_at"] and status["ready_at"] and "ready" in agent.run("status").out
    assert oct(agent.status_path.stat().st_mode & 0o777) == "0o644"
    assert oct(agent.state_dir.stat().st_mode & 0o777) == "0o700"


def test_failed_names_step_and_reason(agent):
    agent.apply("steps:\n  - {name: Good, run: 'true'}\n  - {name: Bad one, run: 'echo the reason >&2; exit 42'}\n  - {name: Never, run: 'true'}\n", code=1)
    status = agent.status_now()
    assert status["status"] == "failed" and status["error"].startswith("step 2 'Bad one' failed: ")
    assert "42" in status["error"] and "the reason" in status["error"]
    assert [s["status"] for s in status["steps"]] == ["changed", "failed", "skipped"]
    assert "Bad one" in agent.run("status", code=None).out


def test_wait(agent):
    assert agent.run("wait", "--timeout", "1s", code=4).err.splitlines() == [
        "dsagent: nothing has run yet; waiting for a run to appear", "dsagent: not ready after 1 s: no run has appeared"]
    process, go = slow(agent)
    run = agent.run("wait", "--timeout", "1s", code=4, timeout=10)
    assert run.seconds >= 0.9 and "Second" in run.text and "nothing has run" not in run.text
    threading.Timer(0.5, go.touch).start()
    agent.run("wait", "--timeout", "30s", code=0, timeout=40)
    assert process.wait(10) == 0
    agent.apply("steps: [{run: 'exit 1'}]\n", code=1)
    agent.run("wait", "--timeout", "5s", code=1, timeout=10)
    agent.apply("steps: [{run: 'exit 1', optional: true}]\n")
    agent.run("wait", "--timeout", "5s", code=0, timeout=10)
    agent.run("wait", "--strict", "--timeout", "5s", code=6, timeout=10)


def test_a_dead_agent_reads_interrupted(agent):
    process, _ = slow(agent)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert agent.status_now()["status"] == "interrupted"
    assert "interrupted" in agent.run("status", code=None).text
    assert agent.run("wait", "--timeout", "5s", code=None, timeout=10).code == 1


def test_status_json_is_whole_at_every_moment(agent):
    lines = "; ".join(f"echo line {n}" for n in range(400))
    process = agent.start("apply", agent.recipe("steps:\n" + "".join(f"  - {{name: S{n}, needs: [], run: '{lines}'}}\n" for n in range(8))))
    reads = 0
    while process.poll() is None:
        if agent.status_path.exists():
            json.loads(agent.status_path.read_text())
            reads += 1
        time.sleep(0.002)
    assert process.returncode == 0 and reads > 5 and agent.status()["status"] == "ready"


def test_follow_ends_with_the_run(agent):
    process, go = slow(agent)
    follower = agent.start("status", "--follow")
    time.sleep(0.5)
    assert follower.poll() is None
    go.touch()
    assert process.wait(20) == 0
    follower.wait(20)
    assert "Second" in follower.log.read_text()


def test_console_events_and_logs_exist(agent):
    agent.apply("steps: [{name: Talk, run: 'echo to out; echo to err >&2'}]\n")
    log = agent.tree / agent.step("talk")["log"].lstrip("/")
    assert "to out" in log.read_text() and "to err" in log.read_text()
    assert oct(log.stat().st_mode & 0o777) == "0o600"
    kinds = [e["type"] for e in agent.events()]
    assert kinds[0] == "run-started" and kinds[-1] == "run-ended" and kinds.count("step-ended") == 1
    assert agent.events()[-1]["status"] == "ready"
