"""The disk runs full in the midst of each step type that writes; with room, the next apply ends ready and whole."""

import hashlib
import http.server
import os
import random
import subprocess
import threading

import pytest

from test_step_conda import INSTALLER
from test_step_download import archive

BIG = random.Random(3).randbytes(6 << 20)
SITE = {"/big": BIG, "/big.tgz": archive(("part-1", BIG[:3 << 20]), ("part-2", BIG[3 << 20:])),
        "/zeros.tgz": archive(("zeros", b"\0" * (8 << 20))),  # fetched whole, full while it is unpacked
        # An installer that lays something large, as the real one does.
        "/conda.sh": INSTALLER.replace("chmod 755", 'cat "$prefix/../../big" > "$prefix/lib.so"\nchmod 755', 1).encode()}


@pytest.fixture(scope="module")
def site():
    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *args):
            pass

        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", str(len(SITE[self.path])))
            self.end_headers()
            try:
                self.wfile.write(SITE[self.path])
            except OSError:
                pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def sha(name):
    return hashlib.sha256(SITE[name]).hexdigest()


# name: (step, what shows in the tree that it is whole). U is the site, T the tree.
STEPS = {
    "file": ("file: {path: /data/big, from: /big}", "cmp T/big T/data/big"),
    "download": (f'download: {{url: "U/big", sha256: {sha("/big")}, to: /data/big}}', "cmp T/big T/data/big"),
    "unpack": (f'download: {{url: "U/big.tgz", sha256: {sha("/big.tgz")}, to: /data/p, unpack: true}}',
               "cat T/data/p/part-1 T/data/p/part-2 | cmp - T/big"),
    "unpack late": (f'download: {{url: "U/zeros.tgz", sha256: {sha("/zeros.tgz")}, to: /data/p, unpack: true}}',
                    "test $(stat -c %s T/data/p/zeros) = 8388608"),
    "conda": (f'conda: {{prefix: /opt/conda, installer: "U/conda.sh", sha256: {sha("/conda.sh")}, environments: [{{name: ds, packages: [numpy]}}]}}',
              "cmp T/big T/opt/conda/lib.so && ls T/opt/conda/envs/ds/conda-meta/numpy-*"),
    "run": ("creates: /data/big, run: 'mkdir -p T/data; cp T/big T/data/.big; mv T/data/.big T/data/big'", "cmp T/big T/data/big"),
    "cert": ("cert: {cert: /etc/a.crt, key: /etc/a.key}", "openssl x509 -noout -in T/etc/a.crt"),
    "system": ("system: {limits: [{domain: '*', item: nofile, value: 65536}]}", "grep -rq nofile T/etc/security"),
}


@pytest.mark.parametrize("name", list(STEPS))
def test_disk_full(agent, site, tmp_path, name):
    if os.geteuid() != 0 or subprocess.run(["unshare", "-m", "true"]).returncode:
        pytest.skip("needs root and mount namespaces")
    step, proof = (text.replace("U/", site + "/").replace("T/", f"{agent.tree}/") for text in STEPS[name])
    path = agent.recipe(f"steps:\n  - {{id: small, run: 'true'}}\n  - {{id: s, {step}}}\n")
    (tmp_path / "big").write_bytes(BIG)
    # Small writers meet a disk that is full to the last block but for the agent's own few files.
    fill = "head -c 20m /dev/zero > T/fill 2>/dev/null; truncate -s -48K T/fill" if name in ("cert", "system") else ":"
    script = f"""mount -t tmpfs -o size=9m tmpfs T && cp {tmp_path}/big T/big && mkdir T/etc && echo ID=debian > T/etc/os-release
{fill}
DSAGENT apply {path}; echo "first $?"
rm -f T/fill; mount -o remount,size=64m T
DSAGENT apply {path}; echo "second $?"
{proof}; echo "whole $?"
DSAGENT apply {path}; echo "third $?"
""".replace("T/", f"{agent.tree}/").replace("tmpfs T ", f"tmpfs {agent.tree} ").replace("size=64m T", f"size=64m {agent.tree}")
    script = script.replace("DSAGENT", " ".join(agent.argv()))
    done = subprocess.run(["unshare", "-m", "sh", "-c", script], env=agent.env, capture_output=True, text=True, timeout=300)
    text = done.stdout + done.stderr
    if name not in ("cert", "system"):
        first = text.split("first 1")[0]
        assert "first 1" in text and ("space" in first or "grow the volume" in first), text
    assert "second 0" in text and "whole 0" in text and "third 0" in text, text
    assert "nothing to do" in text.split("second 0")[1], text
