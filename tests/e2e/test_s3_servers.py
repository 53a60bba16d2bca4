"""sync, cp and ls against every S3 there is: our own server, MinIO and versitygw, over http and https."""

import json
import os

import pytest

from s3 import files, fill

# What all servers and file systems can hold; the world alone is asked for the rest (test_s3_keys.py).
TREE = {
    "plain.txt": b"plain\n",
    "empty": b"",
    "a b/c+d/e%20f&g=h?.txt": b"signs\n",
    "ünïcode/日本語 ☃.txt": "umlauts\n".encode(),
    "deep/" * 12 + "leaf": b"deep\n",
    "quotes'\"()[]{}!*$;:@,~^`|": b"signs again\n",
    "one-mb": bytes(range(256)) * 4096,
}
BIG = os.urandom(1 << 16) * 330  # 21.6 MB: several ranges and parts, and no multiple of any


def test_a_tree_goes_up_and_comes_back(any_box, server):
    bucket = server.bucket()
    source = fill(any_box.folder / "source", {**TREE, "big": BIG})
    any_box.sync(source, f"s3://{bucket}/some/prefix/")
    assert server.objects(bucket, "some/prefix/") == {**TREE, "big": BIG}
    assert server.keys(bucket) == ["some/prefix/" + k for k in sorted({**TREE, "big": BIG}, key=str.encode)]
    assert server.uploads(bucket) == []
    any_box.sync(f"s3://{bucket}/some/prefix/", any_box.data)
    assert files(any_box.data) == {**TREE, "big": BIG}
    again = any_box.sync(f"s3://{bucket}/some/prefix/", any_box.data, "--json")
    assert files(any_box.data) == {**TREE, "big": BIG} and again.code == 0


def test_a_second_sync_transfers_nothing(any_box, server):
    bucket = server.bucket()
    for key, body in TREE.items():
        server.put(bucket, key, body)
    any_box.sync(f"s3://{bucket}/", any_box.data)
    before = {p: os.stat(any_box.data / p).st_ctime_ns for p in files(any_box.data)}
    any_box.sync(f"s3://{bucket}/", any_box.data)
    assert {p: os.stat(any_box.data / p).st_ctime_ns for p in files(any_box.data)} == before
    stamps = {o["Key"]: (o["LastModified"], o["ETag"]) for o in server.boto.list_objects_v2(Bucket=bucket)["Contents"]}
    any_box.sync(any_box.data, f"s3://{bucket}/")
    assert {o["Key"]: (o["LastModified"], o["ETag"]) for o in server.boto.list_objects_v2(Bucket=bucket)["Contents"]} == stamps


def test_files_have_the_time_of_their_objects(any_box, server):
    bucket = server.bucket()
    server.put(bucket, "x", b"x")
    modified = server.boto.head_object(Bucket=bucket, Key="x")["LastModified"].timestamp()
    any_box.sync(f"s3://{bucket}/", any_box.data)
    assert abs(os.stat(any_box.data / "x").st_mtime - modified) < 1


def test_a_newer_object_of_the_same_size_is_taken(any_box, server):
    """What aws s3 sync leaves out: aws-cli #599, #1074, #3273."""
    bucket = server.bucket()
    server.put(bucket, "x", b"old")
    any_box.sync(f"s3://{bucket}/", any_box.data)
    server.put(bucket, "x", b"new")
    any_box.sync(f"s3://{bucket}/", any_box.data)
    assert files(any_box.data) == {"x": b"new"}
    os.utime(any_box.data / "x", (4e9, 4e9))  # and a local file that is newer still is no reason to keep it
    server.put(bucket, "x", b"now")
    any_box.sync(f"s3://{bucket}/", any_box.data)
    assert files(any_box.data) == {"x": b"now"}


def test_delete_takes_what_the_source_has_no_more_and_spares_what_is_filtered(any_box, server):
    bucket = server.bucket()
    for key in ("keep/a", "keep/b", "gone", "log/x.log"):
        server.put(bucket, key, key.encode())
    any_box.sync(f"s3://{bucket}/", any_box.data)
    fill(any_box.data, {"extra": b"1", "keep/extra": b"2", "mine.local": b"3"})
    server.boto.delete_object(Bucket=bucket, Key="gone")
    any_box.sync(f"s3://{bucket}/", any_box.data)
    assert set(files(any_box.data)) == {"keep/a", "keep/b", "gone", "log/x.log", "extra", "keep/extra", "mine.local"}
    any_box.sync("--delete", "--exclude", "*.local", f"s3://{bucket}/", any_box.data)
    assert set(files(any_box.data)) == {"keep/a", "keep/b", "log/x.log", "mine.local"}
    (any_box.data / "keep/b").unlink()
    any_box.sync("--delete", "--exclude", "log/*", "--exclude", "*.local", any_box.data, f"s3://{bucket}/")
    assert server.keys(bucket) == ["keep/a", "log/x.log"]


def test_dry_run_does_nothing(any_box, server):
    bucket = server.bucket()
    server.put(bucket, "x", b"x")
    fill(any_box.data, {"y": b"y"})
    result = any_box.sync("--dry-run", "--delete", f"s3://{bucket}/", any_box.data)
    assert files(any_box.data) == {"y": b"y"} and "x" in result.text and "y" in result.text
    any_box.sync("--dry-run", "--delete", any_box.data, f"s3://{bucket}/")
    assert server.objects(bucket) == {"x": b"x"}


def test_cp_of_one_object_both_ways_and_through_pipes(any_box, server):
    bucket = server.bucket()
    file = fill(any_box.folder, {"in": BIG}) / "in"
    any_box.run("cp", file, f"s3://{bucket}/there/named")
    any_box.run("cp", file, f"s3://{bucket}/there/")
    assert server.keys(bucket) == ["there/in", "there/named"]
    any_box.run("cp", f"s3://{bucket}/there/named", any_box.folder / "out")
    assert (any_box.folder / "out").read_bytes() == BIG
    any_box.run("cp", "-", f"s3://{bucket}/piped", stdin="from a pipe\n")
    assert server.get(bucket, "piped") == b"from a pipe\n"
    assert any_box.run("cp", f"s3://{bucket}/piped", "-").out == "from a pipe\n"


def test_cp_recursive(any_box, server):
    bucket = server.bucket()
    source = fill(any_box.folder / "source", TREE)
    any_box.run("cp", "--recursive", source, f"s3://{bucket}/p/")
    assert server.objects(bucket, "p/") == TREE
    any_box.run("cp", "--recursive", f"s3://{bucket}/p/", any_box.data)
    assert files(any_box.data) == TREE


def test_ls(any_box, server):
    bucket = server.bucket()
    for key in ("a/1", "a/2", "b", "c d+é"):
        server.put(bucket, key, key.encode())
    text = any_box.run("ls", f"s3://{bucket}/").out
    assert [name for name in ("a/", "b", "c d+é") if name in text] == ["a/", "b", "c d+é"] and "a/1" not in text
    text = any_box.run("ls", "--recursive", f"s3://{bucket}/").out
    assert [any(line.endswith(key) for line in text.splitlines()) for key in ("a/1", "a/2", "b", "c d+é")] == [True] * 4
    assert all(json.loads(line) for line in any_box.run("ls", "--recursive", "--json", f"s3://{bucket}/").out.splitlines())


@pytest.mark.parametrize("change, said", [
    ({"AWS_SECRET_ACCESS_KEY": "wrong"}, ("SignatureDoesNotMatch",)),
    ({"AWS_ACCESS_KEY_ID": "AKIANOBODY"}, ("InvalidAccessKeyId", "XAdminUserNotFound")),
])
def test_wrong_keys_are_told_by_the_service_s_own_word(any_box, server, change, said):
    bucket = server.bucket()
    server.put(bucket, "x", b"x")
    result = any_box.sync(f"s3://{bucket}/", any_box.data, code=1, env=change)
    assert any(word in result.err for word in said), result
    assert "wrong" not in result.err and files(any_box.data) == {}


def test_a_bucket_that_is_not_there(any_box, server):
    result = any_box.sync("s3://no-such-bucket-here/", any_box.data, code=1)
    assert "NoSuchBucket" in result.err and "no-such-bucket-here" in result.err, result
    assert any_box.sync("--delete", fill(any_box.data, {"x": b"x"}), "s3://no-such-bucket-here/", code=1)


def test_an_untrusted_certificate_is_refused(any_box, server):
    if not server.ca:
        return
    bucket = server.bucket()
    server.put(bucket, "x", b"x")
    result = any_box.sync(f"s3://{bucket}/", any_box.data, code=1, env={"AWS_CA_BUNDLE": "", "SSL_CERT_FILE": "/dev/null"}, timeout=180)
    assert "certificate" in result.err.lower() and files(any_box.data) == {}, result
