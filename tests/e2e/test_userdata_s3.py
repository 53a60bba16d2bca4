"""The script of user-data against an S3 that judges: MinIO by TLS, with temporary keys of a role that may read one prefix. From launch,
by cloud-init: tests/rig/test_cloud_init.py."""

import contextlib
import hashlib
import os
import socket
import threading

import pytest

from agent_store import KEY, PRIVATE, Store
from s3 import real_names
from stubbox import MACHINE, SHELLS, box, box_of, system_tools  # noqa: F401  (fixtures)
from test_userdata_days import faketime


@pytest.fixture
def store(box, world, running, monkeypatch):
    if "minio-tls" not in real_names():
        pytest.skip("MinIO is not to be had here")
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    # Longer than what a TLS connection says before the first byte of it.
    box.program += b"exit\n" + b"# and so on\n" * 20000
    made = Store(running("minio-tls"), box.program)
    world.config(*made.role())
    (box.folder / "home").mkdir()
    (box.folder / "home/.wgetrc").write_text(f"ca_certificate = {made.server.ca}\n")
    box.env.update(AWS_ENDPOINT_URL_S3=made.server.url, AWS_ENDPOINT_URL_EC2=world.url, HOME=str(box.folder / "home"),
                   CURL_CA_BUNDLE=str(made.server.ca), AWS_CA_BUNDLE=str(made.server.ca), AWS_MAX_ATTEMPTS="1")
    return made


@contextlib.contextmanager
def cut_short(url, after):
    """The same server, but that every connection ends after so many bytes of it."""
    there = url.rsplit(":", 1)[1]
    listener = socket.create_server(("127.0.0.1", 0))

    def pass_on(source, target, most):
        with contextlib.suppress(OSError):
            while most > 0 and (data := source.recv(min(65536, most))):
                target.sendall(data)
                most -= len(data)
        for side in (source, target):
            with contextlib.suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)

    def serve():
        with contextlib.suppress(OSError):
            while True:
                client = listener.accept()[0]
                server = socket.create_connection(("127.0.0.1", int(there)))
                for way in ((client, server, 1 << 40), (server, client, after)):
                    threading.Thread(target=pass_on, args=way, daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    yield f"https://127.0.0.1:{listener.getsockname()[1]}"
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


# ---- the role's keys: by curl that signs, and by the aws command where curl cannot

@pytest.fixture(params=["curl", "aws"])
def signs(box, store, request):
    if request.param == "aws":
        box.real_aws()
        box.curl_is("7.81.0")  # Ubuntu 22.04's
    return request.param


WRONG_SUM = {MACHINE: hashlib.sha256(b"another").hexdigest()}


def test_the_role_may_read_it(box, store, signs):
    box.run(["dash"], agent=f"s3://{store.bucket}/tools/dsagent-{{arch}}")
    assert (box.bin / "dsagent").read_bytes() == store.program and box.left() == ["dsagent"]
    assert box.given.exists() and box.server.seen == []


@pytest.mark.parametrize("shell", SHELLS)
def test_curl_signs_in_every_shell(box, store, shell):
    assert box.failed(shell, agent=f"s3://{store.bucket}/{PRIVATE}") == "download: HTTP 403 AccessDenied: Access Denied; the role is box"
    box.run(shell, agent=f"s3://{store.bucket}/{KEY}")
    assert (box.bin / "dsagent").read_bytes() == store.program and box.given.exists()


HEAD = "fatal error: An error occurred ({}) when calling the HeadObject operation: "


@pytest.mark.parametrize("key, curl, aws", [
    (PRIVATE, "HTTP 403 AccessDenied: Access Denied; the role is box", HEAD.format(403) + "Forbidden"),
    ("tools/nowhere", "HTTP 404 NoSuchKey: The specified key does not exist", HEAD.format(404) + 'Key "tools/nowhere" does not exist'),
])
def test_what_the_role_may_not_or_cannot_read(box, store, world, signs, key, curl, aws):
    agent = f"s3://{store.bucket}/{key}"
    assert box.failed(["dash"], agent) == "download: " + {"curl": curl, "aws": aws}[signs]
    if signs == "aws":
        tags = world.tags()
        assert tags["dsagent:status"] == "failed" and tags["dsagent:error"].startswith(f"{agent}: download: fatal error"), tags


def test_aws_fails_and_curl_says_why(box, store):
    """Where both are there, the second has its turn."""
    box.tool("aws", "echo no >&2; exit 1\n")
    assert box.failed(["dash"], f"s3://{store.bucket}/tools/nowhere") == "download: HTTP 404 NoSuchKey: The specified key does not exist"


@pytest.mark.parametrize("config, says", [
    (["access_key=ASIAOFANOTHERACCOUNT"], "HTTP 403 InvalidAccessKeyId: The Access Key Id you provided does not exist in our records"),
    (["secret_key=another"], "HTTP 403 SignatureDoesNotMatch: The request signature we calculated does not match the signature you "
                             "provided. Check your key and signing method"),
])
def test_keys_that_s3_does_not_know(box, store, world, config, says):
    world.config(*store.role(), *config)
    assert box.failed(["dash"], f"s3://{store.bucket}/{KEY}") == f"download: {says}"


def test_a_clock_that_s3_does_not_take(box, store):
    box.env.update(faketime(3))
    said = box.failed(["dash"], f"s3://{store.bucket}/{KEY}")
    assert said.startswith("download: HTTP 403 RequestTimeTooSkewed: ") and "; its clock says " in said and ", this one " in said, said


def test_another_program_than_was_meant(box, store):
    right = hashlib.sha256(store.program).hexdigest()
    assert box.failed(["dash"], f"s3://{store.bucket}/{KEY}", sums=WRONG_SUM) == f"its SHA-256 is {right} and should be {WRONG_SUM[MACHINE]}"


def test_a_connection_that_is_cut(box, store):
    with cut_short(store.server.url, 60000) as url:
        box.env["AWS_ENDPOINT_URL_S3"] = url
        assert box.failed(["dash"], f"s3://{store.bucket}/{KEY}").startswith("download: curl: (")


# ---- presigned: the address is all that is needed

@pytest.fixture(params=["curl", "wget"])
def presigned(box, store, world, request):
    """The box has no role, and one of the two."""
    world.config("role=")
    if request.param == "wget":
        box.hide("curl")
    return request.param


def test_a_presigned_url(box, store, presigned):
    box.run(["dash"], agent=store.presigned())
    assert (box.bin / "dsagent").read_bytes() == store.program and box.given.exists()


@pytest.mark.parametrize("what, curl, wget", [
    ({"hours_ago": 2}, "HTTP 403 AccessDenied: Request has expired", "wget ended with 8: HTTP 403 Forbidden"),
    ({"key": "tools/nowhere"}, "HTTP 404 NoSuchKey: The specified key does not exist", "wget ended with 8: HTTP 404 Not Found"),
])
def test_a_presigned_url_that_is_refused(box, store, presigned, what, curl, wget):
    said = box.failed(["dash"], store.presigned(**what))
    assert said == "download: " + {"curl": curl, "wget": wget}[presigned]


def test_a_presigned_url_that_was_changed(box, store):
    """Another key than was signed for."""
    said = box.failed(["dash"], store.presigned().replace(KEY, PRIVATE))
    assert said.startswith("download: HTTP 403 SignatureDoesNotMatch: The request signature we calculated does not match "), said


def test_a_presigned_url_of_another_program(box, store, presigned):
    assert box.failed(["dash"], store.presigned(), sums=WRONG_SUM).endswith(f"should be {WRONG_SUM[MACHINE]}")
