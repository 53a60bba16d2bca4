"""The table of step types, build/tests/steps-table.txt: what was changed by a first apply, left alone by a second without
a package manager, and put right by a third after the machine had drifted. A row is added by the test that has shown it.
"""

import fcntl
import json

from harness import BUILD

ROWS, TABLE = BUILD / "tests" / "steps-table.jsonl", BUILD / "tests" / "steps-table.txt"
HEAD = ("type", "first", "second", "managers started", "drift", "third")
# What a second apply must not start; dpkg-query and rpm -q only look.
MANAGERS = ("apt-get", "apt", "dpkg", "dnf", "pip", "uv", "Rscript", "R", "conda", "useradd", "usermod", "mkfs.ext4", "systemctl")
added = []


def add(kind, drift, first="changed", second="ok", started="none", third="changed"):
    row = dict(zip(HEAD, (kind, first, second, started, drift, third)))
    added.append(row)
    ROWS.parent.mkdir(parents=True, exist_ok=True)
    with open(ROWS, "a+") as f:
        fcntl.lockf(f, fcntl.LOCK_EX)
        f.seek(0)
        rows = {(r["type"], r["drift"]): r for r in map(json.loads, f) if set(r) == set(HEAD)}
        rows[kind, drift] = row
        f.truncate(0)
        f.writelines(json.dumps(r) + "\n" for r in rows.values())
        TABLE.write_text(text(sorted(rows.values(), key=lambda r: (r["type"], r["drift"]))))


def text(rows):
    rows = [dict(zip(HEAD, HEAD)), *rows]
    width = {name: max(len(row[name]) for row in rows) for name in HEAD}
    return "".join("  ".join(row[name].ljust(width[name]) for name in HEAD).rstrip() + "\n" for row in rows)


def prove(kind, drifts, apply, status, started):
    """apply(): to exit status 0. status(): of the step. started(): managers since the last call. drifts: {name: function}."""
    apply()
    first = status()
    started()
    apply()
    assert (first, status()) == ("changed", "ok"), (kind, first, status())
    managers = started()
    assert not managers, (kind, managers)
    for name, drift in drifts.items():
        drift()
        apply()
        assert status() == "changed", (kind, name, status())
        apply()
        assert status() == "ok", (kind, name, "still drifts after the third")
        add(kind, name)
