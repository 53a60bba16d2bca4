"""The instance metadata service as it misbehaves: late, moody, off, broken."""

import time

import pytest

from harness import wait_until

OK = "recipe: meta\nsteps: [{name: One, run: 'true'}]\n"


def tagged(world, seconds=40):
    wait_until(lambda: world.tags().get("dsagent:status") == "ready", seconds, "the tag ready")


def test_facts_come_from_it(on_ec2, world):
    facts = on_ec2.run("facts", "--json").json()
    text = str(facts)
    for value in ("i-0abc123def4567890", "t3.medium", "us-east-1", "us-east-1a", "on-demand", "ami-0123456789abcdef0"):
        assert value in text, value
    assert world.counters()["token"] == 1 and world.counters()["connections"] <= 3
    on_ec2.apply('steps: [{when: facts.instance_type == "t3.medium", run: "true"}]\n')
    assert on_ec2.status()["steps"][0]["status"] == "changed"


@pytest.mark.parametrize("fault", ["any reset=0 for=4000", "token status=503 for=4000", "metadata status=503 for=3000",
                                   "any status=429 for=2000", "token stall for=1000"])
def test_late_by_seconds_at_boot(on_ec2, world, fault):
    world.faults(fault)
    on_ec2.apply(OK, "--boot", timeout=90)
    tagged(world)


def test_by_hand_nobody_waits_for_it(on_ec2, world):
    world.faults("any reset=0")
    run = on_ec2.apply(OK)
    assert run.seconds < 10 and on_ec2.status()["status"] in ("ready", "ready-with-warnings")


def test_a_fact_that_metadata_withholds_is_no_empty_text(on_ec2, world):
    world.faults("metadata status=503")
    for recipe in ("steps: [{run: 'echo ${facts.region} > made'}]\n", "steps: [{when: facts.region == 'x', run: 'true'}]\n"):
        run = on_ec2.apply(recipe, code=2)
        assert "facts.region is not known" in run.text and "metadata" in run.text
    assert not (on_ec2.work / "made").exists()


def test_tokens_lost_in_mid_run(on_ec2, world):
    mark, go = on_ec2.work / "mark", on_ec2.work / "go"
    process = on_ec2.start("apply", on_ec2.recipe(
        f"recipe: meta\nsteps: [{{run: 'touch {mark}; while [ ! -e {go} ]; do sleep 0.05; done'}}]\n"))
    wait_until(mark.exists)
    world.forget_tokens()
    go.touch()
    assert process.wait(30) == 0
    tagged(world)


@pytest.mark.parametrize("fault", ["metadata status=401 count=1", "creds status=401 count=1", "creds status=503 count=2",
                                   "metadata reset=40 count=1", "creds truncated=30 count=1", "any delay=300"])
def test_passing_trouble_does_not_matter(on_ec2, world, fault):
    world.faults(fault)
    on_ec2.apply(OK, timeout=60)
    tagged(world)


@pytest.mark.parametrize("fault", ["any status=403", "any garbage", "any html", "any stall", "metadata garbage", "creds garbage",
                                   "creds html", "metadata truncated=5", "any status=404", "any status=500"])
def test_lasting_trouble_does_not_break_the_work(on_ec2, world, fault):
    world.faults(fault)
    run = on_ec2.apply(OK, timeout=60)
    assert run.seconds < 25, run
    assert on_ec2.status()["status"] in ("ready", "ready-with-warnings") and world.tags() == {}
    assert "\x1b[31m" not in run.text and "\x01" not in run.text


def test_off_is_said_and_not_waited_for(on_ec2, world):
    world.config("metadata=off")
    run = on_ec2.apply(OK, "--boot", timeout=60)
    assert run.seconds < 15, run.seconds
    assert "403" in run.text or "disabled" in run.text or "off" in run.text, run


def test_it_is_never_asked_through_a_proxy(on_ec2, world):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        on_ec2.env[name] = "http://127.0.0.1:9"
    on_ec2.env.pop("no_proxy")
    on_ec2.env.pop("NO_PROXY")
    facts = on_ec2.run("facts", "--json")
    assert "i-0abc123def4567890" in facts.out


def test_a_new_instance_runs_its_steps_again(on_ec2, world):
    text = f"steps: [{{frequency: instance, run: 'echo x >> {on_ec2.work}/count'}}]\n"
    count = lambda: len((on_ec2.work / "count").read_text().split())
    on_ec2.apply(text)
    on_ec2.apply(text)
    assert count() == 1
    world.metadata("meta-data/instance-id i-0fedcba9876543210")
    on_ec2.apply(text)
    assert count() == 2
    time.sleep(0.1)
    assert wait_until(lambda: world.history()[-1]["resource"] == "i-0fedcba9876543210")
