"""The built-in recipes that need a whole system: a real PostgreSQL with a real psycopg2, R with Bioconductor of Debian."""

import json
import socket

import pytest

pytestmark = pytest.mark.slow

# A cluster of its own on a port of loopback, with TLS by a certificate of its own and one user with a password.
CLUSTER = """
set -e
export DEBIAN_FRONTEND=noninteractive
[ -d /usr/lib/postgresql ] || apt-get install -y -q --no-install-recommends postgresql openssl >&2
bin=$(echo /usr/lib/postgresql/*/bin)
if [ ! -d /srv/pg ]; then
	mkdir /srv/pg && chown postgres /srv/pg
	echo Pass-of-ann > /srv/pw
	su postgres -c "$bin/initdb -D /srv/pg -A scram-sha-256 -U ann --pwfile=/srv/pw" >&2
	openssl req -x509 -nodes -days 2 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -subj /CN=localhost \\
		-keyout /srv/pg/server.key -out /srv/pg/server.crt 2>/dev/null
	chown postgres /srv/pg/server.*; chmod 600 /srv/pg/server.key
fi
su postgres -c "$bin/pg_ctl -D /srv/pg -w -l /srv/pg/log -o '-p PORT -h 127.0.0.1 -k /tmp -c ssl=TLS' start" >&2
"""


@pytest.fixture
def box(debian_root, box_in):
    return box_in(debian_root)


@pytest.fixture
def port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def test_postgres_client(box, port):
    def tried(words, tls="on", code=0):
        script = CLUSTER.replace("PORT", str(port)).replace("TLS", tls)
        return box.run("sh", "-c", f"{script}\ndsagent apply postgres-client --var address=127.0.0.1:{port} {words} 2>&1",
                       code=code, timeout=900).stdout

    # Nobody there: said before anything else is waited for long.
    said = box.run("dsagent", "apply", "postgres-client", "--var", f"address=127.0.0.1:{port}", "--only", "database-answers",
                   code=1, timeout=300)
    assert "for PostgreSQL at" in said.stdout + said.stderr and "Connection refused" in said.stdout + said.stderr
    login = "--var user=ann --var database=postgres --var password=Pass-of-ann --var tls=require"
    assert "ready" in tried(login)
    assert "nothing to do" in tried(login)
    wrong = tried("--var user=ann --var database=postgres --var password=Wrong-word", code=1)
    assert "login of 'ann' to database 'postgres'" in wrong and "password authentication failed" in wrong
    assert "Wrong-word" not in wrong and "Wrong-word" not in box.sh("cat /run/dsagent/status.json /var/lib/dsagent/runs/*/* 2>/dev/null || true")
    plain = tried(login, tls="off", code=1)
    assert "offers no TLS: set ssl = on there, or say tls: prefer" in plain


def test_r_bioconductor(box):
    box.run("dsagent", "apply", "r-bioconductor", timeout=1700)
    assert "TRUE" in box.sh("Rscript -e 'cat(is(DESeq2::DESeqDataSetFromMatrix(matrix(1:8, 4), data.frame(c=c(1,2)), ~1), \"DESeqDataSet\"))' 2>&1")
    assert "nothing to do" in box.run("dsagent", "apply", "r-bioconductor", timeout=300).stdout
    packages = json.loads(box.sh("cat /var/lib/dsagent/manifest.json"))["r"]
    assert {"DESeq2", "GenomicRanges", "dplyr"} <= {name for library in packages.values() for name in library}
