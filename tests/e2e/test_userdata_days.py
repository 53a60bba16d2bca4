"""Bad days of user-data: no network, other people's servers and tools, clocks, mounts, machines that were images once."""

import email.utils
import glob
import hashlib
import os
import re
import shutil
import socket
import subprocess
import threading

import boto3
import pytest

from harness import TOP, wait_until
from stubbox import MACHINE, SHELLS, Server, box, box_of, system_tools  # noqa: F401  (fixtures)

TWO_SHELLS = SHELLS[:2]  # busybox takes its own sleep


@pytest.mark.parametrize("shell", TWO_SHELLS)
def test_no_network_for_a_minute(box, shell):
    """Nothing listens until the script has slept for 60 s, by a clock of the test's."""
    asleep, up = box.folder / "asleep", box.folder / "up"
    asleep.touch()
    box.tool("sleep", f'echo "$1" >>{asleep}\n[ "$(awk "{{ s += \\$1 }} END {{ print s }}" {asleep})" -lt 60 ] && exit\n'
                      f'touch {box.folder}/minute\nuntil [ -e {up} ]; do /bin/sleep 0.05; done\n')
    del box.env["DSAGENT_RETRY_SECONDS"]
    port = box.server.server_address[1]
    box.server.shutdown()
    box.server.server_close()

    def network_comes():
        wait_until((box.folder / "minute").exists, 50, "the script's minute")
        box.server = Server(box.program, port)
        up.touch()

    thread = threading.Thread(target=network_comes)
    thread.start()
    box.run(shell)
    thread.join()
    assert box.given.exists() and sum(map(int, asleep.read_text().split())) >= 60 and len(box.server.seen) == 1


@pytest.mark.parametrize("shell", TWO_SHELLS)
def test_it_gives_up_after_two_minutes(box, shell):
    box.tool("sleep", f'echo "$1" >>{box.folder}/asleep\n')
    del box.env["DSAGENT_RETRY_SECONDS"]
    box.server.plan = ["403"]
    said = box.run(shell, code=1).stderr
    assert re.findall("again in (.*) s", said) == ["12", "18", "24", "30", "36"]
    assert (box.folder / "asleep").read_text().split() == ["12", "18", "24", "30", "36"]


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("tool", ["curl", "wget"])
def test_a_presigned_url_that_has_expired(box, shell, tool):
    """S3 answers 403 with a body, which is no program; the signature of the URL is not repeated in the message."""
    if not shutil.which(tool):
        pytest.skip(f"{tool} is not installed")
    if tool == "wget":
        box.hide("curl")
    box.server.plan = ["expired"]
    said = {"curl": "HTTP 403 AccessDenied: Request has expired", "wget": "wget ended with 8: HTTP 403 Forbidden"}[tool]
    assert box.failed(shell) == f"download: {said}"


# ---- other people's servers

NGINX = """daemon off; user root; error_log {folder}/error.log; pid {folder}/nginx.pid;
events {{}}
http {{
    access_log {folder}/access.log;
    {temp}
    server {{ listen 127.0.0.1:{port} ssl; ssl_certificate {folder}/cert.pem; ssl_certificate_key {folder}/key.pem; root {folder}/www; }}
}}
"""


def nginx_program():
    """Debian's, without installing it: that would start it."""
    path = TOP / "build/bin/nginx"
    if path.exists():
        return path
    if shutil.which("nginx"):
        return shutil.which("nginx")
    folder = TOP / "build/bin/nginx-deb"
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(["apt-get", "download", "-q", "nginx"], cwd=folder, capture_output=True, text=True)
    debs = sorted(folder.glob("nginx_*.deb"))
    if done.returncode or not debs:
        pytest.skip(f"Debian's nginx is not to be had: {done.stderr[-200:]}")
    subprocess.run(["dpkg-deb", "-x", debs[-1], folder], check=True)
    shutil.copy(folder / "usr/sbin/nginx", path)
    shutil.rmtree(folder)
    return path


@pytest.fixture
def nginx(tmp_path):
    """https://… of an nginx with a certificate that begins now, and that certificate."""
    folder = tmp_path / "nginx"
    (folder / "www").mkdir(parents=True)
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
                    "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", folder / "key.pem", "-out", folder / "cert.pem"],
                   check=True, capture_output=True)
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    temp = " ".join(f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    (folder / "conf").write_text(NGINX.format(folder=folder, port=port, temp=temp))
    process = subprocess.Popen([nginx_program(), "-p", folder, "-c", folder / "conf", "-e", folder / "error.log"],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until(lambda: socket.socket().connect_ex(("127.0.0.1", port)) == 0 or process.poll() is not None, 20, "nginx")
    assert process.poll() is None, (folder / "error.log").read_text()
    yield f"https://127.0.0.1:{port}", folder
    process.terminate()
    process.wait(20)


@pytest.mark.parametrize("shell", SHELLS)
def test_nginx_by_https(box, nginx, shell):
    url, folder = nginx
    (folder / "www/dsagent").write_bytes(box.program)
    box.env["CURL_CA_BUNDLE"] = str(folder / "cert.pem")
    box.run(shell, agent=f"{url}/dsagent")
    assert box.given.exists() and box.left() == ["dsagent"]
    access = (folder / "access.log").read_text()
    assert '"GET /dsagent HTTP/1.1" 200' in access


@pytest.mark.parametrize("shell", TWO_SHELLS)
def test_nginx_without_trust_or_file(box, nginx, shell):
    url, folder = nginx
    assert "certificate" in box.run(shell, agent=f"{url}/dsagent", code=1).stderr
    box.env["CURL_CA_BUNDLE"] = str(folder / "cert.pem")
    assert "404" in box.run(shell, agent=f"{url}/dsagent", code=1).stderr
    assert box.left() == []


@pytest.fixture
def aws(box, world, moto, monkeypatch):
    """The real aws command with the role of the instance, and a bucket at moto with the program."""
    for name in list(os.environ):
        if name.startswith("AWS_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    world.config("role=box", "access_key=ASIAEXAMPLE", "secret_key=sec/ret+key", "session_token=tok/en+==")
    s3 = boto3.client("s3", endpoint_url=moto, region_name="us-east-1", aws_access_key_id="AKIATEST", aws_secret_access_key="x")
    s3.create_bucket(Bucket="agents")
    s3.put_object(Bucket="agents", Key=f"tools/dsagent-{MACHINE}", Body=box.program)
    box.real_aws()
    box.env.update(AWS_ENDPOINT_URL_S3=moto, AWS_ENDPOINT_URL_EC2=world.url, HOME=str(box.folder))
    return box


def test_the_real_aws_command(aws):
    aws.run(["dash"], agent="s3://agents/tools/dsagent-{arch}")
    assert aws.given.exists() and aws.left() == ["dsagent"] and aws.server.seen == []


def test_the_real_aws_command_says_what_failed_by_tags(aws, world):
    """The world checks the signature of its CreateTags."""
    done = aws.run(["dash"], agent="s3://agents/nowhere", code=1)
    assert "404" in done.stderr, done.stderr
    tags = world.tags()
    assert tags["dsagent:status"] == "failed" and tags["dsagent:error"].startswith("s3://agents/nowhere: "), tags


# ---- clocks

def faketime(hours):
    libraries = glob.glob("/usr/lib/*/faketime/libfaketime.so.1")
    if not libraries:
        pytest.skip("libfaketime is not installed")
    return {"LD_PRELOAD": libraries[0], "FAKETIME": f"{hours:+}h"}


@pytest.mark.parametrize("hours", [-3, 3])
def test_a_clock_that_is_hours_off(box, world, hours):
    """A presigned URL is judged by its server's clock alone. What is signed here is refused, and the message has both clocks."""
    world.config("role=box", "access_key=ASIAEXAMPLE", "secret_key=sec/ret+key", "session_token=tok/en+==")
    box.env.update(faketime(hours))
    box.run(["dash"])
    assert box.given.exists()
    (box.bin / "dsagent").unlink()
    box.given.unlink()
    box.server.plan = ["skewed"]
    said = box.failed(["dash"], agent=f"s3://bucket/dsagent-{MACHINE}")
    assert said.startswith("download: ") and "HTTP 403 RequestTimeTooSkewed: The difference " in said and "; its clock says " in said and ", this one " in said, said
    theirs, ours = (email.utils.parsedate_to_datetime(t) for t in said.split("its clock says ")[1].split(", this one "))
    assert abs((ours - theirs).total_seconds() - hours * 3600) < 120, said


@pytest.mark.parametrize("hours, good", [(3, True), (-3, False)])
def test_a_clock_that_is_hours_off_by_https(box, nginx, hours, good):
    """Three hours early, the certificate is not valid yet: that is said, and nothing is installed."""
    url, folder = nginx
    (folder / "www/dsagent").write_bytes(box.program)
    box.env.update(faketime(hours), CURL_CA_BUNDLE=str(folder / "cert.pem"))
    done = box.run(["dash"], agent=f"{url}/dsagent", code=0 if good else 1)
    assert box.given.exists() == good and (good or "not yet valid" in done.stderr), done.stderr


# ---- mounts, and the same thing again

@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.skipif(os.geteuid() != 0, reason="mounts need root")
def test_tmp_and_run_may_be_noexec(box, shell):
    mounts = ('mount -t tmpfs -o noexec tmpfs /tmp && mount -t tmpfs -o noexec tmpfs /run && exec "$@"'
              if not str(box.folder).startswith(("/tmp/", "/run/")) else 'exec "$@"')
    box.run(shell, prefix=["unshare", "--mount", "--propagation", "private", "sh", "-c", mounts, "sh"])
    assert box.given.exists()


@pytest.mark.parametrize("shell", SHELLS)
def test_twice_at_the_same_time(box, shell):
    """Two scripts, as after a reboot in the middle of the first: both end well, one whole program is there."""
    first = threading.Thread(target=box.run, args=(shell,))
    first.start()
    box.run(shell)
    first.join()
    assert box.left() == ["dsagent"]
    assert hashlib.sha256((box.bin / "dsagent").read_bytes()).hexdigest() == hashlib.sha256(box.program).hexdigest()
