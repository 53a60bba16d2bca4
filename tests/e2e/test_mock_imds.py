"""Metadata by AWS's own mock, IMDSv2 only: an implementation that is not ours understands our client."""

import os
import shutil
import socket
import subprocess

import pytest

from harness import TOP, Agent, http, wait_until

VERSION = "v1.13.0"
MODULE = "github.com/aws/amazon-ec2-metadata-mock"


def build_mock():
    """The mock, built once into build/bin by go, or why it cannot be had: no go, or a module proxy that lacks it."""
    path = TOP / "build" / "bin" / f"ec2-metadata-mock-{VERSION}"
    if path.exists():
        return path, None
    if not shutil.which("go"):
        return None, "there is no go here to build it"
    path.parent.mkdir(parents=True, exist_ok=True)
    env = {**os.environ, "GOBIN": str(path.parent), "GOFLAGS": "-mod=mod"}
    command = ["go", "install", f"{MODULE}/cmd/ec2-metadata-mock@{VERSION}"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=540)
    if done.returncode:
        return None, "the Go module proxy does not serve it" if "403" in done.stderr else done.stderr[-300:]
    (path.parent / "ec2-metadata-mock").rename(path)
    return path, None


BINARY, REASON = build_mock()


@pytest.fixture
def mock(tmp_path):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    log = open(tmp_path / "mock.log", "wb")
    process = subprocess.Popen([BINARY, "-n", "127.0.0.1", "-p", str(port), "-I"], stdout=log, stderr=log)

    def is_up():
        assert process.poll() is None, (tmp_path / "mock.log").read_text()
        try:
            return http("GET", f"http://127.0.0.1:{port}/latest/meta-data/instance-id")[0] == 401
        except OSError:
            return False

    wait_until(is_up, 30, "the mock")
    yield f"http://127.0.0.1:{port}"
    process.kill()
    process.wait()
    log.close()


@pytest.mark.skipif(not BINARY, reason=f"no {MODULE}@{VERSION}: {REASON}")
def test_facts_from_the_mock(tmp_path, mock):
    token = http("PUT", f"{mock}/latest/api/token", "", {"X-aws-ec2-metadata-token-ttl-seconds": "60"})[1]
    get = lambda path: http("GET", f"{mock}/latest/{path}", headers={"X-aws-ec2-metadata-token": token})[1]
    agent = Agent(tmp_path)
    agent.env["AWS_EC2_METADATA_SERVICE_ENDPOINT"] = mock
    facts = agent.run("facts", "--json").out
    for path in ("meta-data/instance-id", "meta-data/instance-type"):
        assert get(path) in facts, (path, facts)
    agent.apply(f'steps: [{{when: facts.instance_type == "{get("meta-data/instance-type")}", run: "true"}}]\n', "--no-tags")
    assert agent.status()["steps"][0]["status"] == "changed"
