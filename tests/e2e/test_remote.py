"""Who is told of a run beside the tags: a webhook (nginx), a CloudFormation stack; and the configuration that says so."""

import re
import subprocess
import urllib.parse

import pytest

from harness import Agent, wait_until
from receivers import Nginx, Server, free_port

OK = "recipe: told\nsteps:\n  - {name: One, run: 'true'}\n  - {name: Two, run: 'true'}\n"
BAD = "recipe: told\nsteps:\n  - {name: One, run: 'echo no luck >&2; exit 1'}\n"


@pytest.fixture
def nginx(tmp_path):
    n = Nginx(tmp_path / "nginx")
    yield n
    n.stop()


def configure(agent, text):
    path = agent.tree / "etc/dsagent/dsagent.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def hook(nginx, more=""):
    return f"webhook:\n  url: {nginx.url}?key=topsecretkey\n  headers: {{Authorization: Bearer hook-token-123}}\n{more}"


def last(nginx, status, seconds=90):
    wait_until(lambda: nginx.states()[-1:] == [status], seconds, f"the state {status}: {nginx.posts()}")
    return nginx.posts()[-1][2]


def test_every_state_is_posted(on_ec2, world, nginx):
    nginx.start()
    configure(on_ec2, hook(nginx))
    on_ec2.apply("recipe: told\nsteps:\n  - {name: One, run: 'sleep 1'}\n  - {name: Late, background: true, run: 'sleep 1'}\n")
    body = last(nginx, "ready")
    wait_until(lambda: nginx.posts()[-1][2]["ended_at"], 30, "the end")
    assert nginx.states()[0] == "running"
    assert {auth for _, auth, _ in nginx.posts()} == {"Bearer hook-token-123"}
    assert body["instance_id"] == "i-0abc123def4567890" and re.fullmatch("told@[0-9a-f]{8}", body["recipe"])
    own = on_ec2.status()
    body = nginx.posts()[-1][2]
    assert {k: v for k, v in own.items() if k not in ("steps", "pid")} == {
        k: v for k, v in body.items() if k not in ("instance_id", "hostname")}
    on_ec2.apply(BAD, code=1)
    assert last(nginx, "failed")["error"].startswith("step 1 'One' failed: ")
    assert world.tags()["dsagent:status"] == "failed"
    for secret in (b"hook-token-123", b"topsecretkey", b"s3cr3tpath"):
        assert secret not in on_ec2.everything().replace((on_ec2.tree / "etc/dsagent/dsagent.yaml").read_bytes(), b"")


def test_off_ec2_it_is_told_too(agent, nginx):
    nginx.start()
    configure(agent, hook(nginx))
    agent.apply(OK)
    body = last(nginx, "ready")
    assert body["instance_id"] is None and body["hostname"]


def test_a_receiver_that_is_ill_for_a_while(on_ec2, world, nginx):
    nginx.start("return 503;")
    configure(on_ec2, hook(nginx))
    assert on_ec2.apply(OK).seconds < 20
    assert nginx.states() == [] and len(nginx.posts()) >= 1
    nginx.answers("return 200 fine;")
    assert last(nginx, "ready")["progress"] == "2/2 100% ready"


def test_a_receiver_that_comes_late(on_ec2, world, nginx):
    configure(on_ec2, hook(nginx))
    assert on_ec2.apply(OK).seconds < 20
    nginx.start()
    last(nginx, "ready")


def test_a_receiver_that_hangs_holds_nothing_up(on_ec2, world, nginx):
    server = Server(lambda *request: None)
    configure(on_ec2, f"webhook: {{url: '{server.url}/x', timeout: 2s}}\n")
    run = on_ec2.apply(OK)
    assert run.seconds < 25
    wait_until(lambda: world.tags().get("dsagent:status") == "ready", 60, "the tags")
    server.close()


def test_a_wrong_address_is_one_warning_without_its_secrets(on_ec2, nginx):
    nginx.start("return 404;")
    configure(on_ec2, hook(nginx))
    run = on_ec2.apply(OK)
    warnings = [line for line in run.text.splitlines() if "webhook" in line]
    assert warnings == ["dsagent: warning: no webhook from here on, the work goes on: HTTP 404"], run
    assert len(nginx.posts()) == 1


def test_a_host_that_is_not_there_is_named_without_the_path(on_ec2, tmp_path):
    configure(on_ec2, "webhook: {url: 'http://user:passw0rd@no-such-host.invalid/hooks/s3cr3tpath?key=topsecretkey'}\n")
    run = on_ec2.apply(OK, env={"DSAGENT_DEBUG": "1"})
    for secret in ("passw0rd", "s3cr3tpath", "topsecretkey"):
        assert secret not in run.text


@pytest.mark.parametrize("text, place", [
    ("webhok: {url: 'https://x'}\n", r"dsagent.yaml:1:1: unknown key 'webhok'; did you mean 'webhook'\?"),
    ("tags: maybe\n", r"dsagent.yaml:1:7: 'tags' must be true or false"),
    ("webhook: {url: 'ftp://x/'}\n", r"dsagent.yaml:1:16: 'url' begins with https:// or http://"),
    ("webhook: {timeout: 2s}\n", r"dsagent.yaml:1:10: missing key 'url'"),
    ("webhook: {url: 'https://x/', timeout: 2m}\n", r"dsagent.yaml:1:\d+: 'timeout' is more than 0 and at most 1m"),
    ("bundle: {to: /tmp}\n", r"dsagent.yaml:1:14: 'to' is s3://bucket/prefix/"),
    ("cloudformation: {stack: s}\n", r"dsagent.yaml:1:17: missing key 'resource'"),
    (": [", r"dsagent.yaml:1:"),
])
def test_a_broken_configuration_is_said_and_breaks_nothing(on_ec2, world, text, place):
    configure(on_ec2, text)
    run = on_ec2.apply(OK)
    assert re.search(place, run.err), run
    assert "the work goes on" in run.err
    wait_until(lambda: world.tags().get("dsagent:status") == "ready", 30, "the tags")
    checks = on_ec2.run("doctor", "--json", code=1, timeout=60).json()["checks"]
    assert any(c["check"] == "config" and c["status"] == "fail" and re.search(place, c["text"]) for c in checks), checks


def test_the_configuration_may_lie_elsewhere_and_turn_tags_off(on_ec2, world, tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text("tags: off\n")
    on_ec2.apply(OK, env={"DSAGENT_CONFIG": str(path)})
    assert world.counters()["CreateTags"] == 0
    run = on_ec2.apply(OK, env={"DSAGENT_CONFIG": str(tmp_path / "absent")})
    assert "absent" in run.err


def test_the_configuration_has_a_schema(agent):
    schema = agent.run("schema", "--config").json()["anyOf"][0]
    assert set(schema["properties"]) == {"tags", "webhook", "cloudformation", "bundle"}
    assert schema["properties"]["webhook"]["anyOf"][0]["required"] == ["url"] and schema["additionalProperties"] is False


def test_a_refused_recipe_at_boot_is_told_too(on_ec2, world, nginx):
    nginx.start()
    configure(on_ec2, hook(nginx))
    on_ec2.run("apply", "--boot", on_ec2.recipe("stepz: []\n"), code=2)
    body = last(nginx, "failed")
    assert "unknown key 'stepz'" in body["error"] and world.tags()["dsagent:status"] == "failed"


STACK = "tags: off\ncloudformation: {stack: my-stack, resource: Box, region: eu-west-1}\n"


@pytest.fixture
def cloudformation(request, on_ec2):
    answers = getattr(request, "param", [(200, "<SignalResourceResponse><ResponseMetadata/></SignalResourceResponse>")])
    server = Server(lambda *_: answers[min(len(server.requests), len(answers)) - 1])
    on_ec2.env["AWS_ENDPOINT_URL_CLOUDFORMATION"] = server.url
    configure(on_ec2, STACK)
    yield server
    server.close()


def forms(server):
    return [dict(urllib.parse.parse_qsl(body)) for _, _, _, body in server.requests]


@pytest.mark.parametrize("recipe, status", [(OK, "SUCCESS"), (BAD, "FAILURE")])
def test_a_stack_is_signalled_once(on_ec2, cloudformation, recipe, status):
    on_ec2.apply(recipe, code=None)
    wait_until(lambda: cloudformation.requests, 30, "the signal")
    assert forms(cloudformation) == [{
        "Action": "SignalResource", "Version": "2010-05-15", "StackName": "my-stack", "LogicalResourceId": "Box",
        "UniqueId": "i-0abc123def4567890", "Status": status}]
    headers = cloudformation.requests[0][2]
    assert "/eu-west-1/cloudformation/aws4_request" in headers["Authorization"]


def test_the_signal_is_signed_as_botocore_signs(on_ec2, cloudformation):
    auth = pytest.importorskip("botocore.auth")
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials
    on_ec2.apply(OK)
    wait_until(lambda: cloudformation.requests, 30, "the signal")
    method, path, headers, body = cloudformation.requests[0]
    names = re.search(r"SignedHeaders=([^,]+)", headers["Authorization"])[1].split(";")
    lower = {k.lower(): v for k, v in headers.items()}
    request = AWSRequest(method, cloudformation.url + path, data=body.encode(), headers={n: lower[n] for n in names})
    request.context["timestamp"] = lower["x-amz-date"]
    signer = auth.SigV4Auth(Credentials("ASIAWORLDEXAMPLE0001", "worldSecret/EXAMPLE+KEY0123456789abcdef"), "cloudformation", "eu-west-1")
    text = signer.string_to_sign(request, signer.canonical_request(request))
    assert signer.signature(text, request) == re.search(r"Signature=([0-9a-f]+)", headers["Authorization"])[1]


def error(code, message):
    return f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>"


@pytest.mark.parametrize("cloudformation", [
    [(400, error("ValidationError", "Stack arn:x is in CREATE_COMPLETE state and cannot be signaled"))]], indirect=True)
def test_a_stack_that_waits_no_more_is_no_news(on_ec2, cloudformation):
    run = on_ec2.apply(OK)
    assert "loudFormation" not in run.text and len(cloudformation.requests) == 1


@pytest.mark.parametrize("cloudformation", [[(403, error("AccessDenied", "no"))]], indirect=True)
def test_a_signal_that_is_denied_is_one_warning(on_ec2, cloudformation):
    run = on_ec2.apply(OK)
    assert run.err.count("cloudformation:SignalResource for Box of my-stack (allow it in the policy") == 1, run


@pytest.mark.parametrize("cloudformation", [[(503, error("ServiceUnavailable", "later")), (400, error("Throttling", "Rate exceeded")), (200, "<x/>")]],
                         indirect=True)
def test_a_signal_is_tried_again(on_ec2, cloudformation):
    on_ec2.apply(OK)
    wait_until(lambda: len(cloudformation.requests) == 3, 60, "the third try")


def test_fifty_agents_and_one_limit(on_ec2, world, tmp_path):
    """tests/fleet's simulation with the real program: all last states arrive, though EC2 refuses most calls at first."""
    world.faults("CreateTags bucket=10 refill=5 status=503 code=RequestLimitExceeded")
    agents = []
    for n in range(50):
        agent = Agent(tmp_path / f"agent-{n}", world)
        agent.start("apply", agent.recipe(f"steps: [{{id: agent-{n}, run: 'sleep 1; exit 1'}}]\n"))
        agents.append(agent)
    heard = re.compile(r"step 1 'agent-(\d+)' failed")

    def all_heard():
        errors = [heard.search(h["tags"].get("dsagent:error", "")) for h in world.history()]
        return len({m[1] for m in errors if m}) == 50

    wait_until(all_heard, 240, "the last states of all")
    assert world.counters()["faulted"] > 20
    for agent in agents:
        agent.close()


def test_our_clock_jumps_while_tags_are_sent(on_ec2, world):
    """From the second call on the service is two hours off ours: as if our clock had been set."""
    world.faults("CreateTags after=1 skew=7200")
    on_ec2.apply("steps: [{run: 'sleep 2'}]\n")
    wait_until(lambda: world.tags().get("dsagent:status") == "ready", 60, "the tags")
    assert len(world.history()) >= 2


def test_a_full_disk_stops_no_report(on_ec2, world, nginx):
    nginx.start()
    configure(on_ec2, hook(nginx))
    (on_ec2.tree / "run").mkdir()
    recipe = on_ec2.recipe(OK)
    script = (f"mount -t tmpfs -o size=16k none {on_ec2.tree}/run && mkdir {on_ec2.tree}/run/dsagent && "
              f"(echo 1234567890 > {on_ec2.tree}/run/dsagent/lock; echo '{{\"run_id\": \"20200101-000000-0000\", \"status\": \"ready\"}}' > {on_ec2.tree}/run/dsagent/status.json; "
              f"cat /dev/zero > {on_ec2.tree}/run/full 2>/dev/null; exec \"$@\")")
    argv = ["unshare", "-m", "sh", "-c", script, "sh", *on_ec2.argv("apply", recipe)]
    done = subprocess.run(argv, env=on_ec2.env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "the report of this run has gaps from here on" in done.stderr, done
    wait_until(lambda: world.tags().get("dsagent:status") == "ready", 60, "the tags")
    last(nginx, "ready")
