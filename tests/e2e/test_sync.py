"""sync, cp, ls and the sync step, against the world's S3."""

import json
import os

import pytest

from harness import wait_until
from s3 import files

SECRET = b"0123456789" * 100


@pytest.fixture
def bucket(box):
    return box.server.bucket()


def put(box, bucket, **objects):
    for key, body in objects.items():
        box.server.put(bucket, key.replace("__", "/"), body)


def summary(result):
    return {k: v for k, v in result.lines()[-1].items() if k in ("copied", "in_place", "deleted", "failed")}


def test_lines_of_a_download_and_an_upload(box, bucket):
    put(box, bucket, p__a=b"1", p__d__b=b"22")
    down = box.sync(f"s3://{bucket}/p", box.data)
    assert down.out.splitlines()[:-1] == [f"download: s3://{bucket}/p/a to /data/a",
                                          f"download: s3://{bucket}/p/d/b to /data/d/b"]
    assert down.out.splitlines()[-1].startswith("2 downloaded (3 B) in ")
    up = box.sync(box.data, f"s3://{bucket}/q/")
    assert sorted(up.out.splitlines()[:-1]) == [f"upload: /data/a to s3://{bucket}/q/a",
                                                f"upload: /data/d/b to s3://{bucket}/q/d/b"]
    assert box.server.objects(bucket, "q/") == {"a": b"1", "d/b": b"22"}
    assert summary(box.sync("--json", box.data, f"s3://{bucket}/q/")) == dict(copied=0, in_place=2, deleted=0, failed=0)


def test_a_dry_run_touches_nothing(box, bucket):
    put(box, bucket, a=b"1")
    result = box.sync("-n", f"s3://{bucket}", box.data)
    assert result.out.splitlines()[0] == f"(dryrun) download: s3://{bucket}/a to /data/a"
    assert result.out.splitlines()[1].startswith("1 to download (1 B)")
    assert not box.data.exists() and not (box.tree / "var").exists()


def test_what_is_equal_and_what_is_not(box, bucket):
    put(box, bucket, a=b"1111", b=b"2222", c=b"3333")
    url = f"s3://{bucket}"
    box.sync(url, box.data)
    assert summary(box.sync("--json", url, box.data))["copied"] == 0
    # Touched, changed here, changed there with the same size.
    os.utime(box.data / "a", (1, 1))
    (box.data / "b").write_bytes(b"xxxx")
    put(box, bucket, c=b"4444")
    assert summary(box.sync("--json", "--size-only", url, box.data))["copied"] == 0
    assert summary(box.sync("--json", "--checksum", "-n", url, box.data))["copied"] == 2
    assert summary(box.sync("--json", url, box.data)) == dict(copied=3, in_place=0, deleted=0, failed=0)
    assert files(box.data) == {"a": b"1111", "b": b"2222", "c": b"4444"}
    # Up again: a file that was only touched is read, not sent.
    os.utime(box.data / "a", (2, 2))
    (box.data / "b").write_bytes(b"yyyy")
    assert summary(box.sync("--json", box.data, url)) == dict(copied=1, in_place=2, deleted=0, failed=0)
    assert box.server.get(bucket, "b") == b"yyyy"


def test_a_damaged_index_is_told_and_replaced(box, bucket):
    put(box, bucket, a=b"1")
    box.sync(f"s3://{bucket}", box.data)
    index, = (box.tree / "var/lib/dsagent/s3").glob("*.index")
    index.write_bytes(index.read_bytes()[:-1] + b"!")
    result = box.sync(f"s3://{bucket}", box.data)
    assert "the index of earlier runs" in result.err and "it is damaged" in result.err
    assert "1 in place" in result.out
    assert box.sync(f"s3://{bucket}", box.data).err == ""


def test_filters_and_deleting(box, bucket):
    put(box, bucket, a__x=b"1", b=b"2")
    for name in ("a/y", "old", "keep.log", "a/z.log"):
        (box.data / name).parent.mkdir(parents=True, exist_ok=True)
        (box.data / name).write_bytes(b"here")
    url = f"s3://{bucket}"
    assert summary(box.sync("--json", url, box.data))["deleted"] == 0
    result = box.sync("--delete", "--exclude", "*.log", "--include", "a/*.log", url, box.data)
    assert sorted(l for l in result.out.splitlines() if l.startswith("delete")) == \
        ["delete: /data/a/y", "delete: /data/a/z.log", "delete: /data/old"]
    assert files(box.data) == {"a/": None, "a/x": b"1", "b": b"2", "keep.log": b"here"} or \
        set(files(box.data)) >= {"a/x", "b", "keep.log"}
    box.sync("--delete", box.data, url)
    assert set(box.server.keys(bucket)) == {"a/x", "b", "keep.log"}
    (box.data / "b").unlink()
    box.sync("--delete", box.data, url)
    assert set(box.server.keys(bucket)) == {"a/x", "keep.log"}


def test_deleting_has_a_guard(box, bucket):
    box.data.mkdir()
    for i in range(150):
        (box.data / f"f{i}").write_bytes(b"")
    url = f"s3://{bucket}/none/"
    assert "the source is empty" in box.sync("--delete", url, box.data, code=1).err
    put(box, bucket, none__a=b"1")
    result = box.sync("--delete", url, box.data, code=1)
    assert "150 of 150 files of the destination are not in the source" in result.err and "--max-delete 150" in result.err
    assert len(files(box.data)) == 151
    box.sync("--delete", "--max-delete", "150", url, box.data)
    assert files(box.data) == {"a": b"1"}
    assert box.sync(box.work / "absent", url, code=1).err.startswith("dsagent: the source: cannot open ")


def test_places_that_are_taken(box, bucket):
    """With --delete a stale folder or file of the wrong kind makes room, without it is told."""
    put(box, bucket, a=b"1", b__c=b"2")
    (box.data / "a/deep").mkdir(parents=True)
    (box.data / "a/deep/stale").write_bytes(b"")
    (box.data / "b").write_bytes(b"")
    url = f"s3://{bucket}"
    result = box.sync(url, box.data, code=1)
    assert "a folder of that name is in its place" in result.err
    assert "a file or link is in the place of the folder 'b'" in result.err
    box.sync("--delete", url, box.data)
    assert files(box.data)["a"] == b"1" and files(box.data)["b/c"] == b"2"


def test_one_sync_of_two_at_a_time(box, bucket, s3, world):
    put(box, bucket, a=SECRET)
    world.faults("GetObject stall count=1")
    first = box.start("sync", f"s3://{bucket}", "/data")
    locks = box.tree / "var/lib/dsagent/s3"
    wait_until(lambda: [p for p in locks.glob("*.lock") if p.read_text() == f"{first.pid}\n"], 30, "the first to begin")
    second = box.sync(f"s3://{bucket}", box.data, code=3)
    assert f"process {first.pid} syncs /data with s3://{bucket}/ already" in second.err
    first.terminate()
    assert first.wait(60) == 128 + 15
    assert not box.temporaries() and "a" not in files(box.data)
    box.sync(f"s3://{bucket}", box.data)


@pytest.mark.parametrize("args, said", [
    (("a", "b"), "one of SRC and DST must be s3://BUCKET/PREFIX"),
    (("s3://a/", "s3://b/"), "from S3 to S3 is not supported"),
    (("s3://bucket", "d", "--size-only", "--checksum"), "exclude each other"),
    (("s3://bucket", "d", "--max-delete", "3"), "--max-delete belongs to --delete"),
    (("s3://bucket", "d", "--no-follow-symlinks"), "belongs to an upload"),
    (("s3://arn:aws:s3:::x", "d"), "is an ARN"),
])
def test_wrong_usage(box, args, said):
    result = box.sync(*args, code=2)
    assert said in result.err and result.out == ""


def test_cp(box, bucket):
    (box.tree / "f").write_bytes(SECRET)
    box.run("cp", "/f", f"s3://{bucket}/x/")
    box.run("cp", "/f", f"s3://{bucket}/y")
    assert box.server.keys(bucket) == ["x/f", "y"]
    assert box.run("cp", f"s3://{bucket}/y", "/sub/g").out.splitlines()[0] == f"download: s3://{bucket}/y to /sub/g"
    assert box.run("cp", f"s3://{bucket}/y", "/sub/").out.splitlines()[0] == f"download: s3://{bucket}/y to /sub/y"
    assert (box.tree / "sub/g").read_bytes() == (box.tree / "sub/y").read_bytes() == SECRET
    assert box.run("cp", f"s3://{bucket}/y", "-").out == SECRET.decode()
    box.run("cp", "-", f"s3://{bucket}/z", stdin="from a pipe")
    assert box.server.get(bucket, "z") == b"from a pipe"
    box.run("cp", "-r", f"s3://{bucket}/", "/all", "--exclude", "*", "--include", "x/*")
    assert files(box.tree / "all")["x/f"] == SECRET and "y" not in files(box.tree / "all")
    absent = box.run("cp", f"s3://{bucket}/absent", "/h", code=1)
    assert absent.err.startswith(f"failed: download: s3://{bucket}/absent to /h: ") and not (box.tree / "h").exists()
    assert "say --recursive" in box.run("cp", f"s3://{bucket}/x/", "/h", code=2).err
    assert "is a folder" in box.run("cp", "/sub", f"s3://{bucket}/x", code=2).err


def test_ls(box, bucket):
    put(box, bucket, d__a=b"1" * 1500, d__e__b=b"22", z=b"")
    assert bucket in box.run("ls").out
    # An empty variable is none: the option alone says where.
    assert bucket in box.run("ls", "--endpoint-url", box.server.url, "--region", "us-east-1",
                             env={"AWS_ENDPOINT_URL_S3": "", "AWS_REGION": ""}).out
    lines = [line.split() for line in box.run("ls", f"s3://{bucket}").out.splitlines()]
    assert lines[0] == ["PRE", "d/"] and lines[1][2:] == ["0", "z"]
    result = box.run("ls", "-r", "--human-readable", "--summarize", f"s3://{bucket}/d/").out.splitlines()
    assert [line.split(None, 2)[2] for line in result[:2]] == ["1.5 KB d/a", "2 B d/e/b"] or \
        [" ".join(line.split()[2:]) for line in result[:2]] == ["1.5 KB d/a", "2 B d/e/b"]
    assert result[3:] == ["Total Objects: 2", "   Total Size: 1.5 KB"]
    objects = box.run("ls", "--json", "-r", f"s3://{bucket}").lines()
    assert [(o["type"], o["key"], o["size"]) for o in objects] == \
        [("object", "d/a", 1500), ("object", "d/e/b", 2), ("object", "z", 0)]
    assert box.run("ls", f"s3://{bucket}/none", code=1).out == ""


@pytest.mark.parametrize("fault, args", [
    ("ListBuckets status=400 code=ExpiredToken", ()),
    ("ListBuckets status=400 code=InvalidArgument", ()),
    ("ListObjectsV2 status=400 code=ExpiredToken", ("s3://bkt",)),
    ("ListObjectsV2 status=400 code=InvalidArgument", ("s3://bkt",)),
])
def test_what_s3_refuses_is_not_wrong_usage(box, world, fault, args):
    world.faults(fault)
    assert "HTTP 400 " + fault.rpartition("=")[2] in box.run("ls", *args, code=1).err
    assert box.run("ls", "--endpoint-url", "nonsense", *args, code=2).err


@pytest.mark.parametrize("config", [
    "[default]\nendpoint_url = {url}\nregion = us-east-1\n",
    "[default]\nendpoint_url = http://127.0.0.1:1\nregion = us-east-1\nservices = here\n[services here]\ns3 =\n  endpoint_url = {url}\n",
])
def test_the_shared_config_may_name_the_endpoint(box, bucket, config):
    put(box, bucket, a=b"1")
    (box.home / ".aws").mkdir()
    (box.home / ".aws/config").write_text(config.format(url=box.server.url))
    nothing = {"AWS_ENDPOINT_URL_S3": "", "AWS_REGION": ""}
    assert bucket in box.run("ls", env=nothing).out
    assert summary(box.sync("--json", f"s3://{bucket}", box.data, env=nothing))["copied"] == 1


STEP = """recipe: r
steps:
  - name: Data
    sync: {{from: "s3://{bucket}/d/", to: /data{more}}}
"""


def test_the_step(box, bucket):
    put(box, bucket, d__a=b"1" * 1000, d__e__b=b"22", other=b"")
    text = STEP.format(bucket=bucket, more=", mode: 0640")
    plan = box.run("plan", str(box.recipe(text)))
    assert f"download 2 objects (1.0 KB) from s3://{bucket}/d/ to /data" in plan.out.replace("1 KB", "1.0 KB")
    assert not (box.tree / "data").exists()
    assert "downloaded 2 files" in box.run("apply", str(box.recipe(text))).text
    assert files(box.tree / "data")["e/b"] == b"22"
    assert (box.tree / "data/e/b").stat().st_mode & 0o7777 == 0o640
    assert (box.tree / "data/e").stat().st_mode & 0o7777 == 0o750
    manifest = json.loads((box.tree / "var/lib/dsagent/manifest.json").read_text())["sync"]["/data"]
    assert manifest["objects"] == 2 and manifest["bytes"] == 1002 and sorted(manifest["etags"]) == ["a", "e/b"]
    assert "in place" in box.run("plan", str(box.recipe(text))).out
    os.chmod(box.tree / "data/a", 0o600)
    assert "set owner and mode of 1 files in /data" in box.run("plan", str(box.recipe(text))).out
    box.run("apply", str(box.recipe(text)))
    assert (box.tree / "data/a").stat().st_mode & 0o7777 == 0o640


def test_the_step_fails_when_there_is_nothing_or_not_all(box, bucket):
    text = STEP.format(bucket=bucket, more="")
    assert f"s3://{bucket}/d/ holds nothing" in box.run("apply", str(box.recipe(text)), code=1).text
    put(box, bucket, d__a=b"1", d__a__b=b"2", d__ok=b"3")
    failed = box.run("apply", str(box.recipe(text)), code=1)
    assert "there is an object 'a/b' too" in failed.text
    assert (box.tree / "data/ok").read_bytes() == b"3"


def test_the_step_checks_the_disk_first(box, bucket, world):
    world.objects(bucket, "key=d/huge size=4000000000000000")
    text = STEP.format(bucket=bucket, more="")
    assert "nothing was downloaded" in box.run("apply", str(box.recipe(text)), code=1).text
    assert not any("GetObject" in line for line in world.requests())
