"""Commands, help and exit codes: PRODUCT.md, "Commands"."""

import re
import signal
import subprocess

import pytest

from harness import tree_hash, wait_until

VERBS = ["apply", "plan", "validate", "status", "wait", "logs", "report", "doctor", "sync", "cp", "ls", "bundle", "boot", "userdata",
         "facts", "fleet", "explain", "schema", "clean", "version"]


def test_help_lists_the_commands(agent):
    assert re.findall(r"^  ([a-z]+)  ", agent.run("--help").out, re.M) == VERBS


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_with_an_example(agent, verb):
    before = tree_hash(agent.tree)
    run = agent.run(verb, "--help")
    assert run.out.startswith(f"Usage: dsagent {verb}") and "Example:\n" in run.out and run.err == ""
    assert tree_hash(agent.tree) == before


@pytest.mark.parametrize("args, says", [
    (["aply"], "apply"),
    (["frobnicate"], "frobnicate"),
    (["apply", "--frequenzy"], "--frequenzy"),
    (["apply", "--no-tagz"], "--no-tags"),
    (["apply", "--jobs", "0", "x"], "jobs"),
    (["apply", "--var"], "--var"),
    (["status", "extra"], "extra"),
    (["explain", "pakages"], "packages"),
    (["apply", "no-such-recipe"], "no-such-recipe"),
])
def test_usage_errors_are_2_and_touch_nothing(agent, args, says):
    before = tree_hash(agent.tree)
    run = agent.run(*args, code=2)
    assert says in run.text, run
    assert tree_hash(agent.tree) == before


def test_version_is_one_line_and_json(agent):
    text = agent.run("version").out
    assert text.count("\n") >= 1 and text.startswith("dsagent ")
    assert agent.run("version", "--json").json()["version"] in text


def test_facts_are_those_of_the_tree(agent):
    facts = agent.run("facts", "--json").json()
    assert (facts["os"], facts["os_version"]) == ("debian", "12"), facts
    assert "debian" in agent.run("facts").out


def test_schema_is_json_and_knows_the_steps(agent):
    schema = agent.run("schema").json()
    assert "2020-12" in schema["$schema"]
    text = str(schema)
    for word in ("packages", "python", "run", "file", "check", "needs", "background", "on_error"):
        assert f"'{word}'" in text, word


def test_explain_prints_the_manual(agent):
    text = agent.run("explain", "file").out
    assert "content" in text and "mode" in text


def test_exit_codes_of_runs(agent):
    assert agent.apply("steps: [{run: 'true'}]\n").code == 0
    agent.apply("steps: [{run: 'exit 7'}]\n", code=1)
    agent.apply("steps: [{run: 'exit 7', optional: true}]\n", code=0)
    agent.apply("steps: [{runn: 'true'}]\n", code=2)


def test_interrupted_by_a_signal_is_128_plus_n(agent):
    for number in (signal.SIGTERM, signal.SIGINT):
        mark = agent.work / f"at-{number}"
        process = agent.start("apply", agent.recipe(f"steps: [{{run: 'touch {mark}; sleep 60'}}]\n"))
        wait_until(mark.exists, what="the step to start")
        process.send_signal(number)
        assert process.wait(20) == 128 + number
        assert agent.status()["status"] == "interrupted"


def test_busy_with_no_wait_is_3(agent):
    mark = agent.work / "started"
    agent.start("apply", agent.recipe(f"steps: [{{run: 'touch {mark}; sleep 60'}}]\n"))
    wait_until(mark.exists, what="the step to start")
    run = agent.run("apply", "--no-wait", agent.recipe("steps: [{run: 'true'}]\n", "other.yaml"), code=3, timeout=10)
    assert "another dsagent" in run.text and "pid" in run.text


def test_a_second_apply_waits_for_the_first(agent):
    mark = agent.work / "started"
    first = agent.start("apply", agent.recipe(f"steps: [{{run: 'touch {mark}; sleep 2'}}]\n"))
    wait_until(mark.exists, what="the step to start")
    agent.run("apply", agent.recipe("steps: [{run: 'true'}]\n", "other.yaml"), timeout=30)
    assert first.poll() == 0


def test_state_that_cannot_be_written_is_3(agent):
    (agent.tree / "var/lib").mkdir(parents=True)
    (agent.tree / "var/lib/dsagent").write_text("a file is in the way\n")
    run = agent.apply("steps: [{run: 'true'}]\n", code=3)
    assert "/var/lib/dsagent" in run.text


@pytest.mark.parametrize("args", [["status"], ["logs"], ["report"], ["facts", "--json"], ["bundle"], ["bundle", "-o", "-"]])
def test_output_that_cannot_be_written_is_no_success(agent, args):
    agent.apply("steps: [{run: 'echo one'}]\n")
    with open("/dev/full", "w") as full:
        done = subprocess.run(agent.argv(*args), env=agent.env, cwd=agent.work, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (3, "dsagent: cannot write to stdout: No space left on device\n")


@pytest.mark.parametrize("args", [[], ["--recursive"], ["--json"]])
def test_a_listing_on_a_full_disk_is_no_success(box, world, args):
    world.bucket("bkt")
    world.objects("bkt", "count=3000 size=10")
    argv = box.argv("ls", "s3://bkt/", *args)
    with open("/dev/full", "w") as full:
        done = subprocess.run(argv, env=box.env, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (3, "dsagent: cannot write all of it to stdout: is there space left?\n")
    process = subprocess.Popen(argv, env=box.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.read(10)
    process.stdout.close()  # as head(1) does
    assert (process.wait(60), process.stderr.read()) == (0, b"")


def test_plan_detailed_exitcode(agent):
    recipe = agent.recipe("steps: [{file: {path: /etc/x, content: y}}]\n")
    agent.run("plan", recipe, code=0)
    agent.run("plan", "--detailed-exitcode", recipe, code=5)
    agent.run("apply", recipe)
    agent.run("plan", "--detailed-exitcode", recipe, code=0)
