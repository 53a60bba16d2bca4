"""Killed at any moment: nothing half-written lies under a final name, and the next run finishes the job.

S3_KILLS moments (ten here, `make s3-kill` a thousand), spread over the length of an undisturbed run; SIGKILL and SIGTERM
take turns. S3_KILL_SEED repeats a sequence."""

import os
import random
import shutil
import signal
import subprocess
import time

from harness import tree_lines
from s3 import files, fill

KILLS = int(os.environ.get("S3_KILLS", "10"))
SEED = int(os.environ.get("S3_KILL_SEED", "1"))
SMALL, BIG = 120, 24_000_000


def stop_after(process, seconds, turn):
    """True if it was still running. It ends within a time of its own, also by SIGTERM."""
    try:
        process.wait(seconds)
        return False
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL if turn % 2 else signal.SIGTERM)
        code = process.wait(60)
        assert code == (-signal.SIGKILL if turn % 2 else 128 + signal.SIGTERM) or code in (0, -signal.SIGTERM), code
        return True


def undisturbed(box, *args):
    began = time.monotonic()
    box.run("sync", *args, timeout=300)
    return time.monotonic() - began


def test_downloads(box, world, s3):
    world.bucket("bkt")
    world.objects("bkt", f"prefix=d/ count={SMALL} size=3000 dirs=5", f"key=big size={BIG}")
    whole = s3.objects("bkt")
    world.faults("s3 delay=5")
    length, rng, hits = undisturbed(box, "s3://bkt/", box.data), random.Random(SEED), 0
    assert files(box.data) == whole
    for turn in range(KILLS):
        shutil.rmtree(box.data)
        for again in range(rng.choice((1, 1, 3))):  # also killed while it goes on with what the last one left
            hits += stop_after(box.start("sync", "s3://bkt/", box.data), rng.uniform(0, 0.7 * length), turn)
            found = files(box.data) if box.data.exists() else {}
            partial = [p for p, body in found.items() if body is not None and whole.get(p) != body and ".dsagent." not in p]
            assert partial == [], (turn, again)
        box.sync("s3://bkt/", box.data, timeout=300)
        assert files(box.data) == whole and box.temporaries() == [], turn
    assert hits >= KILLS // 5, "the kills came too late to mean anything"


def test_uploads(box, world):
    world.bucket("bkt")
    tree = {f"d{i % 5}/{i:04}": os.urandom(3000) for i in range(SMALL)} | {"big": os.urandom(1 << 20) * 23}
    fill(box.data, tree)
    world.faults("s3 delay=5")
    length, rng, hits = undisturbed(box, box.data, "s3://bkt/"), random.Random(SEED), 0
    whole = tree_lines(box.data)
    assert world.manifest("bkt") == whole
    for turn in range(KILLS):
        world.drop_bucket("bkt")
        world.bucket("bkt")
        hits += stop_after(box.start("sync", box.data, "s3://bkt/"), rng.uniform(0, 0.7 * length), turn)
        assert set(world.manifest("bkt").splitlines()) <= set(whole.splitlines()), turn
        if turn % 2 == 0 and turn:  # ended by SIGTERM: nothing open is left that nobody would pay for
            assert world.bucket_facts("bkt")["uploads"] == 0, turn
        box.sync(box.data, "s3://bkt/", timeout=300)
        assert world.manifest("bkt") == whole and world.bucket_facts("bkt")["uploads"] == 0, turn
    assert hits >= KILLS // 5


def test_deletes(box, world, s3):
    """A deletion that is cut off is gone on with, and takes nothing else."""
    world.bucket("bkt")
    world.objects("bkt", "prefix=keep/ count=50 size=10")
    keep = s3.objects("bkt")
    rng = random.Random(SEED)
    for turn in range(max(2, KILLS // 5)):
        box.sync("s3://bkt/", box.data)
        fill(box.data, {f"extra/{i}": b"x" for i in range(400)})
        stop_after(box.start("sync", "--delete", "--max-delete", "1000", "s3://bkt/", box.data), rng.uniform(0, 0.1), turn)
        assert keep.items() <= files(box.data).items()
        box.sync("--delete", "--max-delete", "1000", "s3://bkt/", box.data)
        assert {k: v for k, v in files(box.data).items() if v is not None} == keep
