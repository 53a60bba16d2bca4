"""The fake itself: botocore signs, the world verifies; metadata by the rules of IMDSv2; faults on the wire."""

import datetime
import http.client
import time

import pytest
from harness import http as call

botocore_auth = pytest.importorskip("botocore.auth")
botocore_utils = pytest.importorskip("botocore.utils")
from botocore.awsrequest import AWSRequest  # noqa: E402
from botocore.credentials import Credentials  # noqa: E402

KEY, SECRET = "ASIAWORLDEXAMPLE0001", "worldSecret/EXAMPLE+KEY0123456789abcdef"
TOKEN = "IQoWorldSessionTokenEXAMPLE//////////wEaCXVzLWVhc3Q+x=="
BODY = ("Action=CreateTags&Version=2016-11-15&ResourceId.1=i-0abc123def4567890"
        "&Tag.1.Key=dsagent%3Astatus&Tag.1.Value=a+b%20%26%3C%C3%A9")


def signed(world, body=BODY, secret=SECRET, service="ec2", path="/", headers=None):
    request = AWSRequest("POST", world.url + path, data=body,
                         headers={"Content-Type": "application/x-www-form-urlencoded", **(headers or {})})
    botocore_auth.SigV4Auth(Credentials(KEY, secret, TOKEN), service, "us-east-1").add_auth(request)
    prepared = request.prepare()
    return call("POST", world.url + path, body, {k: v if isinstance(v, str) else v.decode() for k, v in prepared.headers.items()})


def token(world, ttl="60"):
    return call("PUT", f"{world.url}/latest/api/token", "", {"X-aws-ec2-metadata-token-ttl-seconds": ttl})


def get(world, path, value=None):
    return call("GET", f"{world.url}{path}", headers={"X-aws-ec2-metadata-token": value} if value else {})


def test_a_call_signed_by_botocore_sets_tags(world):
    status, answer = signed(world)
    assert status == 200, answer
    assert world.tags() == {"dsagent:status": "a b &<é"}
    history = world.history()
    assert [h["tags"] for h in history] == [{"dsagent:status": "a b &<é"}]
    assert abs(history[0]["at_ms"] - time.time() * 1000) < 5000
    status, answer = signed(world, "Action=DescribeTags&Version=2016-11-15&Filter.1.Name=key&Filter.1.Value.1=dsagent%3A*")
    assert status == 200
    assert "<key>dsagent:status</key><value>a b &amp;&lt;é</value>" in answer
    assert call("GET", world.url + "/_world/tags?format=text")[1] == "Key             Value\ndsagent:status  a b &<é\n"


def test_botocore_reads_the_role_from_the_metadata(world, monkeypatch):
    """A metadata client that is not ours takes the fake for the real service."""
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", world.url)
    fetcher = botocore_utils.InstanceMetadataFetcher(timeout=2, num_attempts=1, config={
        "ec2_metadata_service_endpoint": world.url + "/", "ec2_metadata_v1_disabled": True})
    found = fetcher.retrieve_iam_role_credentials()
    assert (found["access_key"], found["secret_key"], found["token"]) == (KEY, SECRET, TOKEN)
    assert world.counters()["token"] == 1


@pytest.mark.parametrize("how, status, code", [
    ({"secret": "wrong"}, 403, "SignatureDoesNotMatch"),
    ({"service": "s3"}, 403, "SignatureDoesNotMatch"),
    ({"body": BODY.replace("i-0abc123def4567890", "i-0ffffffffffffffff")}, 400, "InvalidInstanceID.NotFound"),
    ({"body": BODY.replace("dsagent%3Astatus", "a%20b")}, 400, "InvalidParameterValue"),
    ({"body": BODY + "x" * 257}, 400, "InvalidParameterValue"),
    ({"body": "Action=RebootWorld"}, 400, "InvalidAction"),
])
def test_what_ec2_refuses(world, how, status, code):
    got, answer = signed(world, **how)
    assert (got, f"<Code>{code}</Code>" in answer) == (status, True), answer
    assert world.tags() == {} and world.history() == []


def test_a_changed_body_is_refused(world):
    request = AWSRequest("POST", world.url + "/", data=BODY, headers={"Content-Type": "application/x-www-form-urlencoded"})
    botocore_auth.SigV4Auth(Credentials(KEY, SECRET, TOKEN), "ec2", "us-east-1").add_auth(request)
    headers = {k: v if isinstance(v, str) else v.decode() for k, v in request.prepare().headers.items()}
    assert call("POST", world.url + "/", BODY.replace("status", "statuz"), headers)[0] == 403


def test_a_clock_off_by_more_than_a_quarter_hour_is_refused(world):
    for skew, status in ((14 * 60, 200), (-14 * 60, 200), (16 * 60, 400), (-16 * 60, 400)):
        world.faults(f"CreateTags skew={skew}")
        assert signed(world)[0] == status, skew


def test_unsigned_calls_are_refused(world):
    status, answer = call("POST", world.url + "/", BODY)
    assert status == 400 and "MissingAuthenticationToken" in answer


def test_metadata_needs_a_token(world):
    assert get(world, "/latest/meta-data/instance-id")[0] == 401
    assert get(world, "/latest/meta-data/instance-id", "nonsense")[0] == 401
    for ttl, status in (("0", 400), ("21601", 400), ("x", 400), ("21600", 200)):
        assert token(world, ttl)[0] == status, ttl
    assert call("PUT", world.url + "/latest/api/token", "")[0] == 400
    assert call("PUT", world.url + "/2021-03-23/api/token", "", {"X-aws-ec2-metadata-token-ttl-seconds": "60"})[0] == 403
    assert call("PUT", world.url + "/latest/api/token", "",
                {"X-aws-ec2-metadata-token-ttl-seconds": "60", "X-Forwarded-For": "10.0.0.1"})[0] == 403
    value = token(world)[1]
    assert get(world, "/latest/meta-data/instance-id", value) == (200, "i-0abc123def4567890")
    assert get(world, "/latest/meta-data/placement/", value) == (200, "availability-zone\navailability-zone-id\nregion")
    assert get(world, "/latest/meta-data/public-ipv4", value)[0] == 404
    assert get(world, "/latest/user-data", value)[0] == 404
    short = token(world, "1")[1]
    time.sleep(1.2)
    assert get(world, "/latest/meta-data/instance-id", short)[0] == 401


def test_credentials_and_role(world):
    value = token(world)[1]
    base = "/latest/meta-data/iam/security-credentials/"
    assert get(world, base, value) == (200, "dsagent-test-role")
    status, answer = get(world, base + "dsagent-test-role", value)
    assert status == 200 and f'"AccessKeyId" : "{KEY}"' in answer and '"Code" : "Success"' in answer
    world.config("expires_in=600")
    expires = get(world, base + "dsagent-test-role", value)[1].split('"Expiration" : "')[1][:20]
    left = datetime.datetime.strptime(expires, "%Y-%m-%dT%H:%M:%SZ") - datetime.datetime.utcnow()
    assert 590 <= left.total_seconds() <= 601
    world.config("creds_code=AssumeRoleUnauthorizedAccess")
    assert "AssumeRoleUnauthorizedAccess" in get(world, base + "dsagent-test-role", value)[1]
    world.config("role=none")
    assert get(world, base, value)[0] == 404
    world.config("metadata=off")
    assert token(world)[0] == 403


def test_faults(world):
    value = token(world)[1]
    path = "/latest/meta-data/instance-id"
    world.faults("metadata status=503 after=1 count=2", "token html count=1")
    assert [get(world, path, value)[0] for _ in range(4)] == [200, 503, 503, 200]
    assert token(world)[1].startswith("<!DOCTYPE html>") and len(token(world)[1]) == 48
    world.faults("metadata truncated=4")
    with pytest.raises(http.client.IncompleteRead):
        get(world, path, value)
    world.faults("metadata reset=10")
    with pytest.raises((ConnectionResetError, http.client.HTTPException, OSError)):
        get(world, path, value)
    world.faults("metadata reset=0 for=300")
    time.sleep(0.4)
    assert get(world, path, value)[0] == 200
    world.faults("metadata stall")
    with pytest.raises(TimeoutError):
        call("GET", world.url + path, headers={"X-aws-ec2-metadata-token": value}, timeout=0.5)
    world.faults("any delay=300")
    began = time.monotonic()
    assert get(world, path, value)[0] == 200 and time.monotonic() - began >= 0.3
    world.faults("CreateTags status=503 code=RequestLimitExceeded")
    status, answer = signed(world)
    assert status == 503 and "<Code>RequestLimitExceeded</Code>" in answer and world.tags() == {}
    counters = world.counters()
    assert counters["token"] == 3 and counters["CreateTags"] == 1 and counters["connections"] > 8
    assert call("PUT", world.url + "/_world/faults", "metadata exploded\n")[0] == 400
