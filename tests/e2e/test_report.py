"""report: where the time went, on the terminal, as JSON and as a page, of a run that was made up (story.py) and of real ones."""

import html.parser
import json
import re
import time

import html5lib
import pytest

import story
from harness import no_times

DOCUMENT = json.dumps({"instanceId": "i-0a1b2c3d4e5f60718", "instanceType": "g5.xlarge", "region": "us-east-1",
                       "availabilityZone": "us-east-1a", "accountId": "123456789012", "imageId": "ami-1", "architecture": "x86_64",
                       "privateIp": "10.0.0.5", "pendingTime": "2026-11-20T14:09:48Z"})
PAGE_MAX = 200_000


@pytest.fixture
def gpu_box(on_ec2, world):
    world.metadata("dynamic/instance-identity/document " + DOCUMENT)
    story.gpu_box(on_ec2)
    return on_ec2


TEXT = """\
gpu-training@3f9a1c2e  ready with warnings 4 min 09 s after launch
run 20261120-141041-3f9a began at 2026-11-20T14:10:41Z

from launch
       12.0 s  EC2 launch
        1.8 s  kernel
        2.3 s  initrd
       29.3 s  systemd
        1.7 s  cloud-init: local
        4.1 s  cloud-init: network
        1.4 s  cloud-init: config
        7.7 s  cloud-init: final
   3 min 16 s  dsagent, until it was ready

where the time went (steps side by side count each)
       57.6 s  waiting
   2 min 53 s  installs
   1 min 48 s  downloads
   3 min 00 s  S3
        9.7 s  GPU checks
       10.3 s  other work

the longest steps
   3 min 00 s  Data
   2 min 01 s  R: waited 11.0 s for the dpkg lock (apt-get, pid 2204), 3.0 s for the dpkg lock (packagekitd, pid 2410), \
600 ms in other waits, fetched for 17.5 s
   1 min 32 s  Python 3.11: fetched for 28.5 s
   1 min 04 s  Build tools: waited 43.0 s for the dpkg lock (unattended-upgr, pid 1719), fetched for 7.0 s
       54.9 s  Model weights
        9.7 s  GPU
        6.4 s  JupyterLab
        5.6 s  Weights & Biases
        2.8 s  Postgres
        1.6 s  Scratch disk
       300 ms  Team shell

warning: no EC2 tags: the instance has no role: attach an instance profile that allows ec2:CreateTags

ready with warnings in 3 min 16 s, background steps done after 4 min 06 s: 8 changed, 2 in place, 1 optional failed, 1 skipped
  optional step 10 'Weights & Biases' failed: command 'wandb login' exited with 1: network is unreachable
    log: /var/lib/dsagent/runs/20261120-141041-3f9a/10-wandb.log
"""


def test_text(gpu_box):
    assert gpu_box.run("report").out == TEXT


def test_json(gpu_box):
    told = gpu_box.run("report", "--json").json()
    assert {k: told[k] for k in ("schema", "run_id", "status", "launched_at", "zero_at", "started_at", "ready_at", "from_ms", "duration_ms",
                                 "machine", "error", "damaged")} == {
        "schema": 1, "run_id": story.RUN_ID, "status": "ready-with-warnings", "launched_at": "2026-11-20T14:09:48Z",
        "zero_at": "2026-11-20T14:09:48Z", "started_at": "2026-11-20T14:10:41Z", "ready_at": "2026-11-20T14:13:57Z",
        "from_ms": 53000, "duration_ms": 246100, "machine": "i-0a1b2c3d4e5f60718, g5.xlarge in us-east-1a", "error": None, "damaged": 0}
    assert told["sums"] == {"waiting_ms": 57600, "installs_ms": 173200, "downloads_ms": 107900, "s3_ms": 179800, "gpu_ms": 9680,
                            "other_ms": 10300}
    assert told["boot"][0] == {"name": "EC2 launch", "from_ms": 0, "duration_ms": 12000}
    tools = told["steps"][0]
    assert tools["stretches"] == [
        {"doing": "waiting", "what": "the dpkg lock (unattended-upgr, pid 1719)", "from_ms": 53800, "duration_ms": 43000},
        {"doing": "fetching", "what": "downloading 12 of 31 packages", "from_ms": 97000, "duration_ms": 7000}]
    assert (tools["waited_ms"], tools["fetched_ms"], tools["worked_ms"], tools["duration_ms"]) == (43000, 7000, 14200, 64200)
    assert told["steps"][9]["error"] == "command 'wandb login' exited with 1: network is unreachable"


def page_of(agent, *args):
    path = agent.work / "report.html"
    out = agent.run("report", *args, "--html", path).out
    assert out.startswith(f"{path}: ") and path.stat().st_size < PAGE_MAX
    return path.read_text()


class Outside(html.parser.HTMLParser):
    """Everything in a page that could make a browser ask somebody else, run something, or that is not closed."""

    ALLOWED = set("html head meta link title style body main header section div h1 h2 p dl dt dd span b i small pre code details summary "
                  "ul ol li br footer".split())

    def __init__(self):
        super().__init__()
        self.found, self.style = [], False

    def handle_starttag(self, tag, attrs):
        self.style = tag == "style"
        if tag not in self.ALLOWED:
            self.found.append(tag)
        for name, value in attrs:
            value = value or ""
            if name.startswith("on") or name in ("src", "srcset", "action", "data", "poster", "background"):
                self.found.append((tag, name, value))
            if name == "href" and value != "data:,":
                self.found.append((tag, name, value))
            if name == "style" and not re.fullmatch(r"left:[\d.]+%?(;width:[\d.]+%)?", value):
                self.found.append((tag, name, value))

    def handle_data(self, data):
        if self.style and re.search(r"url\(|@import|expression|//", data):
            self.found.append(("style", data))


def check_page(text):
    html5lib.HTMLParser(strict=True).parse(text)
    outside = Outside()
    outside.feed(text)
    assert outside.found == [] and "\x1b" not in text and not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", text)


def words_of(text):
    """What a reader sees, blanks made one."""
    tree = html5lib.parse(text, namespaceHTMLElements=False)
    for style in list(tree.iter("style")):
        style.text = ""
    return " ".join(" ".join(tree.itertext()).split())


def test_page(gpu_box):
    text = page_of(gpu_box)
    check_page(text)
    words = words_of(text)
    for part in ("Timeline from launch", "EC2 launch 12.0 s", "Build tools 1 min 04 s", "57.6 s", "waited 43.0 s for the dpkg lock",
                 "Optional step 10 ‘Weights & Biases’ failed", "wandb: ERROR <b>Unable</b> to connect & giving up",
                 "manifest.json of this run", "/opt/ds: Python 3.11.9", "add it to /etc/fstab", "+UUID=9c2e /scratch xfs"):
        assert part in words, part
    summary = gpu_box.run("report").out.splitlines()[-3]
    assert summary in words, "terminal and page say it in the same words"
    assert 'name=viewport content="width=device-width' in text and "prefers-color-scheme:dark" in text
    assert gpu_box.run("report", "--html", "-").out == text


def test_page_of_a_failure_escapes_everything(agent):
    run = story.Run("<script>alert(1)</script>@1")
    run.step("Tools </b><img src=x onerror=alert(2)>", "packages", 10, 3000, changes=["\"'><script src=//evil.example/x></script>"],
             waits=[(100, 2100, "the lock (\"'><i onclick=alert(3)>, pid 7)")])
    error = "package 'xgboost' did not load: <b>libgomp.so.1</b> \x1b[31mmissing"
    run.step("R", "r", 3010, 9000, status="failed", error=error, log=f"/var/lib/dsagent/runs/{run.run_id}/02-r.log")
    run.skip("Data", "sync", "not run: an earlier step failed")
    run.end(9010, "failed", "step 2 'R' failed: " + error)
    folder = run.write(agent)
    (folder / "02-r.log").write_bytes(b"line\n" * 5000 + b"\0\xff\xfe\x1b[2J\x9b31m<script>alert(4)</script>\nthe last line\n")
    text = page_of(agent)
    check_page(text)
    words = words_of(text)
    assert "libgomp.so.1</b> missing" in words and "the last line" in words and words.count("line ") < 40
    assert "`sudo dsagent apply` with the same recipe tries again what failed" in words and "from the begin of the run" in words


def test_a_huge_run_is_told_briefly(agent):
    run = story.Run(recipe="huge@1")
    for n in range(500):
        run.step(f"Step {n} " + "é" * 60, "packages", n * 1000, n * 1000 + 900,
                 changes=[("change " * 30, "+" + "x" * 3000) for _ in range(20)] if n % 10 == 0 else ["one"],
                 **({"status": "failed", "error": "<e>" * 150, "log": f"/var/lib/dsagent/runs/{run.run_id}/log"} if n % 50 == 49 else {}))
    base = {"step": run.steps[0]["id"], "index": 1, "name": "Step 0", "step_status": "running"}
    for at in range(100_000 - len(run.lines)):
        run._add("step-progress" if at % 2 else "step-waiting", 1000 + 5 * at, **base, text=f"downloading {at}",
                 **({} if at % 2 else {"waiting_for": f"lock {at}", "waiting_ms": 3}))
    run.end(600_000, "failed", "step 50 failed: " + "<e>" * 150)
    folder = run.write(agent)
    (folder / "log").write_text("&" * 100_000)
    names = {f"package-{n:05}-{'long-' * 8}name": {"version": "1.0"} for n in range(5000)}
    (agent.state_dir / "manifest.json").write_text(json.dumps({"version": 1, "run_id": run.run_id, "venvs": {
        f"/opt/{n}": {"python": "3.11", "distributions": names} for n in range(4)}}))
    began = time.monotonic()
    text = page_of(agent)
    assert time.monotonic() - began < 30, "a second on a quiet machine"
    check_page(text)
    assert "100001 events" in text and re.search(r"and \d+ more steps, none of them failed", text) and "in manifest.json" in text
    assert len(agent.run("report").out) < 20_000
    assert len(agent.run("report", "--json").json()["steps"]) == 500


DAMAGED = [b"", b"{", b"null", b'"x"', b"[1]", b'{"type":7}', b'{"type":"step-ended"}', b'{"type":"step-ended","step":"x","index":0}',
           b'{"type":"step-ended","step":"x","index":99999999999}', b'{"type":"step-started","step":"x","index":-3}',
           b'{"type":"step-ended","step":3,"index":"1"}', b'{"type":"step-waiting","step":"build-tools","index":1,"waiting_ms":-9e9}',
           b'{"type":"tomorrow","at_ms":5}', b"\xff\xfe\x00binary", b"x" * 700_000, b'{"type":"run-ended","at_ms":1e99,"status":"odd"']


def test_damaged_events(gpu_box):
    path = gpu_box.state_dir / "runs" / story.RUN_ID / "events.jsonl"
    lines = path.read_bytes().splitlines()
    path.write_bytes(b"\n".join(part for pair in zip(DAMAGED, lines[1:]) for part in pair) + b"\n" + lines[0] + b"\n" + b"\n".join(lines[17:]))
    told = gpu_box.run("report", "--json").json()
    assert told["damaged"] >= 8 and len(told["steps"]) == 12
    check_page(page_of(gpu_box))
    path.write_bytes(lines[0] + b"\n" + lines[1][:40])  # the power went
    assert "1 lines of events.jsonl could not be read" in gpu_box.run("report").out
    path.write_bytes(b"")
    assert "is empty or damaged" in gpu_box.run("report", code=3).err


def test_an_older_run_and_one_that_was_killed(gpu_box):
    old = story.Run("older@1", run_id="20261119-090000-0001", began=story.BEGAN - 86_400_000)
    old.step("Tools", "packages", 100, 5000, changes=["install git"], waits=[(200, 3200, "the dpkg lock (apt-get, pid 9)")])
    old.end(5100, "ready")
    old.write(gpu_box, with_status=False)
    killed = story.Run("killed@1", run_id="20261119-100000-0002", began=story.BEGAN - 80_000_000)
    killed._add("step-started", 100, step="tools", index=1, name="Tools", step_status="running")
    killed.write(gpu_box, with_status=False)
    out = gpu_box.run("report", "20261119-090000-0001").out
    assert out.startswith("older@1  ready in 5.1 s\n") and "from launch" not in out and "Tools: waited 3.0 s for the dpkg lock" in out
    assert out.endswith("ready in 5.1 s: 1 changed\n")
    out = gpu_box.run("report", "20261119-100000-0002").out
    assert out.startswith("killed@1  interrupted after 100 ms\n") and "goes on from here" in out
    text = page_of(gpu_box, "20261119-090000-0001")
    check_page(text)
    assert f"manifest.json of run {story.RUN_ID}" in text
    run = gpu_box.run("report", "20261119-090000-9999", code=3)
    assert f"the last one is '{story.RUN_ID}'" in run.err and run.out == ""
    assert "there is no run '../..'" in gpu_box.run("report", "../..", code=3).err


def test_off_ec2_and_long_after_the_boot(agent):
    assert "nothing has run here yet" in agent.run("report", code=3).err
    agent.apply("recipe: two\nsteps:\n  - {name: One, run: 'echo hi'}\n  - {name: Bad, run: 'echo why >&2; exit 3', optional: true}\n")
    out = agent.run("report").out
    assert re.match(r"two@[0-9a-f]{8}  ready with warnings in \d", out) and "from " not in out.splitlines()[2]
    assert no_times(out.splitlines()[-3]).startswith("ready with warnings in N s: 1 changed, 1 optional failed")
    text = page_of(agent)
    check_page(text)
    assert "&gt; run" in text or "why" in text


def test_only_some_of_the_boot_is_known(gpu_box):
    (gpu_box.tree / "run/cloud-init/status.json").write_text('{"v1": {"init": {"start": "soon", "finished": null}, "modules-final": 7}}')
    (gpu_box.folder / "boot-bin/systemctl").write_text("#!/bin/sh\necho 'System has not been booted with systemd' >&2; exit 1\n")
    out = gpu_box.run("report").out
    assert "from launch\n       12.0 s  EC2 launch\n       41.0 s  until dsagent began\n   3 min 16 s  dsagent" in out
    (gpu_box.tree / "proc/uptime").unlink()
    assert "ready with warnings in 3 min 16 s\n" in gpu_box.run("report").out


def test_a_page_that_cannot_be_written(agent):
    agent.apply("steps: [{run: 'true'}]\n")
    assert "cannot write the report to /nowhere/x.html" in agent.run("report", "--html", "/nowhere/x.html", code=3).err
