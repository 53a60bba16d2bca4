"""Built-in recipes on a Debian of their own, with the real apt, pip, R and PostgreSQL; a CRAN-like repository of toys."""

import json

import pytest

from conftest import made
from harness import TOP

pytestmark = pytest.mark.slow


@pytest.fixture
def cache():
    folder = TOP / "build" / "rig" / "cache"
    for name in ("pip", "apt", "uv"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    return [f"{folder}/apt:/var/cache/apt/archives", f"{folder}/pip:/root/.cache/pip", f"{folder}/uv:/root/.cache/uv"]


def in_place(box, *words):
    """Nothing to do, and no package manager is started to see it."""
    out = box.sh(f"PATH=/shared/watch:$PATH dsagent apply {' '.join(words)}", timeout=600)
    assert "nothing to do" in out, out
    assert not (box.shared / "watch/started").exists(), (box.shared / "watch/started").read_text()


def watch(box):
    """Names of package managers, ahead on PATH: each leaves a note when it is started."""
    folder = box.shared / "watch"
    folder.mkdir()
    for tool in ("apt-get", "dpkg", "dnf", "pip", "uv", "Rscript", "R"):
        (folder / tool).write_text(f'#!/bin/sh\necho "{tool} $*" >> /shared/watch/started\nexit 99\n')
        (folder / tool).chmod(0o755)


# A server with TLS on 54329, an account with a password and one for the database's owner.
SERVER = r"""
set -e
bin=$(echo /usr/lib/postgresql/*/bin)
install -d -o postgres -g postgres /srv/pg
dsagent apply /shared/cert.yaml >/dev/null
chown postgres:postgres /srv/pg.key; chmod 600 /srv/pg.key
su postgres -s /bin/sh -c "$bin/initdb -D /srv/pg/data -A scram-sha-256 --pwfile=/shared/pw >/dev/null"
printf "port=54329\nunix_socket_directories='/tmp'\nlisten_addresses='127.0.0.1'\nssl=$SSL\nssl_cert_file='/srv/pg.crt'\nssl_key_file='/srv/pg.key'\nfsync=off\n" >> /srv/pg/data/postgresql.conf
su postgres -s /bin/sh -c "$bin/pg_ctl -w -t 120 -D /srv/pg/data -l /srv/pg/log start >/dev/null"
set +e
"""


@pytest.fixture
def pg(debian_root, box_in, cache):
    box = box_in(debian_root, binds=cache)
    box.sh("DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends postgresql >&2", timeout=600)
    (box.shared / "cert.yaml").write_text("steps: [{cert: {cert: /srv/pg.crt, key: /srv/pg.key, names: [localhost]}}]\n")
    (box.shared / "pw").write_text("geheim-123\n")
    return box


def test_postgres_client(pg):
    """The recipe against a real PostgreSQL: the password is in no file of the run and in no report."""
    words = "--var address=127.0.0.1:54329 --var venv=/opt/pg --var user=postgres --var database=postgres"
    out = pg.sh(f"""{SERVER.replace('$SSL', 'on')}
dsagent apply postgres-client {words} --var password=geheim-123
echo "exit $?"; dsagent apply postgres-client {words} --var password=geheim-123; echo "exit $?"
dsagent apply postgres-client {words} --var password=wrong-one --var wait=0s && echo never; echo "exit $?"
grep -rl geheim-123 /var/lib/dsagent /run/dsagent; echo "found $?"; true
""", timeout=900)
    first, second, third = out.split("exit ")[:3]
    assert second.startswith("0") and third.startswith("0") and "nothing to do" in second, out
    assert "never" not in out and "password authentication failed" in out, out
    assert "geheim-123" not in out and "found 1" in out, out


CHECKS = """steps:
  - {id: answers, check: {postgres: "127.0.0.1:54329"}}
"""


@pytest.mark.parametrize("ssl", ["on", "off"])
def test_reachability(pg, ssl):
    path = pg.recipe(CHECKS)
    dead = pg.run("dsagent", "apply", path, code=1)
    assert "Connection refused" in dead.stdout, dead.stdout
    out = pg.sh(f"""{SERVER.replace('$SSL', ssl)}
sed -i 's/^host /hostssl /' /srv/pg/data/pg_hba.conf
su postgres -s /bin/sh -c "$bin/pg_ctl -D /srv/pg/data reload" >/dev/null
dsagent apply {path}; echo "exit $?"
python3 -c 'import socket; s = socket.create_connection(("127.0.0.1", 54329)); s.sendall(bytes.fromhex("0000000804d2162f")); print("tls", s.recv(1))'
""", timeout=300)
    assert "exit 0" in out and ("tls b'S'" if ssl == "on" else "tls b'N'") in out, out


TOYS = r"""set -e
toy() {
	mkdir -p /srv/src/$1/R
	printf 'Package: %s\nVersion: 1.0\nTitle: Toy\nDescription: A toy.\nAuthor: rig\nMaintainer: rig <rig@example.invalid>\nLicense: GPL-2\n' $1 > /srv/src/$1/DESCRIPTION
	echo 'exportPattern("^[a-z]")' > /srv/src/$1/NAMESPACE
	echo "toy <- function() '$1'" > /srv/src/$1/R/toy.R
	(cd /srv/cran/src/contrib && R CMD build --no-build-vignettes --no-manual /srv/src/$1 >/dev/null)
}
for name in tidyverse data.table caret randomForest xgboost BiocGenerics Biobase limma; do toy $name; done
Rscript -e 'tools::write_PACKAGES("/srv/cran/src/contrib", type = "source")' >/dev/null
"""


def test_r_bioconductor(box_in, cache):
    """The real R, apt and installer; the packages are toys of those names in a repository of the box."""
    box = box_in(made("r.sh"), binds=cache)
    box.sh(TOYS, timeout=600)
    words = ("r-bioconductor", "--var", "repository=file:///srv/cran")
    box.run("dsagent", "apply", *words, timeout=1200)
    manifest = json.loads(box.sh("cat /var/lib/dsagent/manifest.json"))
    has = {name for library in manifest["r"].values() for name in library}
    assert {"tidyverse", "data.table", "caret", "randomForest", "xgboost", "Biobase", "limma"} <= has, has
    box.sh("rm -r /usr/local/lib/R/site-library/limma")
    assert "limma" in box.run("dsagent", "plan", *words).stdout
    box.run("dsagent", "apply", *words, timeout=600)
    watch(box)
    # `R answers` is a check: it asks Rscript itself, by its path.
    box.sh("ln -sf /usr/bin/Rscript /shared/watch/Rscript; rm -f /shared/watch/R")
    in_place(box, *words)


def test_gpu_training_without_gpu(debian_root, box_in, cache):
    """No Deep Learning AMI and no GPU: tools, the folder for checkpoints and its room; the rest is left out."""
    box = box_in(debian_root, binds=cache)
    words = ("gpu-training", "--var", "free=1M")
    box.run("dsagent", "apply", *words, timeout=600)
    steps = {s["id"]: s["status"] for s in json.loads(box.sh("cat /run/dsagent/status.json"))["steps"]}
    assert steps == {"gpu": "ok", "tools": "changed", "checkpoints": "changed", "room-for-them": "ok", "training-libraries": "skipped",
                     "pytorch-on-the-gpu": "skipped", "jupyterlab": "skipped", "data": "skipped"}, steps
    assert box.sh("stat -c %a /data/checkpoints") == "1777\n"
    watch(box)
    in_place(box, *words)
    done = box.run("dsagent", "apply", "gpu-training", "--var", "free=900T", code=1)
    assert "/data/checkpoints has" in done.stdout and "make room or use a larger volume" in done.stdout
