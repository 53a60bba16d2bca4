"""userdata, and the script it makes: run by three shells against a server that misbehaves as networks do. With the real
cloud-init: tests/rig/test_cloud_init.py."""

import base64
import email
import gzip
import hashlib
import os
import random
import re
import shutil
import subprocess

import pytest

from harness import TOP, wait_until
from stubbox import MACHINE, PROGRAM, SHELLS, box, box_of, elf, filled, signature, system_tools  # noqa: F401  (fixtures)

RECIPE = "recipe: box\nsteps: [{file: {path: /etc/motd, content: grüße}}]\n"
S3 = "s3://my-bucket/tools/dsagent-{arch}"


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def carried(script):
    """The bytes that a script gives to dsagent boot."""
    return gzip.decompress(base64.b64decode(re.search(r"<<'RECIPE'\n(.*)\nRECIPE\n\Z", script, re.S)[1]))


# ---- the command

def test_the_script_is_the_template_filled_in(agent, tmp_path):
    intel, arm = elf(tmp_path, 62), elf(tmp_path, 183)
    run = agent.run("userdata", agent.recipe(RECIPE), "--agent", S3, "--agent-file", intel, "--agent-file", arm)
    recipe = re.search(r"<<'RECIPE'\n(.*)RECIPE\n\Z", run.out, re.S)[1]
    assert run.out == filled(S3, sha256(intel), sha256(arm), recipe)
    assert carried(run.out).decode() == RECIPE
    assert run.err == f"dsagent: user-data of {len(run.out.encode())} bytes; EC2 takes 16384\n"
    assert len(run.out) < 5500, "most of 16,384 bytes is the recipe's"


def test_the_template_is_a_script_as_it_stands():
    for shell in (["dash"], ["bash"], ["busybox", "sh"]):
        subprocess.run([*shell, "-n", TOP / "packaging/user-data.sh"], check=True)
    if shutil.which("shellcheck"):
        subprocess.run(["shellcheck", TOP / "packaging/user-data.sh"], check=True)


def test_the_same_twice_is_the_same(agent, tmp_path):
    args = ("userdata", agent.recipe(RECIPE), "--agent", S3, "--agent-file", elf(tmp_path, 62))
    assert agent.run(*args).out == agent.run(*args).out


def test_an_image_that_has_dsagent_gets_the_recipe_itself(agent):
    assert agent.run("userdata", agent.recipe(RECIPE)).out == "#!/usr/bin/dsagent boot\n" + RECIPE
    marked = agent.recipe("#!/usr/bin/dsagent boot\n" + RECIPE, "marked.yaml")
    assert agent.run("userdata", marked).out == marked.read_text()
    assert agent.run("userdata", "daily-driver").out == \
        '#!/usr/bin/dsagent boot\nrecipe: daily-driver\ninclude: ["daily-driver"]\n'


def test_variables_travel_and_arrive(agent):
    recipe = agent.recipe("vars: {text: {help: x}, other: a}\nsteps: [{file: {path: /etc/motd, content: '${vars.text}'}}]\n")
    value = 'a "b" \'c\' ${vars.x} $${y} \\ $HOME\n#é'
    out = agent.run("userdata", recipe, "--var", f"text={value}").out
    agent.run("boot", "-", stdin=out if out.startswith("#!/usr") else carried(out).decode())
    wait_until(lambda: agent.status_path.exists() and agent.status()["status"] == "ready", what="the run")
    assert (agent.tree / "etc/motd").read_text() == value
    assert agent.status()["recipe"].startswith("user-data+settings@"), agent.status()["recipe"]


def test_several_recipes_travel_together(agent):
    one, two = agent.recipe("steps: [{file: {path: /etc/one, content: a}}]\n", "one.yaml"), agent.recipe(RECIPE, "two.yaml")
    out = agent.run("userdata", one, two).out
    parts = email.message_from_bytes(carried(out)).get_payload()
    assert [p.get_payload(decode=True).decode().strip() for p in parts] == [one.read_text().strip(), RECIPE.strip()]
    agent.run("boot", "-", stdin=carried(out).decode())
    wait_until(lambda: agent.status_path.exists() and agent.status()["status"] == "ready", what="the run")
    assert (agent.tree / "etc/one").exists() and (agent.tree / "etc/motd").read_text() == "grüße"


def test_mime_and_cloud_config_hold_the_same_script(agent, tmp_path):
    args = ("userdata", agent.recipe(RECIPE), "--agent", S3, "--agent-file", elf(tmp_path, 62))
    script = agent.run(*args).out
    mime = email.message_from_string(agent.run(*args, "--format", "mime").out)
    part, = mime.get_payload()
    assert part.get_content_type() == "text/x-shellscript" and part.get_payload() == script
    config = agent.run(*args, "--format", "cloud-config").out
    assert config.startswith("#cloud-config\nwrite_files:\n") and \
        config.endswith("runcmd:\n  - [sh, /run/dsagent/user-data]\n")
    block = re.search(r"content: \|\n(.*?)runcmd:", config, re.S)[1]
    assert re.sub("^      ", "", block, flags=re.M) == script
    assert agent.run("userdata", agent.recipe(RECIPE), "--format", "cloud-config").out.endswith(
        "runcmd:\n  - [dsagent, boot, /run/dsagent/user-data]\n")


def noise(kilobytes):
    return random.Random(7).randbytes(kilobytes * 512).hex()


def test_too_long_is_refused_with_what_to_do(agent, tmp_path):
    args = ("--agent", S3, "--agent-file", elf(tmp_path, 62))
    long = agent.recipe(f"steps: [{{file: {{path: /x, content: {noise(18)}}}}}]\n")
    run = agent.run("userdata", long, *args, code=2)
    assert run.out == "" and re.search(r"has 1[6-9]\d{3} bytes, EC2 takes 16384: with --gzip it has 1[0-5]\d{3}", run.err), run.err
    packed = subprocess.run(agent.argv("userdata", long, *args, "--gzip"), env=agent.env, capture_output=True, check=True).stdout
    assert len(packed) <= 16384 and carried(gzip.decompress(packed).decode()) == long.read_bytes()
    longer = agent.recipe(f"steps: [{{file: {{path: /x, content: {noise(60)}}}}}]\n")
    run = agent.run("userdata", longer, *args, code=2)
    assert run.out == "" and "dsagent userdata s3://BUCKET/recipe.yaml" in run.err and "sha256" in run.err
    # On an image of its own a long text is packed too.
    readable = agent.recipe("# words\n" * 3000 + RECIPE)
    assert carried(agent.run("userdata", readable).out) == readable.read_bytes()


@pytest.mark.parametrize("args, says", [
    (["--agent", "ftp://x/y"], "--agent is ami, s3://BUCKET/KEY or https://"),
    (["--agent", "http://x/y"], "--agent is ami"),
    (["--agent", "https://x/y"], "--agent-file FILE, once per architecture"),
    (["--agent", "https://x/it's"], "no blanks, quotes"),
    (["--agent", "s3://b/a b"], "no blanks"),
    (["--agent", "s3://b/a+b"], "letters, digits"),
    (["--agent", "s3://bucket"], "s3://BUCKET/KEY"),
    (["--agent", "https://x/{arch}?X-Amz-Algorithm=a&X-Amz-Signature=c0ffee"], "a presigned address is signed for one file"),
    (["--agent", "https://x/y?X-Amz-Date=20200229T235959Z&X-Amz-Expires=3600&X-Amz-Signature=c0ffee"],
     "this presigned address has ended at 2020-03-01T00:59:59Z: presign it anew"),
    (["--agent-file", "INTEL"], "not with ami"),
    (["--agent", "s3://b/k", "--agent-file", "INTEL", "--agent-file", "ARM"], "write {arch}"),
    (["--agent", S3, "--agent-file", "INTEL", "--agent-file", "INTEL"], "two --agent-file are for x86_64"),
    (["--agent", S3, "--agent-file", "TEXT"], "no 64-bit Linux program"),
    (["--agent", S3, "--agent-file", "MIPS"], "ELF machine 8"),
    (["--agent", S3, "--agent-file", "/no/such"], "cannot open /no/such"),
    (["--format", "yaml"], "--format is script, mime or cloud-config, not 'yaml'"),
    (["--var", "nope=1"], "no variable 'nope'"),
])
def test_wrong_use_is_2(agent, tmp_path, args, says):
    (tmp_path / "text").write_text("#!/bin/sh\n")
    files = {"INTEL": elf(tmp_path, 62), "ARM": elf(tmp_path, 183), "MIPS": elf(tmp_path, 8), "TEXT": tmp_path / "text"}
    run = agent.run("userdata", agent.recipe(RECIPE), *[files.get(a, a) for a in args], code=2)
    assert says in run.err and run.out == "", run


def test_recipes_are_checked_first(agent):
    run = agent.run("userdata", agent.recipe("steps: [{fil: x}]\n"), code=2)
    assert "recipe.yaml:1:10: " in run.err and run.out == ""
    run = agent.run("userdata", agent.recipe("vars: {x: {help: must}}\nsteps: [{run: '${vars.x}'}]\n"), code=2)
    assert "--var x=" in run.err
    agent.recipe("steps: [{run: 'true'}]\n", "more.yaml")
    run = agent.run("userdata", agent.recipe("include: [quickstart, ./more.yaml]\n"), code=2)
    assert "recipe.yaml:1:23: './more.yaml' is a file beside this one, and the instance does not have it" in run.err and run.out == ""
    assert "name a file" in agent.run("userdata", "-", stdin=RECIPE, code=2).err


def test_warnings(agent, tmp_path):
    recipe = agent.recipe("vars: {key: {sensitive: true, help: x}}\nsteps: [{run: 'echo ${vars.key}'}]\n")
    run = agent.run("userdata", recipe, "--var", "key=hunter2hunter2")
    assert "warning: 'key' is a secret" in run.err and "hunter2" not in run.err
    recipe = agent.recipe("vars: {key: {sensitive: true, default: hunter2hunter2}, ref: {sensitive: true, default: '${env.LANG}'}}\n"
                          "steps: [{run: 'echo ${vars.key}${vars.ref}'}]\n")
    run = agent.run("userdata", recipe)
    assert run.err.count("is a secret") == 1 and "warning: 'key' is a secret" in run.err and "hunter2" not in run.err
    run = agent.run("userdata", agent.recipe(RECIPE), "--agent", S3, "--agent-file", elf(tmp_path, 62, dynamic=True))
    assert "warning: " in run.err and "take a static one" in run.err


@pytest.mark.parametrize("query, until", [
    ("?X-Amz-Date=20990101T230000Z&X-Amz-Expires=7200&X-Amz-Signature=c0ffee", "2099-01-02T01:00:00Z"),
    ("?X-Amz-Expires=604800&x=y&X-Amz-Date=20990101T000000Z", "2099-01-08T00:00:00Z"),
    ("?X-Amz-Date=20990101T230000Z", None), ("?X-Amz-Date=yesterday&X-Amz-Expires=1", None),
    ("?X-Amz-Date=20990101T230000Z&X-Amz-Expires=soon", None), ("", None),
])
def test_how_long_a_presigned_address_holds(agent, tmp_path, query, until):
    run = agent.run("userdata", agent.recipe(RECIPE), "--agent", f"https://x/y{query}", "--agent-file", elf(tmp_path, 62))
    said = run.err.splitlines()[:-1]
    assert said == ([f"dsagent: warning: the address of --agent holds until {until} at most: an instance that starts later cannot "
                     "fetch dsagent; an s3:// address holds as long as the instance's role may read it"] if until else [])


# ---- the script

@pytest.mark.parametrize("shell", SHELLS)
def test_fetches_checks_and_hands_over(box, shell):
    box.run(shell, recipe="recipe: $HOME `x` \\ 'q'\n")
    assert box.left() == ["dsagent"] and (box.bin / "dsagent").stat().st_mode & 0o777 == 0o755
    assert box.given.read_text() == "recipe: $HOME `x` \\ 'q'\n" and (box.folder / "given.args").read_text() == "boot -\n"
    assert box.server.seen[0][0] == f"/tools/dsagent-{MACHINE}?X-Amz-Signature=c0ffee"
    # Again: what is there is taken.
    box.env["PATH"] = f"{box.bin}:{box.env['PATH']}"
    box.run(shell, agent="", sums={})
    assert len(box.server.seen) == 1


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("plan, says", [
    (["wrong"], "its SHA-256 is "), (["cut"], "download: "), (["403"], "download: "),
    (["403", "cut", "wrong", "ok"], None),
])
def test_bad_days_of_a_network(box, shell, plan, says):
    box.tool("aws", f'echo "$*" >>{box.folder}/aws.log\n')
    box.server.plan = list(plan)
    if not says:
        said = box.run(shell).stderr
        assert box.left() == ["dsagent"] and box.given.exists()
        assert said.count("; again in 0 s\n") == said.count("\n") == 3, said
        return
    said = box.failed(shell)
    assert said.startswith(says) and "c0ffee" not in said and len(box.server.seen) == 6, said
    if plan == ["403"]:
        assert said == "download: HTTP 403"
    call, = (box.folder / "aws.log").read_text().splitlines()
    assert call.startswith("ec2 create-tags --region us-east-1 --resources i-") and \
        "--tags Key=dsagent:status,Value=failed Key=dsagent:error,Value=http://127.0.0.1" in call


@pytest.mark.parametrize("shell", SHELLS)
def test_sums_as_people_have_them(box, shell):
    """PowerShell prints capital letters, sha256sum the file's name."""
    right = hashlib.sha256(box.program).hexdigest()
    for text in (right.upper(), f"{right}  dsagent-{MACHINE}"):
        box.run(shell, sums={MACHINE: text})
        assert box.left() == ["dsagent"]
        (box.bin / "dsagent").unlink()


@pytest.mark.parametrize("shell", SHELLS)
def test_what_cannot_be(box, shell):
    assert "the user-data names no place to fetch it from" in box.run(shell, agent="", code=1).stderr
    assert f"no SHA-256 of dsagent for {MACHINE}" in box.run(shell, sums={}, code=1).stderr
    box.tool("uname", "echo riscv64\n")
    assert "no SHA-256 of dsagent for riscv64" in box.run(shell if shell[0] != "busybox" else ["dash"], code=1).stderr
    assert box.server.seen == [], "nothing is fetched that cannot be trusted"


@pytest.mark.parametrize("shell", SHELLS)
def test_a_program_that_does_not_run_here(box, shell):
    box.program = box.server.program = b"\x7fELF\x02\x01\x01" + bytes(200)
    done = box.run(shell, code=1)
    assert "does not run here: " in done.stderr and box.left() == []
    # One that is there already and does not run is replaced.
    box.program = box.server.program = PROGRAM.format(given=box.given, code=0).encode()
    box.tool("dsagent", "exit 126\n")
    box.run(shell)
    assert box.given.exists()


@pytest.mark.parametrize("shell", SHELLS)
def test_boots_own_exit_code_goes_to_cloud_init(box_of, shell):
    box_of(2).run(shell, code=2)


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.skipif(os.geteuid() != 0, reason="mounts need root")
def test_folders_that_do_not_do(box, shell):
    """The first is read-only, the second noexec."""
    closed, noexec = box.folder / "closed", box.folder / "noexec"
    closed.mkdir(), noexec.mkdir()
    mounts = f'mount -t tmpfs -o ro tmpfs {closed} && mount -t tmpfs -o noexec tmpfs {noexec} && exec "$@"'
    prefix = ["unshare", "--mount", "--propagation", "private", "sh", "-c", mounts, "sh"]
    if subprocess.run([*prefix, "true"], capture_output=True).returncode:
        pytest.skip("no mount namespaces here")
    box.folders = [closed, noexec]
    assert "no folder that programs can be written to and run from" in box.run(shell, prefix=prefix, code=1).stderr
    box.folders = [closed, noexec, box.bin]
    box.run(shell, prefix=prefix)
    assert (box.bin / "dsagent").exists() and box.given.exists()


def tools_but(box, *missing):
    """The only folder of programs: what any system has, but for some."""
    for name in ("sh", "cat", "uname", "tr", "sed", "mktemp", "mkdir", "rm", "mv", "chmod", "sha256sum", "sleep", "tail",
                 "timeout", "curl", "wget", "printf"):
        path = shutil.which(name)
        if name not in missing and path:
            (box.tools / name).symlink_to(path)
    return str(box.tools)


@pytest.mark.parametrize("missing, says", [((), None), (("curl",), None), (("curl", "wget"), "neither curl nor wget is here")])
def test_with_the_tools_that_are_there(box, missing, says):
    if "curl" in missing and not says and not shutil.which("wget"):
        box.tool("wget", 'exec busybox wget "$@"\n')
    box.env["PATH"] = tools_but(box, *missing)
    if says:
        assert says in box.run(["/bin/dash"], code=1).stderr
    else:
        box.run(["/bin/dash"])
        assert box.given.exists()


# ---- the sources of s3://

def test_aws_comes_first(box):
    box.tool("aws", f'echo "$AWS_DEFAULT_REGION $*" >>{box.folder}/aws.log\n'
                    f'[ "$1" = s3 ] && for to; do :; done && printf %s "$(cat {box.folder}/program)" >"$to" && echo >>"$to"\n')
    (box.folder / "program").write_bytes(box.program)
    box.run(["dash"], agent="s3://bucket/dsagent-{arch}")
    call = (box.folder / "aws.log").read_text()
    assert call.startswith(f"us-east-1 s3 cp --only-show-errors s3://bucket/dsagent-{MACHINE} {box.bin}/.dsagent."), call
    assert box.server.seen == [] and box.given.exists()


def test_curl_signs_with_the_role(box, world):
    """Debian 12's curl, 7.88, does not add x-amz-content-sha256 by itself."""
    world.config("role=box", "access_key=ASIAEXAMPLE", "secret_key=sec/ret+key", "session_token=tok/en+==")
    box.run(["dash"], agent="s3://bucket/tools/dsagent-{arch}")
    (path, headers), = box.server.seen
    assert path == f"/bucket/tools/dsagent-{MACHINE}"
    fields, names, expected = signature("sec/ret+key", path, headers)
    assert fields["Credential"].startswith("ASIAEXAMPLE/") and fields["Credential"].endswith("/us-east-1/s3/aws4_request")
    assert {"host", "x-amz-security-token", "x-amz-content-sha256"} <= set(names)
    assert fields["Signature"] == expected and box.given.exists()


def test_keys_are_on_no_command_line(box, world):
    world.config("role=box", "access_key=ASIAEXAMPLE", "secret_key=sec/ret+key", "session_token=tok/en+==")
    box.tool("curl", f'echo "$*" >>{box.folder}/curl.log\nexec /usr/bin/curl "$@"\n')
    box.run(["dash"], agent="s3://bucket/dsagent-{arch}")
    log = (box.folder / "curl.log").read_text()
    assert "-K -" in log and "sec/ret" not in log and "tok/en" not in log


@pytest.mark.parametrize("version, good", [("7.81.0", False), ("7.86.0", False), ("7.87.0", True), ("8.0.1", True)])
def test_an_old_curl_is_not_asked_to_sign(box, version, good):
    box.curl_is(version)
    done = box.run(["dash"], agent="s3://bucket/dsagent-{arch}", code=0 if good else 1)
    if not good:
        assert "it needs the aws command, or curl 7.87 or newer: take an https:// URL" in done.stderr
        assert box.server.seen == []


def test_no_role_is_said(box, world):
    world.config("role=")
    assert "the instance has no role, or no metadata" in box.run(["dash"], agent="s3://bucket/x", code=1).stderr
