"""jupyter: a real JupyterLab from the package index, under a real systemd, answered over http."""

import os
import pathlib

import pytest

from harness import TOP, wait_until
from steps_table import add

pytestmark = pytest.mark.slow

RECIPE = """
steps:
  - user: ana
  - python: {venv: /opt/ds, sets: [jupyter]}
  - name: JupyterLab
    jupyter: {venv: /opt/ds, user: ana, port: 18888}
"""


@pytest.fixture
def machine(systemd_root, booted_in):
    cache = TOP / "build" / "rig" / "cache"
    for name in ("pip", "uv"):
        (cache / name).mkdir(parents=True, exist_ok=True)
    conf = pathlib.Path("/etc/pip.conf")
    m = booted_in(systemd_root, {"/etc/pip.conf": conf.read_text()} if conf.exists() else None,
                  [f"{cache}/pip:/root/.cache/pip", f"{cache}/uv:/root/.cache/uv"])
    m.env = {k: os.environ[k] for k in (
        "http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_CERT",
        "PIP_TRUSTED_HOST", "UV_INDEX_URL", "UV_DEFAULT_INDEX", "SSL_CERT_FILE") if k in os.environ}
    m.boot()
    return m


def get(machine, path, token=None):
    header = ["-H", f"Authorization: token {token}"] if token else []
    return machine.run("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", *header, f"http://127.0.0.1:18888{path}",
                       code=None).stdout


def test_it_answers_with_its_token_and_refuses_without(machine):
    path = machine.recipe(RECIPE)
    out = machine.run("dsagent", "apply", path, timeout=900).stdout
    assert "ssh -L 18888:127.0.0.1:18888 ana@" in out and "token: sudo cat /etc/dsagent/jupyter/jupyter.token" in out, out
    token = machine.sh("cat /etc/dsagent/jupyter/jupyter.token")
    assert len(token) == 48 and token not in out
    wait_until(lambda: get(machine, "/api") == "200", 60, "JupyterLab")
    assert get(machine, "/api/contents", token) == "200"
    assert get(machine, "/api/contents") == "403"
    assert get(machine, "/api/contents", "wrong" + token[5:]) == "403"
    assert get(machine, "/lab") == "302" and get(machine, "/lab", token) == "200"
    # Loopback only, as the account, its secrets in nobody's reach.
    assert "127.0.0.1:18888" in machine.sh("ss -ltnH 2>/dev/null || cat /proc/net/tcp | grep -i 0100007F:49C8 && echo 127.0.0.1:18888")
    pid = machine.sh("systemctl show -p MainPID --value jupyter").strip()
    assert machine.sh(f"stat -c %U /proc/{pid}").strip() == "ana"
    assert token not in machine.sh(f"tr '\\0' ' ' < /proc/{pid}/cmdline") + machine.sh("systemctl show jupyter; systemctl cat jupyter")
    assert machine.sh("stat -c '%a %U' /etc/dsagent/jupyter/jupyter.token /home/ana/notebooks") == "600 ana\n755 ana\n"
    assert token not in machine.sh("journalctl -u jupyter -o cat; cat /run/dsagent/status.json; cat /var/lib/dsagent/runs/*/*")
    # Nothing to do, and the way in is still said.
    again = machine.run("dsagent", "apply", path).stdout
    assert "nothing" in again.lower(), again
    assert "ssh -L 18888:127.0.0.1:18888 ana@" in machine.sh("cat /run/dsagent/status.json")
    assert machine.sh("systemctl show -p MainPID --value jupyter").strip() == pid
    # Drift: stopped, config edited, token gone.
    machine.sh("systemctl stop jupyter; sed -i s/18888/18889/ /etc/dsagent/jupyter/jupyter.json; rm /etc/dsagent/jupyter/jupyter.token")
    machine.run("dsagent", "apply", path)
    fresh = machine.sh("cat /etc/dsagent/jupyter/jupyter.token")
    wait_until(lambda: get(machine, "/api") == "200", 60, "JupyterLab again")
    assert fresh != token and get(machine, "/api/contents", fresh) == "200" and get(machine, "/api/contents", token) == "403"
    add("jupyter", "stopped, config edited, token removed")
    # Another folder is another configuration: the service is started anew with it, the token kept.
    path = machine.recipe(RECIPE.replace("port: 18888", "port: 18888, directory: /srv/books"))
    machine.run("dsagent", "apply", path)
    wait_until(lambda: get(machine, "/api") == "200", 60, "JupyterLab in another folder")
    assert machine.sh("cat /etc/dsagent/jupyter/jupyter.token") == fresh
    machine.sh("systemctl is-active jupyter; test -d /srv/books")
    # Without JupyterLab in the venv it says what brings it.
    done = machine.run("dsagent", "apply", machine.recipe("steps: [{jupyter: {venv: /opt/none, user: ana, name: lab2}}]\n"), code=1)
    assert "/opt/none/bin/jupyter-lab does not exist: JupyterLab comes with `python: {venv: /opt/none, sets: [jupyter]}`" in done.stdout
