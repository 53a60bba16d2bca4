"""User-data by the real cloud-init on a booted Debian, from launch to the recipe's end and through a second boot."""

import hashlib
import json
import os
import re
import subprocess

import pytest
from agent_store import PRIVATE, Store
from booted import Booted
from cloud import ADDRESS, S3_NAME, Cloud
from conftest import made
from packaged import the_program
from s3 import real_names
from stubbox import MACHINE, filled

from harness import BINARY, TOP, wait_until

pytestmark = pytest.mark.slow

RECIPE = """recipe: box
steps:
  - {name: Slow, run: 'sleep 3; date >> /var/ran'}
  - {name: Greet, file: {path: /etc/motd, content: "${vars.word}"}}
vars: {word: hello}
"""
# All services of the machine find the instance's services at the one address; there is no DMI that says EC2.
MANAGER = """[Manager]
DefaultEnvironment=AWS_EC2_METADATA_SERVICE_ENDPOINT=http://169.254.169.254 AWS_ENDPOINT_URL_EC2=http://169.254.169.254 DSAGENT_RETRY_SECONDS=1
"""
# The rig brings a dsagent; where user-data is to fetch it, it goes away before cloud-init's last stage, once.
AWAY = """[Unit]
Before=cloud-final.service
ConditionPathExists=!/var/away
[Service]
Type=oneshot
ExecStart=/bin/sh -c 'rm /usr/bin/dsagent; touch /var/away'
[Install]
WantedBy=multi-user.target
"""

@pytest.fixture(scope="session", params=["bookworm", "trixie"])
def cloudinit_root(request):
    """22.4, and 25.1, where a warning makes `cloud-init status` exit 2."""
    return made("cloudinit.sh", request.param)


@pytest.fixture
def instance(cloudinit_root, world):
    """instance(user_data, …): a launched one, and its cloud."""
    things = []

    def launch(user_data, has_dsagent=True, program=None, prepare=None):
        cloud = Cloud(world, f"dsagent-{os.getpid()}-{len(things)}")
        things.append(cloud)
        cloud.user_data = user_data if isinstance(user_data, bytes) else user_data.encode()
        cloud.program = program
        folder = TOP / "build" / "rig" / f"cloud-{os.getpid()}-{len(things)}"
        subprocess.run(["rm", "-rf", folder], check=True)
        more = prepare(cloud) if prepare else {}
        m = Booted(cloudinit_root, folder, {"/etc/systemd/system.conf.d/rig.conf": MANAGER, **more})
        things.append(m)
        if not has_dsagent:
            m.put("/etc/systemd/system/away.service", AWAY)
            wants = m.folder / "up/etc/systemd/system/multi-user.target.wants/away.service"
            wants.parent.mkdir(parents=True, exist_ok=True)
            wants.symlink_to("/etc/systemd/system/away.service")
        boot(m, cloud)
        return m, cloud

    yield launch
    for thing in reversed(things):
        thing.close()


def boot(m, cloud):
    with cloud.inside():
        m.boot(until="test -e /run/cloud-init/result.json")


def console(m):
    """All of it: what `aws ec2 get-console-output` would show."""
    return (m.folder / "console").read_text(errors="replace")


def ran(m):
    return m.sh("cat /var/ran 2>/dev/null | wc -l").strip()


def status(m):
    done = m.run("cat", "/run/dsagent/status.json", code=None)
    return json.loads(done.stdout)["status"] if done.returncode == 0 else "none"


def until_ready(m):
    wait_until(lambda: status(m) == "ready", 60, f"ready, is {status(m)}: {m.console()} {m.sh('journalctl -b -u dsagent -u cloud-final --no-pager', code=None)}")


def check_launch(m, world):
    """cloud-init is content, and ended before the work began; the work is done once, and said by tags."""
    until_ready(m)
    done = m.run("cloud-init", "status", "--wait", "--long")
    assert "status: done" in done.stdout, done.stdout
    assert json.loads(m.sh("cat /run/cloud-init/result.json"))["v1"]["errors"] == []
    times = [int(m.sh(f"systemctl show -p {name} --value {unit}")) for unit, name in
             (("cloud-final", "ExecMainExitTimestampMonotonic"), ("dsagent", "ExecMainStartTimestampMonotonic"))]
    assert 0 < times[0] <= times[1], times
    assert "dsagent" not in m.sh("systemd-analyze critical-chain multi-user.target cloud-final.service")
    assert "cycle" not in m.sh("journalctl -b -o cat _PID=1")
    assert ran(m) == "1" and m.sh("cat /etc/motd") == "hello"
    wait_until(lambda: world.tags().get("dsagent:status") == "ready", 20, f"the tags, are {world.tags()}")


def check_second_boot(m, cloud):
    m.run("systemctl", "poweroff", code=None)
    m.process.wait(30)
    m.log.close()
    boot(m, cloud)
    wait_until(lambda: m.sh("systemctl show -p ExecMainExitTimestampMonotonic --value dsagent").strip() != "0", 30, "the service")
    assert status(m) == "ready" and ran(m) == "1"
    assert "nothing to do" in m.sh("journalctl -b -o cat -u dsagent")
    assert "status: done" in m.run("cloud-init", "status", "--wait").stdout


def userdata(tmp_path, *args):
    path = tmp_path / "box.yaml"
    path.write_text(RECIPE)
    return subprocess.run([BINARY, "userdata", path, *args], check=True, capture_output=True).stdout


@pytest.mark.parametrize("how", [[], ["--format", "mime"], ["--format", "cloud-config"], ["--gzip"]],
                         ids=["script", "mime", "cloud-config", "gzip"])
def test_on_an_image_that_has_dsagent(instance, world, tmp_path, how):
    m, cloud = instance(userdata(tmp_path, *how))
    check_launch(m, world)
    assert "word" in m.sh("cat /etc/dsagent/recipes.d/user-data.yaml")
    if how == []:
        check_second_boot(m, cloud)


def stub(program, recipe=RECIPE):
    text = (TOP / "packaging/user-data.sh").read_text()
    text = text.replace("agent=''", "agent='http://169.254.169.254/program-{arch}'")
    text = text.replace(f"{os.uname().machine}=''", f"{os.uname().machine}='{hashlib.sha256(program).hexdigest()}'")
    return re.sub(r"(<<'RECIPE'\n).*?(?=RECIPE\n\Z)", lambda m: m[1] + recipe, text, flags=re.S)


def test_on_any_other_image_it_is_fetched(instance, world):
    program = the_program()
    m, cloud = instance(stub(program), has_dsagent=False, program=program)
    check_launch(m, world)
    assert f"GET /program-{os.uname().machine}" in cloud.seen
    assert m.sh("stat -c %a /usr/bin/dsagent; ls -A /usr/bin | grep -c dsagent") == "755\n1\n"


def test_what_cannot_be_fetched_is_seen(instance, world):
    m, cloud = instance(stub(the_program()), has_dsagent=False)
    done = m.run("cloud-init", "status", "--wait", "--long", code=1)
    assert "status: error" in done.stdout
    assert "dsagent user-data failed: http://169.254.169.254/program-" in console(m) and "403" in console(m), console(m)
    assert m.run("sh", "-c", "ls -A /usr/bin /usr/local/bin | grep dsagent", code=1) and cloud.seen
    assert "dsagent user-data failed" in m.sh("cat /var/log/cloud-init-output.log")


def test_a_wrong_recipe_is_seen(instance, world):
    m, cloud = instance("#!/usr/bin/dsagent boot\nsteps:\n  - fil: {path: /x}\n")
    m.run("cloud-init", "status", "--wait", code=1)
    assert "the recipe is refused, nothing was done" in console(m) and "did you mean 'file'?" in console(m)
    assert world.tags()["dsagent:status"] == "failed" and "part-001:3:5" in world.tags()["dsagent:error"]
    assert m.run("test", "-e", "/etc/dsagent/recipes.d/user-data.yaml", code=1)


def test_from_s3_as_the_role_may(instance, world, tmp_path):
    """MinIO stands where the region's S3 is, with a certificate of its name, and judges the temporary keys of the role. Then what it
    refuses, in the same place: the reason is on the console, and no program is left."""
    if "minio-tls" not in real_names():
        pytest.skip("MinIO is not to be had here")
    program, stores = the_program(), []

    def prepare(cloud):
        server, files = cloud.start_s3(tmp_path / "s3")
        with cloud.inside():
            stores.append(Store(server, program))
            keys = stores[0].role()
        world.config(*keys)
        return files

    def script(agent, sum_=None):
        return filled(agent, **{MACHINE: sum_ or hashlib.sha256(program).hexdigest()}, recipe=RECIPE)

    def made(agent):
        """By the command, where the program is one that it takes: the static one."""
        return userdata(tmp_path, "--agent", agent, "--agent-file", BINARY).decode() if program[:4] == b"\x7fELF" else script(agent)

    m, cloud = instance(made("s3://bucket-1/tools/dsagent-{arch}"), has_dsagent=False, prepare=prepare)
    check_launch(m, world)
    installed = "sha256sum </usr/bin/dsagent; stat -c %a /usr/bin/dsagent; ls -A /usr/bin | grep -c dsagent"
    assert m.sh(installed) == f"{hashlib.sha256(program).hexdigest()}  -\n755\n1\n"
    m.sh("rm /usr/bin/dsagent")
    m.env = {"AWS_EC2_METADATA_SERVICE_ENDPOINT": f"http://{ADDRESS}", "DSAGENT_RETRY_SECONDS": "0"}
    here = f"https://{S3_NAME}"
    for agent, sum_, says in [
        (f"s3://bucket-1/{PRIVATE}", None, "download: HTTP 403 AccessDenied: Access Denied; the role is box"),
        ("s3://bucket-1/tools/nowhere", None, "download: HTTP 404 NoSuchKey: The specified key does not exist"),
        (stores[0].presigned(hours_ago=2, url=here), None, "download: HTTP 403 AccessDenied: Request has expired"),
        (stores[0].presigned(url=here), "0" * 64, f"its SHA-256 is {hashlib.sha256(program).hexdigest()} and should be {'0' * 64}"),
    ]:
        m.recipe(script(agent, sum_), "user-data")
        m.run("sh", "/shared/user-data", code=1)
        line = f"dsagent user-data failed: {agent.partition('?')[0]}: {says}\n"
        wait_until(lambda line=line: line in console(m), 20, f"{line!r} on the console: {m.console()}")
        assert m.sh("ls -A /usr/bin /usr/local/bin /opt | grep dsagent | wc -l").strip() == "0"
    m.recipe(made(stores[0].presigned(url=here)), "user-data")
    m.run("sh", "/shared/user-data")
    assert m.sh(installed) == f"{hashlib.sha256(program).hexdigest()}  -\n755\n1\n"
