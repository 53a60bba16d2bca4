"""cert: what it makes is taken by OpenSSL's own tools and by a TLS server and client that verify."""

import socket
import ssl
import subprocess
import threading


def test_a_server_with_it_is_verified(agent, tmp_path):
    cert, key = agent.tree / "tls/cert.pem", agent.tree / "tls/key.pem"
    recipe = "steps: [{cert: {cert: /tls/cert.pem, key: /tls/key.pem, names: [localhost, 127.0.0.1]}}]\n"
    path = agent.recipe(recipe)
    agent.run("apply", path, code=0)
    text = subprocess.run(["openssl", "x509", "-in", cert, "-noout", "-text"], capture_output=True, text=True, check=True).stdout
    assert "DNS:localhost, IP Address:127.0.0.1" in text and "prime256v1" in text and "ecdsa-with-SHA256" in text
    assert "CA:FALSE" in text and "TLS Web Server Authentication" in text
    subprocess.run(["openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-partial_chain", "-CAfile", cert, cert],
                   check=True)
    assert key.stat().st_mode & 0o777 == 0o600

    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(cert, key)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        def serve():
            with server.wrap_socket(listener.accept()[0], server_side=True) as s:
                s.sendall(b"hello")
        thread = threading.Thread(target=serve)
        thread.start()
        client = ssl.create_default_context(cafile=str(cert))
        with client.wrap_socket(socket.create_connection(listener.getsockname()), server_hostname="localhost") as s:
            assert s.recv(5) == b"hello"
        thread.join()

    before = cert.read_bytes()
    agent.run("apply", path, code=0)
    assert cert.read_bytes() == before
    # A year later, by the pinned clock, it is made anew.
    agent.env["DSAGENT_NOW"] = str(int(__import__("time").time()) + 380 * 86400)
    done = agent.run("apply", path, code=0)
    assert "anew (it ends at" in done.text and cert.read_bytes() != before
