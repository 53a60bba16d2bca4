"""A terminal of its own for one program: tmux without anybody's settings, read as whole screens."""

import itertools
import os
import shlex
import shutil
import subprocess

from harness import wait_until

TMUX = shutil.which("tmux")
_numbers = itertools.count()


class Screen:
    """columns by rows cells in which a shell command runs; `text()` is what a person would see."""

    def __init__(self, folder, command, columns=80, rows=24, env=None):
        self.socket = str(folder / f"tmux-{next(_numbers)}")
        if len(self.socket) > 100:  # sockets have short names (unix(7))
            self.socket = f"/tmp/dsagent-tmux-{os.getpid()}-{next(_numbers)}"
        self.end = folder / f"ended-{next(_numbers)}"
        line = f"trap : INT; {shlex.join(map(str, command))}; echo $? > {shlex.quote(str(self.end))}; sleep 600"
        self.tmux("-f", "/dev/null", "new-session", "-d", "-x", str(columns), "-y", str(rows),
                  *(part for key, value in (env or {}).items() for part in ("-e", f"{key}={value}")), "env", "-u", "TMUX",
                  *([f"TERM={env['TERM']}"] if env and "TERM" in env else []), "/bin/sh", "-c", line)

    def tmux(self, *args, check=True):
        done = subprocess.run([TMUX, "-S", self.socket, *args], capture_output=True, timeout=60, env={
            "PATH": os.environ["PATH"], "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "HOME": "/nonexistent", "TERM": "xterm"})
        assert not check or done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()

    def text(self, colors=False):
        return self.tmux("capture-pane", "-p", *(["-e"] if colors else [])).rstrip("\n") + "\n"

    def history(self):
        return self.tmux("capture-pane", "-p", "-S", "-").rstrip("\n") + "\n"

    def wait(self, true, seconds=20, what=None):
        """The first screen for which it is true."""
        seen = [""]

        def look():
            seen[0] = self.text()
            return seen[0] if true(seen[0]) else None
        try:
            return wait_until(look, seconds, what or "the screen")
        except AssertionError as error:
            raise AssertionError(f"{error}; it shows\n{seen[0]}") from None

    def wait_for(self, *parts, seconds=20):
        return self.wait(lambda text: all(part in text for part in parts), seconds, f"{parts} on the screen")

    def keys(self, *keys):
        self.tmux("send-keys", *keys)

    def resize(self, columns, rows):
        self.tmux("resize-window", "-x", str(columns), "-y", str(rows))

    def exit_code(self, seconds=60):
        wait_until(lambda: self.end.exists() and self.end.read_text().endswith("\n"), seconds, "the program to end")
        return int(self.end.read_text())

    def close(self):
        self.tmux("kill-server", check=False)
