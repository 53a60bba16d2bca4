"""service under a real systemd."""

import pytest

pytestmark = pytest.mark.slow

RECIPE = """
steps:
  - service:
      name: clock
      description: 100% "real" $HOME
      command: [/bin/sh, -c, 'echo "$GREETING" $$ 50%; exec sleep 1000']
      user: nobody
      environment: {GREETING: 'hi "there" 100%'}
"""


@pytest.fixture
def machine(systemd_root, booted_in):
    m = booted_in(systemd_root)
    m.boot()
    return m


def nothing(machine, path):
    out = machine.run("dsagent", "apply", path).stdout
    assert "nothing" in out.lower(), out


def test_a_service_is_written_kept_and_mended(machine):
    path = machine.recipe(RECIPE)
    out = machine.run("dsagent", "apply", path).stdout
    assert "write /etc/systemd/system/clock.service" in out
    assert machine.sh("systemctl is-active clock; systemctl is-enabled clock") == "active\nenabled\n"
    assert machine.sh("systemctl show -p Description --value clock") == '100% "real" $HOME\n'
    log = machine.sh("journalctl -u clock -o cat")
    pid = machine.sh("systemctl show -p MainPID --value clock").strip()
    assert f'hi "there" 100% {pid} 50%' in log
    assert machine.sh(f"stat -c %U /proc/{pid}") == "nobody\n"
    nothing(machine, path)
    assert machine.sh("systemctl show -p MainPID --value clock").strip() == pid
    # Stopped, disabled, edited: each is put right.
    machine.sh("systemctl stop clock")
    assert "start clock.service" in machine.run("dsagent", "plan", path).stdout
    machine.run("dsagent", "apply", path)
    machine.sh("systemctl disable clock")
    machine.run("dsagent", "apply", path)
    assert machine.sh("systemctl is-active clock; systemctl is-enabled clock") == "active\nenabled\n"
    machine.sh("sed -i 's/1000/1001/' /etc/systemd/system/clock.service; systemctl daemon-reload; systemctl restart clock")
    machine.run("dsagent", "apply", path)
    assert "sleep 1000" in machine.sh("systemctl status clock")
    nothing(machine, path)
    # A change of the recipe restarts it; a change without a reload (a kill in between) too.
    machine.run("dsagent", "apply", machine.recipe(RECIPE.replace("1000", "2000")))
    assert "sleep 2000" in machine.sh("systemctl status clock")
    machine.sh("sed -i 's/2000/1000/' /etc/systemd/system/clock.service")
    out = machine.run("dsagent", "apply", machine.recipe(RECIPE)).stdout
    assert "restart clock.service (systemd runs an older version of its file)" in out, out
    assert "sleep 1000" in machine.sh("systemctl status clock")
    machine.run("dsagent", "apply", machine.recipe("steps: [{service: {name: clock, state: stopped, enabled: false}}]\n"))
    assert machine.sh("systemctl is-active clock; systemctl is-enabled clock", code=None) == "inactive\ndisabled\n"


def test_a_failure_shows_the_journal(machine):
    path = machine.recipe("""
steps:
  - service: {name: broken, command: [/bin/sh, -c, 'echo cannot bind port 8000 >&2; exit 3']}
""")
    done = machine.run("dsagent", "apply", path, code=1)
    assert "broken.service does not run" in done.stdout and "cannot bind port 8000" in done.stdout, done.stdout
    done = machine.run("dsagent", "apply", machine.recipe("steps: [{service: {name: gone, command: [/no/such/program]}}]\n"), code=1)
    assert "gone.service does not run" in done.stdout and "/no/such/program" in done.stdout, done.stdout
    done = machine.run("dsagent", "apply", machine.recipe("steps: [{service: nonesuch}]\n"), code=1)
    assert "nonesuch.service" in done.stdout and "not exist" in done.stdout, done.stdout


def test_one_shot_and_foreign_units(machine):
    path = machine.recipe("""
steps:
  - service: {name: once, type: oneshot, command: [/bin/sh, -c, 'date >> /root/ran']}
  - service: {name: systemd-journald, state: started}
  - service: {name: plain, unit: "[Service]\\nExecStart=/bin/sleep 77\\n[Install]\\nWantedBy=multi-user.target\\n"}
""")
    machine.run("dsagent", "apply", path)
    assert machine.sh("wc -l < /root/ran; systemctl is-active plain") == "1\nactive\n"
    nothing(machine, path)


def test_nothing_waits_for_cloud_init(machine):
    """While cloud-init runs, a job that is ordered after it is queued, and the step ends."""
    machine.sh("""mkdir -p /run/cloud-init
printf '[Service]\\nType=oneshot\\nExecStart=/bin/sh -c "while [ ! -e /run/cloud-init/result.json ]; do sleep 0.2; done"\\n' \
  > /etc/systemd/system/cloud-final.service
systemctl daemon-reload; systemctl start --no-block cloud-final""")
    path = machine.recipe("steps: [{service: {name: late, command: [/bin/sleep, '999'], after: [cloud-final.service]}}]\n")
    machine.run("dsagent", "apply", path, timeout=30)
    assert machine.sh("systemctl is-active late", code=None) == "inactive\n"
    machine.sh("touch /run/cloud-init/result.json; systemctl is-active --wait late 2>/dev/null; sleep 1")
    assert machine.sh("systemctl is-active late") == "active\n"
    nothing(machine, path)
