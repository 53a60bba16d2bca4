"""An image that was baked, with and without `dsagent clean --image`: what a new instance id means."""

import pytest

from harness import http

RECIPE = """recipe: team
steps:
  - {{id: once, run: 'echo once >> {work}/ran'}}
  - {{id: each, frequency: instance, run: 'echo each >> {work}/ran'}}
  - {{id: motd, file: {{path: /etc/motd, content: hello}}}}
"""
NEW = "i-0fedcba9876543210"


@pytest.fixture
def baked(on_ec2, world):
    """The machine that becomes an image, with the recipe of its own user-data, and what of it a snapshot holds: no /run."""
    folder = on_ec2.tree / "etc/dsagent/recipes.d"
    folder.mkdir(parents=True)
    (folder / "10-team.yaml").write_text(RECIPE.format(work=on_ec2.work))

    def launch(clean):
        on_ec2.run("apply", "--boot")
        assert ran(on_ec2) == ["once", "each"]
        if clean:
            on_ec2.run("clean", "--image")
        for path in (on_ec2.tree / "run/dsagent").iterdir():
            path.unlink()
        world.metadata(f"meta-data/instance-id {NEW}")  # it takes no tags for another one
        assert http("DELETE", f"{world.url}/_world/tags")[0] == 200
        on_ec2.run("apply", "--boot")
        return on_ec2

    return launch


def ran(agent):
    return (agent.work / "ran").read_text().split()


@pytest.mark.parametrize("clean", [False, True], ids=["as it was", "clean --image"])
def test_a_new_instance_is_known_as_one(baked, world, clean):
    """What was done once per content or instance is done here too; what the disk has is left alone; the tags are its own."""
    agent = baked(clean)
    assert ran(agent) == ["once", "each", "once", "each"]
    assert [agent.step_status(s) for s in ("once", "each", "motd")] == ["changed", "changed", "ok"]
    assert world.tags()["dsagent:status"] == "ready"
    # Without it, what the machine did that the image was made of is still told as this one's past.
    assert len(list((agent.state_dir / "runs").iterdir())) == (1 if clean else 2)


def test_the_same_instance_does_it_once(on_ec2):
    recipe = on_ec2.recipe(RECIPE.format(work=on_ec2.work))
    on_ec2.run("apply", recipe)
    on_ec2.run("apply", recipe)
    assert ran(on_ec2) == ["once", "each"]
