"""kill -9 anywhere: the next apply finishes the job, nothing half-written is taken for whole."""

import hashlib
import json
import os
import signal
import time

import pytest

from harness import children_of, is_alive, wait_until

STEPS = 4


def recipe(agent):
    """Every step marks that it has begun and waits for `go`; each leaves a file made in two halves."""
    steps = ""
    for n in range(1, STEPS + 1):
        steps += f"""  - id: s{n}
    creates: /out/{n}
    run: |
      echo {n} >> {agent.work}/log
      mkdir -p {agent.tree}/out
      printf 'half ' > {agent.tree}/out/.{n}
      touch {agent.work}/at-{n}
      while [ ! -e {agent.work}/go ] && [ ! -e {agent.work}/go-{n} ]; do sleep 0.02; done
      printf 'whole\\n' >> {agent.tree}/out/.{n}
      mv {agent.tree}/out/.{n} {agent.tree}/out/{n}
  - file: {{path: /etc/f{n}, content: "content of {n}\\n"}}
"""
    return agent.recipe("recipe: killed\nsteps:\n" + steps)


def start_at(agent, path, step):
    for n in range(1, step):
        (agent.work / f"go-{n}").touch()
    process = agent.start("apply", path)
    wait_until((agent.work / f"at-{step}").exists, 30, f"step {step}")
    return process


def finish(agent, path):
    (agent.work / "go").touch()
    agent.run("apply", path)
    status = agent.status()
    assert status["status"] == "ready"
    for n in range(1, STEPS + 1):
        assert (agent.tree / f"out/{n}").read_text() == "half whole\n"
        assert (agent.tree / f"etc/f{n}").read_text() == f"content of {n}\n"
    json.loads((agent.state_dir / "state.json").read_text())
    # The one after it has nothing to do.
    log = (agent.work / "log").read_text()
    agent.run("plan", "--detailed-exitcode", path)
    agent.run("apply", path)
    assert (agent.work / "log").read_text() == log


def kill_all(pids):
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def runs_our_binary(agent, pid):
    try:
        return os.path.samefile(f"/proc/{pid}/exe", agent.binary)
    except OSError:
        return False  # it has just ended


@pytest.mark.parametrize("step", range(1, STEPS + 1))
def test_supervisor_killed_in_step(agent, step):
    path = recipe(agent)
    process = start_at(agent, path, step)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert agent.status_now()["status"] == "interrupted"
    finish(agent, path)
    ran = (agent.work / "log").read_text().split()
    assert ran == [str(n) for n in range(1, step + 1)] + [str(n) for n in range(step, STEPS + 1)]


@pytest.mark.parametrize("step", range(1, STEPS + 1))
def test_worker_killed_in_step(agent, step):
    path = recipe(agent)
    process = start_at(agent, path, step)
    mine = [p for p in children_of(process.pid) if runs_our_binary(agent, p)]
    assert mine, "no worker of our own binary"
    kill_all(mine)
    assert process.wait(30) == 1
    status = agent.status()
    assert status["status"] == "failed" and f"'s{step}'" in status["error"]
    finish(agent, path)


def test_everything_killed_at_once(agent):
    path = recipe(agent)
    process = start_at(agent, path, 2)
    kill_all([process.pid, *children_of(process.pid)])
    process.wait()
    finish(agent, path)


def test_the_work_of_a_killed_supervisor_does_not_go_on(agent):
    path = recipe(agent)
    process = start_at(agent, path, 1)
    below = children_of(process.pid)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    wait_until(lambda: not any(is_alive(p) for p in below), 15, f"its children {below} to end")


@pytest.mark.parametrize("when", [n / 12 for n in range(12)])
def test_killed_at_any_moment(agent, when):
    source = agent.tree / "source"
    source.write_bytes(os.urandom(1 << 20) * 8)
    wanted = hashlib.sha256(source.read_bytes()).hexdigest()
    path = agent.recipe("steps:\n" + "".join(
        f"  - {{id: c{n}, file: {{path: /copy/{n}, from: /source}}}}\n" for n in range(6)))
    began = time.monotonic()
    whole = agent.start("plan", path)
    whole.wait(30)
    process = agent.start("apply", path)
    time.sleep(when * (time.monotonic() - began + 0.25))
    process.kill()
    process.wait()
    for copy in (agent.tree / "copy").glob("[0-9]") if (agent.tree / "copy").exists() else []:
        assert hashlib.sha256(copy.read_bytes()).hexdigest() == wanted, f"{copy} is not whole"
    agent.run("apply", path)
    assert sorted(p.name for p in (agent.tree / "copy").iterdir() if p.name[0] != ".") == list("012345")
    for copy in (agent.tree / "copy").glob("[0-9]"):
        assert hashlib.sha256(copy.read_bytes()).hexdigest() == wanted


@pytest.mark.parametrize("damage", [b"", b"{", b"\0" * 4096, b'{"schema": 99}', b"[]", os.urandom(300)])
def test_a_damaged_state_file_is_kept_aside(agent, damage):
    text = f"steps: [{{run: 'echo x >> {agent.work}/log'}}]\n"
    agent.apply(text)
    (agent.state_dir / "state.json").write_bytes(damage)
    run = agent.apply(text)
    assert (agent.work / "log").read_text() == "x\nx\n"
    assert list(agent.state_dir.glob("state.json.damaged*")) or damage == b"", run
    json.loads((agent.state_dir / "state.json").read_text())


def test_ctrl_c_is_heard_and_a_second_one_kills(agent):
    path = agent.recipe(f"""steps:
  - run: "trap '' TERM INT; touch {agent.work}/here; while :; do sleep 0.1; done"
""")
    process = agent.start("apply", path)
    wait_until((agent.work / "here").exists)
    process.send_signal(signal.SIGINT)
    said = "stopping; Ctrl-C again kills the step that still runs"
    wait_until(lambda: said in process.log.read_text(), 3, "a word on stopping")
    process.send_signal(signal.SIGINT)
    assert process.wait(3) == 130
