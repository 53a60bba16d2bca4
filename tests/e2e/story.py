"""A run as dsagent writes it, made up: a GPU instance from launch to ready, with waits, a retry and an optional failure."""

import datetime
import json

NOW = 1795184400  # 2026-11-20T14:20:00Z, when the report is made
UP = 600.0  # s that the kernel has been up by then
BOOT = NOW - UP
BEGAN = int(BOOT * 1000) + 41_300  # when dsagent began, ms
RUN_ID = "20261120-141041-3f9a"


def iso(ms):
    return datetime.datetime.fromtimestamp(ms // 1000, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


class Run:
    """Collects events; step() and the like take ms since the run began."""

    def __init__(self, recipe="gpu-training@3f9a1c2e", run_id=RUN_ID, began=BEGAN):
        self.recipe, self.run_id, self.began = recipe, run_id, began
        self.lines, self.steps = [], []
        self._run("run-started", 0, "running")

    def _add(self, kind, at, **more):
        self.lines.append({"type": kind, "at": iso(self.began + at), "at_ms": self.began + at, "since_ms": at, **more})

    def _run(self, kind, at, status, error=None):
        self._add(kind, at, schema=1, run_id=self.run_id, recipe=self.recipe, version="0.1.0", status=status,
                  done=len(self.steps), total=len(self.steps), percent=100, warnings=self.warnings(), error=error)

    def warnings(self):
        return sum(s["status"] == "warned" for s in self.steps)

    def warning(self, at, text):
        self._add("warning", at, text=text)

    def step(self, name, kind, start, end, status="changed", changes=(), waits=(), fetches=(), error=None, text="", log=None,
             background=False):
        """waits: (from, to, what); fetches: (from, to, what); changes: what or (what, diff)."""
        step_id = name.lower().replace(" ", "-").replace(".", "-")
        index = len(self.steps) + 1
        base = {"step": step_id, "index": index, "name": name}
        live = {**base, "step_status": "running"}
        rows = [("step-started", start, {})]
        for change in changes:
            what, diff = (change, None) if isinstance(change, str) else change
            rows.append(("step-change", start + 300, {"text": what, **({"diff": diff} if diff else {})}))
        for begin, finish, what in waits:
            rows += [("step-waiting", at, {"text": what, "waiting_for": what, "waiting_ms": at - begin})
                     for at in range(begin + 1000, finish + 1, 1000)]
        for begin, finish, what in fetches:
            rows += [("step-progress", begin, {"text": what}), ("step-progress", finish, {"text": "installing"})]
        for row in sorted(rows, key=lambda r: r[1]):
            self._add(row[0], row[1], **live, **row[2])
        waited = sum(w[1] - w[0] for w in waits)
        self._add("step-ended", end, **base, step_status=status, **({"text": error or text} if error or text else {}),
                  type_of_step=kind, duration_ms=end - start, waited_ms=waited, changes=len(changes),
                  **({"error": error, "log": log} if error else {}))
        self.steps.append({
            "index": index, "id": step_id, "name": name, "type": kind, "background": background, "needs": [], "held_by": None,
            "status": status, "text": text or (changes[0] if changes and isinstance(changes[0], str) else ""), "done": 0, "total": 0,
            "unit": None, "bytes_per_s": 0, "stalled_ms": 0, "waiting_for": None, "waiting_ms": 0, "waited_ms": waited,
            "started_at": iso(self.began + start), "ended_at": iso(self.began + end), "duration_ms": end - start, "attempt": 1,
            "changes": len(changes), "error": error, "log": log or ""})

    def skip(self, name, kind, reason):
        self.step(name, kind, 0, 0, status="skipped", text=reason)

    def ready(self, at, status="ready"):
        self._run("run-ready", at, status)
        self.ready_at = at

    def end(self, at, status, error=None):
        self._run("run-ended", at, status, error)
        self.status, self.ended_at, self.error = status, at, error

    def status_json(self):
        ready = getattr(self, "ready_at", self.ended_at) if self.status.startswith("ready") else None
        return {"schema": 1, "run_id": self.run_id, "recipe": self.recipe, "version": "0.1.0", "pid": 1, "status": self.status,
                "ready": ready is not None, "started_at": iso(self.began), "updated_at": iso(self.began + self.ended_at),
                "ready_at": iso(self.began + ready) if ready else None, "ended_at": iso(self.began + self.ended_at),
                "duration_ms": self.ended_at, "done": len(self.steps), "total": len(self.steps), "percent": 100,
                "progress": "", "error": self.error, "gpu": "ok 1x A10G driver 580.105.08 cuda 13.0",
                "warnings": self.warnings(), "steps": self.steps}

    def write(self, agent, with_status=True):
        folder = agent.state_dir / "runs" / self.run_id
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "events.jsonl").write_text("".join(json.dumps(line) + "\n" for line in self.lines))
        if with_status:
            agent.status_path.parent.mkdir(parents=True, exist_ok=True)
            agent.status_path.write_text(json.dumps(self.status_json()))
        return folder


def gpu_box(agent):
    """The whole thing: boot, cloud-init, twelve steps, a manifest."""
    run = Run()
    lock = "the dpkg lock (unattended-upgr, pid 1719)"
    run.step("Build tools", "packages", 100, 64_300, changes=["install git, make, gcc, g++ (4 of 4 packages missing)"],
             waits=[(800, 43_800, lock)], fetches=[(44_000, 51_000, "downloading 12 of 31 packages")])
    run.step("GPU", "nvidia", 120, 9_800, status="ok")
    run.step("Scratch disk", "volume", 64_400, 66_000,
             changes=["mount /dev/nvme1n1 at /scratch", ("add it to /etc/fstab", "--- /etc/fstab\n+++ /etc/fstab\n@@ -1 +1,2 @@\n UUID=1 / ext4\n+UUID=9c2e /scratch xfs defaults,nofail 0 2\n")])
    run.step("Python 3.11", "python", 66_100, 158_400,
             changes=["install Python 3.11 by uv", "create the venv /opt/ds", "install 214 packages"],
             fetches=[(66_500, 71_000, "fetching uv"), (74_000, 98_000, "downloading 214 packages")])
    run.step("R", "r", 66_100, 187_000, changes=["install r-base-core, r-base-dev", "install data.table, tidyverse, xgboost (3 of 3 missing)"],
             waits=[(66_400, 78_000, "the dpkg lock (apt-get, pid 2204)"), (120_000, 123_000, "the dpkg lock (packagekitd, pid 2410)")],
             fetches=[(78_500, 96_000, "downloading 53 of 55 packages")])
    run.step("JupyterLab", "jupyter", 158_500, 164_900, changes=["write jupyter.service", "start jupyter.service"])
    run.step("Model weights", "download", 66_100, 121_000, changes=["download llama-8b.tar to /scratch/models"])
    run.step("Data", "sync", 66_200, 246_000, changes=["copy 1,204 objects, 63 GB, to /scratch/data"], background=True)
    run.step("Team shell", "file", 187_100, 187_400, changes=[("write /etc/profile.d/team.sh", "+export TEAM=ml\n")])
    run.step("Weights & Biases", "run", 187_500, 193_100, status="warned", changes=["run its script"],
             error="command 'wandb login' exited with 1: network is unreachable", log="/var/lib/dsagent/runs/" + RUN_ID + "/10-wandb.log")
    run.skip("Multi-GPU check", "check", "`when` is false: facts.gpu_count > 1")
    run.step("Postgres", "check", 193_200, 196_000, status="ok")
    run.warning(196_100, "no EC2 tags: the instance has no role: attach an instance profile that allows ec2:CreateTags")
    run.ready(196_200, "ready-with-warnings")
    run.lines.sort(key=lambda line: line["since_ms"])
    run.end(246_100, "ready-with-warnings")
    folder = run.write(agent)
    (folder / "10-wandb.log").write_text("> run its script\nwandb: Logging into https://api.wandb.ai\n"
                                         "wandb: \x1b[31mERROR\x1b[0m <b>Unable</b> to connect & giving up\nexited with 1\n")
    write_boot(agent)
    names = "numpy pandas scipy matplotlib scikit-learn torch polars jupyterlab xgboost pyarrow requests pillow".split()
    manifest = {"version": 1, "dsagent": "0.1.0", "at": iso(BEGAN + 246_000), "run_id": RUN_ID, "status": "ready-with-warnings",
                "recipe": {"name": "gpu-training", "hash": "3f9a1c2e"},
                "packages": {"git": "1:2.43.0-1", "make": "4.3-4.1", "gcc": "4:13.2.0-7", "g++": "4:13.2.0-7"},
                "venvs": {"/opt/ds": {"python": "3.11.9", "distributions": {
                    **{n: {"version": f"{i + 1}.{i}.0", "record_sha256": "0" * 64} for i, n in enumerate(names)},
                    **{f"package-{i:03}": {"version": "1.0.0", "record_sha256": "0" * 64} for i in range(202)}}}},
                "r": {"/usr/local/lib/R/site-library": {"data.table": "1.16.2", "tidyverse": "2.0.0", "xgboost": "2.1.1"}}}
    (agent.state_dir / "manifest.json").write_text(json.dumps(manifest))
    agent.env["DSAGENT_NOW"] = str(NOW)
    return run


def write_boot(agent, systemctl=True):
    """/proc/uptime, cloud-init's record and a systemctl that knows when systemd began."""
    (agent.tree / "proc").mkdir(exist_ok=True)
    (agent.tree / "proc/uptime").write_text(f"{UP} 1200.0\n")
    cloud = agent.tree / "run/cloud-init"
    cloud.mkdir(parents=True, exist_ok=True)
    stages = {"init-local": (5.2, 6.9), "init": (9.0, 13.1), "modules-config": (15.0, 16.4), "modules-final": (33.5, 41.2)}
    (cloud / "status.json").write_text(json.dumps({"v1": {"datasource": "DataSourceEc2Local", "stage": None, **{
        name: {"start": BOOT + a, "finished": BOOT + b, "errors": []} for name, (a, b) in stages.items()}}}))
    if systemctl:
        tools = agent.folder / "boot-bin"
        tools.mkdir(exist_ok=True)
        (tools / "systemctl").write_text("#!/bin/sh\nprintf 'InitRDTimestampMonotonic=1800000\\n"
                                         "UserspaceTimestampMonotonic=4100000\\nFinishTimestampMonotonic=33400000\\n'\n")
        (tools / "systemctl").chmod(0o755)
        agent.env["PATH"] = f"{tools}:{agent.env['PATH']}"
