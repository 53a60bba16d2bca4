"""user by the real useradd, usermod, userdel, visudo and sudo."""

import pytest

pytestmark = pytest.mark.slow

ED = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ1GyCMnvLWE1DzmDCHGPxIZ0VQDSnZ1d2xYg5mG4n2A"

RECIPE = f"""
steps:
  - user: {{name: ana, groups: [data, video], keys: ["{ED} ana@laptop"], sudo: [/usr/bin/id, "/usr/bin/echo a,b:c=d"], uid: 4242}}
  - user: {{name: ben, like: ana, shell: /bin/sh}}
"""


@pytest.fixture
def box(systemd_root, box_in):
    return box_in(systemd_root)


def test_accounts_are_made_kept_and_mended(box):
    path = box.recipe(RECIPE)
    out = box.run("dsagent", "apply", path).stdout
    assert "make group data" in out and "make account ana in groups data, video" in out
    out = box.sh("""
id -Gn ana; id -u ana; getent passwd ana ben | cut -d: -f6,7
stat -c '%a %U:%G' /home/ana/.ssh /home/ana/.ssh/authorized_keys /etc/sudoers.d/90-dsagent-ana
grep -E '^(ana|ben):' /etc/shadow | cut -d: -f2
cat /home/ben/.ssh/authorized_keys
su ana -s /bin/sh -c 'sudo -n /usr/bin/id -u; sudo -n /usr/bin/echo a,b:c=d; sudo -n /bin/true 2>/dev/null || echo refused'
""")
    assert out.splitlines() == ["ana video data", "4242", "/home/ana:/bin/bash", "/home/ben:/bin/sh", "700 ana:ana",
                                "600 ana:ana", "440 root:root", "!", "!", f"{ED} ana@laptop", "0", "a,b:c=d", "refused"]
    again = box.run("dsagent", "apply", path).stdout
    assert "nothing" in again.lower(), again
    # Drift: a password, a key taken out, a group left, the drop-in edited.
    box.sh("echo ana:secret | chpasswd; : > /home/ana/.ssh/authorized_keys; gpasswd -d ana data; "
           "echo 'ana ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/90-dsagent-ana")
    out = box.run("dsagent", "apply", path).stdout
    assert "lock the password of ana" in out
    out = box.sh("grep ^ana: /etc/shadow | cut -c1-5; id -Gn ana; cat /home/ana/.ssh/authorized_keys; "
                 "cat /etc/sudoers.d/90-dsagent-ana")
    assert out.startswith("ana:!") and "data" in out and ED in out and "/usr/bin/id" in out
    assert "nothing" in box.run("dsagent", "apply", path).stdout.lower()


def test_an_account_goes_and_its_files_stay(box):
    box.run("dsagent", "apply", box.recipe(RECIPE))
    path = box.recipe("steps: [{user: {name: ana, state: absent}}]\n")
    box.run("dsagent", "apply", path)
    assert box.sh("getent passwd ana; test -d /home/ana && ls /etc/sudoers.d", code=0) == "README\n"
    assert "nothing" in box.run("dsagent", "apply", path).stdout.lower()


def test_another_uid_is_an_error(box):
    box.sh("useradd -m -u 4000 ana")
    done = box.run("dsagent", "apply", box.recipe("steps: [{user: {name: ana, uid: 4242}}]\n"), code=1)
    assert "is there with uid 4000, the recipe wants 4242" in done.stdout + done.stderr


def test_visudo_has_the_last_word(box):
    """A drop-in that sudo could not read never reaches /etc/sudoers.d."""
    path = box.recipe('steps: [{user: {name: eve, sudo: ["/bin/ls ("]}}]\n')
    done = box.run("dsagent", "apply", path, code=None)
    if done.returncode:
        assert "visudo" in done.stdout and box.sh("ls /etc/sudoers.d") == "README\n"
    box.run("visudo", "-c")
    box.sh("mv /usr/sbin/visudo /usr/sbin/visudo.away")
    done = box.run("dsagent", "apply", box.recipe("steps: [{user: {name: eva, sudo: all}}]\n"), code=1)
    assert "sudo is not installed: add a step `packages: [sudo]` above" in done.stdout
    assert "90-dsagent-eva" not in box.sh("ls /etc/sudoers.d")


def test_a_link_in_a_home_leads_nowhere(box):
    """Keys are written with the account's own rights: a link to root's folder is refused, not followed."""
    box.sh("useradd -m mallory && mkdir -m 700 /root/.ssh && ln -s /root/.ssh /home/mallory/.ssh")
    done = box.run("dsagent", "apply", box.recipe(f'steps: [{{user: {{name: mallory, keys: "{ED}"}}}}]\n'), code=1)
    assert "ermission denied" in done.stdout and box.sh("ls -A /root/.ssh") == ""


def test_the_shared_box(box):
    """The built-in recipe, with a key and without one."""
    out = box.run("dsagent", "apply", "shared-box", "--var", f"key={ED} guest@laptop", timeout=300).stdout
    assert "make account guest in groups shared" in out
    assert box.sh("stat -c '%a %G' /srv/shared; id -nG guest; cat /home/guest/.ssh/authorized_keys") == \
        f"2775 shared\nguest shared\n{ED} guest@laptop\n"
    assert "nothing" in box.run("dsagent", "apply", "shared-box", "--var", f"key={ED} guest@laptop").stdout.lower()
    box.sh(f"useradd -m admin && install -d -m 700 -o admin -g admin /home/admin/.ssh && echo '{ED} launch' > "
           "/home/admin/.ssh/authorized_keys && chown admin /home/admin/.ssh/authorized_keys")
    box.run("dsagent", "apply", "shared-box", "--var", "user=ben")
    assert box.sh("cat /home/ben/.ssh/authorized_keys; id -nG admin") == f"{ED} launch\nadmin shared\n"
