"""The login message: two lines, true at every moment, and no login is ever broken by it."""

import os
import subprocess
import signal

import story
from harness import TOP, wait_until

JUPYTER = "ssh -L 8888:127.0.0.1:8888 ubuntu@10.0.0.5, then http://127.0.0.1:8888 (token: sudo cat /etc/jupyter/token)"


def motd(agent, **how):
    return agent.run("status", "--motd", **how).out


def kept(agent):
    return (agent.tree / "run/dsagent/motd").read_text()


def test_nothing_has_run(agent):
    assert motd(agent) == ""
    (agent.tree / "run/dsagent").mkdir(parents=True)
    agent.status_path.write_text('{"half')
    assert motd(agent) == ""


def test_ready(agent):
    run = story.Run()
    run.step("GPU", "nvidia", 100, 200, status="ok")
    run.step("JupyterLab", "jupyter", 200, 2000, changes=["start jupyter.service"], text=JUPYTER)
    run.end(2100, "ready")
    run.write(agent)
    assert motd(agent) == ("dsagent: ready in 2.1 s: 1 changed, 1 in place\n"
                           f"         JupyterLab: {JUPYTER}; GPU: ok 1x A10G driver 580.105.08 cuda 13.0\n")


def test_while_it_runs_and_dead(agent):
    go = agent.work / "go"
    process = agent.start("apply", agent.recipe(f"recipe: box\nsteps: [{{name: Slow, run: 'echo at work; while [ ! -e {go} ]; do sleep 0.05; done'}}]\n"))
    text = wait_until(lambda: "at work" in motd(agent) and motd(agent))
    assert text == "dsagent: 0/1 0% Slow: at work\n         follow it: dsagent status --follow\n"
    file = kept(agent)
    assert file.startswith("dsagent: box@") and " began at 20" in file and file.endswith("; `dsagent status` says how far it is\n")
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert motd(agent).startswith("dsagent: interrupted: ") and "sudo dsagent apply" in motd(agent).splitlines()[1]
    assert kept(agent) == file, "nobody was there to write it, and it is still true"
    go.touch()


def test_failed_says_what_to_do_in_the_same_words(agent):
    run = agent.apply("steps: [{name: Bad, run: 'echo why >&2; exit 3'}]\n", code=1)
    lines = [line.strip() for line in run.out.splitlines()]
    first, second = motd(agent).splitlines()
    assert first.removeprefix("dsagent: ") in lines and second.strip() in lines and second.strip().startswith("next: `sudo dsagent apply`")
    assert kept(agent) == motd(agent) and oct((agent.tree / "run/dsagent/motd").stat().st_mode & 0o777) == "0o644"
    assert agent.status()["error"] in first.replace("failed: step 1 'Bad': ", "step 1 'Bad' failed: ")


def test_the_script_never_fails(agent, tmp_path):
    script = tmp_path / "99-dsagent"
    text = (TOP / "packaging/99-dsagent").read_text()
    for program in ("/nowhere/dsagent", "/bin/false", "/bin/sleep 100; kill -9 $$ #"):
        script.write_text(text.replace("/usr/bin/dsagent", program))
        done = subprocess.run(["/bin/sh", script], capture_output=True, timeout=60) if "sleep" not in program else None
        if done:
            assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    script.write_text(text.replace("/usr/bin/dsagent", "/bin/sleep 100 #"))
    done = subprocess.run(["/bin/sh", script], capture_output=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, b""), "a dsagent that hangs holds a login for five seconds"


def test_boot_and_make_install_bring_it(agent, tmp_path):
    recipe = agent.recipe("recipe: box\nsteps: [{run: 'true'}]\n")
    agent.run("boot", recipe)
    script = agent.tree / "etc/update-motd.d/99-dsagent"
    assert os.access(script, os.X_OK) and f"{agent.binary} status --motd" in script.read_text()
    wait_until(lambda: agent.status_path.exists() and agent.status()["status"] == "ready")
    script.unlink()
    (agent.tree / "etc/os-release").write_text('ID="amzn"\nVERSION_ID="2023"\n')
    agent.run("boot", recipe)
    assert os.readlink(agent.tree / "etc/motd.d/99-dsagent") == "/run/dsagent/motd" and not script.exists()
    for how, path in (("update-motd.d", "etc/update-motd.d/99-dsagent"), ("motd.d", "etc/motd.d/99-dsagent")):
        done = subprocess.run(["make", "-s", "-C", TOP, "install", f"DESTDIR={tmp_path}/{how}", f"MOTD={how}", "PREFIX=/usr", "-o", "build/dsagent",
                               "B=build"], capture_output=True)
        assert done.returncode == 0, done.stderr
        assert os.path.lexists(tmp_path / how / path)
