"""EC2 by moto: an implementation that is not ours understands our CreateTags, and we its DescribeTags."""

import os
import time

import pytest

from harness import Agent, http, wait_until

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


def test_tags_arrive_at_moto(tmp_path, world, moto, instance):
    client, ident = instance
    world.metadata(f"meta-data/instance-id {ident}")
    agent = Agent(tmp_path, world)
    agent.env["AWS_ENDPOINT_URL_EC2"] = moto

    def tags():
        found = client.describe_tags(Filters=[{"Name": "resource-id", "Values": [ident]}])["Tags"]
        return {t["Key"]: t["Value"] for t in found}

    agent.apply("recipe: moto\nsteps:\n  - {name: 'Ünï & <x> + %41', run: 'echo \"a=b&c +d\" >&2; exit 1'}\n", code=1)
    wait_until(lambda: tags().get("dsagent:status") == "failed", 30, "the tags")
    assert "Ünï & <x> + %41" in tags()["dsagent:error"] and "a=b&c +d" in tags()["dsagent:error"]
    agent.apply("recipe: moto\nsteps: [{run: 'true'}]\n")
    wait_until(lambda: tags().get("dsagent:status") == "ready", 30, "the tags")
    assert tags()["dsagent:progress"].startswith("1/1 100%") and tags()["dsagent:recipe"].startswith("moto@")
    time.sleep(0.1)
    agent.close()
