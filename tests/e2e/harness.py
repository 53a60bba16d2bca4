"""What the tests share: the world's control door, an agent in a tree of its own, tree hashes, waiting."""

import hashlib
import json
import os
import pathlib
import re
import signal
import stat
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request

TOP = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("DSAGENT_BUILD", TOP / "build")).resolve()
BINARY = pathlib.Path(os.environ.get("DSAGENT", BUILD / "dsagent")).resolve()
WORLD = pathlib.Path(os.environ.get("DSAGENT_WORLD", BUILD / "tests" / "world")).resolve()

# No request to loopback may go through a proxy of the machine that runs the tests.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def http(method, url, body=None, headers=None, timeout=60):
    """(status, text) of any answer."""
    request = urllib.request.Request(url, method=method, data=body.encode() if isinstance(body, str) else body,
                                     headers=headers or {})
    try:
        with _opener.open(request, timeout=timeout) as answer:
            return answer.status, answer.read().decode(errors="replace")
    except urllib.error.HTTPError as answer:
        return answer.code, answer.read().decode(errors="replace")


def wait_until(true, seconds=20, what="it"):
    """The first true value that `true` returns."""
    end = time.monotonic() + seconds
    while True:
        value = true()
        if value:
            return value
        assert time.monotonic() < end, f"waited {seconds} s for {what}"
        time.sleep(0.02)


def tree_hash(root):
    """A hash over names, types, modes, owners, contents and modification times below root."""
    digest = hashlib.sha256()
    root = pathlib.Path(root)
    for path in sorted(root.rglob("*")):
        st = path.lstat()
        digest.update(f"{path.relative_to(root)}|{st.st_mode}|{st.st_uid}|{st.st_gid}|".encode())
        if stat.S_ISLNK(st.st_mode):
            digest.update(os.readlink(path).encode())
        elif stat.S_ISREG(st.st_mode):
            digest.update(str(st.st_mtime_ns).encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def tree_lines(folder):
    """`CRC32C SIZE PATH` of every file, as the world prints a manifest."""
    return subprocess.run([BUILD / "tests" / "tree", str(folder)], capture_output=True, text=True, check=True,
                          errors="surrogateescape").stdout


def children_of(pid):
    """Every descendant of pid."""
    parents = {}
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            parents.setdefault(int(fields[1]), []).append(int(entry.name))
    found, todo = [], [pid]
    while todo:
        new = parents.get(todo.pop(), [])
        found += new
        todo += new
    return found


def is_alive(pid):
    """False for a zombie too."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


# What the world gives to its role, and lets in.
S3_KEY, S3_SECRET = "ASIAWORLDEXAMPLE0001", "worldSecret/EXAMPLE+KEY0123456789abcdef"
S3_TOKEN = "IQoWorldSessionTokenEXAMPLE//////////wEaCXVzLWVhc3Q+x=="


class World:
    """tests/world: metadata service and EC2 on one loopback port, S3 on another, ours alone."""

    def __init__(self, folder):
        folder.mkdir(parents=True)
        ready = folder / "port"
        assert WORLD.exists(), f"{WORLD} is missing: make build/tests/world"
        self.log = open(folder / "log", "wb")
        self.process = subprocess.Popen([WORLD, "--port", "0", "--ready-file", ready, "--with-parent"],
                                        stdout=self.log, stderr=self.log)
        wait_until(ready.exists, 10, "the world to start")
        self.port = int(ready.read_text())
        self.url = f"http://127.0.0.1:{self.port}"

    def close(self):
        status = self.process.poll()
        self.process.kill()
        self.process.wait()
        self.log.close()
        assert status is None, "the world died: " + pathlib.Path(self.log.name).read_text(errors="replace")

    def _put(self, what, text):
        status, answer = http("PUT", f"{self.url}/_world/{what}", text)
        assert status == 200, answer

    def _get(self, what):
        status, answer = http("GET", f"{self.url}/_world/{what}")
        assert status == 200, answer
        return answer

    @property
    def s3_url(self):
        return f"http://127.0.0.1:{self._get('s3/port').strip()}"

    def bucket(self, name, *lines):
        self._put(f"s3/bucket/{name}", "".join(f"{line}\n" for line in lines))

    def objects(self, bucket, *lines):
        self._put(f"s3/objects/{bucket}", "".join(f"{line}\n" for line in lines))

    def drop_bucket(self, name):
        http("DELETE", f"{self.url}/_world/s3/bucket/{name}")

    def bucket_facts(self, name):
        """objects, bytes, uploads (multipart, open)."""
        return json.loads(self._get(f"s3/bucket/{name}"))

    def manifest(self, bucket, prefix=""):
        """As build/tests/tree prints a folder that is equal."""
        return self._get(f"s3/manifest/{bucket}?prefix={urllib.parse.quote(prefix, safe='')}")

    def forget_counters(self):
        assert http("DELETE", f"{self.url}/_world/counters")[0] == 200

    def faults(self, *lines):
        self._put("faults", "\n".join(lines) + "\n")

    def config(self, *lines):
        self._put("config", "\n".join(lines) + "\n")

    def metadata(self, *lines):
        self._put("metadata", "\n".join(lines) + "\n")

    def forget_tokens(self):
        assert http("DELETE", f"{self.url}/_world/tokens")[0] == 200

    def tags(self):
        return json.loads(self._get("tags"))

    def history(self):
        return json.loads(self._get("history"))

    def counters(self):
        return json.loads(self._get("counters"))

    def requests(self):
        return self._get("requests").splitlines()


class Run:
    """A finished dsagent."""

    def __init__(self, args, code, out, err, seconds):
        self.args, self.code, self.out, self.err, self.seconds = args, code, out, err, seconds
        self.text = out + err

    def __repr__(self):
        return f"dsagent {' '.join(map(str, self.args))} -> {self.code} in {self.seconds:.1f} s\n{self.out}\n--\n{self.err}"

    def json(self):
        return json.loads(self.out)

    def lines(self):
        return [json.loads(line) for line in self.out.splitlines() if line.strip()]


class Agent:
    """build/dsagent with --root TREE, a clean environment and a home of its own."""

    def __init__(self, folder, world=None, binary=BINARY):
        assert binary.exists(), f"{binary} is missing: make"
        self.binary, self.world, self.folder = binary, world, folder
        self.tree, self.home, self.recipes, self.work = (folder / n for n in ("tree", "home", "recipes", "work"))
        for path in (self.tree, self.home, self.recipes, self.work):
            path.mkdir(parents=True, exist_ok=True)
        os_release = self.tree / "etc" / "os-release"
        os_release.parent.mkdir()
        os_release.write_text('ID=debian\nVERSION_ID="12"\nVERSION_CODENAME=bookworm\nPRETTY_NAME="Debian 12"\n')
        self.started = []
        self.env = {
            "PATH": os.environ["PATH"], "HOME": str(self.home), "LANG": "C.UTF-8",
            "XDG_STATE_HOME": str(self.home / "state"), "XDG_RUNTIME_DIR": str(self.home / "run"),
            "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1",
        }
        if world:
            self.env["AWS_EC2_METADATA_SERVICE_ENDPOINT"] = world.url
            self.env["AWS_ENDPOINT_URL_EC2"] = world.url

    def recipe(self, text, name="recipe.yaml"):
        path = self.recipes / name
        path.write_text(text)
        return path

    def argv(self, *args):
        return [str(self.binary), "--root", str(self.tree), *map(str, args)]

    def run(self, *args, code=0, timeout=60, stdin=None, env=None):
        """Runs to the end and checks the exit code (None: any)."""
        began = time.monotonic()
        done = subprocess.run(self.argv(*args), env={**self.env, **(env or {})}, timeout=timeout, cwd=self.work,
                              input=stdin.encode() if stdin is not None else b"", capture_output=True)
        result = Run(args, done.returncode, done.stdout.decode(errors="replace"),
                     done.stderr.decode(errors="replace"), time.monotonic() - began)
        if code is not None:
            assert result.code == code, result
        return result

    def apply(self, text, *args, **how):
        return self.run("apply", self.recipe(text), *args, **how)

    def start(self, *args, env=None):
        """Starts it in a process group of its own; ended with the test."""
        log = open(self.folder / f"started-{len(self.started)}.log", "wb")
        process = subprocess.Popen(self.argv(*args), env={**self.env, **(env or {})}, cwd=self.work, stdin=subprocess.DEVNULL,
                                   stdout=log, stderr=log, start_new_session=True)
        process.log = pathlib.Path(log.name)
        self.started.append(process)
        return process

    def close(self):
        for process in self.started:
            for pid in [process.pid, *children_of(process.pid)]:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            process.wait()

    @property
    def state_dir(self):
        return self.tree / "var/lib/dsagent"

    @property
    def status_path(self):
        return self.tree / "run/dsagent/status.json"

    def status(self):
        return json.loads(self.status_path.read_text())

    def status_now(self):
        """As `dsagent status --json` says it."""
        return self.run("status", "--json", code=None).json()

    def step(self, step_id):
        """One step of status.json."""
        return next(s for s in self.status()["steps"] if s["id"] == step_id)

    def step_status(self, step_id):
        return self.step(step_id)["status"]

    def events(self):
        """All events of the newest run."""
        runs = sorted((self.state_dir / "runs").iterdir())
        return [json.loads(line) for line in (runs[-1] / "events.jsonl").read_text().splitlines()]

    def everything(self):
        """The bytes of all files below the tree, joined: where a secret must not be."""
        return b"\n".join(p.read_bytes() for p in sorted(self.tree.rglob("*")) if p.is_file() and not p.is_symlink())


def no_times(text):
    """Text with durations made equal."""
    return re.sub(r"\b\d+(\.\d+)?\s?(ms|s)\b", "N s", text)
