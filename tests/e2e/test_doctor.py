"""`doctor` and what `apply` asks before it changes anything: PRODUCT.md, "Commands"."""

import re
import time

import pytest

from harness import tree_hash
from receivers import Server
from stubs import Stubs, hold_lock

XML = '<?xml version="1.0"?><Error><Code>{}</Code><Message>{}</Message></Error>'


def rows(run):
    found = {}
    for row in run.json()["checks"]:
        found.setdefault(row["check"], []).append(row)
    return found


def sources(agent, text):
    path = agent.tree / "etc/apt/sources.list"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.fixture
def web():
    server = Server(lambda method, path, *_: (200, "fine"))
    yield server
    server.close()


@pytest.fixture
def s3(on_ec2):
    """S3 as far as it is asked: bucket `open` has k and lists, `shut` denies, `gone` is not there."""

    def answer(method, path, headers, body):
        bucket = path.lstrip("/").split("/")[0].split("?")[0]
        if bucket == "shut":
            return 403, XML.format("AccessDenied", "no")
        if bucket == "gone" or path.endswith("/absent"):
            return 404, XML.format("NoSuchBucket" if bucket == "gone" else "NoSuchKey", "not here")
        return 200, "<ListBucketResult><KeyCount>0</KeyCount></ListBucketResult>" if method == "GET" else "x"

    server = Server(answer)
    on_ec2.env["AWS_ENDPOINT_URL_S3"] = server.url
    yield server
    server.close()


def test_all_is_well(on_ec2, world, s3, web):
    on_ec2.env["PIP_INDEX_URL"] = f"{web.url}/simple"
    sources(on_ec2, f"# deb http://commented.invalid/ x y\ndeb [arch=amd64 signed-by=/k] {web.url}/debian bookworm main\n")
    recipe = on_ec2.recipe("steps:\n  - packages: [git]\n  - python: {venv: /v, packages: [tabulate]}\n"
                           "  - download: {url: 's3://open/k', to: /k}\n")
    before = tree_hash(on_ec2.tree)
    run = on_ec2.run("doctor", recipe, "--json", code=None, env={"DSAGENT_NOW": str(int(time.time()))})
    found = rows(run)
    assert list(found) == ["recipe", "metadata", "clock", "disk", "memory", "locks", "systemd", "credentials", "tags", "egress", "s3", "gpu"]
    assert found["metadata"][0]["text"].startswith("i-0abc123def4567890")
    assert found["tags"] == [{"check": "tags", "status": "ok", "text": "this role may set tags on this instance", "remedy": None}]
    assert [r["text"] for r in found["egress"]] == [f"{web.url} answers"] * len(found["egress"])
    assert found["s3"][0]["text"] == "s3://open/k can be read"
    assert world.tags() == {} and tree_hash(on_ec2.tree) == before
    assert run.seconds < 10


def test_what_is_denied_has_its_remedy(on_ec2, world, s3):
    world.faults("CreateTags status=403 code=UnauthorizedOperation")
    recipe = on_ec2.recipe("steps:\n  - download: {url: 's3://shut/k', to: /k}\n  - download: {url: 's3://open/absent', to: /b}\n"
                           "  - {optional: true, download: {url: 's3://gone/k', to: /c}}\n")
    found = rows(on_ec2.run("doctor", recipe, "--json", code=1))
    assert [(r["status"], r["text"].split(":")[0] + ":" + r["text"].split(":")[1].split(" ")[0]) for r in found["s3"]] == [
        ("fail", "s3://shut/k"), ("fail", "s3://open/absent"), ("warn", "s3://gone/k")]
    assert "s3:GetObject" in found["s3"][0]["text"] and "policy" in found["s3"][0]["remedy"]
    assert found["tags"][0]["status"] == "warn" and "ec2:CreateTags" in found["tags"][0]["text"]
    table = on_ec2.run("doctor", recipe, code=1).out
    assert re.search(r"^fail  s3 +s3://shut/k.*\n +-> allow it in the policy", table, re.M), table


def test_names_that_cannot_be_resolved_and_ways_that_are_shut(agent):
    sources(agent, "deb http://no-such-host.invalid/debian x main\ndeb http://127.0.0.1:9/debian x main\n")
    found = rows(agent.run("doctor", "--json"))
    assert found["dns"][0]["status"] == "warn" and "no-such-host.invalid" in found["dns"][0]["text"]
    assert found["egress"][0]["status"] == "warn" and "127.0.0.1" in found["egress"][0]["text"]
    recipe = agent.recipe("steps: [{packages: [git]}]\n")
    assert rows(agent.run("doctor", recipe, "--json", code=1))["dns"][0]["status"] == "fail"
    # Behind a proxy it is the proxy that resolves.
    assert "dns" not in rows(agent.run("doctor", "--json", env={"http_proxy": "http://127.0.0.1:9"}))


def test_deb822_and_dnf_sources(agent, web):
    folder = agent.tree / "etc/apt/sources.list.d"
    folder.mkdir(parents=True)
    (folder / "debian.sources").write_text(f"Types: deb\nURIs: {web.url}/debian http://two.invalid\nSuites: x\n")
    found = rows(agent.run("doctor", "--json"))
    assert len(found["egress"]) == 1 and len(found["dns"]) == 1
    stubs = Stubs(agent, ())
    stubs.amazon_linux()
    folder = agent.tree / "etc/yum.repos.d"
    folder.mkdir(parents=True)
    (folder / "al.repo").write_text(f"[a]\nmirrorlist=https://cdn.$awsregion.invalid/m\nbaseurl={web.url}/x\n#baseurl=http://no.invalid\n")
    found = rows(agent.run("doctor", "--json"))
    assert len(found["egress"]) == 1 and "dns" not in found


def test_a_server_that_hangs_costs_five_seconds(agent):
    server = Server(lambda *_: None)
    sources(agent, f"deb {server.url}/debian x main\n")
    run = agent.run("doctor", "--json")
    assert run.seconds < 15 and rows(run)["egress"][0]["status"] == "warn"
    server.close()


def test_the_clock_is_compared_with_servers(agent, web):
    sources(agent, f"deb {web.url}/debian x main\n")
    now = int(time.time())
    ahead = rows(agent.run("doctor", "--json", code=1, env={"DSAGENT_NOW": str(now + 3600)}))["clock"][-1]
    assert ahead["status"] == "fail" and re.search(r"\d+ s ahead of", ahead["text"]) and "5 minutes" in ahead["remedy"]
    behind = rows(agent.run("doctor", "--json", env={"DSAGENT_NOW": str(now - 200)}))["clock"][-1]
    assert behind["status"] == "warn" and re.search(r"\d+ s behind", behind["text"])


def test_who_holds_the_lock(agent):
    holder = hold_lock(agent.tree / "var/lib/dpkg/lock-frontend", "unattended-upgr", 60)
    row = rows(agent.run("doctor", "--json"))["locks"][0]
    assert row["status"] == "warn" and f"unattended-upgr (pid {holder.pid})" in row["text"]
    holder.kill()
    holder.wait()


def test_what_the_recipe_takes_is_compared_with_what_is_there(agent):
    recipe = agent.recipe("steps: [{python: {venv: /v, packages: [torch]}}]\n")
    found = rows(agent.run("doctor", recipe, "--json", code=None))
    assert found["disk"][0]["status"] in ("ok", "warn") and "free on /" in found["disk"][0]["text"]


def test_recipes_of_the_machine_are_looked_at_and_their_errors_named(agent):
    folder = agent.tree / "etc/dsagent/recipes.d"
    folder.mkdir(parents=True)
    (folder / "a.yaml").write_text("recipe: a\nsteps: [{run: 'true'}]\n")
    assert rows(agent.run("doctor", "--json"))["recipe"][0]["text"] == "a, 1 step"
    (folder / "a.yaml").write_text("recipe: a\nstepz: []\n")
    row = rows(agent.run("doctor", "--json", code=1))["recipe"][0]
    assert "a.yaml:2:1: unknown key 'stepz'" in row["text"]
    agent.run("doctor", agent.recipe("stepz: []\n"), code=2)


def test_metadata_that_hangs(on_ec2, world):
    world.faults("token stall")
    run = on_ec2.run("doctor", "--json", code=1)
    row = rows(run)["metadata"][0]
    assert row["status"] == "fail" and "hop" in row["text"] + row["remedy"] and run.seconds < 15


def test_metadata_that_is_off(on_ec2, world):
    world.config("metadata=off")
    row = rows(on_ec2.run("doctor", "--json", code=1))["metadata"][0]
    assert row["status"] == "fail" and "hop-limit" in row["remedy"]


# What `apply` asks first.

FIRST = "  - file: {path: /etc/first, content: x}\n"


@pytest.mark.parametrize("url, says", [("s3://shut/k", "s3:GetObject"), ("s3://open/absent", "is not there"), ("s3://gone/k", "is not there")])
def test_a_step_that_must_fail_fails_first(on_ec2, s3, url, says):
    run = on_ec2.apply(f"steps:\n{FIRST}  - {{id: data, download: {{url: '{url}', to: /k}}}}\n", code=1)
    status = on_ec2.status()
    assert status["status"] == "failed" and status["error"].startswith("step 2 'data' failed: ") and says in status["error"]
    assert status["error"].endswith("(found before anything was changed)")
    assert [s["status"] for s in status["steps"]] == ["skipped", "failed"]
    assert not (on_ec2.tree / "etc/first").exists() and run.seconds < 15
    assert run.text.count("found before") >= 1


@pytest.mark.parametrize("keys", ["optional: true, ", "background: true, ", "on_error: continue, "])
def test_what_need_not_succeed_is_no_reason(on_ec2, s3, keys):
    on_ec2.apply(f"steps:\n{FIRST}  - {{id: data, retries: 0, {keys}download: {{url: 's3://shut/k', to: /k}}}}\n", code=None)
    assert (on_ec2.tree / "etc/first").exists()


def test_what_a_command_may_change_is_no_reason(on_ec2, s3):
    on_ec2.apply("steps:\n  - {id: put, run: 'touch done'}\n  - {id: data, download: {url: 's3://open/absent', to: /k}}\n", code=1)
    assert on_ec2.step_status("put") == "changed"


def test_the_step_itself_may_be_the_first_with_work(on_ec2, s3):
    on_ec2.apply("steps:\n  - {id: data, download: {url: 's3://shut/k', to: /k}}\n" + FIRST, code=1)
    assert [s["status"] for s in on_ec2.status()["steps"]] == ["failed", "skipped"]
    assert "found before anything was changed" in on_ec2.status()["error"]


def test_nothing_missing_asks_nobody(on_ec2, s3):
    text = f"steps:\n{FIRST}  - {{id: data, creates: /k, download: {{url: 's3://shut/k', to: /k}}}}\n"
    (on_ec2.tree / "k").write_text("x")
    on_ec2.apply(text)
    assert (on_ec2.tree / "etc/first").exists()
    asked = len(s3.requests)
    on_ec2.apply(text)
    assert len(s3.requests) == asked


def test_an_s3_that_is_ill_or_away_is_no_reason(on_ec2):
    on_ec2.env["AWS_ENDPOINT_URL_S3"] = "http://127.0.0.1:9"
    on_ec2.apply(f"steps:\n{FIRST}  - {{optional: false, retries: 0, timeout: 5s, download: {{url: 's3://open/k', to: /k}}}}\n", code=1)
    assert (on_ec2.tree / "etc/first").exists()


def test_dead_names_of_repositories(agent):
    stubs = Stubs(agent, ("git",))
    sources(agent, "deb http://no-such-host.invalid/debian x main\n")
    text = f"steps:\n{FIRST}  - {{id: tools, packages: [git]}}\n"
    agent.apply(text, code=1)
    assert "no-such-host.invalid cannot be resolved" in agent.status()["error"] and not (agent.tree / "etc/first").exists()
    # One that can be, a proxy, or packages that lie on the disk: then apt is asked.
    agent.apply(text, env={"http_proxy": "http://127.0.0.1:9"})
    assert stubs.installed() == ["git"]
    agent.apply(text)


@pytest.mark.parametrize("what", ["cache", "second source"])
def test_packages_that_may_be_had_all_the_same(agent, what):
    stubs = Stubs(agent, ("git",))
    sources(agent, "deb http://no-such-host.invalid/debian x main\n" + ("deb http://localhost/x y z\n" if what != "cache" else ""))
    if what == "cache":
        cache = agent.tree / "var/cache/apt/archives"
        cache.mkdir(parents=True)
        (cache / "git_1_amd64.deb").write_text("x")
    agent.apply("steps: [{packages: [git]}]\n")
    assert stubs.installed() == ["git"]
