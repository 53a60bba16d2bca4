"""download: real HTTP on loopback, cut, resumed, changed, wrong; archives unpacked, mended, exchanged."""

import hashlib
import http.server
import io
import json
import os
import random
import signal
import subprocess
import sys
import tarfile
import threading
import time

import pytest

from harness import tree_hash, wait_until

pytestmark = pytest.mark.usefixtures("agent")


class Site:
    """A server of files with ETag and Range, which can cut an answer after so many bytes."""

    def __init__(self):
        self.files, self.asked, self.cut, self.etag, self.pause = {}, [], None, '"v1"', 0
        self.after_cut = None  # called before an answer that is cut ends
        site = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args):
                pass

            def do_GET(self):
                site.asked.append(dict(self.headers, path=self.path))
                data = site.files.get(self.path)
                if data is None:
                    self.send_error(404)
                    return
                start = 0
                if self.headers.get("If-Match", site.etag) != site.etag:
                    self.send_response(412)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                if "Range" in self.headers:
                    start = int(self.headers["Range"].split("=")[1].rstrip("-"))
                    self.send_response(206)
                    self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
                else:
                    self.send_response(200)
                self.send_header("ETag", site.etag)
                self.send_header("Content-Length", str(len(data) - start))
                self.end_headers()
                rest = data[start:]
                if site.cut:
                    rest = rest[:site.cut]
                    self.close_connection = True
                for at in range(0, len(rest), 65536):
                    self.wfile.write(rest[at:at + 65536])
                    time.sleep(site.pause)
                if site.cut and site.after_cut:
                    site.after_cut()

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def site():
    s = Site()
    yield s
    s.server.shutdown()


def sha(data):
    return hashlib.sha256(data).hexdigest()


def step(site, name, data, to="/srv/data.bin", more="", digest=None):
    site.files[f"/{name}"] = data
    return (f'steps: [{{id: d, download: {{url: "{site.url}/{name}", sha256: {digest or sha(data)}, to: {to}{more}}}}}]\n')


def archive(*members, kind="gz"):
    """A tar of (name, content) and (name, "->", target)."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=f"w:{kind}") as tar:
        for member in members:
            info = tarfile.TarInfo(member[0])
            info.mtime = 1000000000
            if len(member) == 3:
                info.type, info.linkname = tarfile.SYMTYPE, member[2]
                tar.addfile(info)
            else:
                info.size, info.mode = len(member[1]), 0o755
                tar.addfile(info, io.BytesIO(member[1]))
    return out.getvalue()


def test_first_changes_second_does_nothing_third_mends(agent, site):
    data = os.urandom(300000)
    recipe = step(site, "f", data, more=", mode: 0750")
    assert "download f to /srv/data.bin" in agent.run("plan", agent.recipe(recipe)).out
    agent.apply(recipe)
    path = agent.tree / "srv/data.bin"
    assert path.read_bytes() == data and path.stat().st_mode & 0o7777 == 0o750
    before = tree_hash(agent.tree / "srv")
    assert "nothing to do" in agent.apply(recipe).out and tree_hash(agent.tree / "srv") == before
    assert len(site.asked) == 1
    path.write_bytes(b"edited")
    agent.apply(recipe)
    assert path.read_bytes() == data and os.listdir(agent.tree / "srv") == ["data.bin"]


def test_a_download_cut_at_every_tenth_is_gone_on_with(agent, site):
    data = random.Random(1).randbytes(1000000)
    site.cut = len(data) // 10
    agent.apply(step(site, "f", data), timeout=120)
    assert (agent.tree / "srv/data.bin").read_bytes() == data
    assert [a.get("Range") for a in site.asked] == [None] + [f"bytes={n}00000-" for n in range(1, 10)]
    assert {a.get("If-Match") for a in site.asked[1:]} == {'"v1"'}


def test_a_killed_run_is_gone_on_with(agent, site):
    data = random.Random(2).randbytes(4000000)
    recipe = step(site, "f", data)
    site.pause = 0.05
    run = agent.start("apply", agent.recipe(recipe))
    part = agent.tree / "srv/.data.bin.dsagent-part"
    wait_until(lambda: part.exists() and part.stat().st_size > 500000, 20, "half a file")
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    wait_until(lambda: not agent.status_now().get("running", False), 10, "its worker to end")
    assert not (agent.tree / "srv/data.bin").exists()
    site.pause = 0
    agent.apply(recipe)
    assert (agent.tree / "srv/data.bin").read_bytes() == data
    assert site.asked[-1]["Range"].startswith("bytes=") and os.listdir(agent.tree / "srv") == ["data.bin"]


def test_an_object_that_changes_on_the_way_starts_over(agent, site):
    old, new = random.Random(3).randbytes(500000), random.Random(4).randbytes(400000)
    recipe = step(site, "f", new)
    site.files["/f"], site.cut = old, 200000

    def change():
        site.files["/f"], site.etag, site.cut = new, '"v2"', None
    site.after_cut = change
    agent.apply(recipe)
    assert (agent.tree / "srv/data.bin").read_bytes() == new


def test_another_hash_fails_and_keeps_what_was_there(agent, site):
    (agent.tree / "srv").mkdir()
    (agent.tree / "srv/data.bin").write_bytes(b"precious")
    done = agent.apply(step(site, "f", b"tampered", digest="a" * 64), code=1)
    assert "SHA-256 is " + sha(b"tampered") in done.text and "a" * 64 in done.text
    assert (agent.tree / "srv/data.bin").read_bytes() == b"precious" and os.listdir(agent.tree / "srv") == ["data.bin"]


def test_what_is_not_there_is_said(agent, site):
    recipe = step(site, "f", b"x")
    site.files.clear()
    assert "/f: HTTP 404" in agent.apply(recipe, code=1).text


def test_an_archive_is_unpacked_mended_and_exchanged(agent, site):
    one = archive(("p-1/bin/tool", b"one"), ("p-1/lib/a", b"a"), ("p-1/bin/l", "->", "../lib/a"))
    recipe = step(site, "one.tgz", one, "/opt/p", ", unpack: true, strip: 1")
    agent.apply(recipe)
    top = agent.tree / "opt/p"
    assert (top / "bin/tool").read_bytes() == b"one" and (top / "bin/l").read_bytes() == b"a"
    assert os.listdir(agent.tree / "opt") == ["p"]
    assert "nothing to do" in agent.apply(recipe).out and len(site.asked) == 1
    (top / "notes.txt").write_text("mine")  # put there by its user
    (top / "bin/tool").write_text("edited")
    os.unlink(top / "lib/a")
    assert "2 of " in agent.run("plan", agent.recipe(recipe)).out
    agent.apply(recipe)
    assert (top / "bin/tool").read_bytes() == b"one" and (top / "lib/a").read_bytes() == b"a"
    two = archive(("p-2/bin/tool", b"two"), ("p-2/share/doc", b"d"), kind="xz")
    recipe = step(site, "two.txz", two, "/opt/p", ", unpack: true, strip: 1")
    agent.apply(recipe)
    assert (top / "bin/tool").read_bytes() == b"two" and (top / "share/doc").exists() and not (top / "lib").exists()
    assert (top / "notes.txt").read_text() == "mine"
    assert "nothing to do" in agent.apply(recipe).out
    assert sorted(os.listdir(top)) == [".dsagent-download", "bin", "notes.txt", "share"]


@pytest.mark.parametrize("members, says", [
    ([("ok", b"1"), ("../evil", b"2")], "has '..' in its name"),
    ([("ok", b"1"), ("/evil", b"2")], "absolute name"),
    ([("ok", b"1"), ("l", "->", "../../etc")], "leads out"),
    ([("ok", b"1"), ("l", "->", "/etc")], "absolute name"),
])
def test_a_hostile_archive_leaves_nothing(agent, site, members, says):
    (agent.tree / "opt").mkdir()
    done = agent.apply(step(site, "a.tgz", archive(*members), "/opt/p", ", unpack: true"), code=1)
    assert says in done.text and os.listdir(agent.tree / "opt") == []
    assert not list(agent.tree.rglob("*evil*"))


def special(kind, **more):
    """A tar of a harmless file and of something that no tar of files has."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        tar.addfile(tarfile.TarInfo("ok"))
        info = tarfile.TarInfo("bad")
        info.type = kind
        for name, value in more.items():
            setattr(info, name, value)
        tar.addfile(info)
    return out.getvalue()


NO_FILE = "is a device, pipe or socket"
SPECIAL = {
    "character device": (special(tarfile.CHRTYPE, devmajor=1, devminor=3), NO_FILE),
    "block device": (special(tarfile.BLKTYPE, devmajor=8), NO_FILE),
    "fifo": (special(tarfile.FIFOTYPE), NO_FILE),
    "hard link out": (special(tarfile.LNKTYPE, linkname="../../etc/passwd"), "has '..' in its name"),
    "bomb": (archive(("zeros", b"\0" * (8 << 20))), "it unpacks to more than 1048576 bytes"),
}


@pytest.mark.parametrize("name", SPECIAL)
def test_what_no_archive_of_files_holds(agent, site, name):
    data, says = SPECIAL[name]
    (agent.tree / "opt").mkdir()
    assert len(data) < 100_000
    agent.apply(step(site, "a.tgz", data, "/opt/p", ", unpack: true, max_unpacked: 1M"), code=1)
    assert says in agent.status()["error"] and os.listdir(agent.tree / "opt") == []


def test_files_of_others_are_not_unpacked_over(agent, site):
    (agent.tree / "opt/p").mkdir(parents=True)
    (agent.tree / "opt/p/mine").write_text("1")
    done = agent.apply(step(site, "a.tgz", archive(("mine", b"2")), "/opt/p", ", unpack: true"), code=1)
    assert "files that this step has not put there" in done.text and not site.asked
    assert (agent.tree / "opt/p/mine").read_text() == "1"


def test_a_mounted_empty_directory_is_used(agent, site):
    (agent.tree / "data").mkdir()
    agent.apply(step(site, "a.tgz", archive(("x/y", b"2")), "/data", ", unpack: true"))
    assert (agent.tree / "data/x/y").read_bytes() == b"2" and sorted(os.listdir(agent.tree / "data")) == [".dsagent-download", "x"]


def test_killed_at_any_moment_it_ends_whole(agent, site):
    data = archive(*[(f"p/{n}/{m}", os.urandom(2000)) for n in range(20) for m in range(20)])
    recipe = step(site, "a.tgz", data, "/opt/p", ", unpack: true, strip: 1")
    for n in range(8):
        run = agent.start("apply", agent.recipe(recipe))
        time.sleep(0.01 + 0.012 * n)
        os.killpg(run.pid, signal.SIGKILL)
        run.wait()
        time.sleep(0.15)
        if n % 3 == 2:
            subprocess.run(["rm", "-rf", agent.tree / "opt/p/3"], check=True)
    agent.apply(recipe)
    assert len(list((agent.tree / "opt/p").rglob("*"))) == 20 + 400 + 1
    assert "nothing to do" in agent.apply(recipe).out and os.listdir(agent.tree / "opt") == ["p"]


def test_what_a_kill_after_the_work_left_is_removed(agent, site):
    """The last that a worker does is to remove its lock file: it may not come to that."""
    recipe = step(site, "a.tgz", archive(("x", b"1")), "/opt/p", ", unpack: true")
    agent.apply(recipe)
    asked = len(site.asked)
    (agent.tree / "opt/.p.dsagent-lock").touch()
    assert "remove what a killed download left beside /opt/p" in agent.run("plan", agent.recipe(recipe)).out
    agent.apply(recipe)
    assert os.listdir(agent.tree / "opt") == ["p"] and len(site.asked) == asked


def test_the_real_http_server_of_python(agent, tmp_path):
    """No ETag, no ranges: what others run."""
    (tmp_path / "www").mkdir()
    (tmp_path / "www/f").write_bytes(b"hello")
    log = tmp_path / "www.log"
    with open(log, "wb") as out:
        server = subprocess.Popen([sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "-d", tmp_path / "www"],
                                  stdout=out, stderr=out)
    try:
        port = wait_until(lambda: log.read_text().partition(" port ")[2].split(" ")[0], 20, "the server")
        agent.apply(f"steps: [{{download: {{url: 'http://127.0.0.1:{port}/f', sha256: {sha(b'hello')}, to: /srv/f}}}}]\n")
    finally:
        server.kill()
        server.wait()
    assert (agent.tree / "srv/f").read_bytes() == b"hello"


def test_the_manifest_has_what_came_and_locks_it(agent, site):
    data, packed = b"x" * 5000, archive(("a", b"1"))
    site.files.update({"/data": data, "/a.tgz": packed})
    text = f"""steps:
  - download: {{url: "{site.url}/data", sha256: {sha(data)}, to: /srv/data.bin}}
  - download: {{url: "{site.url}/a.tgz", sha256: {sha(packed)}, to: /opt/a, unpack: true}}
"""
    agent.apply(text)
    m = json.loads((agent.state_dir / "manifest.json").read_text())
    assert m["downloads"] == {
        "/srv/data.bin": {"url": f"{site.url}/data", "sha256": sha(data), "size": 5000},
        "/opt/a": {"url": f"{site.url}/a.tgz", "sha256": sha(packed)}}, m["downloads"]
    lock = agent.work / "lock.json"
    lock.write_text(json.dumps(m))
    assert "nothing to do" in agent.run("apply", agent.recipe(text), "--locked", lock).out
    m["downloads"]["/srv/data.bin"]["sha256"] = "0" * 64
    lock.write_text(json.dumps(m))
    done = agent.run("apply", agent.recipe(text), "--locked", lock, code=1)
    assert "the manifest of --locked has /srv/data.bin with the SHA-256 000000000000…" in done.text
