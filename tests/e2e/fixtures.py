"""The shipped binary, driven from outside: `agent` runs it in a tree of its own, `world` is the fake EC2 beside it."""

import os
import socket
import subprocess
import sys

import pytest

import steps_table
from harness import Agent, World, http, wait_until


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: takes minutes and the network: real apt, dnf, pip")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """In CI nothing may be missing: a skip there is a failure with the same reason."""
    outcome = yield
    report = outcome.get_result()
    if report.skipped and os.environ.get("CI") == "true" and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped in CI: {report.longrepr}"


@pytest.hookimpl(hookwrapper=True)
def pytest_make_collect_report(collector):
    """The same for a whole file."""
    outcome = yield
    report = outcome.get_result()
    if report.skipped and os.environ.get("CI") == "true":
        report.outcome = "failed"
        report.longrepr = f"skipped in CI: {report.longrepr}"


def pytest_terminal_summary(terminalreporter):
    if steps_table.added:
        terminalreporter.section(f"step types ({steps_table.TABLE})")
        terminalreporter.write(steps_table.text(steps_table.added))


@pytest.fixture
def world(tmp_path):
    w = World(tmp_path / "world")
    yield w
    w.close()


@pytest.fixture
def agent(tmp_path):
    """Off EC2: no metadata endpoint at all."""
    a = Agent(tmp_path)
    yield a
    a.close()


@pytest.fixture
def on_ec2(tmp_path, world):
    """On the world's instance, with its role."""
    a = Agent(tmp_path, world)
    yield a
    a.close()


@pytest.fixture
def moto(tmp_path):
    """AWS's services by moto, an implementation that is not ours."""
    pytest.importorskip("moto.server")
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    log = open(tmp_path / "moto.log", "wb")
    process = subprocess.Popen([sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], stdout=log, stderr=log)

    def is_up():
        assert process.poll() is None, (tmp_path / "moto.log").read_text()
        try:
            return http("GET", f"http://127.0.0.1:{port}/moto-api/")[0]
        except OSError:
            return False

    wait_until(is_up, 60, "moto")
    yield f"http://127.0.0.1:{port}"
    process.kill()
    process.wait()
    log.close()
