"""The fake S3 itself: AWS's documented signatures, boto3 as its client, and the faults on the wire."""

import hashlib
import http.client
import time

import boto3
import botocore.config
import botocore.exceptions
import pytest

from harness import S3_KEY, S3_SECRET, S3_TOKEN

# S3 API Reference, "Signature Calculations for the Authorization Header" and "Authenticating Requests: Using Query
# Parameters": their examples, key and secret as there.
KEY = "AKIAIOSFODNN7EXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
HOST = "examplebucket.s3.amazonaws.com"
SCOPE = "20130524/us-east-1/s3/aws4_request"
DOCUMENTED = [
    ("GET", "/test.txt", {"range": "bytes=0-9"}, b"", "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"),
    ("PUT", "/test$file.text", {"date": "Fri, 24 May 2013 00:00:00 GMT", "x-amz-storage-class": "REDUCED_REDUNDANCY"},
     b"Welcome to Amazon S3.", "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"),
    ("GET", "/?lifecycle", {}, b"", "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
    ("GET", "/?max-keys=2&prefix=J", {}, b"", "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
]
PRESIGNED = (f"/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={KEY}%2F{SCOPE.replace('/', '%2F')}"
             "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature=")
PRESIGNED_SIGNATURE = "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"


@pytest.fixture
def in_2013(world):
    """Sends one request to the bucket of the examples, at their time: (status, text)."""
    world.config(f"access_key={KEY}", f"secret_key={SECRET}", "session_token=none")
    world.bucket("examplebucket")
    world.faults(f"s3 skew={1369353600 - int(time.time())}")

    def send(method, target, headers, body=b""):
        connection = http.client.HTTPConnection(world.s3_url.removeprefix("http://"), timeout=20)
        connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        for name, value in {"host": HOST, **headers, "Content-Length": str(len(body))}.items():
            connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()

    return send


def authorized(headers, body, signature):
    headers = {"host": HOST, "x-amz-content-sha256": hashlib.sha256(body).hexdigest(), "x-amz-date": "20130524T000000Z", **headers}
    return {**headers, "Authorization": f"AWS4-HMAC-SHA256 Credential={KEY}/{SCOPE},SignedHeaders={';'.join(sorted(headers))},"
                                        f"Signature={signature}"}


@pytest.mark.parametrize("method, target, headers, body, signature", DOCUMENTED, ids=[d[1] for d in DOCUMENTED])
def test_the_documented_signatures_are_good_and_any_other_is_not(in_2013, method, target, headers, body, signature):
    status, text = in_2013(method, target, authorized(headers, body, signature), body)
    assert "SignatureDoesNotMatch" not in text and status in (200, 404, 501), text
    other = signature[:-1] + ("0" if signature[-1] != "0" else "1")
    for target_, signature_ in ((target, other), (target + "x", signature)):
        status, text = in_2013(method, target_, authorized(headers, body, signature_), body)
        assert (status, "SignatureDoesNotMatch" in text) == (403, True), text


def test_the_documented_presigned_url(in_2013):
    assert "NoSuchKey" in in_2013("GET", PRESIGNED + PRESIGNED_SIGNATURE, {})[1]
    assert "SignatureDoesNotMatch" in in_2013("GET", PRESIGNED + PRESIGNED_SIGNATURE[:-1] + "5", {})[1]
    assert "SignatureDoesNotMatch" in in_2013("GET", PRESIGNED.replace("test.txt", "other.txt") + PRESIGNED_SIGNATURE, {})[1]


def client(world, **how):
    keys = {"aws_access_key_id": S3_KEY, "aws_secret_access_key": S3_SECRET, "aws_session_token": S3_TOKEN,
            "region_name": "us-east-1", **how}
    return boto3.client("s3", endpoint_url=world.s3_url, config=botocore.config.Config(retries={"total_max_attempts": 1}, proxies={}), **keys)


def refusal(call, **how):
    """(status, code) of a call that fails."""
    with pytest.raises(botocore.exceptions.ClientError) as error:
        call(**how)
    answer = error.value.response
    return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"]


@pytest.mark.parametrize("how, status, code", [
    ({"aws_secret_access_key": "wrong"}, 403, "SignatureDoesNotMatch"),
    ({"aws_access_key_id": "AKIANOBODY"}, 403, "InvalidAccessKeyId"),
    ({"aws_session_token": "other"}, 403, "InvalidAccessKeyId"),
])
def test_who_is_refused(world, how, status, code):
    world.bucket("b")
    assert refusal(client(world, **how).list_objects_v2, Bucket="b") == (status, code)


@pytest.mark.parametrize("redirect", [400, 301, 307])
def test_boto3_finds_the_bucket_s_region(world, redirect):
    world.bucket("b", "region=eu-west-1", f"redirect={redirect}")
    assert client(world).list_objects_v2(Bucket="b")["KeyCount"] == 0
    assert [line.split()[4] for line in world.requests()][0] == str(redirect)


def test_objects_as_boto3_sees_them(s3):
    bucket = s3.bucket()
    keys = ["a", "a b+c%/é\n&<.txt", "a/b", "x//y", "/lead", "z"]
    for key in keys:
        s3.put(bucket, key, key.encode(), Metadata={"m": "v"}, ContentType="text/x-test")
    assert s3.objects(bucket) == {k: k.encode() for k in keys}
    assert s3.keys(bucket) == sorted(keys, key=str.encode)
    got = s3.boto.get_object(Bucket=bucket, Key="a/b", Range="bytes=1-")
    assert (got["ContentRange"], got["Body"].read(), got["ContentType"], got["Metadata"]) == ("bytes 1-2/3", b"/b", "text/x-test", {"m": "v"})
    assert got["ETag"] == f'"{hashlib.md5(b"a/b").hexdigest()}"'
    head = s3.boto.head_object(Bucket=bucket, Key="a/b", ChecksumMode="ENABLED")
    assert head["ContentLength"] == 3 and "ChecksumCRC32" in head
    assert refusal(s3.boto.get_object, Bucket=bucket, Key="a", IfMatch='"x"') == (412, "PreconditionFailed")
    assert refusal(s3.boto.get_object, Bucket=bucket, Key="a", Range="bytes=9-") == (416, "InvalidRange")
    assert refusal(s3.boto.get_object, Bucket=bucket, Key="none") == (404, "NoSuchKey")
    assert refusal(s3.boto.put_object, Bucket=bucket, Key="a", IfNoneMatch="*", Body=b"") == (412, "PreconditionFailed")
    assert refusal(s3.boto.put_object, Bucket=bucket, Key="a", ChecksumCRC64NVME="AAAAAAAAAAA=", Body=b"x") == (400, "BadDigest")
    s3.boto.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": k} for k in keys[:3]]})
    assert s3.keys(bucket) == ["/lead", "x//y", "z"]
    s3.boto.delete_object(Bucket=bucket, Key="z")
    assert refusal(s3.boto.list_objects_v2, Bucket="none") == (404, "NoSuchBucket")


def test_listings(world, s3):
    world.bucket("b")
    world.objects("b", "prefix=p/ count=2500 size=100 dirs=20 suffix=.bin", "key=q size=1")
    assert len(s3.keys("b")) == 2501 and len(s3.keys("b", "p/d001/")) == 125
    pages = list(s3.boto.get_paginator("list_objects_v2").paginate(Bucket="b", Delimiter="/", Prefix="p/", PaginationConfig={"PageSize": 7}))
    assert [p["Prefix"] for page in pages for p in page["CommonPrefixes"]] == [f"p/d{i:03}/" for i in range(20)]
    after = s3.boto.list_objects_v2(Bucket="b", StartAfter="p/d019/0002498.bin")
    assert [o["Key"] for o in after["Contents"]] == ["p/d019/0002499.bin", "q"]
    one = s3.boto.list_objects_v2(Bucket="b", Prefix="q")["Contents"][0]
    assert hashlib.md5(s3.get("b", "q")).hexdigest() == one["ETag"].strip('"')


def test_multipart_uploads(s3):
    bucket = s3.bucket()
    part = bytes(range(256)) * 20480  # 5 MiB
    upload = s3.boto.create_multipart_upload(Bucket=bucket, Key="big one")["UploadId"]
    which = {"Bucket": bucket, "Key": "big one", "UploadId": upload}
    etags = [s3.boto.upload_part(**which, PartNumber=n, Body=body)["ETag"] for n, body in ((1, part), (2, part), (3, b"end"))]
    assert [p["PartNumber"] for p in s3.boto.list_parts(**which)["Parts"]] == [1, 2, 3]
    assert [u["Key"] for u in s3.uploads(bucket)] == ["big one"]
    parts = [{"PartNumber": n, "ETag": e} for n, e in enumerate(etags, 1)]
    assert refusal(s3.boto.complete_multipart_upload, **which, MultipartUpload={"Parts": parts[::-1]})[1] == "InvalidPartOrder"
    done = s3.boto.complete_multipart_upload(**which, MultipartUpload={"Parts": parts})
    sums = hashlib.md5(b"".join(hashlib.md5(b).digest() for b in (part, part, b"end"))).hexdigest()
    assert done["ETag"] == f'"{sums}-3"' and s3.objects(bucket) == {"big one": part + part + b"end"} and s3.uploads(bucket) == []
    upload = s3.boto.create_multipart_upload(Bucket=bucket, Key="x")["UploadId"]
    s3.boto.abort_multipart_upload(Bucket=bucket, Key="x", UploadId=upload)
    assert refusal(s3.boto.list_parts, Bucket=bucket, Key="x", UploadId=upload) == (404, "NoSuchUpload")


def test_made_up_objects_are_the_same_at_every_offset(world, s3):
    world.bucket("b")
    world.objects("b", "key=x size=30000000")
    whole = s3.get("b", "x")
    for first, last in ((0, 9), (16777000, 16777999), (29999990, 29999999)):
        got = s3.boto.get_object(Bucket="b", Key="x", Range=f"bytes={first}-{last}")["Body"].read()
        assert got == whole[first:last + 1]
    assert whole[:8 << 20] != whole[8 << 20:16 << 20]


def test_faults_of_s3(world):
    world.bucket("b")
    world.objects("b", "count=3 size=5000")
    c, key = client(world), "0000001"
    get = lambda **how: c.get_object(Bucket="b", Key=key, **how)
    world.faults("GetObject status=503 code=SlowDown count=1")
    assert refusal(get) == (503, "SlowDown") and get()["ContentLength"] == 5000
    whole = get()["Body"].read()
    for fault, error in (("reset=1000", Exception), ("truncated=1", Exception)):
        world.faults(f"GetObject {fault} count=1")
        with pytest.raises(error):
            get()["Body"].read()
    world.faults("GetObject wrong count=1")
    assert get()["Body"].read() == bytes([whole[0] ^ 255]) + whole[1:]
    world.faults("GetObject ignore-range")
    assert get(Range="bytes=5-9")["Body"].read() == whole
    world.faults("GetObject change after=1 count=1")
    etag = get()["ETag"]
    assert refusal(get, IfMatch=etag) == (412, "PreconditionFailed") and get()["Body"].read() != whole
    world.faults("ListObjectsV2 empty-page count=1")
    page = c.list_objects_v2(Bucket="b")
    assert page["IsTruncated"] and page["KeyCount"] == 0
    assert c.list_objects_v2(Bucket="b", ContinuationToken=page["NextContinuationToken"])["KeyCount"] == 3
    world.faults("ListObjectsV2 repeat-token")
    token = c.list_objects_v2(Bucket="b", MaxKeys=1)["NextContinuationToken"]
    assert c.list_objects_v2(Bucket="b", MaxKeys=1, ContinuationToken=token)["NextContinuationToken"] == token
    world.faults("s3 skew=1200")
    assert refusal(get) == (403, "RequestTimeTooSkewed")
    world.faults("GetObject expire-token count=1")
    assert refusal(get) == (400, "ExpiredToken") and refusal(get) == (400, "ExpiredToken")
    world.config(f"session_token={S3_TOKEN}")


def test_a_share_of_the_requests_is_the_same_in_every_run(world):
    world.bucket("b")
    world.objects("b", "count=1 size=1")
    c, runs = client(world), []
    for _ in range(2):
        world.faults("HeadObject status=503 rate=0.2 seed=7")
        runs.append([])
        for _ in range(50):
            try:
                c.head_object(Bucket="b", Key="0000000")
                runs[-1].append(200)
            except botocore.exceptions.ClientError:
                runs[-1].append(503)
    assert runs[0] == runs[1] and 2 <= runs[0].count(503) <= 20


def test_counters_of_s3(world, s3):
    world.bucket("b")
    world.objects("b", "count=3 size=5")
    s3.objects("b")
    counters = world.counters()
    assert (counters["GetObject"], counters["ListObjectsV2"], counters["s3-connections"]) == (3, 1, 1)
    world.forget_counters()
    assert world.counters()["GetObject"] == 0 and world.requests() == []
