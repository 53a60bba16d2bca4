"""What may happen to the reports: the work goes on, and nothing untrue is said."""

import os
import pathlib
import resource
import shutil
import signal
import subprocess
import tempfile

import pytest

from harness import wait_until


@pytest.mark.parametrize("text", ["", '{"schema":1,"status":"run', "[]", "\0\0\0\0", '{"status": 5}', '{"schema":1}'])
def test_a_damaged_status_is_named_and_replaced(agent, text):
    agent.apply("steps: [{run: 'true'}]\n")
    agent.status_path.write_text(text)
    for verb in ("status", "wait"):
        run = agent.run(verb, code=3, timeout=20)
        assert "/run/dsagent/status.json" in run.err and run.out == ""
    assert agent.run("status", "--motd").out == ""
    agent.run("report")
    agent.apply("steps: [{run: 'true'}]\n")
    assert agent.status_now()["status"] == "ready"


def test_a_status_of_tomorrow_is_not_guessed_at(agent):
    agent.apply("steps: [{run: 'true'}]\n")
    agent.status_path.write_text(agent.status_path.read_text().replace('"schema":1', '"schema":2'))
    assert "is of shape 2 and this dsagent knows shape 1" in agent.run("status", code=3).err


def test_a_status_that_cannot_be_written(agent):
    """Somebody has put a folder there: one warning, and the work is done."""
    agent.status_path.mkdir(parents=True)
    (agent.status_path / "x").touch()
    run = agent.apply("".join(["steps:\n", *(f"  - {{name: S{n}, run: 'true'}}\n" for n in range(9))]))
    assert run.err.count("the report of this run has gaps from here on") == 1 and len(run.err.splitlines()) == 1
    assert "ready in" in run.out and agent.events()[-1]["status"] == "ready"


def test_a_status_of_somebody_else(agent):
    """Not for us to read: said so, and not taken for no run at all."""
    agent.apply("steps: [{run: 'true'}]\n")
    agent.status_path.chmod(0 if os.geteuid() else 0o600)
    as_other = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.geteuid() == 0 else []
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:  # where others may look, whatever the checkout allows
        os.chmod(folder, 0o755)
        shutil.copytree(agent.tree / "run", f"{folder}/tree/run")
        shutil.copy(agent.binary, f"{folder}/dsagent")
        done = subprocess.run([*as_other, f"{folder}/dsagent", "--root", f"{folder}/tree", "status"], env=agent.env, capture_output=True,
                              text=True, cwd="/")
    assert done.returncode == 3 and "status.json" in done.stderr and "nothing has run" not in done.stderr, done


@pytest.mark.skipif(os.geteuid() != 0 or subprocess.run(["unshare", "-m", "true"]).returncode != 0, reason="needs root and mount namespaces")
@pytest.mark.parametrize("verb", ["logs", "report", "bundle"])
def test_the_systems_run_is_not_taken_for_none(agent, verb):
    """A plain user who has run nothing means the system's: never an empty bundle for the bug report."""
    agent.apply("steps: [{run: 'true'}]\n")
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        os.chmod(folder, 0o777)
        shutil.copytree(agent.tree / "run/dsagent", f"{folder}/dsagent")
        shutil.copy(agent.binary, f"{folder}/program")
        script = (f"mount -t tmpfs tmpfs /run && cp -r {folder}/dsagent /run/ && cd {folder} &&"
                  f" exec setpriv --reuid=65534 --regid=65534 --clear-groups ./program {verb}")
        done = subprocess.run(["unshare", "-m", "sh", "-c", script], env={"PATH": agent.env["PATH"], "HOME": f"{folder}/home"},
                              capture_output=True, text=True)
        assert not list(pathlib.Path(folder).glob("*.tar.gz"))
    assert (done.returncode, done.stderr) == (3, f"dsagent: the system's runs are for root: sudo dsagent {verb}\n"), done


MANY_BYTES = 90 * 1000 * 1000


def test_a_step_that_prints_for_ever(agent):
    """Its log ends at 64 MiB and says so; neither the run nor its readers keep it in memory. 1 GB behaves alike."""
    line, peak = "x" * 999, agent.work / "peak"
    recipe = agent.recipe(f"steps: [{{name: Loud, run: 'yes {line} | head -c {MANY_BYTES}'}}]\n")
    # By a launcher that is small itself: what a child's parent had in memory counts as the child's.
    subprocess.run(["/usr/bin/time", "-o", peak, "-f", "%M", *agent.argv("apply", recipe)], env=agent.env, cwd=agent.work, check=True,
                   stdin=subprocess.DEVNULL, capture_output=True, timeout=300)
    log = agent.tree / agent.step("loud")["log"].lstrip("/")
    assert 64 * 1024 * 1024 - 2000 < log.stat().st_size < 64 * 1024 * 1024 + 2000
    assert log.read_bytes()[-200:].endswith(b"(the log ends here: it is longer than 64 MiB)\n")
    assert int(peak.read_text()) < 40_000, f"{peak.read_text()} KiB at most in memory"
    events = next((agent.state_dir / "runs").iterdir()) / "events.jsonl"
    assert events.stat().st_size < 1_000_000
    assert len(agent.run("report", "--html", "-").out) < 200_000


def test_binary_and_escapes_reach_nobody_raw(agent):
    agent.apply(r"""steps: [{name: Rude, run: 'printf "\033[2J\033]0;t\007\000\377\302\233x\342\200\256\n" >&2; exit 4'}]""" + "\n", code=1)
    for args in (("status",), ("status", "--motd"), ("report",), ("report", "--html", "-")):
        out = agent.run(*args, code=None).out
        assert not set(out) & set(map(chr, [*range(9), *range(11, 32), 127, 0x9b, 0x202e])), args
    assert (agent.tree / "run/dsagent/motd").read_text().isprintable() is False  # two lines: the ends only
    assert all(part.isprintable() for part in (agent.tree / "run/dsagent/motd").read_text().splitlines())


def test_a_run_that_reports_to_a_full_disk(agent):
    """Files that cannot grow give what a full disk gives; steps that need no room are done."""
    recipe = agent.recipe("".join(["steps:\n", *(f"  - {{name: Step {n}, file: {{path: /made-{n}, content: x}}}}\n" for n in range(3))]))

    def tight():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1500, 1500))

    done = subprocess.run(agent.argv("apply", recipe), env=agent.env, cwd=agent.work, capture_output=True, text=True, preexec_fn=tight, timeout=60)
    assert done.stderr.count("the report of this run has gaps from here on") == 1, done.stderr
    assert sorted(p.name for p in agent.tree.glob("made-*")) == ["made-0", "made-1", "made-2"], done
    assert not list(agent.tree.rglob(".dsagent-*"))
    wait_until(lambda: agent.run("status", code=None).code in (0, 3))
