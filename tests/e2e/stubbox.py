"""An instance for the script of user-data: a server that misbehaves as networks do, folders for programs, tools to have or not."""

import hashlib
import hmac
import http.server
import os
import re
import shutil
import struct
import subprocess
import threading
import urllib.parse

import pytest

from harness import TOP

TEMPLATE = (TOP / "packaging/user-data.sh").read_text()
MACHINE = os.uname().machine
SHELLS = [pytest.param(["dash"], id="dash"), pytest.param(["bash"], id="bash"),
          pytest.param(["busybox", "sh"], id="busybox")]


def elf(folder, machine, name=None, dynamic=False):
    """The head of a program for an ELF machine, with one segment."""
    head = b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HHIQQQIHHHHHH", 3, machine, 1, 0, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    path = folder / (name or f"dsagent-{machine}")
    path.write_bytes(head + struct.pack("<I", 3 if dynamic else 1) + bytes(52))
    return path


def filled(agent="", x86_64="", aarch64="", recipe=""):
    """The template as a person fills it in, without its comments: what `dsagent userdata` must print."""
    text = TEMPLATE.replace("agent=''", f"agent='{agent}'").replace("x86_64=''", f"x86_64='{x86_64}'", 1)
    text = text.replace("aarch64=''", f"aarch64='{aarch64}'")
    lines = [line for line in text.split("\n") if line.strip() and not re.match(r"\s*#(?!!)", line)]
    text = "\n".join(lines) + "\n"
    return re.sub(r"(<<'RECIPE'\n).*?(?=RECIPE\n\Z)", lambda m: m[1] + recipe, text, flags=re.S)


# Stands for dsagent: answers `version`, keeps what `boot -` is given.
PROGRAM = """#!/bin/sh
case $1 in
version) echo dsagent 0 ;;
boot) cat >{given}; echo "$*" >>{given}.args; exit {code} ;;
esac
"""


# As S3 words them.
REFUSALS = {
    "wrong": b"#!/bin/sh\necho I am somebody else\n",
    "expired": b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message><Expires>2026-01-01T00:00:00Z</Expires></Error>",
    "skewed": b"<Error><Code>RequestTimeTooSkewed</Code><Message>The difference between the request time and the current time is "
              b"too large.</Message></Error>",
}


class Server(http.server.ThreadingHTTPServer):
    """Serves `program`; `plan` holds what happens to the next GETs: ok, 403, expired, skewed, cut, wrong; the last one stays."""

    def __init__(self, program, port=0):
        super().__init__(("127.0.0.1", port), Handler)
        self.program, self.plan, self.seen = program, ["ok"], []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.send_response(403)
        self.end_headers()

    def do_GET(self):
        server = self.server
        server.seen.append((self.path, dict(self.headers)))
        what = server.plan.pop(0) if len(server.plan) > 1 else server.plan[0]
        body = REFUSALS.get(what, server.program)
        self.send_response(403 if what in ("403", "expired", "skewed") else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:20] if what == "cut" else body)
        self.close_connection = True


# What the script looks for programs in beside PATH; a box has its own folders alone.
USUAL = ":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
assert TEMPLATE.count(USUAL) == 1


@pytest.fixture(scope="session")
def system_tools(tmp_path_factory):
    """A folder with the programs of this machine, but for those that a box has or has not by its test."""
    folder = tmp_path_factory.mktemp("system")
    for where in ("/usr/bin", "/bin"):
        for path in os.scandir(where):
            if path.name not in ("aws", "dsagent") and not (folder / path.name).is_symlink():
                (folder / path.name).symlink_to(path.path)
    return folder


@pytest.fixture
def box_of(tmp_path, world, system_tools):
    """box_of(code): a box where `dsagent boot` ends with that code."""
    boxes = []

    def make(code=0):
        boxes.append(StubBox(tmp_path, world, system_tools, code))
        return boxes[-1]

    yield make
    for made in boxes:
        made.server.shutdown()
        made.server.server_close()


@pytest.fixture
def box(box_of):
    return box_of()


class StubBox:
    """An instance for the script: folders of its own for programs, metadata of the world, tools that it may have."""

    def __init__(self, folder, world, system_tools, code):
        self.folder, self.world, self.given = folder, world, folder / "given"
        self.bin, self.tools = folder / "bin", folder / "tools"
        self.tools.mkdir()
        self.program = PROGRAM.format(given=self.given, code=code).encode()
        self.server = Server(self.program)
        self.folders = [self.bin]
        self.env = {"PATH": f"{self.tools}:{system_tools}", "DSAGENT_RETRY_SECONDS": "0", "NO_PROXY": "127.0.0.1",
                    "no_proxy": "127.0.0.1", "AWS_EC2_METADATA_SERVICE_ENDPOINT": world.url,
                    "AWS_ENDPOINT_URL_S3": self.server.url}

    def tool(self, name, text):
        path = self.tools / name
        path.write_text("#!/bin/sh\n" + text)
        path.chmod(0o755)

    def real_aws(self):
        self.tool("aws", f'exec {TOP}/build/venv/bin/python -m awscli "$@"\n')

    def curl_is(self, version):
        """By its own word: the script asks for it before it lets curl sign."""
        self.tool("curl", f'[ "$1" != --version ] || {{ echo "curl {version} (x86_64)"; exit; }}\nexec /usr/bin/curl "$@"\n')

    def hide(self, name):
        """As if it were not installed."""
        visible = self.folder / f"without-{name}"
        shutil.copytree(self.env["PATH"].rsplit(":", 1)[1], visible, symlinks=True, ignore=lambda *_: [name])
        self.env["PATH"] = f"{self.tools}:{visible}"

    def run(self, shell, agent=None, code=0, sums=None, recipe="steps: []\n", prefix=()):
        sums = {MACHINE: hashlib.sha256(self.program).hexdigest()} if sums is None else sums
        script = self.folder / "user-data"
        script.write_text(filled(self.server.url + "/tools/dsagent-{arch}?X-Amz-Signature=c0ffee" if agent is None else agent,
                                 **sums, recipe=recipe).replace(USUAL, ""))
        if not shutil.which(shell[0]):
            pytest.skip(f"{shell[0]} is not installed")
        done = subprocess.run([*prefix, *shell, script], capture_output=True, text=True, timeout=60, cwd="/",
                              env={**self.env, "DSAGENT_FOLDERS": " ".join(map(str, self.folders))}, stdin=subprocess.DEVNULL)
        assert done.returncode == code, done
        return done

    def failed(self, shell, agent=None, **how):
        """Why all six tries failed, as the last one says it; nothing is left of them."""
        lines = self.run(shell, agent, code=1, **how).stderr.splitlines()
        url = (agent or f"{self.server.url}/tools/dsagent-{MACHINE}").partition("?")[0]
        assert len(lines) == 6 and all(re.fullmatch(re.escape(f"dsagent user-data: {url}: ") + ".*; again in 0 s", l) for l in lines[:5]), lines
        begin = f"dsagent user-data failed: {url}: "
        assert lines[5].startswith(begin), lines[5]
        assert self.left() == [] and not self.given.exists(), "nothing half-done"
        return lines[5][len(begin):]

    def left(self):
        return sorted(str(p.relative_to(f)) for f in self.folders if f.exists() for p in f.rglob("*") if p.is_file())


def signature(secret, path, headers):
    """Signature Version 4 over what was received: https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html"""
    fields = dict(re.findall(r"(Credential|SignedHeaders|Signature)=([^, ]+)", headers["Authorization"]))
    low = {k.lower(): v.strip() for k, v in headers.items()}
    names = fields["SignedHeaders"].split(";")
    request = "\n".join(["GET", urllib.parse.quote(path), "", *[f"{n}:{low[n]}" for n in names], "", ";".join(names),
                         low["x-amz-content-sha256"]])
    key_id, day, region, service, end = fields["Credential"].split("/")
    key = b"AWS4" + secret.encode()
    for part in (day, region, service, end):
        key = hmac.new(key, part.encode(), "sha256").digest()
    text = "\n".join(["AWS4-HMAC-SHA256", low["x-amz-date"], "/".join([day, region, service, end]),
                      hashlib.sha256(request.encode()).hexdigest()])
    return fields, names, hmac.new(key, text.encode(), "sha256").hexdigest()
