"""The live view in a real terminal (tmux): whole screens at several sizes, resized, stopped, without colour, dumb."""

import json
import os
import re

import pytest

from harness import is_alive, wait_until
from screen import TMUX, Screen

pytestmark = pytest.mark.skipif(not TMUX, reason="tmux is not installed: apt-get install tmux")

# Each step goes on when its file is there, so that every screen stands still while it is read.
RECIPE = """\
recipe: box
steps:
  - {name: Build tools, run: 'echo installing git; while [ ! -e WORK/tools ]; do sleep 0.05; done'}
  - {name: Python 3.11, needs: [build-tools], run: 'echo loading numpy, one of many; while [ ! -e WORK/python ]; do sleep 0.05; done'}
  - {name: JupyterLab, needs: [python-3-11], run: 'true'}
  - {name: 数据 é̂, needs: [build-tools], run: 'echo 安装 r-base and some more words that are cut; while [ ! -e WORK/r ]; do sleep 0.05; done; echo the reason >&2; exit 3', optional: true}
  - {name: Data, needs: [], background: true, run: 'echo copying; while [ ! -e WORK/data ]; do sleep 0.05; done'}
"""


@pytest.fixture
def box(agent):
    """start(columns, rows) → a screen with the run on it; go(name) lets a step end."""
    agent.env["TERM"] = "screen"
    screens = []

    def start(columns=80, rows=24, recipe=RECIPE, args=("apply",), env=None, with_recipe=True):
        command = agent.argv(*args, *([agent.recipe(recipe.replace("WORK", str(agent.work)))] if with_recipe else []))
        screens.append(Screen(agent.folder, command, columns, rows, {**agent.env, **(env or {})}))
        return screens[-1]

    start.agent = agent
    start.go = lambda name: (agent.work / name).touch()
    yield start
    for screen in screens:
        screen.close()
    for name in ("tools", "python", "r", "data"):  # a run outlives its terminal
        start.go(name)


def still(text):
    """A screen without what moves by itself (spinner, durations) or differs from run to run (hash, run id, commands)."""
    text = re.sub(r"^[⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏]", "*", text, flags=re.M)
    text = re.sub(r"box@[0-9a-f]{5}\n?[0-9a-f]{3}", lambda m: "box@HASH" + "\n" * m.group().count("\n"), text)
    text = re.sub(r"\d{8}-\d{6}-[0-9a-f]{4}", "RUN", text)
    text = re.sub(r"run: .*", "run: …", text)
    text = re.sub(r"\b\d+(\.\d+)? (ms|s)\b", "N s", text)
    return re.sub(r"^(✓ .*? N s).*", r"\1", text, flags=re.M)


def both_at_work(text):
    at_work = re.findall("^[⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏] (├─ Python|└─ 数|Data)", text, re.M)
    has_begun = not re.search("^[^✓].*( run:| looki)", text, re.M)  # each has said its first words
    return len(at_work) == 3 and has_begun and "1/5" in text and "安" in text and "copying" in text


AT_WORK = {
    120: """\
dsagent 0.1.0: box@HASH, 5 steps
✓ Build tools  N s
* ├─ Python 3.11  loading numpy, one of many  N s
· │  JupyterLab  after Python 3.11
* └─ 数据 é̂  安装 r-base and some more words that are cut  N s
* Data (background)  copying  N s
  1/5 20%  N s
""",
    80: """\
dsagent 0.1.0: box@HASH, 5 steps
✓ Build tools  N s
* ├─ Python 3.11  loading numpy, one of many  N s
· │  JupyterLab  after Python 3.11
* └─ 数据 é̂  安装 r-base and some more words that are cut  N s
* Data (background)  copying  N s
  1/5 20%  N s
""",
    40: """\
dsagent 0.1.0: box@HASH, 5 steps
✓ Build tools  N s
* ├─ Python 3.11  loading numpy, o  N s
· │  JupyterLab  after Python 3.11
* └─ 数据 é̂  安装 r-base and some  N s
* Data  copying  N s
  1/5 20%  N s
""",
    24: """\
dsagent 0.1.0: box@HASH
, 5 steps
✓ Build tools  N s
* ├─ Python 3.11  N s
· │  JupyterLab  after
* └─ 数据 é̂  安装  N s
* Data  copying  N s
  1/5 20%  N s
""",
}

def on_one_digit(text):
    """Durations of the steps at work are all of one digit: whole screens are compared."""
    return both_at_work(text) and not re.search(r"\d\d s", text)


@pytest.mark.parametrize("columns", [120, 80, 40, 24])
def test_a_run_at_every_width(box, columns):
    screen = box(columns)
    screen.wait_for("Build tools", "0/5")
    box.go("tools")
    assert still(screen.wait(on_one_digit)) == AT_WORK[columns]
    box.go("r")
    screen.wait_for("log: /var", "! └─")
    for name in ("python", "data"):
        box.go(name)
    assert screen.exit_code() == 0
    text = still(screen.history())
    assert "✓ │  JupyterLab" in text and "✓ Data" in text and "ready with warnings in N s" in " ".join(text.split())
    assert "the reason" in text and "log: /var" in text
    assert not re.search("[⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏]", text) and "after " not in text, "nothing that moved is left"
    assert text.count("JupyterLab") == 1 and text.count("  1/5") == 0
    assert max(len(line) for line in text.splitlines()) <= columns


PICTURE = ["✓ Build tools  N s", "* ├─ Python 3.11", "· │  JupyterLab  after", "* └─ 数据 é̂  安", "* Data", "  1/5 20%  N s"]


def test_resizing(box):
    screen = box(100, 30)
    screen.wait_for("Build tools", "0/5")
    box.go("tools")
    screen.wait(both_at_work)
    for columns, rows in ((60, 20), (30, 20), (110, 30), (45, 12), (80, 24)):
        screen.resize(columns, rows)

        def is_whole(text):
            """The last lines are the picture, made for this width, once. tmux itself may have moved older rows into its history."""
            lines = still(text).splitlines()[-6:]
            wide = max(len(line) for line in text.splitlines()[-6:])
            return (len(lines) == 6 and all(line.startswith(start) for line, start in zip(lines, PICTURE))
                    and ("(background)" in lines[4]) == (columns > 60) and columns - 45 < wide < columns)
        screen.wait(is_whole)
    box.go("r"), box.go("python"), box.go("data")
    assert screen.exit_code() == 0
    assert screen.text().count("JupyterLab") == 1


def test_more_steps_than_rows(box):
    recipe = "recipe: box\nsteps:\n" + "".join(
        f"  - {{name: Step {n}, needs: [], run: 'while [ ! -e WORK/s{n % 4} ]; do sleep 0.05; done'}}\n" for n in range(30))
    screen = box(60, 12, recipe)
    text = screen.wait_for("Step 0 ", "Step 3 ", "and 22 more")
    assert len(text.splitlines()) <= 12 and text.count("waits for its turn") == 4
    for n in range(4):
        box.go(f"s{n}")
    assert screen.exit_code() == 0
    text = screen.history()
    for n in range(30):
        assert len(re.findall(rf"^✓ Step {n}  ", text, re.M)) == 1, f"step {n} stands there once"
    assert "ready in" in text


def test_ctrl_c_asks_and_goes_on(box):
    screen = box()
    screen.wait_for("Build tools")
    box.go("tools")
    screen.wait(both_at_work)
    screen.keys("C-c")
    screen.wait_for("stop? Ctrl-C again, or y, ends it cleanly; n, or 5 s, and it goes on")
    screen.keys("n")
    screen.wait(lambda t: "stop?" not in t and both_at_work(t))
    screen.keys("C-c")
    screen.wait_for("stop?")
    screen.wait(lambda t: "stop?" not in t)  # 5 s later
    box.go("r"), box.go("python"), box.go("data")
    assert screen.exit_code() == 0
    assert box.agent.status()["status"] == "ready-with-warnings"


@pytest.mark.parametrize("answer", ["y", "C-c"])
def test_ctrl_c_and_yes_ends_it_cleanly(box, answer):
    screen = box()
    screen.wait_for("Build tools")
    pid = box.agent.status()["pid"]
    screen.keys("C-c")
    screen.wait_for("stop?")
    assert box.agent.status()["status"] == "running"
    screen.keys(answer)
    assert screen.exit_code() == 130
    text = screen.text()
    assert "stop?" not in text and "interrupted: " in text and "sudo dsagent apply" in text and "Build tools  interrupted" in text
    status = box.agent.status_now()
    assert status["status"] == "interrupted" and not is_alive(pid)
    for path in box.agent.tree.rglob("*.json"):
        json.loads(path.read_text())
    assert not list(box.agent.tree.rglob(".dsagent-*")), "nothing half-written"
    screen.keys("typed", "Space", "afterwards")
    screen.wait_for("typed afterwards"), "the terminal echoes again"


def test_ctrl_c_without_a_terminal_stops_at_once(box):
    agent = box.agent
    process = agent.start("apply", agent.recipe(RECIPE.replace("WORK", str(agent.work))))
    wait_until(lambda: agent.status_path.exists() and agent.status()["steps"][0]["status"] == "running")
    process.send_signal(2)
    assert process.wait(30) == 130 and agent.status_now()["status"] == "interrupted"


def test_no_color(box):
    screen = box()
    screen.wait_for("Build tools")
    assert "\x1b[36m" in screen.text(colors=True)
    plain = box(env={"NO_COLOR": "1"}, args=("status", "--follow"), with_recipe=False)
    plain.wait(lambda text: re.match("^[⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏] Build tools", text))
    assert "\x1b" not in plain.text(colors=True)


def test_dumb(box):
    for name in ("tools", "r", "python", "data"):
        box.go(name)
    screen = box(env={"TERM": "dumb"})
    assert screen.exit_code() == 0
    text = still(screen.history())
    assert "[1/5] Build tools: started" in text and "[3/5] JupyterLab: changed in N s" in text
    assert "\x1b" not in screen.tmux("capture-pane", "-p", "-e") and "├" not in text


def test_follow_shows_what_apply_shows(box):
    screen = box()
    screen.wait_for("Build tools")
    follower = box(100, 20, args=("status", "--follow"), with_recipe=False)
    follower.wait_for("Build tools", "├─ Python 3.11  after Build tools", "0/5 0%")
    box.go("tools")
    screen.wait(both_at_work)
    text = follower.wait(both_at_work)
    assert "│  JupyterLab  after Python 3.11" in text
    box.go("r"), box.go("python"), box.go("data")
    assert screen.exit_code() == 0 and follower.exit_code() == 0
    text = follower.text()
    assert "  4  ! 数据 é̂" in text and "ready with warnings" in text and "├─" not in text


def test_follow_on_a_pipe_says_each_thing_once(box):
    agent = box.agent
    process = agent.start("apply", agent.recipe(RECIPE.replace("WORK", str(agent.work))))
    wait_until(lambda: agent.status_path.exists() and agent.status()["steps"][0]["status"] == "running")
    follower = agent.start("status", "--follow")
    wait_until(lambda: "[1/5] Build tools: started" in follower.log.read_text())
    for name in ("tools", "r", "python", "data"):
        box.go(name)
    assert process.wait(30) == 0 and follower.wait(30) == 0
    text = follower.log.read_text()
    assert text.count("Build tools: changed in") == 1 and text.count("box@") == 1 and "\x1b" not in text
    assert text.rstrip().splitlines()[-1].startswith("    log: ")


RUDE = r"""\
recipe: box
steps:
  - {name: Rude, run: 'printf "\033[2J\033[1;1Hgotcha\007\n\033]0;title\007\n\302\233\n\000\377\376 bytes\n\342\200\256evil\n"; while [ ! -e WORK/tools ]; do sleep 0.05; done; exit 1'}
"""


def test_output_cannot_play_with_the_terminal(box):
    screen = box(recipe=RUDE.lstrip("\\\n"))
    text = screen.wait_for("Rude  gotcha")
    box.go("tools")
    assert screen.exit_code() == 1
    text = screen.text()
    assert text.startswith("dsagent 0.1.0: box@") and "    | gotcha\n" in text and "| ??? bytes" in text.replace("| ?? bytes", "| ??? bytes")
    assert screen.tmux("display-message", "-p", "#{pane_title}").strip() != "title"
