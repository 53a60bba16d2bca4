"""`bundle`, where it goes after a failure, and the canaries: no secret in anything that the program writes."""

import gzip
import json
import os
import pathlib

import pytest

from harness import wait_until
from receivers import Nginx, Server, everything_in, tar_members

CANARIES = ["var-canary-91aa", "env-canary-82bb", "out-canary-73cc", "qry-canary-64dd", "pwd-canary-55ee", "hdr-canary-46ff",
            "cfg-canary-37a1", "file-canary-28b2"]

RECIPE = """recipe: canaries
vars:
  token: {{sensitive: true, default: {0}}}
steps:
  - {{name: says, env: {{API_TOKEN: "${{vars.token}}"}}, run: 'echo "$API_TOKEN" https://bob:{4}@example.invalid/x; echo "to be ${{vars.token}}" >&2'}}
  - name: hides
    sensitive: true
    file: {{path: /etc/hidden, content: "{7}"}}
  - name: Fetch {0}
    run: |
      # curl -H "Authorization: Bearer {5}" "https://example.invalid/?X-Amz-Signature={3}"
      echo 'GET https://example.invalid/?X-Amz-Signature={3} as Authorization: Bearer {5}' >&2
      exit 7
"""


def canary_recipe(agent):
    return agent.recipe(RECIPE.format(*CANARIES))


def assert_silent(where, data):
    for canary in CANARIES:
        assert canary.encode() not in data, f"{canary} is in {where}"


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/null"), pathlib.Path.mkdir], ids=["pipe", "link", "folder"])
def test_what_is_no_file_stays(agent, tmp_path, make):
    """A bundle is put in the place of an older one, not of /dev/null or /dev/stdout."""
    agent.apply("steps: [{run: 'true'}]\n")
    out = tmp_path / "out"
    make(out)
    before = out.lstat()
    run = agent.run("bundle", "-o", str(out), code=3)
    assert run.err == f"dsagent: {out} is there and no plain file; `-o -` writes to standard output\n"
    assert out.lstat()[:2] == before[:2]


def test_no_secret_anywhere(on_ec2, world, tmp_path, request):
    nginx = Nginx(tmp_path / "nginx")
    request.addfinalizer(nginx.stop)
    nginx.start()
    config = on_ec2.tree / "etc/dsagent/dsagent.yaml"
    config.parent.mkdir(parents=True)
    config.write_text(f"webhook: {{url: '{nginx.url}?key={CANARIES[6]}', headers: {{X-Key: {CANARIES[6]}}}}}\n")
    (on_ec2.tree / "dev").mkdir()
    (on_ec2.tree / "dev/console").write_text("")
    recipe = canary_recipe(on_ec2)
    env = {"DB_PASSWORD": CANARIES[1], "DSAGENT_DEBUG": "1"}
    plan = on_ec2.run("plan", recipe, code=None, env=env)
    run = on_ec2.run("apply", "--boot", "--verbose", recipe, code=1, env=env)
    again = on_ec2.run("apply", "--json", recipe, code=1, env=env)
    wait_until(lambda: nginx.states()[-1:] == ["failed"], 60, "the webhook")
    wait_until(lambda: world.tags().get("dsagent:status") == "failed", 60, "the tags")
    config.unlink()
    (on_ec2.tree / "etc/hidden").unlink(missing_ok=True)  # what the recipe was told to write
    assert b"example.invalid" in everything_in(on_ec2.tree)
    outputs = {
        "plan": plan.text.encode(), "the terminal": run.text.encode(), "--json": again.text.encode(),
        "status": on_ec2.run("status", code=None).text.encode(), "logs": on_ec2.run("logs", code=None).text.encode(),
        "the tags": json.dumps(world.history()).encode(), "the files": everything_in(on_ec2.tree),
        "the webhook": json.dumps([body for _, _, body in nginx.posts()]).encode(),
    }
    page = on_ec2.work / "report.html"
    outputs["report"] = on_ec2.run("report", "--html", page, code=None).text.encode() + page.read_bytes()
    bundle = on_ec2.work / "b.tar.gz"
    on_ec2.run("bundle", "-o", bundle, env=env)
    members = tar_members(bundle)
    outputs["the bundle"] = b"\n".join(members.values())
    assert b"example.invalid" in outputs["the bundle"]
    for where, data in outputs.items():
        assert_silent(where, data)


def test_what_is_in_a_bundle(on_ec2, world):
    on_ec2.apply("recipe: b\nsteps: [{id: one, run: 'echo hello; exit 1'}]\n", code=1)
    (on_ec2.tree / "var/log").mkdir(parents=True)
    (on_ec2.tree / "var/log/cloud-init.log").write_text("x" * 50 + "\nAWS_SECRET_ACCESS_KEY=abcdef\n" + "line\n" * 40000)
    folder = on_ec2.tree / "etc/dsagent/recipes.d"
    folder.mkdir(parents=True)
    (folder / "a.yaml").write_text("steps: [{run: 'true'}]\n")
    (folder / "broken.yaml").write_text("password: [\n")
    run = on_ec2.run("bundle")
    path = next(on_ec2.work.glob("dsagent-*.tar.gz"))
    assert run.out.startswith(f"{path.name}: ") and path.stat().st_mode & 0o777 == 0o600
    members = tar_members(path)
    assert set(members) == {"version.json", "status.json", "state.json", "manifest.json", "01-one.log", "events.jsonl", "recipe-1.yaml",
                            "recipes.d/a.yaml", "recipes.d/broken.yaml", "facts.json", "doctor.json", "system/cloud-init.log", "CONTENTS"}
    assert json.loads(members["status.json"])["status"] == "failed" and members["01-one.log"].startswith(b"> run")
    assert json.loads(members["facts.json"])["instance_id"] == "i-0abc123def4567890"
    assert [c["check"] for c in json.loads(members["doctor.json"])["checks"]][0] == "metadata"
    assert members["recipes.d/broken.yaml"] == b"# left out: it cannot be parsed\n"
    assert members["system/cloud-init.log"].startswith(b"line\n") and b"abcdef" not in members["system/cloud-init.log"]
    contents = members["CONTENTS"].decode()
    assert "system/cloud-init.log: its last 1" in contents and "recipe-1.yaml\n" in contents and "recipe-N" not in contents


def test_an_older_run_standard_output_and_nothing_yet(agent):
    agent.run("bundle", "-o", "none.tar.gz")
    assert "status.json" not in tar_members(agent.work / "none.tar.gz")
    agent.apply("steps: [{run: 'echo one'}]\n")
    first = agent.status()["run_id"]
    agent.apply("steps: [{id: other, run: 'echo two'}]\n")
    last = agent.status()["run_id"]
    agent.run("bundle", first, "-o", "-")
    agent.run("bundle", first, "-o", "first.tar.gz")
    members = tar_members(agent.work / "first.tar.gz")
    assert any(name.startswith("01-") for name in members) and "status.json" not in members
    assert f"status.json: left out: it is of run {last}\n" in members["CONTENTS"].decode()
    agent.run("bundle", "-o", "last.tar.gz")
    assert json.loads(tar_members(agent.work / "last.tar.gz")["status.json"])["run_id"] == last
    assert "recipe-N.yaml: left out: a run keeps its recipes when it fails; send them along\n" in members["CONTENTS"].decode()
    assert "no run 'nope'" in agent.run("bundle", "nope", code=3).err


@pytest.fixture
def bucket(on_ec2, request):
    server = Server(lambda method, path, *_: (getattr(request, "param", 200), ""))
    on_ec2.env["AWS_ENDPOINT_URL_S3"] = server.url
    yield server
    server.close()


BAD = "recipe: bad\n{}steps: [{{id: one, run: 'exit 1'}}]\n"


@pytest.mark.parametrize("where", ["recipe", "var", "config"])
def test_a_failed_run_leaves_its_bundle_in_s3(on_ec2, world, tmp_path, where):
    boto3 = pytest.importorskip("boto3")
    moto_server = pytest.importorskip("moto.server")
    server = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    client = boto3.client("s3", endpoint_url=url, region_name="us-east-1", aws_access_key_id="AKIATEST", aws_secret_access_key="x")
    client.create_bucket(Bucket="bundles")
    on_ec2.env["AWS_ENDPOINT_URL_S3"] = url
    head = {"recipe": "report: {bundle: 's3://bundles/team'}\n", "config": "",
            "var": "vars: {b: {default: bundles}}\nreport: {bundle: 's3://${vars.b}/team/'}\n"}[where]
    if where == "config":
        path = on_ec2.tree / "etc/dsagent/dsagent.yaml"
        path.parent.mkdir(parents=True)
        path.write_text("bundle: {to: s3://bundles/team/}\n")
    on_ec2.apply(BAD.format(head), code=1)
    status = on_ec2.status()
    key = f"team/i-0abc123def4567890/{status['run_id']}.tar.gz"
    assert status["bundle"] == f"s3://bundles/{key}" and status["status"] == "failed"
    local = tmp_path / "got.tar.gz"
    client.download_file("bundles", key, str(local))
    members = tar_members(local)
    assert json.loads(members["status.json"])["status"] == "failed" and "recipe-1.yaml" in members
    wait_until(lambda: world.tags().get("dsagent:bundle") == status["bundle"], 30, "the tag")
    on_ec2.apply("recipe: bad\nsteps: [{run: 'true'}]\n" if where == "config" else head + "steps: [{run: 'true'}]\n")
    wait_until(lambda: world.tags().get("dsagent:bundle") == "", 30, "the tag to be taken back")
    assert on_ec2.status()["bundle"] is None
    server.stop()


@pytest.mark.parametrize("bucket", [403, 500], indirect=True)
def test_a_bundle_that_cannot_be_uploaded_is_one_warning(on_ec2, bucket):
    run = on_ec2.apply(BAD.format("report: {bundle: 's3://bundles/x'}\n"), code=1, timeout=120)
    assert run.err.count("no bundle was uploaded") == 1 and on_ec2.status()["bundle"] is None
    assert on_ec2.status()["error"].startswith("step 1 'one' failed")


def test_none_for_a_run_that_is_well(on_ec2, bucket):
    on_ec2.apply("report: {bundle: 's3://bundles/x'}\nsteps: [{run: 'true'}]\n")
    assert bucket.requests == []


@pytest.mark.parametrize("text, place", [
    ("report: {bundle: /tmp}\nsteps: [{run: 'true'}]\n", "recipe.yaml:1:18: 'bundle' is s3://bucket/prefix/"),
    ("report: {bundel: s3://b/}\nsteps: [{run: 'true'}]\n", "unknown key 'bundel'; did you mean 'bundle'?"),
    ("report: {bundle: 's3://${vars.x}/'}\nsteps: [{run: 'true'}]\n", "there is no variable 'x'"),
])
def test_the_recipes_key_is_checked(agent, text, place):
    assert place in agent.run("validate", agent.recipe(text), code=2).err


def test_gzip_is_whole(agent):
    agent.run("bundle", "-o", "b.tar.gz")
    assert len(gzip.decompress((agent.work / "b.tar.gz").read_bytes())) % 512 == 0
