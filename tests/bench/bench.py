#!/usr/bin/env python3
"""Figures beside named peers, in one run: `make bench`.

  no-change   an apply that finds 20 files, 5 packages and a venv in place, beside the shell script that checks the same
              with dpkg-query, and beside ansible-playbook.
  plan        a recipe of 200 steps of several types is read, checked and probed: under 50 ms of CPU.
  python      from nothing to a working Python set, beside the reference workload's own commands (venv and pip).

Runs alternate; medians are printed with minimum and maximum. Wall clock, CPU seconds (all children) and peak resident
memory of the largest process come from time(1), a launcher small enough not to count as the measured program's memory.
"""
import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
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


def ansible(build):
    """ansible-playbook of a venv under build/, made once; None when the index cannot be reached."""
    where = build / "bench-venv"
    if not (where / "bin/ansible-playbook").exists():
        venv.create(where, with_pip=True)
        if subprocess.run([where / "bin/pip", "install", "-q", "ansible-core"]).returncode:
            return None
    return where / "bin/ansible-playbook"


def bench_no_change(agent, build, runs):
    with tempfile.TemporaryDirectory(dir=build) as name:
        work = Path(name)
        env = clean_env(work / "home")
        for make in (write_recipe, write_script, write_playbook):
            make(work)
        commands = {"dsagent apply": [str(agent), "apply", f"{work}/recipe.yaml"],
                    "sh and dpkg-query": ["bash", f"{work}/script.sh"]}
        playbook = ansible(build)
        if playbook:
            commands["ansible-playbook"] = [str(playbook), f"{work}/play.yml"]
        else:
            print("bench: ansible-core cannot be had from the package index: its row is missing", file=sys.stderr)
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


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--agent", default="build/dsagent", type=Path)
    parser.add_argument("--runs", default=5, type=int)
    parser.add_argument("--python-runs", default=2, type=int)
    parser.add_argument("--only", choices=["no-change", "plan", "python"])
    args = parser.parse_args()
    repo = Path(__file__).resolve().parents[2]
    agent = args.agent.resolve()
    build = agent.parent
    if not shutil.which("time") or not Path("/usr/bin/time").exists():
        sys.exit("bench: /usr/bin/time is missing (package: time)")
    if args.only in (None, "no-change"):
        bench_no_change(agent, build, args.runs)
    if args.only in (None, "plan"):
        bench_plan(agent, build, args.runs)
    if args.only in (None, "python"):
        bench_python(agent, build, repo, args.python_runs)


if __name__ == "__main__":
    main()
