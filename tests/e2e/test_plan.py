"""plan: the same probe as apply, nothing touched, and what it says is what apply then does."""

from harness import tree_hash

RECIPE = """recipe: plan-me
steps:
  - name: Motd
    file: {path: /etc/motd, content: "hello\\n", mode: 0644}
  - name: Folder
    file: {path: /srv/data, state: directory, mode: 0750}
  - name: Link
    file: {path: /srv/link, target: /srv/data}
  - name: Work
    run: echo done > WORK/out
    creates: WORK_IN_TREE/out
  - name: Not here
    when: facts.os == "ubuntu"
    run: exit 9
"""


def text(agent):
    return RECIPE.replace("WORK_IN_TREE", "/srv").replace("WORK", str(agent.tree / "srv"))


def test_plan_touches_nothing_and_tells_the_truth(agent):
    path = agent.recipe(text(agent))
    (agent.tree / "etc/motd").write_text("old\n")
    before = tree_hash(agent.folder)
    plan = agent.run("plan", path)
    assert tree_hash(agent.folder) == before
    assert "-old" in plan.out and "+hello" in plan.out
    agent.run("apply", path)
    told = {s["name"]: s["changes"] for s in agent.status()["steps"]}
    for name, changes in told.items():
        assert name in plan.out, name
        assert name == "Not here" or changes > 0, told
    agent.run("plan", "--detailed-exitcode", path, code=0)


def test_changes_of_plan_are_the_changes_of_apply(agent):
    path = agent.recipe(text(agent))
    (agent.tree / "etc/motd").write_text("old\n")
    plan = agent.run("plan", "--json", path).json()
    planned = {s["id"]: [c["what"] for c in s.get("changes", [])] for s in plan["steps"]}
    agent.run("apply", path)
    done = {s["id"]: [] for s in agent.status()["steps"]}
    for event in agent.events():
        if event["type"] == "step-change":
            done[event["step"]].append(event["text"])
    assert planned == done


def test_plan_with_saved_facts(agent):
    saved = agent.work / "facts.json"
    agent.run("facts", "--save", saved)
    saved.write_text(saved.read_text().replace("debian", "ubuntu"))
    path = agent.recipe('steps:\n  - {name: U, when: facts.os == "ubuntu", run: a}\n  - {name: D, when: facts.os == "debian", run: a}\n')
    run = agent.run("plan", "--json", "--facts", saved, path).json()
    assert [s["outcome"] == "skip" for s in run["steps"]] == [False, True], run


def test_no_secret_and_no_control_character_in_plan_or_names(agent):
    text = """recipe: shy
vars:
  token: {help: t, sensitive: true}
  name: {help: n}
steps:
  - {name: "say ${vars.name} ${vars.token}", run: "echo hello world this is a long line with a secret near its end ${vars.token}"}
  - {file: {path: "/etc/${vars.token}", content: "pw=${vars.token}\\n\\e[31mred"}}
"""
    path, secret = agent.recipe(text), "hunter2-is-my-token"
    args = ("--var", f"token={secret}", "--var", "name=two\nlines\x1b[31m" + "x" * 300)
    plan = agent.run("plan", path, *args)
    in_json = agent.run("plan", "--json", path, *args)
    applied = agent.run("apply", path, *args)
    status = agent.run("status")
    for said in plan.text, in_json.text, applied.text, status.text, (agent.tree / "run/dsagent/status.json").read_text():
        assert "hunter2" not in said, said
        assert "\x1b" not in said and "x" * 121 not in said, said
    assert "say two lines" in plan.text and "write /etc/***" in plan.text and "+pw=***" in plan.text
