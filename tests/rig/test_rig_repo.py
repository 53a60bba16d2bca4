"""repo by the real apt and dnf: a signed repository of our own, its key pinned, wrong, absent; then removed."""

import hashlib
import os
import shutil
import subprocess

import pytest

pytestmark = pytest.mark.slow


def gpg(home, *args, data=None):
    return subprocess.run(["gpg", "--homedir", home, "--batch", "--yes", "--pinentry-mode", "loopback", "--passphrase", "", *args],
                          input=data, capture_output=True, check=True).stdout


@pytest.fixture(scope="module")
def key(tmp_path_factory):
    """(home, armored key, fingerprint) of a throw-away signing key."""
    if not shutil.which("gpg"):
        pytest.skip("gpg is missing: apt-get install gnupg")
    home = tmp_path_factory.mktemp("gpg")
    os.chmod(home, 0o700)
    gpg(home, "--quick-generate-key", "rig <rig@example.invalid>", "ed25519", "sign", "never")
    listing = gpg(home, "--list-keys", "--with-colons").decode()
    fingerprint = next(line.split(":")[9] for line in listing.splitlines() if line.startswith("fpr"))
    yield home, gpg(home, "--armor", "--export", fingerprint), fingerprint
    subprocess.run(["gpgconf", "--homedir", home, "--kill", "all"], check=False)


@pytest.fixture
def box(debian_root, box_in, key):
    home, armored, _ = key
    b = box_in(debian_root)
    repo = b.shared / "repo"
    (repo / "pkg/DEBIAN").mkdir(parents=True)
    (repo / "pkg/DEBIAN/control").write_text("Package: rig-toy\nVersion: 1.0\nArchitecture: all\nMaintainer: rig <r@example.invalid>\n"
                                             "Description: a toy\n")
    b.sh("cd /shared/repo && dpkg-deb -b pkg rig-toy_1.0_all.deb")
    shutil.rmtree(repo / "pkg")
    deb = (repo / "rig-toy_1.0_all.deb").read_bytes()
    packages = subprocess.run(["dpkg-deb", "-f", repo / "rig-toy_1.0_all.deb"], capture_output=True, text=True, check=True).stdout
    packages += f"Filename: ./rig-toy_1.0_all.deb\nSize: {len(deb)}\nSHA256: {hashlib.sha256(deb).hexdigest()}\n"
    (repo / "Packages").write_text(packages)
    text = packages.encode()
    release = f"Origin: rig\nDate: Fri, 20 Nov 2026 00:00:00 UTC\nSHA256:\n {hashlib.sha256(text).hexdigest()} {len(text)} Packages\n"
    (repo / "InRelease").write_bytes(gpg(home, "--clearsign", data=release.encode()))
    (b.shared / "key.asc").write_bytes(armored)
    return b


def recipe(box, fingerprint, more=""):
    return box.recipe(f"""steps:
  - id: repo
    repo:
      name: toys
      apt: {{uris: "file:/shared/repo", suites: ./}}
      key: /shared/key.asc
      key_fingerprint: {fingerprint}
{more}""")


def test_added_used_left_alone_mended_removed(box, key):
    path = recipe(box, key[2], "  - {id: toy, packages: [rig-toy]}\n")
    plan = box.run("dsagent", "plan", path, code=None).stdout
    assert "fetch the key of toys" in plan and "+URIs: file:/shared/repo" in plan
    box.run("dsagent", "apply", path, timeout=300)
    assert "ok installed" in box.sh("dpkg-query -W -f '${Status}' rig-toy")
    assert box.sh("cat /etc/apt/sources.list.d/toys.sources").endswith("Signed-By: /etc/apt/keyrings/toys.asc\n")
    assert "nothing" in box.run("dsagent", "apply", path).stdout.lower()
    box.run("dsagent", "plan", "--detailed-exitcode", path)
    box.sh("echo edited >> /etc/apt/sources.list.d/toys.sources; echo > /etc/apt/keyrings/toys.asc")
    box.run("dsagent", "apply", path)
    box.run("dsagent", "plan", "--detailed-exitcode", path)
    box.sh("apt-get update -q")
    gone = box.recipe("steps: [{repo: {name: toys, state: absent}}]\n")
    box.run("dsagent", "apply", gone)
    assert box.sh("ls /etc/apt/sources.list.d /etc/apt/keyrings | grep toys", code=None) == ""
    box.run("dsagent", "plan", "--detailed-exitcode", gone)


def test_only_its_own_index_is_fetched(box, key):
    box.run("dsagent", "apply", recipe(box, key[2]))
    lists = box.sh("ls /var/lib/apt/lists")
    assert "shared_repo" in lists and "debian" in lists
    log = box.sh("cat /var/lib/dsagent/runs/*/01-repo.log")
    assert "debian.org" not in log


def test_another_key_is_refused_and_nothing_is_written(box):
    done = box.run("dsagent", "apply", recipe(box, "0" * 40), code=1)
    assert "not among the fingerprints" in done.stdout
    assert box.sh("ls /etc/apt/sources.list.d /etc/apt/keyrings | grep toys", code=None) == ""


def test_a_bad_signature_never_becomes_a_source(box, key):
    text = (box.shared / "repo/InRelease").read_text()
    (box.shared / "repo/InRelease").write_text(text.replace("Origin: rig", "Origin: rag"))
    done = box.run("dsagent", "apply", recipe(box, key[2]), code=1, timeout=300)
    assert "signature" in done.stdout.lower() or "gpg" in done.stdout.lower(), done.stdout
    box.run("test", "!", "-e", "/etc/apt/sources.list.d/toys.sources")
    box.sh("apt-get update -q")


def test_a_repository_that_is_not_there_is_no_source(box, key):
    (box.shared / "repo/InRelease").unlink()
    done = box.run("dsagent", "apply", recipe(box, key[2]), code=1, timeout=300)
    assert "toys" in done.stdout
    box.run("test", "!", "-e", "/etc/apt/sources.list.d/toys.sources")


def test_dnf(dnf_root, box_in, key):
    box = box_in(dnf_root)
    (box.shared / "key.asc").write_bytes(key[1])
    digest = hashlib.sha256(key[1]).hexdigest()
    path = box.recipe(f"""steps:
  - repo: {{name: more-toys, dnf: "file:///srv/toys", key: /shared/key.asc, key_sha256: {digest}}}
""")
    box.run("dsagent", "apply", path, timeout=300)
    assert "gpgcheck=1\ngpgkey=file:///etc/pki/rpm-gpg/RPM-GPG-KEY-more-toys" in box.sh("cat /etc/yum.repos.d/more-toys.repo")
    assert "gpg-pubkey" in box.sh("rpm -qa")
    assert "more-toys" in box.sh("dnf repolist")
    assert "nothing" in box.run("dsagent", "apply", path).stdout.lower()
    bad = box.recipe(f"""steps:
  - repo: {{name: broken, dnf: "file:///srv/nothing", key: /shared/key.asc, key_sha256: {digest}}}
""", "bad.yaml")
    box.run("dsagent", "apply", bad, code=1, timeout=300)
    box.run("test", "!", "-e", "/etc/yum.repos.d/broken.repo")
    box.run("dsagent", "apply", box.recipe("steps: [{repo: {name: more-toys, state: absent}}]\n"))
    box.run("test", "!", "-e", "/etc/yum.repos.d/more-toys.repo")
