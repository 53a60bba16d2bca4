"""Every line that `apply --json` prints and events.jsonl keeps is of the documented shape, version 1."""

import http.server
import json
import pathlib
import signal
import threading
import time

import jsonschema

import story
from harness import wait_until
from stubs import Stubs, hold_lock

SCHEMA = json.loads((pathlib.Path(__file__).parent / "events.schema.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)

ALL_OF_IT = """\
recipe: everything
steps:
  - {name: Tools, packages: [git, make]}
  - {name: File, file: {path: /etc/made, content: "one\\ntwo\\n"}}
  - {name: Talk, run: 'printf "\\\\033[31mred\\\\n\\\\000\\\\377\\\\n"; echo héllo'}
  - {name: Flaky, run: 'test -e MARK || { touch MARK; exit 7; }', retries: 1, retry_delay: 0s}
  - {name: Optional, run: 'echo why >&2; exit 3', optional: true}
  - {name: Never, run: 'true', when: facts.cpus < 0}
  - {name: Slow, needs: [], background: true, run: 'sleep 0.3'}
  - {name: Bad, run: 'exit 1', on_error: continue}
  - {name: After, needs: [bad], run: 'true'}
"""


def check(lines):
    for line in lines:
        errors = sorted(VALIDATOR.iter_errors(line), key=lambda e: e.path)
        assert not errors, (line, [e.message for e in errors][:3], jsonschema.exceptions.best_match(errors).message)


def test_the_schema_can_fail():
    VALIDATOR.check_schema(SCHEMA)
    good = {"type": "warning", "at": "2026-11-20T14:10:00Z", "at_ms": 5, "since_ms": 0, "text": "x"}
    check([good])
    for change in ({"type": "surprise"}, {"at": "yesterday"}, {"at_ms": "5"}, {"more": 1}, {"text": None}, {"since_ms": -1}):
        assert list(VALIDATOR.iter_errors({**good, **change})), change
    assert list(VALIDATOR.iter_errors({k: v for k, v in good.items() if k != "text"}))


def test_a_run_with_everything_in_it(agent):
    stubs = Stubs(agent)
    holder = hold_lock(agent.tree / "var/lib/dpkg/lock-frontend", "unattended-upgr", seconds=3)
    run = agent.apply(ALL_OF_IT.replace("MARK", str(agent.work / "mark")), "--json", code=1, timeout=120)
    holder.wait()
    lines = run.lines()
    check(lines)
    check(agent.events())
    kinds = {line["type"] for line in lines}
    assert kinds == set(SCHEMA["properties"]["type"]["enum"]) - {"run-ready", "warning"}, kinds
    assert {line["step_status"] for line in lines if line["type"] == "step-ended"} >= {"changed", "failed", "warned", "skipped"}
    assert stubs.installed() and run.err == ""
    since = [line["since_ms"] for line in lines]
    assert since == sorted(since), "one clock, never set"
    again = agent.run("apply", agent.recipe(ALL_OF_IT.replace("MARK", str(agent.work / "mark"))), "--json", code=1)
    check(again.lines())


def test_ready_warning_and_interrupted(agent):
    go = agent.work / "go"
    process = agent.start("apply", "--json", agent.recipe(
        f"recipe: box\nsteps:\n  - {{name: Fast, run: 'true'}}\n  - {{name: Slow, needs: [], background: true, run: 'while [ ! -e {go} ]; do sleep 0.05; done'}}\n"))
    wait_until(lambda: '"run-ready"' in process.log.read_text())
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 143
    lines = [json.loads(line) for line in process.log.read_text().splitlines()]
    check(lines)
    assert {"run-ready", "warning"} <= {line["type"] for line in lines} and lines[-1]["status"] == "interrupted"


def test_bytes_are_counted(agent):
    """A download that trickles: done, total, unit and the rate; status has the same words as the tag."""
    size = 4_000_000

    class Trickle(http.server.BaseHTTPRequestHandler):
        def log_message(self, *args):
            pass

        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", str(size))
            self.end_headers()
            for _ in range(40):
                self.wfile.write(b"x" * (size // 40))
                time.sleep(0.12)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Trickle)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/model.bin"
    digest = "0" * 64
    run = agent.apply(f"steps: [{{name: Model, download: {{url: '{url}', to: /model.bin, sha256: '{digest}'}}}}]\n", "--json", code=1)
    server.shutdown()
    check(run.lines())
    counted = [line for line in run.lines() if line.get("unit") == "bytes"]
    assert len(counted) > 5 and all(line["total"] == size and line["text"] == "downloading model.bin" for line in counted)
    done = [line["done"] for line in counted]
    assert done == sorted(done) and any(300_000 < line["bytes_per_s"] < 1_500_000 for line in counted), counted[-1]


def test_the_made_up_run_of_the_report_tests_is_of_that_shape(agent):
    run = story.gpu_box(agent)
    for line in run.lines:
        line["recipe"] = "x@00000000" if "recipe" in line else line.get("recipe")
        if line["recipe"] is None:
            del line["recipe"]
    check(run.lines)
