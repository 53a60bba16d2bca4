"""A run with a step of many types, killed at random moments: the next apply always ends `ready` and whole.

`make kill100` takes 100 moments, the suite a few. KILL_SEED=N plays one seed again; it is printed.
"""

import hashlib
import http.server
import io
import os
import random
import signal
import tarfile
import threading
import time

import pytest

from harness import Agent, children_of
from stubs import Stubs
from test_step_conda import INSTALLER

MOMENTS = int(os.environ.get("KILL_MOMENTS", "8"))
SEED = int(os.environ.get("KILL_SEED", random.SystemRandom().randrange(1 << 32)))
DATA = random.Random(1).randbytes(3 << 20)


def tarball():
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for n in range(60):
            info = tarfile.TarInfo(f"tool/part-{n}")
            info.size = 20_000
            tar.addfile(info, io.BytesIO(DATA[n * 20_000:][:20_000]))
    return out.getvalue()


FILES = {"/data": DATA, "/tool.tgz": tarball(), "/conda.sh": INSTALLER.encode()}


@pytest.fixture(scope="module")
def site():
    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *args):
            pass

        def do_GET(self):
            body = FILES[self.path]
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            for at in range(0, len(body), 1 << 19):  # long enough to be killed in its midst
                try:
                    self.wfile.write(body[at:at + (1 << 19)])
                except OSError:
                    return
                time.sleep(0.01)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def recipe(agent, site):
    sha = {name: hashlib.sha256(body).hexdigest() for name, body in FILES.items()}
    return agent.recipe(f"""recipe: killed
steps:
  - {{id: packages, packages: [git, make]}}
  - {{id: file, needs: [], file: {{path: /etc/app.conf, content: "a = 1\\n", mode: 0640}}}}
  - {{id: folder, needs: [], file: {{path: /srv/shared, state: directory, mode: 02775}}}}
  - {{id: link, file: {{path: /etc/app.link, state: link, target: app.conf}}}}
  - {{id: download, needs: [], download: {{url: "{site}/data", sha256: {sha['/data']}, to: /srv/data.bin}}}}
  - {{id: unpack, download: {{url: "{site}/tool.tgz", sha256: {sha['/tool.tgz']}, to: /opt/tool, unpack: true, strip: 1}}}}
  - {{id: cert, needs: [], cert: {{cert: /etc/ssl/app.crt, key: /etc/ssl/app.key}}}}
  - id: run
    creates: /srv/made
    run: |
      printf half > {agent.tree}/srv/.made
      printf ' whole\\n' >> {agent.tree}/srv/.made
      mv {agent.tree}/srv/.made {agent.tree}/srv/made
  - {{id: conda, needs: [], conda: {{prefix: /opt/conda, installer: "{site}/conda.sh", sha256: {sha['/conda.sh']},
     environments: [{{name: ds, packages: ["python=3.11", numpy]}}]}}}}
  - {{id: check, check: {{path: /srv/made}}}}
""")


def whole(agent):
    """What is on the disk when all is done, without what differs from run to run."""
    found = {}
    for path in sorted(agent.tree.rglob("*")):
        name = str(path.relative_to(agent.tree))
        if name.startswith(("var/lib/dsagent", "run/dsagent", "opt/calls")) or path.is_dir() or "__pycache__" in name:
            continue
        if path.is_symlink():
            found[name] = os.readlink(path)
        else:
            ours = "" if name.startswith("etc/ssl/app") else hashlib.sha256(path.read_bytes()).hexdigest()
            found[name] = (oct(path.stat().st_mode & 0o7777), ours.replace(str(agent.folder), ""))
    return found


def fresh(folder, site):
    agent = Agent(folder)
    Stubs(agent)
    return agent, recipe(agent, site)


@pytest.fixture(scope="module")
def reference(tmp_path_factory, site):
    """Uninterrupted: what there is in the end, and how long it took."""
    agent, path = fresh(tmp_path_factory.mktemp("reference"), site)
    run = agent.run("apply", path, timeout=300)
    return whole(agent), run.seconds


def victim(rng, pid, kind):
    below = children_of(pid)
    return rng.choice(below) if kind == "worker" and below else pid


@pytest.mark.parametrize("number", range(MOMENTS))
def test_killed_at_a_random_moment(tmp_path, site, reference, number):
    rng = random.Random(SEED + number)
    kind, moment = rng.choice(["supervisor", "worker", "both"]), rng.random()
    said = f"KILL_SEED={SEED} moment {number}: {kind} at {moment:.3f} of {reference[1]:.2f} s"
    print(said)
    agent, path = fresh(tmp_path, site)
    try:
        for again in range(rng.choice([1, 1, 2])):
            process = agent.start("apply", path)
            time.sleep(moment * reference[1])
            for who in {"both": ["worker", "supervisor"]}.get(kind, [kind]):
                try:
                    os.kill(victim(rng, process.pid, who), signal.SIGKILL)
                except ProcessLookupError:
                    pass
            process.wait(120)
        agent.run("apply", path, timeout=300)
        assert agent.status()["status"] == "ready", said
        differs = {k for k in set(whole(agent)) ^ set(reference[0])}
        assert not differs, (said, differs)
        assert {k: v for k, v in whole(agent).items() if "conda" not in k} == {k: v for k, v in reference[0].items() if "conda" not in k}, said
        assert "nothing to do" in agent.run("apply", path).out, said
    finally:
        agent.close()
