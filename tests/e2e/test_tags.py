"""Tags on the own instance: PRODUCT.md, "Reporting". They never decide how a run ends."""

import re
import socket
import time

import pytest

from harness import Agent, wait_until

OK = "recipe: tagged\nsteps:\n  - {name: One, run: 'true'}\n  - {name: Two, run: 'true'}\n"
BAD = "recipe: tagged\nsteps:\n  - {name: One, run: 'true'}\n  - {name: R, run: 'echo no libgomp >&2; exit 1'}\n"
ISO = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"


def final(world, status, seconds=30):
    wait_until(lambda: world.tags().get("dsagent:status") == status, seconds, f"the tag {status}: {world.tags()}")
    return world.tags()


def test_the_tags_of_a_good_run(on_ec2, world):
    on_ec2.apply(OK)
    tags = final(world, "ready")
    assert set(tags) <= {f"dsagent:{k}" for k in ("status", "progress", "error", "recipe", "gpu", "updated-at", "ready-at", "version")}
    assert re.fullmatch(r"2/2 100%.*", tags["dsagent:progress"]), tags
    assert re.fullmatch(r"tagged@[0-9a-f]{8}", tags["dsagent:recipe"])
    assert re.fullmatch(ISO, tags["dsagent:updated-at"]) and re.fullmatch(ISO, tags["dsagent:ready-at"])
    assert tags["dsagent:version"] == on_ec2.run("version", "--json").json()["version"]
    assert tags.get("dsagent:error", "") == ""
    for key, value in tags.items():
        assert re.fullmatch(r"[a-z:-]+", key) and len(value) <= 256
    assert world.history()[0]["tags"]["dsagent:status"] == "running"
    assert world.history()[0]["resource"] == "i-0abc123def4567890"


def test_the_tags_of_a_failed_run_and_of_the_good_one_after_it(on_ec2, world):
    on_ec2.apply(BAD, code=1)
    tags = final(world, "failed")
    assert tags["dsagent:error"].startswith("step 2 'R' failed: ") and "no libgomp" in tags["dsagent:error"]
    assert "dsagent:ready-at" not in tags or tags["dsagent:ready-at"] == ""
    on_ec2.apply(OK)
    assert final(world, "ready").get("dsagent:error", "") == ""


def test_warnings_and_interruption(on_ec2, world):
    on_ec2.apply("steps: [{name: W, optional: true, run: 'exit 1'}]\n")
    final(world, "ready-with-warnings")
    mark = on_ec2.work / "mark"
    process = on_ec2.start("apply", on_ec2.recipe(f"steps: [{{run: 'touch {mark}; sleep 100'}}]\n"))
    wait_until(mark.exists)
    process.terminate()
    assert process.wait(30) == 128 + 15
    final(world, "interrupted")


def test_long_and_strange_texts_are_cut_at_a_character(on_ec2, world):
    on_ec2.apply("recipe: long\nsteps:\n  - {name: Ünïcödé, run: 'printf \"%0.sß€😀\" $(seq 500) >&2; exit 1'}\n", code=1)
    error = final(world, "failed")["dsagent:error"]
    assert len(error) <= 256 and "�" not in error and "Ünïcödé" in error


def test_history_shows_progress(on_ec2, world):
    # States are sent at once, what moves in between at most every 15 s.
    on_ec2.apply("recipe: slow\nsteps:\n  - {name: One, run: 'sleep 1'}\n  - {name: Two, run: 'sleep 18'}\n", timeout=60)
    final(world, "ready")
    progress = [h["tags"]["dsagent:progress"] for h in world.history() if "dsagent:progress" in h["tags"]]
    assert any("Two" in p and p.startswith("1/2") for p in progress), progress
    assert progress[-1].startswith("2/2 100%")
    assert len(world.history()) <= 6


def test_few_calls_for_many_steps(on_ec2, world):
    on_ec2.apply("steps:\n" + "".join(f"  - {{id: s{n}, run: 'true'}}\n" for n in range(100)))
    final(world, "ready")
    assert world.counters()["CreateTags"] <= 5


def test_throttled_then_fine(on_ec2, world):
    # Six, for the time it takes: twenty are a unit test's, with shorter waits.
    world.faults("CreateTags status=503 code=RequestLimitExceeded count=6")
    run = on_ec2.apply(OK)
    assert run.seconds < 15
    final(world, "ready", 120)
    assert world.counters()["CreateTags"] > 6


def test_denied_is_one_warning(on_ec2, world):
    world.faults("CreateTags status=403 code=UnauthorizedOperation")
    run = on_ec2.apply(OK)
    assert run.text.count("UnauthorizedOperation") + run.text.count("ec2:CreateTags") >= 1, run
    assert len([line for line in run.text.splitlines() if "CreateTags" in line]) == 1, run
    time.sleep(3)
    assert 1 <= world.counters()["CreateTags"] <= 3 and world.tags() == {}
    assert on_ec2.status()["status"] in ("ready", "ready-with-warnings")
    on_ec2.apply(BAD, code=1)


@pytest.mark.parametrize("config", ["role=none", "creds_code=AssumeRoleUnauthorizedAccess", "secret_key=x"])
def test_no_usable_role(on_ec2, world, config):
    if config.startswith("secret_key"):  # the world checks with the old one: a wrong signature
        world.faults("CreateTags status=403 code=SignatureDoesNotMatch")
    else:
        world.config(config)
    run = on_ec2.apply(OK)
    assert run.seconds < 20 and world.tags() == {}
    assert len([line for line in run.text.splitlines() if "tags" in line.lower()]) >= 1, run
    on_ec2.apply(BAD, code=1)


def test_unreachable_api(on_ec2, world):
    with socket.socket() as s:  # a port with nobody behind it
        s.bind(("127.0.0.1", 0))
        on_ec2.env["AWS_ENDPOINT_URL_EC2"] = f"http://127.0.0.1:{s.getsockname()[1]}"
        run = on_ec2.apply(OK)
        assert run.seconds < 20 and on_ec2.status()["status"] in ("ready", "ready-with-warnings")
        on_ec2.apply(BAD, code=1)


@pytest.mark.parametrize("fault", ["stall", "garbage", "html", "reset=30", "truncated=20", "status=500", "reset=0"])
def test_what_the_api_does_does_not_matter(on_ec2, world, fault):
    world.faults(f"CreateTags {fault}")
    run = on_ec2.apply(OK)
    assert run.seconds < 20 and on_ec2.status()["status"] in ("ready", "ready-with-warnings")
    on_ec2.apply(BAD, code=1)


def test_skewed_clock_is_learnt_from_the_answer(on_ec2, world):
    world.faults("CreateTags skew=7200")
    on_ec2.apply(OK)
    final(world, "ready", 60)


def test_expired_credentials_are_used_on(on_ec2, world):
    world.faults("creds expired")
    on_ec2.apply(OK)
    final(world, "ready", 60)


def test_no_tags_and_off_ec2(on_ec2, world, tmp_path):
    on_ec2.apply(OK, "--no-tags")
    time.sleep(0.5)
    assert world.counters()["CreateTags"] == 0
    elsewhere = Agent(tmp_path / "elsewhere")
    run = elsewhere.apply(OK)
    assert "tag" not in run.err.lower() and run.seconds < 5
    elsewhere.close()
