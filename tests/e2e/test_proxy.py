"""S3 through a real proxy, plain and by CONNECT; metadata and container credentials beside it."""

import http.server
import json
import threading

import pytest

from harness import S3_KEY, S3_SECRET, S3_TOKEN
from proxy import Proxy
from s3 import fill, files

NO_PROXY = {"NO_PROXY": "", "no_proxy": ""}
TREE = {"a": b"1", "d/b ü+%": b"22" * 5000}


@pytest.fixture
def proxy(tmp_path):
    p = Proxy(tmp_path / "proxy")
    yield p
    p.close()


def everywhere(url):
    """All that a careless profile may set."""
    return {name: url for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")}


def test_transfers_go_through_the_proxy(any_box, server, proxy):
    """TLS is between dsagent and S3: the proxy sees CONNECT alone. Plain http it passes on, and the signature holds."""
    bucket = server.bucket()
    fill(any_box.tree / "up", TREE)
    env = {"https_proxy": proxy.url, "http_proxy": proxy.url, **NO_PROXY}
    any_box.sync(any_box.tree / "up", f"s3://{bucket}/p/", env=env)
    any_box.sync(f"s3://{bucket}/p/", any_box.data, env=env)
    assert bucket in any_box.run("ls", env=env).out
    assert files(any_box.data) == TREE and server.objects(bucket, "p/") == TREE
    requests, place = proxy.requests(), server.url.split("://")[1]
    if server.url.startswith("https:"):
        assert set(requests) == {f"CONNECT {place}"}
    else:
        assert len(requests) >= 6 and all(r.split()[1].startswith(f"http://{place}/") for r in requests)
    assert not any(server.env["AWS_SECRET_ACCESS_KEY"] in r for r in requests)


@pytest.mark.parametrize("variables, is_used", [
    ({"http_proxy": "$"}, True),
    ({"all_proxy": "$"}, True),
    ({"ALL_PROXY": "$"}, True),
    ({"HTTP_PROXY": "$"}, False),  # of a CGI program it would be the client's header: curl's rule
    ({"https_proxy": "$"}, False),
    ({"http_proxy": "$", "NO_PROXY": "localhost,127.0.0.1"}, False),
    ({"http_proxy": "$", "no_proxy": "127.0.0.0/8"}, False),
    ({"http_proxy": "$", "no_proxy": "*"}, False),
    ({"http_proxy": "$", "no_proxy": "example.com"}, True),
    ({"http_proxy": ""}, False),
])
def test_which_variables_count(box, s3, proxy, variables, is_used):
    bucket = s3.bucket()
    s3.put(bucket, "a", b"1")
    box.sync(f"s3://{bucket}", box.data, env={**NO_PROXY, **{k: v.replace("$", proxy.url) for k, v in variables.items()}})
    assert files(box.data) == {"a": b"1"} and bool(proxy.requests()) == is_used


ASKS = "the proxy asks for user and password: write http://USER:PASSWORD@HOST:PORT into the variable that names it\n"
PAGE = "HTTP 401 with a web page instead of an AWS answer: a proxy or portal stands in between\n"


def test_a_proxy_that_asks_for_a_password(box, s3, tmp_path):
    """Said at once, once, without the password: what a proxy refuses it refuses again."""
    proxy = Proxy(tmp_path / "guarded", "BasicAuth user s3cr3t-of-proxy")
    bucket = s3.bucket()
    s3.put(bucket, "a", b"1")
    try:
        for variable, endpoint, user, said in (
                ("http_proxy", s3.url, "", "HTTP 407: " + ASKS),
                ("http_proxy", s3.url, "user:wr0ng-one@", PAGE),  # tinyproxy's 401
                ("https_proxy", "https://s3.example.com", "", "HTTP 407: " + ASKS),
                ("https_proxy", "https://s3.example.com", "user:wr0ng-one@", "HTTP 401: " + ASKS)):
            refused = box.sync(f"s3://{bucket}", box.data, code=1, env={
                variable: f"http://{user}127.0.0.1:{proxy.port}", "AWS_ENDPOINT_URL_S3": endpoint, **NO_PROXY})
            assert refused.err.endswith(said) and refused.out == "" and "wr0ng" not in refused.err, refused
        assert len(proxy.requests()) == 4
        box.sync(f"s3://{bucket}", box.data, env={"http_proxy": f"http://user:s3cr3t-of-proxy@127.0.0.1:{proxy.port}", **NO_PROXY})
    finally:
        proxy.close()
    assert files(box.data) == {"a": b"1"}


def test_a_proxy_that_does_not_connect(box, tmp_path):
    proxy = Proxy(tmp_path / "strict", "ConnectPort 444")
    try:
        refused = box.sync("s3://bucket", box.data, code=1, env={
            "https_proxy": proxy.url, "AWS_ENDPOINT_URL_S3": "https://s3.example.com", **NO_PROXY})
        assert refused.err.endswith("the proxy does not connect to it: HTTP 403 from the proxy\n")
        assert proxy.requests() == ["CONNECT s3.example.com:443"]
    finally:
        proxy.close()


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_is_not_there(box, scheme):
    failed = box.run("ls", code=1, env={
        f"{scheme}_proxy": "http://user:s3cr3t-of-proxy@127.0.0.1:1", "AWS_ENDPOINT_URL_S3": f"{scheme}://s3.example.com", **NO_PROXY})
    assert "127.0.0.1 port 1" in failed.err and "s3cr3t" not in failed.err, failed.err


def test_metadata_never_goes_through_a_proxy(on_ec2, world, proxy):
    """Region, role and keys come from the metadata service while every variable names the proxy: only S3 is seen there."""
    on_ec2.run("ls", env={"AWS_ENDPOINT_URL_S3": world.s3_url, **everywhere(proxy.url), **NO_PROXY})
    assert world.counters()["token"] and [r.split("?")[0] for r in proxy.requests()] == [f"GET {world.s3_url}/"]


def test_container_credentials_never_go_through_a_proxy(box, world, s3, proxy):
    asked = []

    class Container(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append((self.path, self.headers["Authorization"], self.headers["Via"]))
            body = json.dumps({"AccessKeyId": S3_KEY, "SecretAccessKey": S3_SECRET, "Token": S3_TOKEN,
                               "Expiration": "2099-01-01T00:00:00Z"}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Container)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        box.run("ls", env={"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_SESSION_TOKEN": "",
                           "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"http://127.0.0.1:{server.server_port}/role",
                           "AWS_CONTAINER_AUTHORIZATION_TOKEN": "t0ken", **everywhere(proxy.url), **NO_PROXY})
    finally:
        server.shutdown()
        server.server_close()
    assert asked == [("/role", "t0ken", None)] and [r.split("?")[0] for r in proxy.requests()] == [f"GET {world.s3_url}/"]
