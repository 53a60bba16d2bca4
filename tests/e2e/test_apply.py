"""apply: order, conditions, retries, time limits, secrets, and a second run that changes nothing."""

import time

import pytest

from harness import children_of, is_alive, tree_hash, wait_until

SECRET = "s3cr3t-Value/that+must=not-appear"


def statuses(agent):
    return {s["id"]: s["status"] for s in agent.status()["steps"]}


def order(agent):
    path = agent.work / "order"
    return path.read_text().split() if path.exists() else []


def test_steps_run_in_order_and_a_second_run_changes_nothing(agent):
    text = f"""recipe: order
steps:
  - {{id: a, run: echo a >> {agent.work}/order}}
  - {{id: b, run: echo b >> {agent.work}/order}}
  - {{id: c, file: {{path: /etc/deep/er/c, content: "x\\n", mode: 0600}}}}
  - {{id: d, check: {{path: /etc/deep/er/c}}}}
"""
    first = agent.apply(text)
    assert order(agent) == ["a", "b"]
    assert statuses(agent) == {"a": "changed", "b": "changed", "c": "changed", "d": "ok"}
    assert agent.status()["status"] == "ready", first
    outside = lambda: [tree_hash(agent.tree / "etc"), (agent.state_dir / "state.json").read_bytes(), order(agent)]
    before = outside()
    second = agent.apply(text)
    assert outside() == before
    assert set(statuses(agent).values()) == {"ok"} and "nothing" in second.text.lower(), second


def test_needs_decide_the_order(agent):
    agent.apply(f"""steps:
  - {{id: last, needs: [middle], run: echo last >> {agent.work}/order}}
  - {{id: middle, needs: [first], run: echo middle >> {agent.work}/order}}
  - {{id: first, needs: [], run: echo first >> {agent.work}/order}}
""")
    assert order(agent) == ["first", "middle", "last"]


def test_steps_without_needs_run_beside_each_other(agent):
    # Each waits for the other's mark: in turn they could never end.
    meet = "touch {0}/{1}; i=0; while [ ! -e {0}/{2} ]; do i=$((i+1)); [ $i -lt 200 ]; sleep 0.05; done"
    agent.apply(f"""steps:
  - {{id: one, needs: [], run: '{meet.format(agent.work, "m1", "m2")}'}}
  - {{id: two, needs: [], run: '{meet.format(agent.work, "m2", "m1")}'}}
""")


def test_jobs_1_runs_one_at_a_time(agent):
    step = "  - {{id: s{0}, needs: [], run: 'mkdir {1}/busy; sleep 0.2; rmdir {1}/busy'}}\n"
    agent.apply("steps:\n" + "".join(step.format(n, agent.work) for n in range(4)), "--jobs", "1")


def test_steps_of_one_resource_never_overlap(agent):
    """Two `packages` steps use the package database, whatever `needs` says."""
    bin_dir = agent.folder / "bin"
    bin_dir.mkdir()
    (bin_dir / "dpkg-query").write_text(f"#!/bin/sh\nmkdir {agent.work}/busy || touch {agent.work}/overlap\nsleep 0.3\n"
                                        f"rmdir {agent.work}/busy\nexit 1\n")
    (bin_dir / "apt-get").write_text("#!/bin/sh\nexit 100\n")
    for tool in bin_dir.iterdir():
        tool.chmod(0o755)
    agent.env["PATH"] = f"{bin_dir}:{agent.env['PATH']}"
    agent.apply("steps:\n  - {id: p, needs: [], optional: true, packages: [a]}\n  - {id: q, needs: [], optional: true, packages: [b]}\n",
                timeout=120)
    assert not (agent.work / "overlap").exists()


def test_background_steps_do_not_hold_up_ready(agent):
    go = agent.work / "go"
    process = agent.start("apply", agent.recipe(f"""steps:
  - {{id: slow, needs: [], background: true, run: 'while [ ! -e {go} ]; do sleep 0.05; done'}}
  - {{id: quick, needs: [], run: 'true'}}
"""))
    status = wait_until(lambda: agent.status_path.exists() and agent.status()["ready"] and agent.status())
    assert process.poll() is None
    assert {s["id"]: s["status"] for s in status["steps"]} == {"slow": "running", "quick": "changed"}
    assert status["ready_at"]
    go.touch()
    assert process.wait(20) == 0 and agent.status()["status"] == "ready"


def test_a_failed_background_step_is_no_secret(agent):
    agent.apply("steps:\n  - {id: b, needs: [], background: true, run: 'sleep 0.3; exit 3'}\n  - {id: q, needs: [], run: 'true'}\n", code=1)
    assert agent.status()["status"] == "failed"


def test_retries(agent):
    agent.apply(f"""steps:
  - id: flaky
    retries: 3
    retry_delay: 100ms
    run: 'echo x >> {agent.work}/order; [ $(wc -l < {agent.work}/order) -ge 3 ]'
""")
    assert len(order(agent)) == 3 and agent.step("flaky")["attempt"] == 3
    agent.apply(f"steps: [{{id: hopeless, retries: 2, retry_delay: 50ms, run: 'echo y >> {agent.work}/order; exit 1'}}]\n", code=1)
    assert order(agent).count("y") == 3


def test_timeout_ends_the_whole_process_group(agent):
    pids = agent.work / "pids"
    began = time.monotonic()
    run = agent.apply(f"""steps:
  - id: hang
    timeout: 2s
    run: |
      sh -c 'trap "" TERM; echo $$ >> {pids}; sleep 100; true' &
      (sh -c 'echo $$ >> {pids}; sleep 100; true' &)
      echo $$ >> {pids}
      sleep 100
""", code=1, timeout=40)
    assert 2 <= time.monotonic() - began < 20
    found = [int(p) for p in pids.read_text().split()]
    assert len(found) == 3
    for pid in found:
        assert not is_alive(pid), f"{pid} outlived the limit"
    error = agent.step("hang")["error"]
    assert "2 s" in error or "2s" in error, error
    assert "hang" in run.text


def test_nothing_outlives_the_step_that_failed(agent):
    pids = agent.work / "pids"
    agent.apply(f"steps: [{{run: 'sh -c \"echo \\$\\$ > {pids}; sleep 300\" & while [ ! -s {pids} ]; do sleep 0.05; done; exit 1'}}]\n", code=1)
    wait_until(lambda: not is_alive(int(pids.read_text())), 10, "the child to end")


def test_on_error_and_optional(agent):
    agent.apply("""steps:
  - {id: bad, on_error: continue, run: 'exit 1'}
  - {id: after, run: 'true'}
""", code=1)
    assert statuses(agent) == {"bad": "failed", "after": "changed"} and agent.status()["status"] == "failed"
    agent.apply("""steps:
  - {id: bad, optional: true, run: 'exit 1'}
  - {id: after, run: 'true'}
""")
    assert statuses(agent) == {"bad": "warned", "after": "ok"}
    assert agent.status()["status"] == "ready-with-warnings" and agent.status()["warnings"] == 1
    agent.apply("""steps:
  - {id: bad, run: 'exit 1'}
  - {id: after, run: 'true'}
  - {id: free, needs: [], run: 'true'}
""", code=1)
    assert statuses(agent)["bad"] == "failed" and statuses(agent)["after"] == "skipped"


def test_a_script_fails_by_any_line(agent):
    agent.apply(f"steps:\n  - run: |\n      false\n      touch {agent.work}/reached\n", code=1)
    assert not (agent.work / "reached").exists()
    agent.apply("steps: [{run: [sh, -c, 'false; true']}]\n")


def test_when(agent):
    agent.apply("""vars:
  bucket: {help: b, default: ""}
steps:
  - {id: data, when: vars.bucket != "", run: 'exit 9'}
  - id: deb
    when: facts.os == "debian" && !(facts.os in ["amzn", "ubuntu"])
    run: 'true'
""")
    assert statuses(agent) == {"data": "skipped", "deb": "changed"} and agent.status()["status"] == "ready"
    agent.run("apply", agent.recipes / "recipe.yaml", "--var", "bucket=x", code=1)
    assert statuses(agent)["data"] == "failed"
    assert "bucket" in agent.run("apply", agent.recipes / "recipe.yaml", "--var", "bukket=x", code=2).text


def test_creates_and_unless(agent):
    text = f"""steps:
  - {{id: c, creates: /made, run: 'echo c >> {agent.work}/order; touch {agent.tree}/made'}}
  - {{id: u, unless: 'test -e {agent.work}/u', run: 'echo u >> {agent.work}/order; touch {agent.work}/u'}}
"""
    agent.apply(text)
    agent.apply(text)
    assert order(agent) == ["c", "u"]
    (agent.tree / "made").unlink()
    (agent.work / "u").unlink()
    agent.apply(text)
    assert order(agent) == ["c", "u", "c", "u"]


def test_a_run_that_does_not_create_what_it_says_has_failed(agent):
    agent.apply("steps: [{creates: /never, run: 'true'}]\n", code=1)
    assert "/never" in agent.status()["error"]


def test_frequency(agent):
    text = """steps:
  - {{id: c, run: 'echo change{0} >> {1}/order'}}
  - {{id: i, frequency: instance, run: 'echo instance{0} >> {1}/order'}}
  - {{id: b, frequency: boot, run: 'echo boot >> {1}/order'}}
  - {{id: a, frequency: always, run: 'echo always >> {1}/order'}}
"""
    agent.apply(text.format("", agent.work))
    agent.apply(text.format("", agent.work))
    assert order(agent) == ["change", "instance", "boot", "always", "always"]
    agent.apply(text.format("2", agent.work))
    assert order(agent)[5:] == ["change2", "always"]


def test_failed_steps_are_tried_again_and_done_ones_left(agent):
    text = f"""steps:
  - {{id: a, run: 'echo a >> {agent.work}/order'}}
  - {{id: b, run: 'echo b >> {agent.work}/order; test -e {agent.work}/fixed'}}
  - {{id: c, run: 'echo c >> {agent.work}/order'}}
"""
    agent.apply(text, code=1)
    (agent.work / "fixed").touch()
    agent.apply(text)
    assert order(agent) == ["a", "b", "b", "c"]


def test_only_and_from(agent):
    text = f"steps:\n" + "".join(f"  - {{id: {i}, run: 'echo {i} >> {agent.work}/order'}}\n" for i in "abc")
    agent.apply(text, "--only", "b")
    assert order(agent) == ["b"]
    agent.apply(text, "--from", "b")
    assert order(agent) == ["b", "c"]
    assert "nope" in agent.apply(text, "--only", "nope", code=2).text


def test_another_step_alone_does_not_make_ready_what_has_failed(agent):
    text = f"steps:\n  - {{id: one, run: 'true'}}\n  - {{id: two, run: 'test -e {agent.work}/mended'}}\n  - {{id: three, run: 'echo'}}\n"
    agent.apply(text, code=1)
    for args in (("--only", "three"), ("--from", "three")):
        run = agent.apply(text, *args)
        assert agent.status()["status"] == "ready-with-warnings" and agent.run("wait", "--strict", code=6)
        assert [s["text"] for s in agent.status()["steps"]][1].endswith("; it did not end well last time") and "two" in run.text
    agent.run("wait")
    (agent.work / "mended").touch()
    agent.apply(text, "--only", "two")
    assert agent.status()["status"] == "ready"


def test_values_of_variables_are_not_in_the_process_list(agent):
    recipe = agent.recipe("vars: {tok: {help: t, sensitive: true}}\nsteps: [{run: 'echo up; sleep 30'}]\n")
    process = agent.start("apply", recipe, "--var", "tok=s3cr3t-t0k3n")
    wait_until(lambda: "up" in process.log.read_text(), 20, "the step")
    with open(f"/proc/{process.pid}/cmdline", "rb") as f:
        words = f.read()
    process.terminate()
    process.wait(30)
    assert b"s3cr3t-t0k3n" not in words and b"tok=*" in words, words


@pytest.mark.parametrize("boot", [[], ["--boot"], ["--json"], ["--verbose"]])
def test_sensitive_values_appear_nowhere(on_ec2, world, boot):
    text = f"""vars:
  password: {{help: p, sensitive: true}}
steps:
  - id: quiet
    sensitive: true
    env: {{PASSWORD: "${{vars.password}}"}}
    run: 'echo "out $PASSWORD"; echo "err $PASSWORD" >&2'
  - id: loud
    env: {{PASSWORD: "${{vars.password}}"}}
    optional: true
    run: 'echo "said $PASSWORD"; echo "$PASSWORD" >&2; exit 3'
  - id: file
    sensitive: true
    file: {{path: /elsewhere, content: "x ${{vars.password}}", mode: 0600}}
"""
    run = on_ec2.apply(text, *boot, "--var", f"password={SECRET}", code=0)
    assert SECRET not in run.text
    assert (on_ec2.tree / "elsewhere").read_text().count(SECRET) == 1
    (on_ec2.tree / "elsewhere").unlink()
    assert SECRET.encode() not in on_ec2.everything()
    assert SECRET not in str(world.history()) and SECRET not in "\n".join(world.requests())
    plan = on_ec2.run("plan", on_ec2.recipes / "recipe.yaml", "--var", f"password={SECRET}")
    assert SECRET not in plan.text


def test_role_keys_appear_nowhere(on_ec2, world):
    run = on_ec2.apply("steps: [{run: 'env; exit 1'}]\n", "--verbose", code=1)
    wait_until(lambda: world.tags().get("dsagent:status") == "failed", what="the tags")
    for secret in ("worldSecret/EXAMPLE", "IQoWorldSessionToken"):
        assert secret not in run.text and secret.encode() not in on_ec2.everything()


def test_the_environment_of_steps_is_clean(agent):
    out = agent.work / "env"
    agent.env["SURPRISE"] = "x"
    agent.apply(f"steps: [{{env: {{MINE: 'y z'}}, run: 'env > {out}'}}]\n")
    env = dict(line.split("=", 1) for line in out.read_text().splitlines() if "=" in line)
    assert "SURPRISE" not in env and env["MINE"] == "y z" and env["PATH"] and env["HOME"]


def test_a_step_that_crashes_is_only_its_own_failure(agent):
    agent.apply("steps:\n  - {id: k, on_error: continue, run: 'kill -SEGV $$'}\n  - {id: n, run: 'true'}\n", code=1)
    assert statuses(agent) == {"k": "failed", "n": "changed"}
    assert "signal" in agent.step("k")["error"].lower() or "SEGV" in agent.step("k")["error"]


def test_checks(agent):
    import socket
    server = socket.create_server(("127.0.0.1", 0))
    port = server.getsockname()[1]
    agent.apply(f"steps: [{{check: {{tcp: 127.0.0.1:{port}}}}}]\n")
    server.close()
    agent.apply(f"steps: [{{check: {{tcp: 127.0.0.1:{port}}}, timeout: 2s}}]\n", code=1)
    assert str(port) in agent.status()["error"]
    agent.apply("steps: [{check: {disk: 1M}}]\n")
    agent.apply("steps: [{check: {disk: 900000T}, timeout: 1s}]\n", code=1)
    agent.apply(f"steps: [{{check: {{command: 'test -e {agent.work}/absent'}}, timeout: 1s}}]\n", code=1)


def test_output_floods_are_bounded(agent):
    agent.apply("steps: [{run: 'yes flood | head -c 6000000; head -c 3000000 /dev/zero'}]\n", timeout=120)
    assert sum(p.stat().st_size for p in agent.tree.rglob("*") if p.is_file()) < 150_000_000
    assert agent.status_path.stat().st_size < 100_000


def test_no_child_is_left(agent):
    process = agent.start("apply", agent.recipe("steps: [{run: 'true'}]\n"))
    assert process.wait(20) == 0 and children_of(process.pid) == []


def test_messages_say_what_the_recipe_said(agent):
    """What a person reads of failed checks, retries and time limits; no words of ours between."""
    done = agent.apply("""steps:
  - {id: python, needs: [], optional: true, check: {python: [no_such_module]}}
  - {id: command, needs: [], optional: true, check: "exit 3"}
  - {id: waits, needs: [], optional: true, check: {path: /nope, wait: 1500ms}}
  - {id: again, needs: [], optional: true, retries: 1, retry_delay: 200ms, run: exit 4}
  - {id: disk, needs: [], optional: true, check: {disk: 900T}}
  - {id: late, needs: [], optional: true, timeout: 1s, run: exec sleep 9}
""")
    errors = {s["id"]: s["error"] for s in agent.status()["steps"]}
    assert errors["python"] == ("'python3: import no_such_module' ended with exit status 1: "
                                "ModuleNotFoundError: No module named 'no_such_module'")
    assert "900 TiB are needed" in errors["disk"]
    assert errors["command"] == "'exit 3' ended with exit status 3"
    assert errors["waits"].startswith("waited 1.5 s for /nope to exist"), errors
    assert errors["late"] == "'exec sleep 9' did not end within 1 s"
    assert "again: attempt 1 of 2 failed, trying again in 200 ms: " in done.text
