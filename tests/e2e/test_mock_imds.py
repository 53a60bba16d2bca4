"""Metadata by AWS's own mock, IMDSv2 only: an implementation that is not ours understands our client."""

import os
import shutil
import socket
import subprocess

import pytest

from harness import TOP, Agent, http, wait_until

VERSION = "v1.13.0"
MODULE = "github.com/aws/amazon-ec2-metadata-mock/cmd/ec2-metadata-mock"


def mock_binary():
    """Built once into build/bin by go."""
    path = TOP / "build" / "bin" / f"ec2-metadata-mock-{VERSION}"
    if path.exists():
        return path
    if not shutil.which("go"):
        pytest.skip(f"needs go to build {MODULE}@{VERSION}")
    path.parent.mkdir(parents=True, exist_ok=True)
    env = {**os.environ, "GOBIN": str(path.parent), "GOFLAGS": "-mod=mod"}
    done = subprocess.run(["go", "install", f"{MODULE}@{VERSION}"], env=env, capture_output=True, text=True, timeout=540)
    if done.returncode:
        pytest.skip(f"go could not build {MODULE}@{VERSION}: {done.stderr[-300:]}")
    (path.parent / "ec2-metadata-mock").rename(path)
    return path


@pytest.fixture
def mock(tmp_path):
    binary = mock_binary()
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    log = open(tmp_path / "mock.log", "wb")
    process = subprocess.Popen([binary, "-n", "127.0.0.1", "-p", str(port), "-I"], stdout=log, stderr=log)

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
