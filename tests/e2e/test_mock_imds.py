"""Metadata by AWS's own mock, IMDSv2 only: an implementation that is not ours understands our client."""

import socket
import subprocess

import pytest

from gotool import go_install
from harness import Agent, http, wait_until

VERSION = "v1.13.0"
MODULE = "github.com/aws/amazon-ec2-metadata-mock"
BINARY, REASON = go_install(f"{MODULE}/cmd/ec2-metadata-mock", VERSION)


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
