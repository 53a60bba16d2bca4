"""`server`: every S3 there is, one after the other. `s3`: the world's S3, for faults. `Box`: dsagent with a folder."""

import pathlib

import pytest

from harness import Agent, World, tree_lines
from s3 import real_names, start_real, world_server


@pytest.fixture(scope="session")
def running(tmp_path_factory):
    """Started once for all tests, by name."""
    started = {}

    def get(name):
        if name not in started:
            folder = tmp_path_factory.mktemp(name)
            if name == "world":
                world = World(folder / "world")
                started[name] = (world_server(world), world)
            else:
                process = start_real(name, folder / "server")
                started[name] = (process.server, process)
        return started[name][0]

    yield get
    for _, process in started.values():
        process.close()


@pytest.fixture(params=["world", *real_names()])
def server(request, running):
    return running(request.param)


@pytest.fixture
def s3(world):
    return world_server(world)


class Box(Agent):
    """dsagent that speaks with one server, and a folder to sync. Its root is the box, where its state lies too."""

    def __init__(self, folder, server):
        super().__init__(folder)
        self.server, self.data, self.tree = server, folder / "data", folder
        self.env.update(server.env)

    def argv(self, *args):
        inside = lambda a: "/" + str(a.relative_to(self.folder)) if isinstance(a, pathlib.PurePath) else str(a)
        return [str(self.binary), "--root", str(self.folder), *map(inside, args)]

    def sync(self, *args, **how):
        return self.run("sync", *args, **how)

    def temporaries(self):
        """What an interrupted transfer may leave, and nobody else may see."""
        return sorted(str(p.relative_to(self.data)) for p in self.data.rglob("*") if ".dsagent." in p.name)


@pytest.fixture
def box(tmp_path, s3):
    b = Box(tmp_path / "box", s3)
    yield b
    b.close()


@pytest.fixture
def any_box(tmp_path, server):
    b = Box(tmp_path / "box", server)
    yield b
    b.close()


def made(world, *lines, bucket="bkt"):
    world.bucket(bucket)
    world.objects(bucket, *lines)


def is_equal(box, world, bucket="bkt", prefix=""):
    """The tree is the bucket's, byte by byte, and nothing else lies there."""
    return tree_lines(box.data) == world.manifest(bucket, prefix)
