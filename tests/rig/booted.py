"""A Debian with systemd as its PID 1, in a container that is really booted: commands go in by its namespaces."""

import os
import pathlib
import re
import signal
import subprocess

from harness import BINARY, children_of, wait_until

HERE = pathlib.Path(__file__).resolve().parent
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Booted:
    def __init__(self, root, folder, files=None, binds=()):
        """files: path → text, put into the root before the boot."""
        self.root, self.folder, self.binds = root, folder, list(binds)
        self.shared = folder / "shared"
        self.shared.mkdir(parents=True)
        for path, text in (files or {}).items():
            self.put(path, text)
        self.process = None
        self.env = {}

    def put(self, path, text):
        target = self.folder / "up" / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def recipe(self, text, name="recipe.yaml"):
        (self.shared / name).write_text(text)
        return f"/shared/{name}"

    def boot(self, until="systemctl is-system-running --wait | grep -qE 'running|degraded'"):
        binds = [word for bind in [f"{self.shared}:/shared", *self.binds] for word in ("-b", bind)]
        self.log = open(self.folder / "console", "ab")
        self.process = subprocess.Popen(["sh", HERE / "nspawn.sh", "-u", self.folder, *binds, self.root],
                                        env={**os.environ, "RIG_BINARY": str(BINARY)}, stdin=subprocess.DEVNULL,
                                        stdout=self.log, stderr=self.log)
        if until:
            wait_until(lambda: self.run("sh", "-c", until, code=None).returncode == 0, 60, f"the boot: {self.console()}")

    def console(self):
        return (self.folder / "console").read_text(errors="replace")[-3000:]

    def init(self):
        """The pid of the container's systemd, None while there is none."""
        for pid in children_of(self.process.pid):
            try:
                ids = re.search(r"^NSpid:(.*)", pathlib.Path(f"/proc/{pid}/status").read_text(), re.M).group(1).split()
                if ids[-1] == "1" and len(ids) > 1 and pathlib.Path(f"/proc/{pid}/comm").read_text().strip() == "systemd":
                    return pid
            except (OSError, AttributeError):
                continue
        return None

    def run(self, *command, code=0, timeout=120):
        assert self.process.poll() is None or code is None, f"it has ended: {self.console()}"
        pid = self.init()
        if pid is None:
            return subprocess.CompletedProcess(command, 254, "", "not booted")
        done = subprocess.run(["nsenter", "-t", str(pid), "-m", "-u", "-i", "-n", "-p", "-C", "-r", "-w", "--", "env", "-i",
                               f"PATH={PATH}", "HOME=/root", "LANG=C.UTF-8", "TERM=dumb", "no_proxy=127.0.0.1",
                               *[f"{k}={v}" for k, v in self.env.items()], *command],
                              capture_output=True, text=True, errors="replace", timeout=timeout, stdin=subprocess.DEVNULL)
        assert code is None or done.returncode == code, f"{command} -> {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def sh(self, script, **how):
        return self.run("sh", "-c", script, **how).stdout

    def close(self):
        if self.process and self.process.poll() is None:
            self.run("systemctl", "poweroff", code=None)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                for pid in [*children_of(self.process.pid), self.process.pid]:
                    os.kill(pid, signal.SIGKILL)
                self.process.wait()
        if self.process:
            self.log.close()
        subprocess.run(["rm", "-rf", self.folder], check=False)
