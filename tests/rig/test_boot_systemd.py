"""dsagent.service and `dsagent boot` under a real systemd; with the real cloud-init: test_cloud_init.py."""

import json

import pytest

from harness import TOP, wait_until

pytestmark = pytest.mark.slow

UNIT = (TOP / "packaging/dsagent.service").read_text()
RECIPE = "recipe: box\nsteps: [{name: Greet, file: {path: /etc/motd, content: done}}]\n"
SLOW = "recipe: slow\nsteps: [{name: Long, run: 'touch /begun; until [ -e /go ]; do sleep 0.1; done; date >> /ran'}]\n"
WANTS = "etc/systemd/system/multi-user.target.wants/dsagent.service"


@pytest.fixture
def image(systemd_root, booted_in):
    """image(recipe): a machine with what a package and somebody who enabled its service leave."""
    def make(recipe, extra=""):
        m = booted_in(systemd_root, {"/usr/lib/systemd/system/dsagent.service": UNIT,
                                     "/etc/dsagent/recipes.d/10-base.yaml": recipe,
                                     "/etc/systemd/system/dsagent.service.d/test.conf": f"[Service]\nRestartSec=1\n{extra}"})
        wants = m.folder / "up" / WANTS
        wants.parent.mkdir(parents=True)
        wants.symlink_to("/usr/lib/systemd/system/dsagent.service")
        return m

    return make


def status(machine):
    done = machine.run("cat", "/run/dsagent/status.json", code=None)
    return json.loads(done.stdout) if done.returncode == 0 else {"status": "none"}


def until(machine, word):
    wait_until(lambda: status(machine)["status"] == word, 40, f"{word}, is {status(machine)}: {machine.console()}")


def show(machine, *names):
    out = machine.sh(f"systemctl show dsagent.service -p {','.join(names)}")
    return dict(line.split("=", 1) for line in out.splitlines())


def until_over(machine):
    wait_until(lambda: show(machine, "ActiveState")["ActiveState"] in ("inactive", "failed"), 40, "the service's end")


def test_runs_at_boot_and_delays_nothing(image):
    m = image(SLOW)
    m.boot(until="systemctl is-active multi-user.target")
    wait_until(lambda: m.run("test", "-e", "/begun", code=None).returncode == 0, 30, "the service")
    assert m.sh("systemctl is-active multi-user.target dsagent.service") == "active\nactive\n"
    # By systemd's own account: the boot was finished without it.
    assert "Startup finished" in m.sh("systemd-analyze time")
    for target in ("", "multi-user.target"):
        chain = m.sh(f"systemd-analyze critical-chain {target}")
        assert "dsagent" not in chain and "multi-user.target @" in chain, chain
    up, began = (int(m.sh(f"systemctl show -p {name} --value {unit}")) for unit, name in
                 (("multi-user.target", "ActiveEnterTimestampMonotonic"), ("dsagent", "ExecMainStartTimestampMonotonic")))
    assert 0 < up <= began
    m.sh("touch /go")
    until(m, "ready")
    until_over(m)
    assert show(m, "Result", "ExecMainStatus") == {"Result": "success", "ExecMainStatus": "0"}
    assert "cycle" not in m.sh("journalctl -b -o cat")
    assert "dsagent: slow@" in m.console() and "[1/1] Long" in m.console(), m.console()
    journal = m.sh("journalctl -b -u dsagent -o cat")
    assert journal.count("ready") >= 1 and "Long" in journal
    assert m.sh("stat -c '%a %n' /var/lib/dsagent /run/dsagent") == "700 /var/lib/dsagent\n755 /run/dsagent\n"
    m.sh("systemctl start --wait dsagent; cat /ran | wc -l | grep -x 1")


def test_boot_brings_its_own_service(systemd_root, booted_in):
    m = booted_in(systemd_root)
    m.boot()
    out = m.run("dsagent", "boot", m.recipe(RECIPE)).stdout
    assert "dsagent.service does what it says" in out
    until(m, "ready")
    until_over(m)
    assert m.sh("cat /etc/motd; cat /etc/systemd/system/dsagent.service") == "done" + UNIT
    assert m.sh("systemctl is-enabled dsagent; stat -c %a /etc/dsagent/recipes.d/user-data.yaml") == "enabled\n600\n"
    # The same again, and another one; many starts in a row are no failure.
    for n in range(7):
        m.run("dsagent", "boot", m.recipe(RECIPE.replace("done", f"done {n}")))
        wait_until(lambda: m.sh("cat /etc/motd") == f"done {n}", 30, f"round {n}")
        until_over(m)


def test_boot_takes_the_packaged_service_and_user_data_as_it_is(systemd_root, booted_in):
    m = booted_in(systemd_root, {"/usr/lib/systemd/system/dsagent.service": UNIT})
    m.boot()
    path = m.recipe("#!/usr/bin/dsagent boot\n" + RECIPE, "part-001")
    m.sh(f"chmod 700 {path}; {path}")
    until(m, "ready")
    assert m.run("test", "-e", "/etc/systemd/system/dsagent.service", code=1)
    assert m.sh("systemctl is-enabled dsagent; head -n 1 /etc/dsagent/recipes.d/user-data.yaml") == \
        "enabled\n#!/usr/bin/dsagent boot\n"


def test_a_service_at_work_is_left_alone(systemd_root, booted_in):
    m = booted_in(systemd_root)
    m.boot()
    m.run("dsagent", "boot", m.recipe(SLOW))
    until(m, "running")
    assert "is at work with it" in m.run("dsagent", "boot", m.recipe(SLOW)).stdout
    done = m.run("dsagent", "boot", m.recipe(RECIPE, "other.yaml"), code=3)
    assert "with the recipes it began with, and nothing was changed" in done.stderr
    assert m.sh("head -n 1 /etc/dsagent/recipes.d/user-data.yaml") == "recipe: slow\n"
    assert m.run("dsagent", "apply", "--no-wait", m.recipe(RECIPE, "other.yaml"), code=3)
    m.sh("touch /go")
    until(m, "ready")
    until_over(m)


def test_a_masked_service_stays_so(systemd_root, booted_in):
    m = booted_in(systemd_root)
    m.boot()
    m.sh("systemctl mask dsagent.service")
    assert "systemctl unmask" in m.run("dsagent", "boot", m.recipe(RECIPE), code=3).stderr


def test_a_killed_run_goes_on_and_a_failed_one_does_not(image):
    m = image(SLOW)
    m.boot(until="test -e /begun")
    pid = show(m, "MainPID")["MainPID"]
    m.sh("rm /begun; systemctl kill --kill-whom=main -s KILL dsagent")
    wait_until(lambda: m.run("test", "-e", "/begun", code=None).returncode == 0, 30, "it to be begun again")
    assert show(m, "MainPID", "NRestarts") != {"MainPID": pid, "NRestarts": "0"}
    # Stopped by hand it says so, and the next start does the rest.
    m.sh("systemctl stop dsagent")
    assert status(m)["status"] == "interrupted"
    m.sh("touch /go; systemctl start dsagent")
    until(m, "ready")
    until_over(m)
    m.sh("printf 'steps: [{run: \"exit 7\"}]\\n' > /etc/dsagent/recipes.d/10-base.yaml; systemctl start --wait dsagent", code=1)
    assert show(m, "ActiveState", "ExecMainStatus") == {"ActiveState": "failed", "ExecMainStatus": "1"}
    m.sh("printf 'stepz: []\\n' > /etc/dsagent/recipes.d/10-base.yaml; systemctl start --wait dsagent", code=1)
    assert show(m, "ActiveState", "ExecMainStatus") == {"ActiveState": "failed", "ExecMainStatus": "2"}
    wait_until(lambda: "10-base.yaml:1:1" in m.console(), 10, f"the reason on the console: {m.console()}")


def test_stopped_is_no_failure_and_the_next_boot_goes_on(image):
    m = image(SLOW)
    m.boot(until="test -e /begun")
    m.sh("systemctl stop dsagent")
    assert show(m, "ActiveState", "SubState", "Result", "ExecMainCode", "ExecMainStatus", "NRestarts") == {
        "ActiveState": "inactive", "SubState": "dead", "Result": "success", "ExecMainCode": "1", "ExecMainStatus": "143", "NRestarts": "0"}
    assert "Active: inactive (dead)" in m.run("systemctl", "status", "dsagent", code=3).stdout
    assert m.sh("systemctl list-units --failed --plain --no-legend 'dsagent*'; systemctl is-enabled dsagent") == "enabled\n"
    assert status(m)["status"] == "interrupted"
    m.sh("rm /begun; touch /go")
    m.run("systemctl", "poweroff", code=None)
    m.process.wait(60)
    m.log.close()
    m.boot(until="test -e /begun")
    until(m, "ready")
    until_over(m)
    assert m.sh("wc -l </ran").strip() == "1" and show(m, "Result")["Result"] == "success"


def test_the_last_tags_arrive_before_the_service_ends(image, world):
    env = f"Environment=AWS_EC2_METADATA_SERVICE_ENDPOINT={world.url} AWS_ENDPOINT_URL_EC2={world.url} NO_PROXY=127.0.0.1\n"
    world.faults("CreateTags status=503 code=RequestLimitExceeded count=4")
    m = image(RECIPE, env)
    m.boot()
    until(m, "ready")
    until_over(m)
    assert world.tags()["dsagent:status"] == "ready", world.requests()
    assert show(m, "Result")["Result"] == "success"
