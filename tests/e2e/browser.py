"""Chromium without a window, told what to do over the DevTools protocol on a pipe: no driver, no port."""

import base64
import itertools
import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync",
         "--disable-component-update", "--no-default-browser-check", "--hide-scrollbars", "--remote-debugging-pipe"]


class Browser:
    """One page. Everything that it asks for or complains of is kept in requests and complaints."""

    def __init__(self):
        self.profile = tempfile.mkdtemp(prefix="dsagent-browser-")
        to_us, from_it = os.pipe()
        to_it, from_us = os.pipe()

        def wire():  # it reads commands from 3 and writes answers to 4
            os.dup2(to_it, 63), os.dup2(from_it, 64)
            os.dup2(63, 3), os.dup2(64, 4)

        self.process = subprocess.Popen([PROGRAM, *FLAGS, f"--user-data-dir={self.profile}", "about:blank"], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, close_fds=False, preexec_fn=wire,
                                        start_new_session=True, env={**os.environ, "HOME": self.profile})
        os.close(to_it), os.close(from_it)
        self.out, self.into, self.rest = from_us, to_us, b""
        self.ids, self.session = itertools.count(1), None
        self.requests, self.complaints, self.loaded = [], [], False
        target = next(t for t in self.call("Target.getTargets")["targetInfos"] if t["type"] == "page")
        self.session = self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def _read(self, seconds):
        end = time.monotonic() + seconds
        while b"\0" not in self.rest:
            ready, _, _ = select.select([self.into], [], [], max(0, end - time.monotonic()))
            assert ready, "the browser does not answer"
            piece = os.read(self.into, 1 << 20)
            assert piece, "the browser has ended"
            self.rest += piece
        message, _, self.rest = self.rest.partition(b"\0")
        return json.loads(message)

    def _note(self, message):
        kind, what = message.get("method"), message.get("params", {})
        if kind == "Network.requestWillBeSent":
            self.requests.append(what["request"]["url"])
        elif kind == "Runtime.exceptionThrown" or kind == "Runtime.consoleAPICalled" or kind == "Log.entryAdded":
            self.complaints.append(what)
        elif kind == "Page.loadEventFired":
            self.loaded = True

    def call(self, method, seconds=60, **params):
        number = next(self.ids)
        message = {"id": number, "method": method, "params": params, **({"sessionId": self.session} if self.session else {})}
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self.out, data):]
        while True:
            answer = self._read(seconds)
            if answer.get("id") == number:
                assert "error" not in answer, answer
                return answer["result"]
            self._note(answer)

    def open(self, path, width=1200, height=900, dark=False, scale=1):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=width < 700)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])
        self.loaded = False
        self.call("Page.navigate", url=f"file://{path}")
        while not self.loaded:
            self._note(self._read(60))

    def ask(self, expression):
        return self.call("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def shot(self, path, whole=True):
        clip = {}
        if whole:
            size = self.call("Page.getLayoutMetrics")["cssContentSize"]
            clip = {"clip": {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}}
        picture = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole, **clip)
        path.write_bytes(base64.b64decode(picture["data"]))

    def close(self):
        os.close(self.out), os.close(self.into)
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        shutil.rmtree(self.profile, ignore_errors=True)
