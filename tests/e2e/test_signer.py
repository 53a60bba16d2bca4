"""The signer and the endpoints beside botocore's: build/tests/sign tells what the product's own code says."""

import calendar
import itertools
import json
import random
import subprocess
import urllib.parse

import pytest
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.endpoint_provider import EndpointProvider
from botocore.exceptions import EndpointProviderError
from botocore.loaders import Loader

from harness import BUILD

SEED, REQUESTS = 20130524, 400
ACCESS, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"

# What keys are made of; each of them has broken some signer.
PIECES = ["a", "Z9", " ", "  ", "+", "%", "%2F", "%zz", "/", "//", "/./", "/../", "..", ".", "~", "-_.~", "ü", "日本", "👋", "é",
          "e\u0301", "&", "=", "?", "#", "*", "'", "\"", "(", ")", "!", "$", "@", ",", ";", ":", "[", "]", "{", "|", "\\", "^", "`",
          "\x01", "\x7f", "\u00a0", "\ufeff"]
NAMES = ["prefix", "list-type", "continuation-token", "uploads", "uploadId", "partNumber", "Param", "Param-3", "param", "a.b", "a b", "ü"]
HEADERS = ["X-Amz-Meta-A", "x-amz-meta-a-b", "X-Amz-Meta", "Range", "Content-Type", "x-amz-acl", "If-Match", "X-AMZ-Z"]
VALUES = ["", "plain", "two  blanks", " around  it ", "a\t \tb", "bytes=0-9", "\"etag\"", "a,b", "ü", "x: y", "1  2   3", "A=b; c"]


def ask(*requests):
    """What build/tests/sign answers to each."""
    done = subprocess.run([BUILD / "tests" / "sign"], input="".join(json.dumps(r) + "\n" for r in requests), capture_output=True,
                          text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(requests)
    return answers


def quoted(text, keeps=""):
    return urllib.parse.quote(text, safe=keeps + "-._~")


def botocores(r):
    """(canonical request, Authorization) of the same request."""
    signer = (S3SigV4Auth if r["service"] == "s3" else SigV4Auth)(Credentials(ACCESS, SECRET), r["service"], r["region"])
    pairs = list(zip(r["query"][::2], r["query"][1::2]))
    query = "&".join(f"{quoted(n)}={quoted(v)}" if v else quoted(n) for n, v in pairs)
    request = AWSRequest(r["method"], f"https://signed.example{quoted(r['path'], '/')}" + (f"?{query}" if query else ""))
    for line in r["headers"]:
        request.headers.add_header(*line.split(":", 1))
    request.context["timestamp"] = r["date"]
    canonical = signer.canonical_request(request)
    signature = signer.signature(signer.string_to_sign(request, canonical), request)
    signer._inject_signature_to_request(request, signature)
    return canonical, "Authorization: " + request.headers["Authorization"]


def random_request(rng):
    day = (rng.randint(1970, 2099), rng.randint(1, 12), rng.randint(1, 28), rng.randint(0, 23), rng.randint(0, 59), rng.randint(0, 59))
    date = "%04d%02d%02dT%02d%02d%02dZ" % day
    payload = rng.choice(["UNSIGNED-PAYLOAD", "%064x" % rng.getrandbits(256)])
    text = lambda most: "".join(rng.choice(PIECES) for _ in range(rng.randint(0, most)))
    names = [rng.choice(NAMES) for _ in range(rng.randint(0, 6))]
    headers = [f"{name}:{rng.choice(VALUES)}" for name in (rng.choice(HEADERS) for _ in range(rng.randint(0, 7)))]
    headers += ["Host: signed.example", f"X-Amz-Date: {date}", f"X-Amz-Content-SHA256:{payload}"]
    rng.shuffle(headers)
    return {
        "service": "s3", "method": rng.choice(["GET", "PUT", "POST", "DELETE", "HEAD"]), "path": "/" + text(12),
        "query": [word for name in names for word in (name, text(4))], "headers": headers, "payload_hash": payload,
        "region": rng.choice(["us-east-1", "eu-central-1", "cn-north-1", "us-gov-west-1"]), "now": calendar.timegm(day), "date": date,
        "access_key": ACCESS, "secret_key": SECRET}


def differences(requests):
    ours = ask(*({"sign": r} for r in requests))
    return [(r, expected, got) for r, expected, got in
            zip(requests, map(botocores, requests), ((o["canonical"], o["authorization"]) for o in ours)) if got != expected]


def test_random_requests_to_s3_are_signed_as_botocore_signs():
    rng = random.Random(SEED)
    different = differences([random_request(rng) for _ in range(REQUESTS)])
    assert not different, f"{len(different)} of {REQUESTS}, the first: {different[0]}"


@pytest.mark.parametrize("path", ["/", "/v1/names", "/v1/a b/ü+%", "/~-_."])
def test_other_services_have_their_path_encoded_twice(path):
    """Normalised it is by botocore alone: no service that is asked here has a path with dots or double slashes."""
    rng = random.Random(SEED)
    assert not differences([random_request(rng) | {"service": "ec2", "path": path} for _ in range(20)])


REGIONS = ["us-east-1", "us-west-2", "ca-central-1", "eu-central-1", "eu-isoe-west-1", "eusc-de-east-1", "ap-southeast-7", "cn-north-1",
           "cn-northwest-1", "us-gov-west-1", "us-gov-east-1", "us-iso-east-1", "us-isob-east-1", "us-isof-south-1", "xx-new-1"]
BUCKETS = ["bucket", "abc", "a-b-c", "1two3", "with.dots", "a.b.c", "xn--bucket", "b" * 63, "OldBucket", "under_score", "b" * 64,
           "-begins", "ends-", "my-ap-12345678901234567890123456789012-s3alias", None]
OWN = [None, "http://127.0.0.1:9000", "https://s3.example.com/base", "https://vpce-1a2b.s3.eu-west-1.vpce.amazonaws.com"]


def targets(service, rows):
    """What the product says for each (bucket, region, fips, dualstack, own endpoint)."""
    return ask(*({"aim": {"service": service, "path": "/k", "bucket": bucket, "region": region, "dualstack": dualstack,
                          "endpoint_url": own, "env": [f"AWS_USE_FIPS_ENDPOINT={str(fips).lower()}"]}}
                 for bucket, region, fips, dualstack, own in rows))


def botocores_target(service):
    """The same by botocore's rules: (origin, path), or why they refuse it."""
    loader = Loader()
    rules = EndpointProvider(loader.load_service_model(service, "endpoint-rule-set-1"), loader.load_data("partitions"))

    def target(bucket, region, fips, dualstack, own):
        asked = {"Region": region, "UseFIPS": fips, "UseDualStack": dualstack}
        asked |= {"Accelerate": False, "UseGlobalEndpoint": False, "ForcePathStyle": bool(own)} if service == "s3" else {}
        asked |= ({"Bucket": bucket} if bucket else {}) | ({"Endpoint": own} if own else {})
        try:
            url = urllib.parse.urlsplit(rules.resolve_endpoint(**asked).url)
        except EndpointProviderError as error:
            return str(error)
        return f"{url.scheme}://{url.netloc}", url.path.rstrip("/") + "/k"

    return target


def test_requests_to_s3_go_where_botocore_sends_them():
    rows = list(itertools.product(BUCKETS, REGIONS, (False, True), (False, True), OWN))
    rules, refusals = botocores_target("s3"), set()
    for row, got in zip(rows, targets("s3", rows)):
        expected, (_, _, fips, dualstack, own) = rules(*row), row
        if isinstance(expected, tuple):
            assert (got.get("origin"), got.get("path")) == expected, (row, got)
        elif fips:
            refusals.add(got["error"])
        else:  # botocore refuses both together; here an endpoint of one's own is what it is
            assert dualstack and own and got["origin"] in own, (row, expected, got)
    assert refusals == {
        f"AWS_USE_FIPS_ENDPOINT and the endpoint '{own}' exclude each other: unset one of them" for own in OWN if own} | {
        f"S3 has no FIPS endpoints in China ({region}): unset AWS_USE_FIPS_ENDPOINT" for region in ("cn-north-1", "cn-northwest-1")}


@pytest.mark.parametrize("service", ["ec2", "cloudformation"])
def test_requests_to_other_services_go_where_botocore_sends_them(service):
    rows = list(itertools.product([None], REGIONS, (False, True), (False, True), [None]))
    rules = botocores_target(service)
    assert [(got.get("origin"), got.get("path")) for got in targets(service, rows)] == [rules(*row) for row in rows]
