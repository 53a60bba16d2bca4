"""`fleet`: the account's instances as a table, asked of moto; and the simulation of a thousand reporters."""

import datetime
import subprocess

import pytest

from harness import BUILD, Agent
from test_moto import instance  # noqa: F401  (a fixture)


def iso(minutes_ago):
    return (datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(minutes=minutes_ago)).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.fixture
def laptop(tmp_path, moto):  # noqa: F811
    agent = Agent(tmp_path)
    agent.env.update(AWS_ENDPOINT_URL_EC2=moto, AWS_ACCESS_KEY_ID="AKIATEST", AWS_SECRET_ACCESS_KEY="x", AWS_REGION="us-east-1")
    yield agent
    agent.close()


def launch(client, count, **tags):
    image = client.describe_images()["Images"][0]["ImageId"]
    found = client.run_instances(ImageId=image, MinCount=count, MaxCount=count, InstanceType="g4dn.xlarge")["Instances"]
    ids = [i["InstanceId"] for i in found]
    if tags:
        client.create_tags(Resources=ids, Tags=[{"Key": k if k == "Name" else f"dsagent:{k.replace('_', '-')}", "Value": v} for k, v in tags.items()])
    return ids


def test_a_table_of_80_columns(laptop, instance):  # noqa: F811
    client, plain = instance
    ready = launch(client, 1, Name="zeta", status="ready", progress="12/12 100% ready", recipe="daily-driver@3f9a1c2e", updated_at=iso(200),
                   gpu="ok 1x T4 driver 580.105.08 cuda 13.0")[0]
    failed = launch(client, 1, Name="trainer with a long name", status="failed", progress="6/12 50% failed", recipe="gpu@1", updated_at=iso(3),
                    error="step 7 'R' failed: package 'xgboost' did not load: libgomp.so.1 missing", bundle="s3://b/i/r.tar.gz")[0]
    at_work = launch(client, 1, Name="beta", status="running", progress="7/12 58% Python 3.11: installing 14 of 61 wheels", recipe="d@1", updated_at=iso(1))[0]
    silent = launch(client, 1, Name="alpha", status="running", progress="1/12 8% x", recipe="d@1", updated_at=iso(60))[0]
    off = launch(client, 1, Name="gone", status="ready", progress="1/1 100% ready", recipe="d@1", updated_at=iso(5))[0]
    client.stop_instances(InstanceIds=[off])
    run = laptop.run("fleet")
    lines = run.out.splitlines()
    assert all(len(line) <= 80 for line in lines), run
    assert plain not in run.out
    heads = [line.split()[0] for line in lines if line.startswith("i-")]
    assert heads == [failed, silent, at_work, ready, off]
    assert lines[:5] == [
        "INSTANCE            NAME          TYPE        STATUS      AGE  PROGRESS",
        f"{failed} trainer with  g4dn.xlarge failed      3m   6/12 50% failed",
        "  gpu@1, us-east-1a",
        "  ! step 7 'R' failed: package 'xgboost' did not load: libgomp.so.1 missing",
        "  > aws s3 cp s3://b/i/r.tar.gz .",
    ]
    assert lines[5] == f"  > aws ssm start-session --target {failed}; sudo dsagent logs"
    assert f"{at_work} beta          g4dn.xlarge running     " in run.out and "7/12 58% Python 3" in run.out
    assert "  ! no word for 60m" in run.out
    assert "  daily-driver@3f9a1c2e, us-east-1a, gpu ok 1x T4 driver 580.105.08 cuda 13.0" in lines
    assert lines[-1] == "5 instances: 1 failed, 1 silent, 1 at work, 1 ready, 1 off"


def test_json_pages_and_regions(laptop, instance, moto):  # noqa: F811
    client, _ = instance
    boto3 = pytest.importorskip("boto3")
    west = boto3.client("ec2", endpoint_url=moto, region_name="eu-west-1", aws_access_key_id="AKIATEST", aws_secret_access_key="x")
    launch(client, 250, status="ready", updated_at=iso(1))
    other = launch(west, 1, status="ready", updated_at="nonsense")[0]
    assert len(laptop.run("fleet", "--json", timeout=120).json()["instances"]) == 250
    both = laptop.run("fleet", "--json", "--region", "us-east-1", "--region", "eu-west-1", timeout=120).json()["instances"]
    assert len(both) == 251
    one = next(i for i in both if i["instance_id"] == other)
    assert one["region"] == "eu-west-1" and one["is"] == "ready" and "age_ms" not in one and one["error"] is None
    assert set(one) == {"instance_id", "region", "zone", "type", "state", "is", "name", "status", "progress", "error", "recipe", "gpu", "bundle",
                        "updated_at", "ready_at", "version"}


def test_none_and_no_permission(laptop, instance, world):  # noqa: F811
    assert laptop.run("fleet").out == "no instance here carries the tag dsagent:status\n"
    world.faults("other status=403 code=UnauthorizedOperation")
    run = laptop.run("fleet", code=3, env={"AWS_ENDPOINT_URL_EC2": world.url})
    assert "ec2:DescribeInstances (allow it" in run.err
    laptop.run("fleet", "--interval", "0s", code=2)


def test_watch_goes_on(laptop, instance):  # noqa: F811
    launch(instance[0], 1, status="running", updated_at=iso(0))
    process = laptop.start("fleet", "--watch", "--interval", "1s")
    from harness import wait_until
    wait_until(lambda: process.log.read_text().count("INSTANCE ") >= 2, 60, "the second look")
    assert process.poll() is None


def test_a_thousand_reporters_are_all_heard():
    done = subprocess.run([BUILD / "tests" / "fleet-sim"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done
    rows = [line.split("|") for line in done.stdout.splitlines()[2:]]
    assert [r[2].strip() for r in rows[:4]] == ["1000"] * 4
    # A thousand states through ten calls a second take 90 s at best; those of five minutes find room at once.
    assert all(float(r[5].split()[0]) < 120 for r in rows[:4]), done.stdout
    assert float(rows[0][3].split()[0]) < 5, done.stdout
