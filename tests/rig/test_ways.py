"""Ways onto a machine on its bad days, under a booted systemd: an image by packer/bake.sh, a /usr that is read-only, user-data
twice, a hand at the same time as the service."""

import hashlib
import http.server
import json
import os
import threading

import packaged
import pytest

from harness import TOP, wait_until
from stubbox import MACHINE, filled

pytestmark = pytest.mark.slow

RECIPE = "recipe: team\nsteps:\n  - {name: Count, run: 'echo x >> /ran'}\n  - {name: Greet, file: {path: /etc/motd, content: hello}}\n"
SLOW = "recipe: slow\nsteps: [{name: Long, run: 'touch /begun; until [ -e /go ]; do sleep 0.1; done; echo x >> /ran'}]\n"


def status(machine):
    done = machine.run("cat", "/run/dsagent/status.json", code=None)
    return json.loads(done.stdout)["status"] if done.returncode == 0 else "none"


def until(machine, word):
    wait_until(lambda: status(machine) == word, 60, f"{word}, is {status(machine)}: {machine.console()}")


def until_over(machine):
    wait_until(lambda: machine.sh("systemctl show -p ActiveState --value dsagent").strip() in ("inactive", "failed"), 60, "the end")


def settings(world):
    return ("[Manager]\nDefaultEnvironment=NO_PROXY=127.0.0.1 no_proxy=127.0.0.1 "
            f"AWS_EC2_METADATA_SERVICE_ENDPOINT={world.url} AWS_ENDPOINT_URL_EC2={world.url} DSAGENT_RETRY_SECONDS=0\n")


@pytest.fixture
def machine(systemd_root, booted_in, world):
    m = booted_in(systemd_root, {"/etc/systemd/system.conf.d/rig.conf": settings(world)})
    m.env = {"AWS_EC2_METADATA_SERVICE_ENDPOINT": world.url, "AWS_ENDPOINT_URL_EC2": world.url}
    return m


def test_an_image_by_bake_and_an_instance_of_it(machine, world, tmp_path):
    m = machine
    program = tmp_path / "dsagent"
    program.write_bytes(packaged.the_program())
    program.chmod(0o755)
    (m.shared / "dsagent.deb").write_bytes(packaged.build("deb", "1.0", program, tmp_path).read_bytes())
    m.recipe(RECIPE)
    (m.shared / "bake.sh").write_bytes((TOP / "packaging/packer/bake.sh").read_bytes())
    m.boot()
    m.sh("rm /usr/bin/dsagent; cp /shared/dsagent.deb /shared/recipe.yaml /tmp/; "
         "PACKAGE=/tmp/dsagent.deb RECIPE=/tmp/recipe.yaml sh /shared/bake.sh", timeout=300)
    assert m.sh("cat /ran /etc/motd; systemctl is-enabled dsagent") == "x\nhelloenabled\n"
    assert m.sh("ls /var/lib/dsagent /tmp /etc/dsagent/recipes.d").split() == \
        ["/etc/dsagent/recipes.d:", "10-team.yaml", "/tmp:", "/var/lib/dsagent:"]
    assert world.tags() == {}, "the machine that is baked is no instance of the image"
    m.run("systemctl", "poweroff", code=None)
    m.process.wait(60)
    m.log.close()
    world.metadata("meta-data/instance-id i-0fedcba9876543210")
    m.boot()
    until(m, "ready")
    until_over(m)
    assert m.sh("cat /ran") == "x\nx\n" and world.tags()["dsagent:status"] == "ready"
    assert world.tags()["dsagent:recipe"].startswith("team@")


def test_an_image_of_a_machine_that_user_data_was_run_on(machine, world):
    """What it says is gone is gone: the image knows neither the recipe nor a service of it, and takes user-data of its own."""
    m = machine
    m.boot()
    m.run("dsagent", "boot", m.recipe(RECIPE))
    until(m, "ready")
    until_over(m)
    assert "enabled" in m.sh("systemctl is-enabled dsagent")
    wanted = "/etc/systemd/system/dsagent.service", "/etc/systemd/system/multi-user.target.wants/dsagent.service"
    said = m.sh("dsagent clean --image")
    for path in ("/etc/dsagent/recipes.d/user-data.yaml", *wanted):
        assert f"removed {path}\n" in said, said
    assert m.sh("systemctl show -p LoadState,NeedDaemonReload dsagent") == "LoadState=not-found\nNeedDaemonReload=no\n"
    m.run("systemctl", "poweroff", code=None)
    m.process.wait(60)
    m.log.close()
    world.metadata("meta-data/instance-id i-0fedcba9876543210")
    m.boot()
    assert status(m) == "none" and m.sh("cat /ran; systemctl list-units --all --plain --no-legend 'dsagent*'") == "x\n"
    m.run("dsagent", "boot", m.recipe(RECIPE))
    until(m, "ready")
    until_over(m)
    assert m.sh("cat /ran; systemctl is-enabled dsagent") == "x\nx\nenabled\n"


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.server.program)))
        self.end_headers()
        self.wfile.write(self.server.program)


@pytest.fixture
def served():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.program = packaged.the_program()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/dsagent", hashlib.sha256(server.program).hexdigest()
    server.shutdown()
    server.server_close()


def test_a_read_only_usr_and_noexec_tmp_and_run_and_user_data_twice(machine, served):
    """The program goes where it can be, the service starts it there, and the second time all of it is in place."""
    m = machine
    url, sum_ = served
    m.recipe(filled(url, **{MACHINE: sum_}, recipe=RECIPE), "user-data")
    m.boot()
    m.sh("rm /usr/bin/dsagent; mount --bind /usr /usr; mount -o remount,bind,ro /usr; mount -o remount,noexec /run; "
         "mount -t tmpfs -o noexec tmpfs /tmp")
    where = "/opt/dsagent/bin/dsagent"
    m.env["PATH"] = f"/opt/dsagent/bin:{os.environ['PATH']}"  # the rig's loader does not know where its program lies
    m.sh("sh /shared/user-data")
    until(m, "ready")
    until_over(m)
    assert m.sh("cat /etc/motd /ran") == "hellox\n"
    assert f"ExecStart={where} apply --boot\n" in m.sh("cat /etc/systemd/system/dsagent.service")
    assert m.sh("ls -A /opt/dsagent/bin") == "dsagent\n" and m.run("test", "-e", "/usr/bin/dsagent", code=1)
    m.sh("sh /shared/user-data")
    until_over(m)
    assert status(m) == "ready" and m.sh("cat /ran") == "x\n"
    assert m.sh("systemctl is-enabled dsagent") == "enabled\n"


def test_a_hand_and_the_service_at_the_same_time(machine):
    """The hand waits for its turn, says for whom, and then finds nothing to do."""
    m = machine
    m.boot()
    m.run("dsagent", "boot", m.recipe(SLOW))
    wait_until(lambda: m.run("test", "-e", "/begun", code=None).returncode == 0, 60, "the service")
    pid = m.sh("systemctl show -p MainPID --value dsagent").strip()
    m.sh("{ dsagent apply >/by-hand 2>&1; echo $? >/by-hand-code; } & until grep -q . /by-hand; do sleep 0.1; done; touch /go; wait")
    said = m.sh("cat /by-hand")
    assert f"pid {pid}" in said and "nothing to do" in said, said
    assert m.sh("cat /by-hand-code /ran") == "0\nx\n"
    until_over(m)
    assert status(m) == "ready"
