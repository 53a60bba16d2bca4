#!/usr/bin/env python3
"""Figures beside named peers, in one run: `make bench`.

  no-change   an apply that finds 20 files, 5 packages and a venv in place, beside the shell script that checks the same
              with dpkg-query, and beside ansible-playbook.
  plan        a recipe of 200 steps of several types is read, checked and probed: under 50 ms of CPU.
  python      from nothing to a working Python set, beside the reference workload's own commands (venv and pip).
  start       what it costs to be asked for a version or a status, beside cloud-init, the AWS CLI and Ansible.
  reporter    what the process that tells tags and webhook costs beside a run of 20 CPU seconds on a fake EC2 (tests/world):
              more than 1 % of the run's CPU is a failure.

Runs alternate; medians are printed with minimum and maximum. Wall clock, CPU seconds (all children) and peak resident
memory of the largest process come from time(1), a launcher small enough not to count as the measured program's memory.
"""
import argparse
import ctypes
import http.server
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
import venv
from pathlib import Path

FILES = 20
PACKAGES = ["coreutils", "grep", "sed", "tar", "gzip"]
SETS = ["science", "jupyter"]
PLAN_STEPS, PLAN_CPU_MS = 200, 50


def sample(argv, env, cwd):
    """One run: wall s, CPU s, peak RSS in MiB. The command must succeed."""
    with tempfile.NamedTemporaryFile() as out:
        command = ["/usr/bin/time", "-o", out.name, "-f", "%e %U %S %M", *argv]
        run = subprocess.run(command, env=env, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if run.returncode:
            sys.exit(f"bench: {' '.join(argv)} ended with {run.returncode}:\n{run.stdout}{run.stderr}")
        wall, user, system, rss = Path(out.name).read_text().split()
        return float(wall), float(user) + float(system), int(rss) / 1024


def fine_sample(argv, env, cwd, repeat):
    """time(1) has hundredths of a second: short commands are run `repeat` times in a row by a shell and divided."""
    loop = ["sh", "-c", 'n=$1; shift; while [ $n -gt 0 ]; do "$@" >/dev/null || exit 1; n=$((n-1)); done', "loop",
            str(repeat), *argv]
    wall, cpu, rss = sample(loop, env, cwd)
    return wall / repeat, cpu / repeat, rss


def table(title, rows, ours):
    print(f"\n{title}")
    print(f"{'':34}{'wall s':>22}{'CPU s':>10}{'peak MiB':>10}{'wall, ' + ours + ' = 1':>20}")
    base = statistics.median(s[0] for s in rows[ours])
    for name, samples in rows.items():
        walls = [s[0] for s in samples]
        wall = statistics.median(walls)
        spread = f"{wall:.3f} ({min(walls):.3f}-{max(walls):.3f})"
        cpu = statistics.median(s[1] for s in samples)
        rss = max(s[2] for s in samples)
        print(f"{name:34}{spread:>22}{cpu:>10.3f}{rss:>10.1f}{wall / base:>20.2f}")


def clean_env(home):
    keep = {k: v for k, v in os.environ.items() if re.match(r"(PATH|PIP_|UV_|SSL_|.*_proxy|.*_PROXY|REQUESTS_)", k)}
    return {**keep, "HOME": str(home), "LANG": "C.UTF-8", "XDG_STATE_HOME": f"{home}/state",
            "XDG_RUNTIME_DIR": f"{home}/run", "XDG_CACHE_HOME": f"{home}/cache", "PATH": os.environ["PATH"]}


def write_recipe(work):
    steps = [f"  - packages: [{', '.join(PACKAGES)}]\n",
             f"  - python: {{venv: {work}/venv, packages: [tabulate]}}\n"]
    steps += [f"  - file: {{path: {work}/files/f{i}, content: \"line {i}\\n\", mode: 0644}}\n" for i in range(FILES)]
    (work / "recipe.yaml").write_text("recipe: bench\nsteps:\n" + "".join(steps))


def write_script(work):
    lines = ["set -eu", 'put() { printf "%s\\n" "$2" | cmp -s - "$1" || printf "%s\\n" "$2" > "$1"; }',
             f"mkdir -p {work}/script"]
    lines += [f'put {work}/script/f{i} "line {i}"' for i in range(FILES)]
    lines += [f"[ \"$(dpkg-query -W -f='${{db:Status-Status}}' {p})\" = installed ]" for p in PACKAGES]
    lines += [f"[ -x {work}/venv/bin/python ]", f"set -- {work}/venv/lib/python3*/site-packages/tabulate-*.dist-info",
              '[ -d "$1" ]']
    (work / "script.sh").write_text("\n".join(lines) + "\n")


def write_playbook(work):
    tasks = "".join(f"    - ansible.builtin.copy: {{dest: {work}/ansible/f{i}, content: \"line {i}\\n\"}}\n"
                    for i in range(FILES))
    (work / "play.yml").write_text(
        "- hosts: localhost\n  connection: local\n  gather_facts: true\n  tasks:\n"
        f"    - ansible.builtin.file: {{path: {work}/ansible, state: directory}}\n"
        f"    - ansible.builtin.command: dpkg-query -W {' '.join(PACKAGES)}\n"
        f"    - ansible.builtin.pip: {{name: tabulate, virtualenv: {work}/venv}}\n" + tasks)


def from_pypi(build, package, program):
    """A program of a venv under build/, made once; None, and a line that says so, when the index cannot be reached."""
    where = build / "bench-venv"
    if not (where / "bin/pip").exists():
        venv.create(where, with_pip=True)
    if not (where / "bin" / program).exists():
        if subprocess.run([where / "bin/pip", "install", "-q", package]).returncode:
            print(f"bench: {package} cannot be had from the package index: its rows are missing", file=sys.stderr)
            return None
    return where / "bin" / program


def bench_no_change(agent, build, runs):
    with tempfile.TemporaryDirectory(dir=build) as name:
        work = Path(name)
        env = clean_env(work / "home")
        for make in (write_recipe, write_script, write_playbook):
            make(work)
        commands = {"dsagent apply": [str(agent), "apply", f"{work}/recipe.yaml"],
                    "sh and dpkg-query": ["bash", f"{work}/script.sh"]}
        playbook = from_pypi(build, "ansible-core", "ansible-playbook")
        if playbook:
            commands["ansible-playbook"] = [str(playbook), f"{work}/play.yml"]
        rows = {name: [] for name in commands}
        for argv in commands.values():
            sample(argv, env, work)  # the first run does the work
        for _ in range(runs):
            for row, argv in commands.items():
                once = row == "ansible-playbook"
                rows[row].append(sample(argv, env, work) if once else fine_sample(argv, env, work, 20))
        table(f"no change: {FILES} files, {len(PACKAGES)} packages, a venv ({runs} alternating runs)", rows, "dsagent apply")


def bench_plan(agent, build, runs):
    with tempfile.TemporaryDirectory(dir=build) as name:
        work, kinds = Path(name), (
            'file: {path: /etc/app/f%d, content: "number %d"}', "run: echo %d %d", "check: {path: /etc/%d-%d}",
            "file: {path: /srv/d%d, state: directory}  # %d", "cert: {cert: /etc/c%d.crt, key: /etc/k%d.key}")
        steps = "".join(f"  - {{name: step {n}, {kinds[n % len(kinds)].split('  #')[0].replace('%d', str(n))}}}\n"
                        for n in range(PLAN_STEPS))
        (work / "r.yaml").write_text("recipe: big\nsteps:\n" + steps)
        (work / "root").mkdir()
        argv = [str(agent), "plan", "--root", f"{work}/root", f"{work}/r.yaml"]
        samples = [fine_sample(argv, clean_env(work / "home"), work, 20) for _ in range(runs)]
        table(f"plan of {PLAN_STEPS} steps ({runs} runs)", {"dsagent plan": samples}, "dsagent plan")
        cpu_ms = statistics.median(s[1] for s in samples) * 1000
        print(f"{cpu_ms:.1f} ms of CPU, {'within' if cpu_ms < PLAN_CPU_MS else 'OVER'} the {PLAN_CPU_MS} ms that it may take")


def requirements(repo):
    names = []
    for one in SETS:
        for line in (repo / f"recipes/sets/{one}.txt").read_text().splitlines():
            if line.strip() and not line.startswith("#"):
                names.append(line.split(";")[0].strip())
    return names


def bench_python(agent, build, repo, runs):
    rows = {"dsagent apply": [], "python3 -m venv; pip install": []}
    for _ in range(runs):
        for row in rows:
            with tempfile.TemporaryDirectory(dir=build) as name:
                work = Path(name)
                env = clean_env(work / "home")
                if row == "dsagent apply":
                    sets = ", ".join(SETS)
                    (work / "r.yaml").write_text(
                        f"recipe: half\nsteps:\n  - python: {{venv: {work}/v, sets: [{sets}]}}\n")
                    argv = [str(agent), "apply", f"{work}/r.yaml"]
                else:
                    wanted = " ".join(f"'{r}'" for r in requirements(repo))
                    argv = ["sh", "-ec", f"python3 -m venv {work}/v; {work}/v/bin/python -m pip install -q {wanted}"]
                rows[row].append(sample(argv, env, work))
    table(f"to ready: sets {', '.join(SETS)} from nothing, cold caches ({runs} alternating runs)", rows, "dsagent apply")


def cloud_init(repo):
    """Debian's, of this machine or of the rig's root; None if there is neither."""
    root = repo / "build/rig/cloudinit"
    if shutil.which("cloud-init"):
        return ["cloud-init"]
    return ["/usr/sbin/chroot", str(root), "cloud-init"] if os.geteuid() == 0 and (root / ".made").exists() else None


def start_commands(agents, build, repo, work, env):
    """Name, argv and how many runs make one sample."""
    (work / "tree/etc").mkdir(parents=True)
    (work / "tree/etc/os-release").write_text("ID=debian\n")
    (work / "r.yaml").write_text("steps: [{file: {path: /f, content: x}}]\n")
    status = ["--root", f"{work}/tree", "status"]
    sample([str(agents["dsagent"]), *status[:2], "apply", f"{work}/r.yaml"], env, work)  # status has something to say
    found = []
    for name, agent in agents.items():
        found += [(f"{name} version", [str(agent), "version"], 200), (f"{name} status", [str(agent), *status], 200)]
    found += [("sh -c :", ["sh", "-c", ":"], 200), ("python3 -c pass", ["python3", "-c", "pass"], 20)]
    found += [(f"cloud-init {words}", [*cloud_init(repo), words], 5) for words in ("--version", "status") if cloud_init(repo)]
    if not cloud_init(repo):
        print("bench: cloud-init is neither installed nor, for root, in the rig's root (sh tests/rig/cloudinit.sh): its rows are "
              "missing", file=sys.stderr)
    for package, program in (("awscli", "aws"), ("ansible-core", "ansible")):
        path = from_pypi(build, package, program)
        if path:
            found.append((f"{program} --version", [str(path), "--version"], 5))
    return found


def bench_start(agent, build, repo, runs):
    agents = {"dsagent": agent}
    static = repo / "build/static" / f"dsagent-{os.uname().machine}"
    if static.exists() and static != agent:
        agents["dsagent, static,"] = static
    with tempfile.TemporaryDirectory(dir=build) as name:
        work = Path(name)
        env = clean_env(work / "home")
        commands = start_commands(agents, build, repo, work, env)
        rows = {row: [] for row, _, _ in commands}
        for _ in range(runs):
            for row, argv, repeat in commands:
                rows[row].append(fine_sample(argv, env, work, repeat))
    print(f"\nstart-up ({runs} alternating runs)\n{'':34}{'wall ms':>22}{'CPU ms':>10}{'peak MiB':>10}")
    for row, samples in rows.items():
        walls = [s[0] * 1000 for s in samples]
        spread = f"{statistics.median(walls):.1f} ({min(walls):.1f}-{max(walls):.1f})"
        print(f"{row:34}{spread:>22}{statistics.median(s[1] * 1000 for s in samples):>10.1f}{max(s[2] for s in samples):>10.1f}")


REPORTER_STEPS = 20
REPORTER_MAX_SHARE = 0.01


def reaped(argv, env, cwd):
    """CPU seconds of the command with all it waited for, and of what it left behind: orphans come to us."""
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
    process = subprocess.Popen(argv, env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    own, left = 0.0, 0.0
    while True:
        try:
            pid, status, usage = os.wait4(-1, 0)
        except ChildProcessError:
            return own, left
        cpu = usage.ru_utime + usage.ru_stime
        if pid != process.pid:
            left += cpu
            continue
        own = cpu
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            sys.exit(f"bench: {argv[1]} ended with {process.returncode}")


class Hook(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *args):
        pass


def bench_reporter(agent, build):
    # The world and the receiver are processes of their own: they must not be among our children's children.
    with tempfile.TemporaryDirectory(dir=build) as name:
        work = Path(name)
        env = clean_env(work / "home")
        hook = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hook)
        threading.Thread(target=hook.serve_forever, daemon=True).start()
        world = subprocess.Popen([build / "tests/world", "--port", "0", "--ready-file", work / "port", "--with-parent"],
                                 stdout=subprocess.DEVNULL)
        while not (work / "port").exists():
            time.sleep(0.05)
        url = f"http://127.0.0.1:{(work / 'port').read_text().strip()}"
        burn = "import time; t = time.process_time()\nfor i in range(100):\n  while time.process_time() - t < i / 100: pass\n  print(i)"
        steps = "".join(f"  - {{id: s{i}, run: [python3, -c, {json.dumps(burn)}]}}\n" for i in range(REPORTER_STEPS))
        (work / "recipe.yaml").write_text(f"recipe: long\nsteps:\n{steps}")
        (work / "config.yaml").write_text(f"webhook: {{url: 'http://127.0.0.1:{hook.server_port}/'}}\n")
        env |= {"AWS_EC2_METADATA_SERVICE_ENDPOINT": url, "AWS_ENDPOINT_URL_EC2": url, "DSAGENT_CONFIG": f"{work}/config.yaml"}
        # A run with nothing to tell costs what it costs; the world is waited for in a process that has no other children.
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.write(writer, json.dumps(reaped([str(agent), "apply", f"{work}/recipe.yaml"], env, work)).encode())
            os._exit(0)
        os.close(writer)
        answer = os.read(reader, 4096)
        os.waitpid(pid, 0)
        calls = json.load(urllib.request.urlopen(f"{url}/_world/counters"))["CreateTags"]
        world.kill()
        hook.shutdown()
    if not answer:
        sys.exit("bench: the run for the reporter's share failed")
    own, left = json.loads(answer)
    print(f"\nreporter: {left:.3f} CPU s beside {own:.1f} CPU s of the run, {left / own:.2%}; {calls} CreateTags calls, webhook told")
    if left > own * REPORTER_MAX_SHARE:
        sys.exit("bench: the reporter costs more than 1 % of the run")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--agent", default="build/dsagent", type=Path)
    parser.add_argument("--runs", default=5, type=int)
    parser.add_argument("--python-runs", default=2, type=int)
    parser.add_argument("--only", choices=["no-change", "plan", "python", "start", "reporter"])
    args = parser.parse_args()
    repo = Path(__file__).resolve().parents[2]
    agent = args.agent.resolve()
    build = agent.parent
    if not shutil.which("time") or not Path("/usr/bin/time").exists():
        sys.exit("bench: /usr/bin/time is missing (package: time)")
    if args.only in (None, "no-change"):
        bench_no_change(agent, build, args.runs)
    if args.only in (None, "start"):
        bench_start(agent, build, repo, args.runs)
    if args.only in (None, "reporter"):
        bench_reporter(agent, build)
    if args.only in (None, "plan"):
        bench_plan(agent, build, args.runs)
    if args.only in (None, "python"):
        bench_python(agent, build, repo, args.python_runs)


if __name__ == "__main__":
    main()
