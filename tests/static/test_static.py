"""The static program alone in a root: whom it trusts there, and that no openssl.cnf of the box has a say."""

import hashlib
import http.server
import os
import re
import shutil
import ssl
import subprocess
import threading

import pytest

from harness import BINARY, TOP

DATA = b"forty-two\n"
DEBIAN, AMAZON = "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"
# Whoever obeys it has no digest and no cipher.
BROKEN = "openssl_conf = a\n[a]\nproviders = b\n[b]\nbase = c\n[c]\nactivate = 1\n"


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(DATA)))
        self.end_headers()
        self.wfile.write(DATA)


def certificate(folder, name):
    key, cert = folder / f"{name}.key", folder / f"{name}.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                    "-keyout", key, "-out", cert, "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1"],
                   check=True, capture_output=True)
    return cert, key


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """An HTTPS server on loopback: its address, its certificate, and one of somebody else."""
    folder = tmp_path_factory.mktemp("tls")
    cert, key = certificate(folder, "own")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(cert, key)
    server.socket = tls.wrap_socket(server.socket, server_side=True)
    server.handle_error = lambda *args: None  # a client that refuses us
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"https://127.0.0.1:{server.server_port}/f", cert, certificate(folder, "other")[0]
    server.shutdown()


@pytest.fixture
def root(tmp_path):
    """An empty root with the program in it; returns a function that runs it there."""
    shutil.copy(BINARY, tmp_path / "dsagent")
    enter = ["/usr/sbin/chroot"] if os.geteuid() == 0 else ["/usr/bin/unshare", "-r", "/usr/sbin/chroot"]

    def run(*args, env=None):
        return subprocess.run([*enter, tmp_path, "/dsagent", *args], env=env or {}, capture_output=True, text=True, timeout=120,
                              stdin=subprocess.DEVNULL)

    run.path = tmp_path
    return run


def put(root, path, text):
    file = root.path / path.lstrip("/")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def download(root, url, env=None):
    put(root, "/r.yaml", f"steps: [{{download: {{url: '{url}', sha256: {hashlib.sha256(DATA).hexdigest()}, to: /f}}, retries: 0}}]\n")
    done = root("apply", "/r.yaml", env=env)
    got = root.path / "f"
    assert (done.returncode == 0) == got.exists(), done
    assert not got.exists() or got.read_bytes() == DATA
    return done


NONE = "no CA bundle found, so only Amazon's own roots, which are built in, are trusted"


@pytest.mark.parametrize("own, other, env, refused", [
    ([DEBIAN], [], {}, None),
    ([AMAZON], [], {}, None),
    (["/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem"], [], {}, None),
    (["/elsewhere.pem"], [DEBIAN], {"SSL_CERT_FILE": "/elsewhere.pem"}, None),
    ([], [], {}, NONE),
    ([AMAZON], [DEBIAN], {}, f"CA bundle: {DEBIAN};"),
    ([DEBIAN], ["/elsewhere.pem"], {"SSL_CERT_FILE": "/elsewhere.pem"}, "CA bundle: /elsewhere.pem;"),
    ([DEBIAN], [], {"SSL_CERT_FILE": "/not-there.pem"}, "CA bundle: /not-there.pem;"),
], ids=["debian", "amazon", "amazon-newer", "named", "none", "first-place", "named-other", "named-missing"])
def test_whom_it_trusts(root, site, own, other, env, refused):
    url, cert, stranger = site
    for path in own:
        put(root, path, cert.read_text())
    for path in other:
        put(root, path, stranger.read_text())
    done = download(root, url, env)
    assert done.returncode == (1 if refused else 0), done
    assert not refused or refused in done.stdout + done.stderr, done


def test_no_openssl_cnf_has_a_say(root, site):
    url, cert, _ = site
    put(root, DEBIAN, cert.read_text())
    for path in ("/etc/ssl/openssl.cnf", "/usr/lib/ssl/openssl.cnf", "/etc/pki/tls/openssl.cnf", "/etc/dsagent/ssl/openssl.cnf",
                 "/broken.cnf"):
        put(root, path, BROKEN)
    done = download(root, url, {"OPENSSL_CONF": "/broken.cnf", "OPENSSL_MODULES": "/nowhere", "OPENSSL_ENGINES": "/nowhere"})
    assert done.returncode == 0, done


def test_the_broken_openssl_cnf_is_broken(tmp_path):
    """Else the test above would show nothing."""
    (tmp_path / "broken.cnf").write_text(BROKEN)
    env = {**os.environ, "OPENSSL_CONF": str(tmp_path / "broken.cnf")}
    assert subprocess.run(["openssl", "dgst", "-sha256", "/dev/null"], env=env, capture_output=True).returncode != 0


def test_the_roots_are_what_their_comments_say():
    text = (TOP / "agent/io/ca_roots.pem").read_text()
    said = re.findall(r"^# SHA-256 (\S+)\n(-----BEGIN.*?END CERTIFICATE-----)", text, re.M | re.S)
    assert len(said) == text.count("BEGIN CERTIFICATE") == 5
    for fingerprint, pem in said:
        assert hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest() == fingerprint.replace(":", "").lower()


def gate(program, most=10**9, xz_most=10**9, path="/not/in/any/program"):
    return subprocess.run(["sh", TOP / "packaging/static/gate.sh", program, str(most), str(xz_most), path], capture_output=True, text=True)


def test_the_gate_lets_it_through():
    done = gate(BINARY, path=str(TOP))
    assert done.returncode == 0, done


@pytest.mark.parametrize("how, says", [
    ({"program": "/bin/ls"}, "names an interpreter"),
    ({"most": 1000000}, "more than 1000000"),
    ({"xz_most": 100000}, "more than 100000"),
    ({"path": "dsagent/"}, "holds the folder"),
], ids=["dynamic", "large", "large-xz", "path"])
def test_the_gate_refuses(how, says):
    done = gate(**{"program": BINARY, **how})
    assert done.returncode == 1 and says in done.stderr, done
