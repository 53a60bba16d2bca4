"""Keys that a file system cannot hold or that lead out of the destination: named, never written elsewhere, never left out
in silence. One row per way out of peers' trackers: s5cmd #872, aws-cli #10579, #1538, #3218, #6435, #1752."""

import os

import pytest

from s3 import files, fill

GOOD = {"good": b"good"}


@pytest.mark.parametrize("key", [
    "../up", "..", "a/../../up", "a/..", "./x", "a/./x", "/lead", "//two", "a//b", "n" * 256, "d" * 300 + "/x",
])
def test_keys_that_no_file_can_have_are_named_and_refused(box, s3, key):
    bucket = s3.bucket()
    s3.put(bucket, key, b"bad")
    s3.put(bucket, "good", b"good")
    result = box.sync(f"s3://{bucket}/", box.data, code=1)
    assert files(box.data) == GOOD
    assert set(os.listdir(box.folder)) <= {"data", "tree", "home", "recipes", "work", "etc", "run", "var"}
    assert key[:60] in result.err.replace("\\", ""), result


@pytest.mark.parametrize("key", ["../up", "/lead", "a//b", "x/../../y"])
def test_and_below_a_prefix_and_with_cp(box, s3, key):
    bucket = s3.bucket()
    s3.put(bucket, "p/" + key, b"bad")
    s3.put(bucket, "p/good", b"good")
    box.run("cp", "--recursive", f"s3://{bucket}/p/", box.data, code=1)
    assert files(box.data) == GOOD


@pytest.mark.parametrize("key", ["new\nline", "tab\there", "back\\slash", "\x01\x7f", "é", "e\u0301", "a+b", "100%", "%2e%2e", "...",
                                 " lead and trail ", "-rf", "$(id)", "n" * 255, "<&>\"'", "a/.b/..c/d..", "~"])
def test_odd_keys_come_and_go(box, s3, key):
    bucket = s3.bucket()
    s3.put(bucket, "p/" + key, b"odd")
    box.sync(f"s3://{bucket}/p/", box.data)
    assert files(box.data) == {key: b"odd"}
    box.sync(box.data, f"s3://{bucket}/q/")
    assert s3.objects(bucket, "q/") == {key: b"odd"}


def test_a_file_name_that_is_no_utf8_is_named(box, s3):
    bucket = s3.bucket()
    box.data.mkdir()
    with open(os.fsencode(box.data) + b"/bad\xff\xfe", "wb") as f:
        f.write(b"x")
    fill(box.data, GOOD)
    result = box.sync(box.data, f"s3://{bucket}/", code=1)
    assert s3.objects(bucket) == GOOD and "bad" in result.err, result


def test_a_file_and_a_folder_of_one_name(box, s3):
    """The folder wins, the file is named."""
    bucket = s3.bucket()
    for key, body in (("a", b"file"), ("a/b", b"below"), ("z", b"z")):
        s3.put(bucket, key, body)
    result = box.sync(f"s3://{bucket}/", box.data, code=1)
    assert files(box.data) == {"a/b": b"below", "z": b"z"}
    assert "'a'" in result.err or " a:" in result.err or "/a" in result.err, result


def test_names_that_differ_in_case_only_are_two_files_here(box, s3):
    bucket = s3.bucket()
    s3.put(bucket, "Readme", b"1")
    s3.put(bucket, "README", b"2")
    box.sync(f"s3://{bucket}/", box.data)
    assert files(box.data) == {"Readme": b"1", "README": b"2"}


def test_folder_markers(box, s3):
    """An empty object "dir/" is a folder at most; one with contents cannot be a file and is named."""
    bucket = s3.bucket()
    s3.put(bucket, "dir/", b"")
    s3.put(bucket, "dir/x", b"x")
    s3.put(bucket, "empty/", b"")
    box.sync(f"s3://{bucket}/", box.data)
    assert {k: v for k, v in files(box.data).items() if v is not None} == {"dir/x": b"x"}
    s3.put(bucket, "full/", b"contents")
    result = box.sync(f"s3://{bucket}/", box.data, code=1)
    assert "full/" in result.err, result
    # Not a reason to delete what lies below.
    assert {k: v for k, v in files(box.data).items() if v is not None} == {"dir/x": b"x"}


@pytest.mark.parametrize("verb", [("sync",), ("sync", "--delete"), ("cp", "--recursive")])
def test_links_in_the_destination_lead_nowhere(box, s3, verb):
    bucket = s3.bucket()
    for key in ("in/x", "out/x", "f", "good"):
        s3.put(bucket, key, b"new")
    outside = fill(box.folder / "outside", {"x": b"mine", "f": b"mine"})
    fill(box.data, {"in/y": b"y"})
    os.symlink(outside, box.data / "out")
    os.symlink(outside / "f", box.data / "f")
    box.run(*verb, f"s3://{bucket}/", box.data, code=None)
    assert files(outside) == {"x": b"mine", "f": b"mine"}
    assert (box.data / "good").read_bytes() == b"new" and (box.data / "in/x").read_bytes() == b"new"


def test_delete_does_not_follow_links(box, s3):
    bucket = s3.bucket()
    s3.put(bucket, "good", b"good")
    outside = fill(box.folder / "outside", {"x": b"mine"})
    box.data.mkdir()
    os.symlink(outside, box.data / "link")
    box.sync("--delete", f"s3://{bucket}/", box.data, code=None)
    assert files(outside) == {"x": b"mine"} and (box.data / "good").exists()


def test_special_files_are_not_uploaded(box, s3):
    bucket = s3.bucket()
    fill(box.data, GOOD)
    os.mkfifo(box.data / "fifo")
    result = box.sync(box.data, f"s3://{bucket}/", code=None, timeout=60)
    assert s3.objects(bucket) == GOOD and "fifo" in result.text, result


def test_listings_of_servers_that_write_a_plus_for_a_space(box, s3, world):
    world.bucket("plus", "plus=on")
    for key in ("a b", "c+d", "e%20f", "g%2Bh"):
        s3.put("plus", key, key.encode())
    box.sync("s3://plus/", box.data)
    assert files(box.data) == {k: k.encode() for k in ("a b", "c+d", "e%20f", "g%2Bh")}


def test_an_archive_of_ten_thousand_keys_in_three_orders(box, s3, world):
    """"a-", "a/" and "a0": a walk that goes by names of folders has another order than the listing."""
    keys = sorted([f"a{c}{i}" for i in range(300) for c in "-/0"] + [f"a-/{i}" for i in range(100)], key=str.encode)
    world.bucket("order")
    world.objects("order", *(f"key={k} size=10" for k in keys))
    box.sync("s3://order/", box.data)
    assert sorted(files(box.data)) == sorted(keys)
    world.forget_counters()
    box.sync("--delete", "s3://order/", box.data)
    assert sorted(files(box.data)) == sorted(keys)
    assert world.counters()["GetObject"] == 0
