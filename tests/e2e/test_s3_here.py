"""S3 on a bad day of this machine: its disk, its files, its pipes, its users. And what is told of it."""

import json
import os
import select
import signal
import subprocess

import pytest

from harness import S3_SECRET, S3_TOKEN, tree_lines, wait_until
from s3 import files, fill
from s3_fixtures import is_equal, made

MB = 1_000_000


@pytest.fixture
def in_memory(box):
    """Makes the box's folder a tmpfs; "0" is one without a limit."""
    if os.geteuid() != 0:
        pytest.skip("mounting a tmpfs needs root")
    box.data.mkdir()
    yield lambda size: subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(box.data)], check=True)
    subprocess.run(["umount", str(box.data)], check=True)


def test_a_full_disk_stops_at_once(box, world, in_memory):
    """aws-cli #1442: goes on for hours."""
    made(world, "prefix=d/ count=200 size=200000")
    in_memory("4m")
    result = box.sync("s3://bkt/", box.data, code=1, timeout=120)
    assert "space" in result.err.lower(), result
    assert world.counters()["GetObject"] < 150 and box.temporaries() == []
    manifest = {line.rsplit(" ", 1)[1]: line.rsplit(" ", 1)[0] for line in world.manifest("bkt").splitlines()}
    whole = (line.rsplit(" ", 1) for line in tree_lines(box.data).splitlines())
    assert all(manifest[path] == sums for sums, path in whole)


def test_memory_without_a_limit_has_room(box, world, in_memory):
    """Such a tmpfs says that it has no blocks, and none free."""
    made(world, f"key=big size={40 * MB}")
    in_memory("0")
    box.sync("s3://bkt/", box.data)
    assert is_equal(box, world) and box.temporaries() == []


def test_a_large_file_is_refused_where_memory_has_no_room(box, world, in_memory):
    made(world, f"key=big size={40 * MB}")
    in_memory("30m")
    result = box.sync("s3://bkt/", box.data, code=1)
    assert "cannot reserve 40000000 bytes" in result.err, result
    assert world.counters()["GetObject"] == 0 and os.listdir(box.data) == []


def test_a_destination_that_cannot_be_written(box, world):
    made(world, "count=2 size=10")
    fill(box.folder, {"file": b"x"})
    result = box.sync("s3://bkt/", box.folder / "file", code=1)
    assert result.err.count("failed: download: ") == 2 and "Not a directory" in result.err, result
    assert (box.folder / "file").read_bytes() == b"x", result


def test_a_device_pipe_or_socket_is_not_replaced(box, world):
    """As root that would be /dev/null."""
    made(world, "key=pipe size=10", "key=z size=10")
    box.data.mkdir()
    os.mkfifo(box.data / "pipe")
    result = box.run("cp", "s3://bkt/pipe", box.data / "pipe", code=2)
    assert "/data/pipe is a device, pipe or socket" in result.err, result
    assert box.run("cp", "--dry-run", "s3://bkt/pipe", box.data, code=2).err == result.err.replace("/data/pipe", "/data")
    for verb in (("sync",), ("sync", "--delete"), ("cp", "--recursive")):
        result = box.run(*verb, "s3://bkt/", box.data, code=1)
        assert "s3://bkt/pipe" in result.err and (box.data / "pipe").is_fifo() and (box.data / "z").exists(), result


def test_another_run_in_the_same_folder_is_left_in_peace(box, world):
    """What is being written there looks like what a killed run leaves."""
    made(world, "key=a/slow size=6000000", "key=b/quick size=10")
    slow = box.start("sync", "--bwlimit", "1M", "s3://bkt/a/", box.data)
    wait_until(lambda: box.temporaries() or slow.poll() is not None, 30, "a file that is not whole")
    slow.send_signal(signal.SIGSTOP)
    box.sync("s3://bkt/b/", box.data)
    slow.send_signal(signal.SIGCONT)
    assert slow.wait(60) == 0, slow.log.read_text()
    assert sorted(files(box.data)) == ["quick", "slow"] and len(files(box.data)["slow"]) == 6000000


def test_output_that_does_not_fit_is_an_error(box, world):
    made(world, "key=k size=100000")
    with open("/dev/full", "wb") as full:
        done = subprocess.run(box.argv("cp", "s3://bkt/k", "-"), env=box.env, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == 1 and "standard output" in done.stderr, done


def test_a_stream_that_nobody_reads_can_be_ended(box, world):
    made(world, f"key=big size={30 * MB}")
    reader, writer = os.pipe()
    process = subprocess.Popen(box.argv("cp", "s3://bkt/big", "-"), env=box.env, stdout=writer)
    box.started.append(process)
    wait_until(lambda: not select.select([], [writer], [], 0)[1], 30, "a pipe that is full")
    process.terminate()
    assert process.wait(30) in (-signal.SIGTERM, 128 + signal.SIGTERM)
    os.close(reader)
    os.close(writer)


@pytest.mark.parametrize("size", [2**50 + 1, 10**17])
def test_a_size_that_cannot_be(box, world, size):
    made(world, f"key=big size={size}", "key=z size=10")
    result = box.sync("s3://bkt/", box.data, code=1)
    assert f"s3://bkt/big: it is said to have {size} bytes" in result.err and os.listdir(box.data) == ["z"], result


def test_a_file_that_changes_while_it_is_sent_is_named(box, world, s3):
    """The part is held up by the server; meanwhile the file is another one."""
    world.bucket("bkt")
    fill(box.data, {"big": os.urandom(MB) * 30})
    world.faults("UploadPart delay=1500")
    process = box.start("sync", box.data, "s3://bkt/")
    wait_until(lambda: world.counters()["CreateMultipartUpload"] or process.poll() is not None, 30, "the upload")
    with open(box.data / "big", "r+b") as f:
        f.seek(29 * MB)
        f.write(b"changed")
    assert process.wait(120) == 1, process.log.read_text()
    assert "big" in process.log.read_text() and s3.keys("bkt") == []


def test_secrets_are_in_no_output_and_no_file(box, world):
    made(world, "count=5 size=10")
    world.faults("GetObject status=403 code=AccessDenied path=0000003")
    result = box.run("sync", "s3://bkt/", box.data, code=1)
    everything = result.text.encode() + box.everything()
    assert S3_SECRET.encode() not in everything and S3_TOKEN.encode() not in everything


def test_json(box, world):
    made(world, "count=3 size=10")
    world.faults("GetObject status=403 code=AccessDenied path=0000001")
    lines = [json.loads(line) for line in box.sync("--json", "s3://bkt/", box.data, code=1).out.splitlines() if line.strip()]
    text = json.dumps(lines)
    assert lines and "0000001" in text and "AccessDenied" in text
