"""conda over a stand-in for Miniforge's installer: no conda channel can be had where the tests run, so what the installer
and `conda` are asked for, what is read of conda-meta, and what happens when they fail, is what is shown here."""

import hashlib
import http.server
import json
import os
import threading

import pytest

# Lays a conda that writes conda-meta for what it is asked for, as the real one names it.
INSTALLER = r'''#!/bin/sh
set -e
[ "$1 $2 $3" = "-b -f -p" ] || { echo "not silent: $*" >&2; exit 2; }
prefix=$4
mkdir -p "$prefix/bin" "$prefix/conda-meta"
[ ! -e "$prefix/../fail-installer" ] || { echo "no room" >&2; exit 1; }
cat >"$prefix/bin/conda" <<'CONDA'
#!/usr/bin/env python3
import os, pathlib, re, sys
args = sys.argv[1:]
home = pathlib.Path(sys.argv[0]).resolve().parents[1]
with open(home.parent / "calls", "a") as f:
    f.write(" ".join(args) + "\n")
prefix = pathlib.Path(args[args.index("-p") + 1])
specs = args[args.index("--override-channels") + 1:]
while specs and specs[0] == "-c":
    specs = specs[2:]
meta = prefix / "conda-meta"
if args[0] == "create" and meta.exists():
    sys.exit("CondaValueError: prefix already exists: " + str(prefix))
meta.mkdir(parents=True, exist_ok=True)
for spec in specs:
    name, version = re.match(r"([\w.-]+)(?:[=<>!]+([\d.]+))?", spec).groups()
    if name == "nosuch":
        sys.exit("\nPackagesNotFoundError: The following packages are not available from current channels:\n\n  - nosuch\n")
    for old in meta.glob(name + "-[0-9]*.json"):
        old.unlink()
    (meta / f"{name}-{version or '1.0'}-0.json").write_text("{}")
(meta / "history").write_text("==>\n")
CONDA
chmod 755 "$prefix/bin/conda"
touch "$prefix/conda-meta/history"
'''


@pytest.fixture
def installer(tmp_path):
    data = INSTALLER.encode()
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *args):
            pass

        def do_GET(self):
            asked.append(self.path)
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    server.asked = asked
    server.words = f"installer: 'http://127.0.0.1:{server.server_port}/m.sh', sha256: {hashlib.sha256(data).hexdigest()}"
    yield server
    server.shutdown()


def recipe(installer, environments, more=""):
    return f"steps: [{{id: c, conda: {{prefix: /opt/conda, {installer.words}{more}, environments: [{environments}]}}}}]\n"


def calls(agent):
    path = agent.tree / "opt/calls"
    return path.read_text().splitlines() if path.exists() else []


def test_installed_used_left_alone_mended(agent, installer):
    text = recipe(installer, "{name: ds, packages: ['python=3.11', numpy]}")
    plan = agent.run("plan", agent.recipe(text)).out
    assert "install Miniforge to /opt/conda" in plan and "make the environment ds with python=3.11, numpy" in plan
    agent.apply(text)
    prefix = agent.tree / "opt/conda"
    assert (prefix / ".condarc").read_text().startswith("channels:\n  - conda-forge\n  - nodefaults\n")
    assert calls(agent) == [f"create -y -q -p {prefix}/envs/ds --override-channels -c conda-forge python=3.11 numpy"]
    assert "nothing to do" in agent.apply(text).out and len(calls(agent)) == 1 and len(installer.asked) == 1
    assert sorted(os.listdir(agent.tree / "opt")) == ["calls", "conda"]
    next((prefix / "envs/ds/conda-meta").glob("numpy-*")).unlink()
    assert "install numpy in ds" in agent.run("plan", agent.recipe(text)).out
    agent.apply(text)
    assert calls(agent)[1].startswith("install ") and "nothing to do" in agent.apply(text).out
    text = recipe(installer, "{name: ds, packages: ['python=3.12', numpy]}")
    assert "install python=3.12 (3.11 is there) in ds" in agent.run("plan", agent.recipe(text)).out
    agent.apply(text)
    assert "nothing to do" in agent.apply(text).out


def test_environment_yml(agent, installer):
    (agent.tree / "srv").mkdir()
    (agent.tree / "srv/environment.yml").write_text("name: x\nchannels: [bioconda, conda-forge]\ndependencies: [samtools, python=3.11]\n")
    agent.apply(recipe(installer, "{name: bio, file: /srv/environment.yml}"))
    assert "--override-channels -c bioconda -c conda-forge samtools python=3.11" in calls(agent)[0]
    (agent.tree / "srv/environment.yml").write_text("channels: [defaults]\ndependencies: [numpy]\n")
    done = agent.apply(recipe(installer, "{name: paid, file: /srv/environment.yml}"), code=1)
    assert "which larger organisations must pay for" in done.text and len(calls(agent)) == 1
    agent.apply(recipe(installer, "{name: paid, file: /srv/environment.yml}", ", allow_anaconda: true"))
    assert "-c defaults numpy" in calls(agent)[1]


def test_a_missing_package_is_said_with_what_to_do(agent, installer):
    done = agent.apply(recipe(installer, "{name: ds, packages: [nosuch]}"), code=1)
    assert "check the name, or add the channel that has it" in done.text and "nosuch" in done.text


def test_a_failed_installer_is_begun_anew(agent, installer):
    (agent.tree / "opt").mkdir()
    (agent.tree / "opt/fail-installer").write_text("")
    text = recipe(installer, "{name: ds, packages: [numpy]}")
    assert "no room" in agent.apply(text, code=1).text
    (agent.tree / "opt/fail-installer").unlink()
    assert "an earlier attempt was interrupted" in agent.run("plan", agent.recipe(text)).out
    agent.apply(text)
    assert sorted(os.listdir(agent.tree / "opt")) == ["calls", "conda"]


def test_another_installer_than_the_pinned_one_is_not_run(agent, installer):
    text = recipe(installer, "ds").replace(installer.words[-64:], "a" * 64)
    assert "SHA-256" in agent.apply(text, code=1).text and not (agent.tree / "opt/conda/bin").exists()


def test_what_others_laid_there_stays(agent, installer):
    (agent.tree / "opt/conda").mkdir(parents=True)
    (agent.tree / "opt/conda/mine").write_text("1")
    assert "dsagent did not make it" in agent.apply(recipe(installer, "ds"), code=1).text
    assert os.listdir(agent.tree / "opt/conda") == ["mine"] and not installer.asked


def manifest(agent):
    return json.loads((agent.state_dir / "manifest.json").read_text())


def test_the_manifest_has_the_environment_and_locks_it(agent, installer):
    text = recipe(installer, "{name: ds, packages: ['python=3.11', numpy]}")
    agent.apply(text)
    m = manifest(agent)
    assert m["conda"] == {"/opt/conda/envs/ds": {"numpy": {"version": "1.0", "build": "0"}, "python": {"version": "3.11", "build": "0"}}}
    lock = agent.work / "lock.json"
    lock.write_text(json.dumps(m))
    assert "nothing to do" in agent.run("apply", agent.recipe(text), "--locked", lock).out
    m["conda"]["/opt/conda/envs/ds"]["numpy"]["version"] = "0.9"
    lock.write_text(json.dumps(m))
    assert "install numpy=0.9=0 in ds" in agent.run("plan", agent.recipe(text), "--locked", lock).out
    agent.run("apply", agent.recipe(text), "--locked", lock)
    assert calls(agent)[-1].endswith("-c conda-forge numpy=0.9=0 python=3.11=0")
    # What the manifest does not have is named, and nothing is asked for.
    asked = len(calls(agent))
    more = recipe(installer, "{name: ds, packages: [numpy, scipy], pip: [polars]}")
    done = agent.run("apply", agent.recipe(more), "--locked", lock, code=1)
    assert "has no version of scipy, polars (by pip) in /opt/conda/envs/ds" in done.text and len(calls(agent)) == asked


def test_the_team_recipe(agent, installer):
    """conda-team from its list, from an environment.yml, and with the link for login shells."""
    words = [w for k, v in (("installer", installer.words.split("'")[1]), ("installer_sha256", installer.words[-64:]))
             for w in ("--var", f"{k}={v}")]
    agent.run("apply", "conda-team", *words)
    assert "-c conda-forge python=3.11 numpy pandas scipy scikit-learn jupyterlab" in calls(agent)[0]
    assert os.readlink(agent.tree / "etc/profile.d/conda.sh") == "/opt/conda/etc/profile.d/conda.sh"
    assert "nothing to do" in agent.run("apply", "conda-team", *words).out
    (agent.tree / "srv").mkdir()
    (agent.tree / "srv/environment.yml").write_text("channels: [conda-forge]\ndependencies: [gdal]\n")
    agent.run("apply", "conda-team", *words, "--var", "file=/srv/environment.yml", "--var", "environment=geo")
    assert calls(agent)[-1].endswith("envs/geo --override-channels -c conda-forge gdal")
    (agent.tree / "etc/profile.d/conda.sh").unlink()
    agent.run("apply", "conda-team", *words)
    assert os.path.lexists(agent.tree / "etc/profile.d/conda.sh")
