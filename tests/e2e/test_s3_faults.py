"""S3 on a bad day. The world's faults, one row each: what comes of it, what is said, what is left behind."""

import os
import signal
import time

import pytest

from harness import wait_until
from s3 import files, fill, world_server
from s3_fixtures import Box, is_equal, made

MB = 1_000_000


# ---- what passes is gone through ----------------------------------------------------------------------------------------

PASSING = [
    ("GetObject status=503 code=SlowDown count=5",),
    ("ListObjectsV2 status=503 code=SlowDown count=2",),
    ("GetObject status=500 code=InternalError count=3",),
    ("GetObject status=502 count=2",),
    ("GetObject status=504 count=2",),
    ("GetObject status=429 code=TooManyRequests count=2",),
    ("GetObject status=400 code=RequestTimeout count=2",),
    ("GetObject html count=2",),
    ("GetObject garbage count=2",),
    ("GetObject reset=0 count=3",),
    ("GetObject reset=300 count=3",),
    ("GetObject reset=5000 count=3",),
    ("GetObject truncated=1 count=3",),
    ("GetObject truncated=2000 count=3",),
    ("GetObject wrong count=2",),
    ("ListObjectsV2 reset=500 count=2",),
    ("ListObjectsV2 truncated=10 count=2",),
    ("ListObjectsV2 empty-page count=1",),
    ("s3 status=503 code=SlowDown rate=0.1", "s3 reset=100 rate=0.05"),
]


@pytest.mark.parametrize("faults", PASSING, ids=" ".join)
def test_what_passes_is_gone_through_down(box, world, faults):
    made(world, "prefix=d/ count=60 size=6000 dirs=3")
    world.faults(*faults)
    box.sync("s3://bkt/", box.data, timeout=180)
    assert is_equal(box, world) and box.temporaries() == []
    assert world.counters()["faulted"] > 0


@pytest.mark.parametrize("faults", [
    ("PutObject status=503 code=SlowDown count=5",),
    ("PutObject status=500 code=InternalError count=3",),
    ("PutObject reset=0 count=3",),
    ("PutObject reset=1000 count=3",),
    ("PutObject reset=99999999 count=3",),
    ("PutObject status=400 code=RequestTimeout count=2",),
    ("PutObject html count=1",),
    ("ListObjectsV2 status=503 code=SlowDown count=2",),
], ids=" ".join)
def test_what_passes_is_gone_through_up(box, world, s3, faults):
    world.bucket("bkt")
    tree = {f"d/{i:03}": os.urandom(6000) for i in range(60)}
    fill(box.data, tree)
    world.faults(*faults)
    box.sync(box.data, "s3://bkt/", timeout=180)
    world.faults()
    assert s3.objects("bkt") == tree


@pytest.mark.parametrize("faults", [
    ("CreateMultipartUpload status=503 code=SlowDown count=2",),
    ("UploadPart status=503 code=SlowDown count=2",),
    ("UploadPart reset=0 count=2",),
    ("UploadPart reset=3000000 count=2",),
    ("UploadPart reset=99999999 count=2",),
    ("CompleteMultipartUpload late-error count=1",),
    ("CompleteMultipartUpload status=503 count=2",),
    ("CompleteMultipartUpload reset=99999999 count=1",),
    ("CompleteMultipartUpload html count=1",),
], ids=" ".join)
def test_a_large_upload_gets_through(box, world, s3, faults):
    world.bucket("bkt")
    body = os.urandom(MB) * 20
    fill(box.data, {"big": body})
    world.faults(*faults)
    box.sync(box.data, "s3://bkt/", timeout=180)
    world.faults()
    assert s3.objects("bkt") == {"big": body} and s3.uploads("bkt") == []
    assert world.counters()["faulted"] > 0


@pytest.mark.parametrize("faults", [
    ("GetObject ignore-range",),
    ("GetObject reset=65536 count=20",),
    ("GetObject reset=4000000 count=4",),
    ("GetObject truncated=1 count=3",),
    ("GetObject status=503 code=SlowDown count=4",),
    ("GetObject wrong count=1",),
], ids=" ".join)
def test_a_large_download_gets_through(box, world, faults):
    made(world, f"key=big size={40 * MB}")
    world.faults(*faults)
    if "wrong" in faults[0]:  # a range has no checksum: what cannot be noticed must not be asked for
        made(world, "key=big size=8000000")
    box.sync("s3://bkt/", box.data, timeout=180)
    world.faults()
    assert is_equal(box, world) and box.temporaries() == []


@pytest.mark.parametrize("bytes_", [64 * 1024 * k for k in range(1, 8)])
def test_a_reset_at_every_64_kb(box, world, bytes_):
    made(world, "key=x size=500000")
    world.faults(f"GetObject reset={bytes_} count=1")
    box.sync("s3://bkt/", box.data)
    assert is_equal(box, world)


def requests_of(run):
    """As the program says at its end: the server counts those that it has answered."""
    return run.lines()[-1]["requests"]


def test_a_slow_answer_is_asked_for_again(box, world):
    """Below the time after which a connection counts as dead: otherwise there is one GET for each object, and a LIST."""
    made(world, "count=100 size=1000")
    world.faults("GetObject delay=25000 after=50 count=1")
    assert requests_of(box.sync("--json", "s3://bkt/", box.data, timeout=240)) > 101
    assert is_equal(box, world) and box.temporaries() == []


def test_a_slow_upload_is_sent_again(box, world, s3):
    world.bucket("bkt")
    tree = {f"d/{i:03}": os.urandom(6000) for i in range(100)}
    fill(box.data, tree)
    world.faults("PutObject delay=25000 after=50 count=1")
    assert requests_of(box.sync("--json", box.data, "s3://bkt/", timeout=240)) > 101
    world.faults()
    assert s3.objects("bkt") == tree


def test_a_service_that_is_slow_as_a_whole_is_not_asked_twice(box, world):
    made(world, "count=64 size=1000")
    world.faults("GetObject delay=2500")
    assert requests_of(box.sync("--json", "s3://bkt/", box.data, timeout=240)) == 65
    world.faults()
    assert is_equal(box, world)


def test_a_stall_ends(box, world):
    made(world, "count=5 size=1000")
    world.faults("GetObject stall count=1")
    box.sync("s3://bkt/", box.data, timeout=240)
    assert is_equal(box, world)


@pytest.mark.parametrize("faults", [
    ("UploadPart stall after=2", "AbortMultipartUpload stall"),
    ("CreateMultipartUpload stall",),
], ids=" ".join)
def test_a_service_that_is_gone_does_not_keep_who_is_told_to_stop(box, world, s3, faults):
    """And the upload that could not be aborted is not forgotten."""
    world.bucket("bkt")
    body = os.urandom(MB) * 40
    fill(box.data, {"big": body})
    world.faults(*faults)
    process = box.start("sync", box.data, "s3://bkt/")
    wait_until(lambda: world.counters()["faulted"], 30, "the silence")
    process.send_signal(signal.SIGTERM)
    assert process.wait(25) == 128 + signal.SIGTERM, process.log.read_text()
    world.faults()
    box.sync(box.data, "s3://bkt/")
    assert s3.objects("bkt") == {"big": body} and s3.uploads("bkt") == []


# ---- what the service says is heeded ------------------------------------------------------------------------------------

def test_an_object_that_changes_is_never_mixed(box, world):
    """The third range finds another object of the same size: aws-cli #2321, s5cmd #829."""
    made(world, f"key=big size={60 * MB}")
    world.faults("GetObject change after=2 count=1")
    box.sync("s3://bkt/", box.data, timeout=120)
    world.faults()
    assert is_equal(box, world)


def test_a_small_object_that_changed_since_the_listing(box, world):
    made(world, "key=a size=1000", "key=b size=1000")
    world.faults("GetObject change count=1")
    box.sync("s3://bkt/", box.data, code=None)
    box.sync("s3://bkt/", box.data)
    assert is_equal(box, world)


def test_an_object_that_is_gone_since_the_listing(box, world):
    made(world, "key=a size=1000", "key=b size=1000")
    world.faults("GetObject status=404 code=NoSuchKey path=/a")
    result = box.sync("s3://bkt/", box.data, code=1)
    assert set(files(box.data)) == {"b"} and "s3://bkt/a" in result.err, result


@pytest.mark.parametrize("redirect", [400, 301, 307])
def test_a_bucket_of_another_region(box, world, redirect):
    """s5cmd #824, #816."""
    world.bucket("bkt", "region=eu-central-1", f"redirect={redirect}")
    world.objects("bkt", "count=20 size=100")
    box.sync("s3://bkt/", box.data)
    assert is_equal(box, world)
    wrong = sum(line.split()[-1] == str(redirect) for line in world.requests())
    assert wrong <= 2, world.requests()


@pytest.mark.parametrize("skew", [-3600, 1200])
def test_a_clock_that_is_wrong(box, world, skew):
    """aws-cli #8662, s5cmd #205: cloud-init runs before the clock is set."""
    made(world, "count=20 size=100")
    world.faults(f"s3 skew={skew}")
    box.sync("s3://bkt/", box.data)
    assert is_equal(box, world)
    refused = sum(line.split()[4] == "403" for line in world.requests())
    assert refused <= 2, world.requests()


def test_objects_of_the_future_are_taken(box, world):
    """s5cmd #531 leaves them out."""
    made(world, f"count=5 size=100 modified={int(time.time()) + 86400}")
    box.sync("s3://bkt/", box.data)
    assert is_equal(box, world)


def test_credentials_that_expire_meanwhile(tmp_path, world):
    """The role's, fetched anew: aws-cli #6709, #4562."""
    box = Box(tmp_path / "box", world_server(world))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_EC2_METADATA_DISABLED"):
        box.env.pop(name, None)
    box.env["AWS_EC2_METADATA_SERVICE_ENDPOINT"] = world.url
    made(world, "count=300 size=1000 dirs=3")
    world.faults("GetObject expire-token after=100 count=1")
    box.sync("s3://bkt/", box.data)
    assert is_equal(box, world)
    assert world.counters()["creds"] <= 4
    box.close()


def test_credentials_that_cannot_be_renewed_end_it_soon(box, world):
    """aws-cli #4863: thousands of errors. The world is told to refuse the only keys there are."""
    made(world, "count=500 size=1000")
    world.faults("GetObject status=400 code=ExpiredToken after=50")
    result = box.sync("s3://bkt/", box.data, code=1, timeout=120)
    assert "ExpiredToken" in result.err
    assert world.counters()["GetObject"] < 1500
    world.faults()
    box.sync("s3://bkt/", box.data)
    assert is_equal(box, world)


def test_an_archived_object_is_named_and_the_rest_comes(box, world):
    made(world, "key=a size=100", "key=deep size=100 class=DEEP_ARCHIVE", "key=ice size=100 class=GLACIER", "key=z size=100",
         "key=warm size=100 class=GLACIER_IR")
    result = box.sync("s3://bkt/", box.data, code=1)
    assert set(files(box.data)) == {"a", "z", "warm"}
    assert "deep" in result.err and "ice" in result.err, result
    assert world.counters()["GetObject"] <= 5


def test_one_denied_object(box, world):
    """s5cmd #869: errors and exit 0."""
    made(world, "count=30 size=100")
    world.faults("GetObject status=403 code=AccessDenied path=0000007")
    result = box.sync("s3://bkt/", box.data, code=1)
    assert len(files(box.data)) == 29 and "0000007" in result.err and "AccessDenied" in result.err, result
    assert world.counters()["GetObject"] == 30


@pytest.mark.parametrize("fault, said", [
    ("ListObjectsV2 status=403 code=AccessDenied", "AccessDenied"),
    ("ListObjectsV2 repeat-token", "continuation"),
    ("ListObjectsV2 html", ""),
    ("ListObjectsV2 doctype", ""),
    ("ListObjectsV2 garbage", ""),
    ("ListObjectsV2 status=403 code=AccessDenied after=2", "AccessDenied"),
    ("ListObjectsV2 status=501 code=NotImplemented after=2", "NotImplemented"),
], ids=lambda v: v or "any")
def test_a_listing_that_fails_deletes_nothing(box, world, fault, said):
    """s5cmd #695: a failed listing is an empty source."""
    made(world, "count=3500 size=0")
    fill(box.data, {"mine": b"mine", "0000001": b"", "zzz": b"zzz"})
    world.faults(fault)
    result = box.sync("--delete", "s3://bkt/", box.data, code=1, timeout=300)
    found = files(box.data)
    assert found["mine"] == b"mine" and found["zzz"] == b"zzz" and said in result.err, result


def test_a_listing_of_the_destination_that_fails_deletes_nothing(box, world, s3):
    made(world, "count=2500 size=0", "key=zzz size=0")
    fill(box.data, {"mine": b"mine"})
    world.faults("ListObjectsV2 status=403 code=AccessDenied after=1")
    box.sync("--delete", "--max-delete", "100000", box.data, "s3://bkt/", code=1)
    assert world.counters()["DeleteObjects"] == 0 and world.counters()["DeleteObject"] == 0


def test_a_source_that_is_empty_or_missing_deletes_nothing(box, world, s3):
    """aws-cli #1564: the unmounted disk."""
    made(world, "count=20 size=10")
    box.data.mkdir()
    box.sync("--delete", box.data, "s3://bkt/", code=None)
    box.sync("--delete", box.data / "not-there", "s3://bkt/", code=None)
    assert world.bucket_facts("bkt")["objects"] == 20
    world.bucket("empty")
    fill(box.data, {"x": b"x"})
    box.sync("--delete", "s3://empty/", box.data, code=None)
    box.sync("--delete", "s3://bkt/no-such-prefix/", box.data, code=None)
    assert files(box.data) == {"x": b"x"}


def test_max_delete(box, world):
    made(world, "count=10 size=10")
    box.sync("s3://bkt/", box.data)
    fill(box.data, {f"extra{i}": b"x" for i in range(5)})
    result = box.sync("--delete", "--max-delete", "4", "s3://bkt/", box.data, code=1)
    assert len(files(box.data)) == 15 and "max-delete" in result.err, result
    box.sync("--delete", "--max-delete", "5", "s3://bkt/", box.data)
    assert len(files(box.data)) == 10


def test_objects_that_may_not_be_deleted_are_named(box, world, s3):
    made(world, "count=10 size=10")
    box.sync("s3://bkt/", box.data)
    made(world, "prefix=old/ count=5 size=10")
    world.faults("DeleteObjects refuse=0000003")
    result = box.sync("--delete", box.data, "s3://bkt/", code=1)
    assert [k for k in s3.keys("bkt") if k.startswith("old/")] == ["old/0000003"] and "old/0000003" in result.err, result


# ---- requests: none too many --------------------------------------------------------------------------------------------

def test_no_request_beyond_listing_and_one_get_each(box, world):
    """s5cmd sync: 20,011 for 10,000 objects."""
    made(world, "count=2500 size=500 dirs=10")
    box.sync("s3://bkt/", box.data)
    counters = world.counters()
    assert counters["GetObject"] == 2500 and counters["HeadObject"] == counters["HeadBucket"] == 0
    assert counters["ListObjectsV2"] <= 5 and counters["s3-connections"] <= 300
    world.forget_counters()
    box.sync("s3://bkt/", box.data)
    counters = world.counters()
    assert counters["GetObject"] == counters["HeadObject"] == 0 and counters["ListObjectsV2"] <= 4
    assert counters["s3-connections"] <= 8


def test_uploads_ask_once(box, world):
    world.bucket("bkt")
    fill(box.data, {f"{i:04}": b"x" * 500 for i in range(500)})
    box.sync(box.data, "s3://bkt/")
    counters = world.counters()
    assert counters["PutObject"] == 500 and counters["HeadObject"] == counters["GetObject"] == 0
    assert counters["ListObjectsV2"] <= 2 and counters["s3-connections"] <= 300


def test_request_payer(box, world):
    made(world, "count=3 size=10")
    box.sync("--request-payer", "s3://bkt/", box.data, code=None)
    assert is_equal(box, world)


def test_jobs_bound_the_connections(box, world):
    made(world, "count=400 size=1000")
    box.sync("--jobs", "3", "s3://bkt/", box.data)
    assert is_equal(box, world) and world.counters()["s3-connections"] <= 6


def test_bwlimit(box, world):
    made(world, "count=40 size=100000")
    began = time.monotonic()
    box.sync("--bwlimit", "2M", "s3://bkt/", box.data, timeout=120)
    assert is_equal(box, world) and time.monotonic() - began >= 1.2


def test_an_anonymous_bucket(box, world):
    """No credentials at all: not signed, when that is what the caller asked for, or a clear word."""
    world.bucket("open", "public=on")
    world.objects("open", "count=3 size=10")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        box.env.pop(name)
    result = box.sync("s3://open/", box.data, code=None)
    assert result.code == 0 or "credentials" in result.err.lower(), result
