"""validate: every error at once with its place, nothing touched."""

import os
import random

import pytest

from harness import TOP, tree_hash

BAD = """recipe: bad
steps:
  - name: One
    packges: [git]
  - name: Two
    run: [true]
    need: [one]
  - name: Three
    run: echo
    needs: [nowhere]
  - name: Four
    file: {path: relative, content: x, mode: "9999"}
  - name: Five
    run: echo ${facts.nonsense}
  - name: Six
    run: echo
    when: facts.os ==
"""


def test_every_error_at_once_with_its_place(agent):
    path = agent.recipe(BAD, "bad.yaml")
    before = tree_hash(agent.folder)
    run = agent.run("validate", path, code=2)
    assert tree_hash(agent.folder) == before
    for line, says in ((4, "packages"), (7, "needs"), (10, "nowhere"), (12, "9999"), (14, "nonsense"), (17, "when")):
        fitting = [t for t in run.text.splitlines() if t.startswith(f"{path}:{line}:")]
        assert fitting and any(says in t for t in fitting), (line, says, run)


@pytest.mark.parametrize("text, line, says", [
    ("steps:\n  - run: a\n    run: b\n", 3, "run"),
    ("steps:\n  - run: a\n  - &x\n    run: b\n", 3, "anchor"),
    ("steps:\n  - run: a\n    creates: *x\n", 3, "alias"),
    ("steps:\n  - name: nothing to do\n", 2, "step"),
    ("steps:\n  - run: a\n    file: {path: /x}\n", 3, "file"),
    ("steps:\n  - {id: a, run: a}\n  - {id: a, run: b}\n", 3, "id"),
    ("steps:\n  - {id: a, run: a, needs: [b]}\n  - {id: b, run: b, needs: [a]}\n", 2, "a → b → a"),
    ("steps:\n  - run: a\n    timeout: fast\n", 3, "fast"),
    ("steps:\n  - run: a\n\tretries: 1\n", 3, ""),
    ("steps: 7\n", 1, "steps"),
    ("steps:\n  - run: [\n", 0, ""),
])
def test_one_error(agent, text, line, says):
    path = agent.recipe(text)
    run = agent.run("validate", path, code=2)
    assert (f"{path}:{line}:" in run.text or (line in (0, 3) and f"{path}:" in run.text)) and says in run.text, run


def test_scalars_mean_what_they_look_like(agent):
    path = agent.recipe('steps:\n  - python: {version: 3.10, venv: /opt/v}\n  - file: {path: /x, content: no, mode: 0644}\n')
    agent.run("validate", path)
    agent.apply("steps:\n  - file: {path: /x, content: no, mode: 0640}\n")
    written = agent.tree / "x"
    assert written.read_text().rstrip("\n") == "no" and oct(written.stat().st_mode & 0o7777) == "0o640"


def test_builtin_recipes_are_valid(agent):
    for path in sorted((TOP / "recipes").glob("*.yaml")):
        agent.run("validate", path.stem)


@pytest.mark.parametrize("kind", ["nul", "noise", "deep", "wide", "long", "brackets", "elf"])
def test_ten_megabytes_of_junk(agent, kind):
    noise = random.Random(7)
    data = {
        "nul": lambda: b"\0" * 10_000_000,
        "noise": lambda: noise.randbytes(10_000_000),
        "deep": lambda: b"".join(b"  " * i + b"a:\n" for i in range(2500)),
        "wide": lambda: b"steps:\n" + b"  - run: a\n" * 900_000,
        "long": lambda: b"steps: [{run: " + b"a" * 10_000_000 + b"}]\n",
        "brackets": lambda: b"[" * 10_000_000,
        "elf": lambda: agent.binary.read_bytes()[:10_000_000],
    }[kind]()
    path = agent.recipes / "junk.yaml"
    path.write_bytes(data)
    before = tree_hash(agent.folder)
    run = agent.run("validate", path, code=2, timeout=20)
    assert run.seconds < 10 and 0 < len(run.text) < 100_000, run.seconds
    assert tree_hash(agent.folder) == before


def test_what_is_no_file(agent):
    for path in (agent.recipes, agent.recipes / "absent.yaml", "/dev/zero"):
        run = agent.run("validate", path, code=2, timeout=20)
        assert str(path) in run.text


def test_from_standard_input(agent):
    agent.run("validate", "-", stdin="steps: [{run: 'true'}]\n")
    assert "nope" in agent.run("validate", "-", stdin="steps: [{nope: 1}]\n", code=2).text


def test_a_recipe_from_stdin_is_called_so(agent):
    assert agent.run("validate", "-", stdin="steps: [{run: 'true'}]\n").out == "ok: stdin, 1 step\n"


def test_an_address_is_named_once(agent):
    said = agent.run("validate", "s3://bucket/key", code=2).err
    assert said.startswith("s3://bucket/key: ") and said.count("s3://bucket/key") == 1, said
