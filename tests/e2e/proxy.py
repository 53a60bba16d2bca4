"""Tinyproxy, a real HTTP proxy, ours alone: what was asked of it is in its log."""

import re
import shutil
import socket
import subprocess

import pytest

from harness import wait_until
from receivers import free_port

CONF = """Port {port}
Listen 127.0.0.1
Timeout 60
MaxClients 400
LogFile "{folder}/log"
LogLevel Connect
PidFile "{folder}/pid"
DisableViaHeader Yes
{more}
"""


class Proxy:
    def __init__(self, folder, more=""):
        folder.mkdir(parents=True)
        self.log, self.port = folder / "log", free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        (folder / "conf").write_text(CONF.format(port=self.port, folder=folder, more=more))
        binary = shutil.which("tinyproxy", path="/usr/bin:/usr/sbin:/bin") or pytest.skip("there is no tinyproxy here")
        self.process = subprocess.Popen([binary, "-d", "-c", folder / "conf"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(self._is_up, 30, "tinyproxy")

    def _is_up(self):
        assert self.process.poll() is None, "tinyproxy has ended"
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", self.port)) == 0

    def requests(self):
        """["GET http://127.0.0.1:9000/bucket?…", "CONNECT 127.0.0.1:9001"]"""
        return re.findall(r"Request \(file descriptor \d+\): (\w+ \S+) HTTP/1", self.log.read_text())

    def close(self):
        self.process.kill()
        self.process.wait()
