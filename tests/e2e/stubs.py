"""Stand-ins for dpkg-query, apt-get, dnf and rpm on PATH, with the exit codes and words of the real ones.

State is a folder: installed/NAME holds the version, known/NAME the version that can be had, calls one line per call,
down (a number) how many more downloads fail. Locks are the real fcntl locks of the tree's own files.
"""

import pathlib
import subprocess
import sys

COMMON = r'''#!{python}
import fcntl, os, pathlib, re, sys, time
state, tree, tool = pathlib.Path({state!r}), pathlib.Path({tree!r}), os.path.basename(sys.argv[0])
args = sys.argv[1:]
with open(state / "calls", "a") as f:
    f.write((tool + " " + " ".join(args)).replace("\n", "\\n") + "\n")
installed, known = state / "installed", state / "known"

def down():
    path = state / "down"
    left = int(path.read_text()) if path.exists() else 0
    if left > 0:
        path.write_text(str(left - 1))
    return left > 0

def lock(name):
    path = tree / name
    path.parent.mkdir(parents=True, exist_ok=True)
    f = open(path, "a+")
    try:
        fcntl.lockf(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return None
    return f

def words():
    """Arguments that are no options; -o and -c take one more."""
    out, skip = [], False
    for a in args:
        if skip:
            skip = False
        elif a in ("-o", "-c", "-t", "--setopt", "--releasever"):
            skip = True
        elif not a.startswith("-"):
            out.append(a)
    return out
'''

DPKG_QUERY = COMMON + r'''
fmt = "${binary:Package}\t${Version}\n"
names, it = [], iter(args)
for a in it:
    if a in ("-f", "--showformat"):
        fmt = next(it)
    elif a.startswith("-f"):
        fmt = a[2:].lstrip("=")
    elif a.startswith("--showformat="):
        fmt = a.split("=", 1)[1]
    elif not a.startswith("-"):
        names.append(a)
def show(name, version):
    known_fields = {"Package": name, "binary:Package": name, "Version": version, "db:Status-Status": "installed",
                    "Status": "install ok installed", "Architecture": "amd64", "db:Status-Abbrev": "ii ", "Provides": "",
                    "db:Status-Want": "install", "db:Status-Eflag": "ok"}
    text = re.sub(r"\$\{([^};]*)(;-?\d+)?\}", lambda m: known_fields.get(m.group(1), ""), fmt)
    sys.stdout.write(text.replace("\\n", "\n").replace("\\t", "\t"))
code = 0
for name in names or sorted(p.name for p in installed.iterdir()):
    bare = name.split(":")[0]
    if (installed / bare).exists():
        show(bare, (installed / bare).read_text())
    else:
        print(f"dpkg-query: no packages found matching {name}", file=sys.stderr)
        code = 1
sys.exit(code)
'''

APT_GET = COMMON + r'''
def plain(name):
    """Without =VERSION, and without the + or - that means install or remove where no package is named so (apt-get(8))."""
    name = name.split("=")[0]
    return name if (known / name).exists() or name[-1] not in "+-" else name[:-1]

todo = words()
verb, names = (todo[0], todo[1:]) if todo else ("", [])
simulated = any(a in ("-s", "--simulate", "--dry-run") for a in args)
if verb == "update":
    held = lock("var/lib/apt/lists/lock")
    if not held:
        print("E: Could not get lock /var/lib/apt/lists/lock. It is held by process 1 (apt-get)", file=sys.stderr)
        sys.exit(100)
    if down():
        print("Err:1 http://deb.debian.org/debian bookworm InRelease\n  Could not connect to deb.debian.org:80 (127.0.0.1). - connect (111: Connection refused)")
        print("W: Failed to fetch http://deb.debian.org/debian/dists/bookworm/InRelease  Could not connect", file=sys.stderr)
        print("W: Some index files failed to download. They have been ignored, or old ones used instead.", file=sys.stderr)
        sys.exit(100 if "APT::Update::Error-Mode=any" in " ".join(args) else 0)
    print("Reading package lists...")
    sys.exit(0)
if verb in ("install", "remove", "purge", "upgrade", "dist-upgrade"):
    held = lock("var/lib/dpkg/lock-frontend")
    if not held:
        print("E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 1 (unattended-upgr)", file=sys.stderr)
        print("E: Unable to acquire the dpkg frontend lock (/var/lib/dpkg/lock-frontend), is another process using it?", file=sys.stderr)
        sys.exit(100)
    print("Reading package lists...\nBuilding dependency tree...")
    for name in names:
        if verb == "install" and not (known / plain(name)).exists():
            print(f"E: Unable to locate package {name}", file=sys.stderr)
            sys.exit(100)
    if verb == "install" and not simulated and down():
        print("E: Failed to fetch http://deb.debian.org/debian/pool/x.deb  503  Service Unavailable [IP: 127.0.0.1 80]", file=sys.stderr)
        print("E: Unable to fetch some archives, maybe run apt-get update or try with --fix-missing?", file=sys.stderr)
        sys.exit(100)
    for name in names:
        bare = plain(name)
        if simulated:
            print(f"Inst {bare} (1.0 stub [amd64])")
        elif verb == "install" and not name.endswith("-"):
            print(f"Setting up {bare} ({(known / bare).read_text()}) ...")
            (installed / bare).write_text((known / bare).read_text())
        elif verb in ("remove", "purge") or name.endswith("-"):
            (installed / bare).unlink(missing_ok=True)
    sys.exit(0)
sys.exit(0)
'''

RPM = COMMON + r'''
if "-q" not in args and "--query" not in args and not any(re.match(r"-q[a-z]*$", a) for a in args):
    sys.exit(0)
fmt, names, it = "%{NAME}-%{VERSION}-1.noarch\n", [], iter(args)
for a in it:
    if a in ("--qf", "--queryformat"):
        fmt = next(it)
    elif a.startswith(("--qf=", "--queryformat=")):
        fmt = a.split("=", 1)[1]
    elif a in ("--root", "--dbpath", "--define"):
        next(it)
    elif not a.startswith("-"):
        names.append(a)
code = 0
full = {f"{p.name}-{p.read_text()}-1": p.name for p in installed.iterdir()}  # NAME-VERSION-RELEASE names it too: rpm(8)
for name in names or (sorted(p.name for p in installed.iterdir()) if "-qa" in args else []):
    name = full.get(name, name)
    if (installed / name).exists():
        fields = {"NAME": name, "VERSION": (installed / name).read_text(), "RELEASE": "1", "ARCH": "noarch", "EPOCH": "(none)",
                  "EPOCHNUM": "0", "EVR": (installed / name).read_text() + "-1"}
        text = re.sub(r"%\{([A-Z]+)\}", lambda m: fields.get(m.group(1), ""), fmt)
        sys.stdout.write(text.replace("\\n", "\n").replace("\\t", "\t"))
    else:
        print(f"no package provides {name}" if "--whatprovides" in args else f"package {name} is not installed")
        code += 1
sys.exit(min(code, 255))
'''

DNF = COMMON + r'''
todo = words()
verb, names = (todo[0], todo[1:]) if todo else ("", [])
if verb in ("install", "remove", "upgrade", "update"):
    if verb != "remove" and down():
        print("Error: Failed to download metadata for repo 'amazonlinux': Cannot download repomd.xml: All mirrors were tried", file=sys.stderr)
        sys.exit(1)
    held = lock("var/lib/rpm/.rpm.lock")
    if not held:
        print("Error: Can't create transaction lock on /var/lib/rpm/.rpm.lock (Resource temporarily unavailable)", file=sys.stderr)
        sys.exit(1)
    full = {f"{p.name}-{p.read_text()}-1": p.name for p in known.iterdir()}
    names = [full.get(n, n) for n in names]
    missing = [n for n in names if verb == "install" and not (known / n).exists() and not (installed / n).exists()]
    for name in missing:
        print(f"No match for argument: {name}")
    if missing:
        print("Error: Unable to find a match: " + " ".join(missing), file=sys.stderr)
        sys.exit(1)
    for name in names:
        if verb == "install":
            (installed / name).write_text((known / name).read_text())
        elif verb == "remove":
            (installed / name).unlink(missing_ok=True)
    print("Complete!")
sys.exit(0)
'''

TOOLS = {"dpkg-query": DPKG_QUERY, "apt-get": APT_GET, "rpm": RPM, "dnf": DNF}


class Stubs:
    def __init__(self, agent, known=("git", "make", "gcc", "g++", "curl", "htop")):
        self.agent, self.state, self.bin = agent, agent.folder / "stubs", agent.folder / "stub-bin"
        for path in (self.bin, self.state / "installed", self.state / "known"):
            path.mkdir(parents=True)
        (self.state / "calls").touch()
        for name in known:
            (self.state / "known" / name).write_text("1.0")
        for name, text in TOOLS.items():
            path = self.bin / name
            path.write_text(text.replace("{python}", sys.executable).replace("{state!r}", repr(str(self.state)))
                            .replace("{tree!r}", repr(str(agent.tree))))
            path.chmod(0o755)
        for name in ("apt-cache", "apt-mark", "dpkg", "apt"):
            (self.bin / name).write_text("#!/bin/sh\nexit 0\n")
            (self.bin / name).chmod(0o755)
        agent.env["PATH"] = f"{self.bin}:{agent.env['PATH']}"
        (agent.tree / "var/lib/dpkg").mkdir(parents=True)
        (agent.tree / "var/lib/apt/lists").mkdir(parents=True)

    def installed(self):
        return sorted(p.name for p in (self.state / "installed").iterdir())

    def calls(self, tool=None):
        lines = (self.state / "calls").read_text().splitlines()
        return [line for line in lines if not tool or line.startswith(tool + " ")]

    def down(self, times):
        (self.state / "down").write_text(str(times))

    def amazon_linux(self):
        (self.agent.tree / "etc/os-release").write_text('ID="amzn"\nVERSION_ID="2023"\nPLATFORM_ID="platform:al2023"\n')


def hold_lock(path, comm, seconds=60):
    """A process of that name that has a real fcntl lock on path; returned once it has it."""
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    code = (f"import ctypes, fcntl, time; ctypes.CDLL(None).prctl(15, {comm.encode()!r}, 0, 0, 0); "
            f"f = open({str(path)!r}, 'a+'); fcntl.lockf(f, fcntl.LOCK_EX); print('held', flush=True); time.sleep({seconds})")
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"held\n"
    return process
