"""elastic_ip and tags where EC2 says no or later, off EC2, and in another region than AWS_REGION's."""

import pytest

TAGS = "recipe: t\nsteps: [{id: t, tags: {Team: vision}}]\n"
ADDRESS = "recipe: e\nsteps: [{id: e, elastic_ip: 192.0.2.7}]\n"


def test_set_left_alone_put_right(on_ec2, world):
    on_ec2.apply(TAGS, "--no-tags")
    assert world.tags() == {"Team": "vision"}
    calls = world.counters()["CreateTags"]
    assert "nothing to do" in on_ec2.apply(TAGS, "--no-tags").out and world.counters()["CreateTags"] == calls
    on_ec2.apply(TAGS.replace("vision", "speech"), "--no-tags")
    assert world.tags() == {"Team": "speech"}
    on_ec2.apply(TAGS, "--no-tags")
    assert world.tags() == {"Team": "vision"}


@pytest.mark.parametrize("kind, text, action", [
    ("CreateTags", TAGS, "CreateTags"), ("DescribeTags", TAGS, "DescribeTags"), ("other", ADDRESS, "DescribeAddresses")])
def test_a_denial_names_the_permission(on_ec2, world, kind, text, action):
    world.faults(f"{kind} status=403 code=UnauthorizedOperation message=no")
    done = on_ec2.apply(text, "--no-tags", code=1)
    assert f"allow ec2:{action} in the policy of the instance's role" in done.text, done


def test_throttling_is_sat_out(on_ec2, world):
    world.faults("CreateTags status=503 code=RequestLimitExceeded count=2", "DescribeTags status=503 code=RequestLimitExceeded count=1")
    on_ec2.apply(TAGS, "--no-tags")
    assert world.tags() == {"Team": "vision"} and world.counters()["CreateTags"] == 3


def test_off_ec2_the_reason_is_said(agent):
    for text in (TAGS, ADDRESS):
        assert "this is no EC2 instance that is known" in agent.apply(text, code=1).text
    agent.apply(TAGS.replace("id: t,", "id: t, when: facts.is_ec2,"))
    assert agent.step_status("t") == "skipped"


def test_calls_go_to_the_instances_own_region(on_ec2, world):
    """The world refuses a signature for another region than its own."""
    on_ec2.env["AWS_REGION"] = "ap-southeast-7"
    on_ec2.apply(TAGS, "--no-tags")
    assert world.tags() == {"Team": "vision"}
