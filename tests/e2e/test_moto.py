"""EC2 by moto: an implementation that is not ours understands our calls, and we its answers: tags, Elastic IP addresses."""

import os
import time

import pytest

from harness import Agent, http, wait_until
from steps_table import add

boto3 = pytest.importorskip("boto3")


@pytest.fixture
def instance(moto, monkeypatch):
    for name in list(os.environ):
        if name.startswith("AWS_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    client = boto3.client("ec2", endpoint_url=moto, region_name="us-east-1", aws_access_key_id="AKIATEST", aws_secret_access_key="x")
    image = client.describe_images()["Images"][0]["ImageId"]
    ident = client.run_instances(ImageId=image, MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]
    return client, ident


@pytest.fixture
def at_moto(tmp_path, world, moto, instance):
    """An agent on moto's instance: metadata by the world, EC2 by moto."""
    world.metadata(f"meta-data/instance-id {instance[1]}")
    agent = Agent(tmp_path, world)
    agent.env["AWS_ENDPOINT_URL_EC2"] = moto
    yield agent
    agent.close()


def tags_of(client, ident):
    found = client.describe_tags(Filters=[{"Name": "resource-id", "Values": [ident]}])["Tags"]
    return {t["Key"]: t["Value"] for t in found}


def test_tags_arrive_at_moto(at_moto, instance):
    agent = at_moto

    def tags():
        return tags_of(*instance)

    agent.apply("recipe: moto\nsteps:\n  - {name: 'Ünï & <x> + %41', run: 'echo \"a=b&c +d\" >&2; exit 1'}\n", code=1)
    wait_until(lambda: tags().get("dsagent:status") == "failed", 30, "the tags")
    assert "Ünï & <x> + %41" in tags()["dsagent:error"] and "a=b&c +d" in tags()["dsagent:error"]
    agent.apply("recipe: moto\nsteps: [{run: 'true'}]\n")
    wait_until(lambda: tags().get("dsagent:status") == "ready", 30, "the tags")
    assert tags()["dsagent:progress"].startswith("1/1 100%") and tags()["dsagent:recipe"].startswith("moto@")


def test_extra_tags(at_moto, instance):
    client, ident = instance
    client.create_tags(Resources=[ident], Tags=[{"Key": "Theirs", "Value": "stays"}, {"Key": "Team", "Value": "old"}])
    text = "recipe: t\nsteps: [{id: t, tags: {Team: vision, 'Cost centre': '4 & 2', Empty: ''}}]\n"
    plan = at_moto.run("plan", at_moto.recipe(text)).out
    assert "change tag Team from 'old' to 'vision'" in plan and "set tag Cost centre to '4 & 2'" in plan, plan
    at_moto.apply(text, "--no-tags")
    assert tags_of(client, ident) == {"Theirs": "stays", "Team": "vision", "Cost centre": "4 & 2", "Empty": ""}
    assert "nothing to do" in at_moto.apply(text, "--no-tags").out
    client.delete_tags(Resources=[ident], Tags=[{"Key": "Empty"}])
    client.create_tags(Resources=[ident], Tags=[{"Key": "Team", "Value": "x"}])
    at_moto.apply(text, "--no-tags")
    assert tags_of(client, ident)["Team"] == "vision" and tags_of(client, ident)["Empty"] == ""


def test_elastic_ip(at_moto, instance):
    client, ident = instance
    ours = client.allocate_address(Domain="vpc")
    text = "recipe: e\nsteps: [{id: e, elastic_ip: %s}]\n"

    def holder():
        return client.describe_addresses(AllocationIds=[ours["AllocationId"]])["Addresses"][0].get("InstanceId", "")

    by_id, by_ip = text % ours["AllocationId"], text % ours["PublicIp"]
    assert f"associate {ours['PublicIp']} with this instance" in at_moto.run("plan", at_moto.recipe(by_id)).out
    at_moto.apply(by_id, "--no-tags")
    assert holder() == ident
    assert "nothing to do" in at_moto.apply(by_id, "--no-tags").out
    assert "nothing to do" in at_moto.apply(by_ip, "--no-tags").out
    # Taken away: put right.
    client.disassociate_address(PublicIp=ours["PublicIp"])
    at_moto.apply(by_ip, "--no-tags")
    assert holder() == ident
    add("elastic_ip", "disassociated")
    # Another instance's is not taken unless that is said.
    client.disassociate_address(PublicIp=ours["PublicIp"])
    image = client.describe_images()["Images"][0]["ImageId"]
    other = client.run_instances(ImageId=image, MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]
    client.associate_address(AllocationId=ours["AllocationId"], InstanceId=other)
    done = at_moto.apply(by_id, "--no-tags", code=1)
    assert f"is associated with {other} and stays there" in done.text and "reassociate: true" in done.text and holder() == other
    at_moto.apply(text % f"{{address: {ours['AllocationId']}, reassociate: true}}", "--no-tags")
    assert holder() == ident
    done = at_moto.apply(text % "eipalloc-00000000000000000", "--no-tags", code=1)
    assert "the account has no Elastic IP address eipalloc-00000000000000000" in done.text
