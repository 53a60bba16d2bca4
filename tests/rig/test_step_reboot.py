"""reboot under a real systemd: the machine comes up again and dsagent.service goes on."""

import json

import pytest

from harness import TOP, wait_until
from steps_table import add

pytestmark = pytest.mark.slow

UNIT = (TOP / "packaging/dsagent.service").read_text()


@pytest.fixture
def machine(systemd_root, booted_in):
    m = booted_in(systemd_root, {"/etc/systemd/system/dsagent.service": UNIT,
                                 "/etc/dsagent/recipes.d/.keep": ""})
    m.boot()
    m.sh("systemctl enable dsagent")
    return m


def boot_id(machine):
    return machine.run("cat", "/proc/sys/kernel/random/boot_id", code=None).stdout.strip()


def started(machine):
    """When the container's systemd began: a container's boot id is its host's."""
    pid = machine.init()
    try:
        return open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[19] if pid else None
    except OSError:
        return None


def status(machine):
    text = machine.run("cat", "/run/dsagent/status.json", code=None).stdout
    return json.loads(text) if text else {}


def test_the_run_goes_on_after_the_reboot(machine):
    machine.run("mkdir", "-p", "/etc/dsagent/recipes.d")
    recipe = """
steps:
  - run: echo before >> /root/log
  - reboot: the new kernel
  - run: echo after >> /root/log
"""
    machine.sh(f"cat > /etc/dsagent/recipes.d/r.yaml <<'EOF'\n{recipe}EOF")
    first = started(machine)
    machine.sh("systemctl start --no-block dsagent")
    wait_until(lambda: started(machine) not in (None, first), 60, "the reboot")
    wait_until(lambda: status(machine).get("status") == "ready", 60, f"the end: {machine.console()}")
    assert machine.sh("cat /root/log") == "before\nafter\n"
    second = started(machine)
    state = json.loads(machine.sh("cat /var/lib/dsagent/state.json"))
    assert "reboots" not in state and all(s["status"] == "ok" for s in state["steps"]), state
    assert "nothing" in machine.run("dsagent", "apply").stdout.lower()
    assert started(machine) == second
    add("reboot", "none: done once", third="-")
    events = machine.sh("cat $(ls -d /var/lib/dsagent/runs/* | head -1)/events.jsonl")
    assert "rebooting" in events and "reboot (the new kernel)" in events, events


def test_a_reboot_loop_ends(machine):
    """What asks for a reboot again and again gets three."""
    machine.run("mkdir", "-p", "/etc/dsagent/recipes.d")
    machine.sh("""printf '%s\\n' '[Unit]' Before=dsagent.service '[Service]' Type=oneshot \\
  "ExecStart=/bin/sh -c 'touch /run/reboot-required; echo linux-image >> /run/reboot-required.pkgs; echo boot >> /root/boots'" \\
  '[Install]' WantedBy=multi-user.target > /etc/systemd/system/nag.service
systemctl daemon-reload; systemctl enable --now nag
echo 'steps: [{reboot: {when_needed: true}}, {run: echo never > /root/never}]' > /etc/dsagent/recipes.d/r.yaml
systemctl start --no-block dsagent""")
    wait_until(lambda: status(machine).get("status") == "failed", 120, f"the end: {machine.console()}")
    assert "was rebooted 3 times for this recipe and it is still necessary: updated: linux-image" in status(machine)["error"]
    assert machine.sh("cat /root/boots") == "boot\n" * 4 and machine.run("ls", "/root/never", code=None).returncode
    # Cured: ready, and counted anew.
    machine.sh("rm /run/reboot-required*")
    machine.run("dsagent", "apply")
    assert "reboots" not in json.loads(machine.sh("cat /var/lib/dsagent/state.json"))


def test_a_failure_beside_it_keeps_the_machine_up(machine):
    path = machine.recipe("""
steps:
  - {name: slow, run: sleep 2; exit 7}
  - {name: again, needs: [], reboot: now}
""")
    first = started(machine)
    done = machine.run("dsagent", "apply", path, code=1)
    assert "exit status 7" in done.stdout
    assert started(machine) == first


def test_a_reboot_that_does_not_come_is_a_failure(machine):
    """systemctl itself fails: nobody waits for a machine that will not go down."""
    path = machine.recipe("recipe: r\nsteps: [{reboot: now}]\n")
    machine.sh("""printf '#!/bin/sh\\n[ "$1" = reboot ] || exec /bin/systemctl "$@"\\necho no way >&2; exit 4\\n' > /usr/local/bin/systemctl
chmod 755 /usr/local/bin/systemctl""")
    done = machine.run("dsagent", "apply", path, code=1)
    assert "the machine does not reboot" in done.stderr and "no way" in done.stderr, done
    now = status(machine)
    assert now["status"] == "failed" and "the machine does not reboot" in now["error"] and not now["ready"], now
    assert "failed" in machine.run("dsagent", "status", code=None).stdout
    machine.sh("rm /usr/local/bin/systemctl")
    first = started(machine)
    machine.run("dsagent", "apply", path, code=None)
    wait_until(lambda: started(machine) not in (None, first), 60, "the reboot")


def test_a_chroot_is_not_rebooted(systemd_root, box_in):
    box = box_in(systemd_root)
    path = box.recipe("steps: [{reboot: now}]\n")
    assert "reboot (now)" in box.run("dsagent", "plan", path).stdout
    assert "systemd does not run here" in box.run("dsagent", "apply", path, code=1).stdout
