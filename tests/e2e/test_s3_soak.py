"""Many small objects: memory stays flat. S3_SOAK objects (5,000 here, `make s3-soak` a million)."""

import os
import shutil
import time

from harness import tree_lines

OBJECTS = int(os.environ.get("S3_SOAK", "5000"))
RSS_MAX_MB = 24  # with the distribution's libraries, which alone are 12; the bar of 16 is measured by make bench-s3


def rss_mb(pid):
    for line in open(f"/proc/{pid}/status"):
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0  # it is gone: a zombie has no memory


def sampled(process, seconds):
    samples, end = [], time.monotonic() + seconds
    while process.poll() is None:
        assert time.monotonic() < end, f"not done after {seconds} s"
        try:
            samples.append(rss_mb(process.pid))
        except OSError:
            break
        time.sleep(0.05)
    assert process.wait() == 0, process.log.read_text()
    return [s for s in samples if s]


def test_memory_does_not_depend_on_the_number_of_objects(box, world):
    world.config("s3_log=off")
    world.bucket("bkt")
    world.objects("bkt", f"count={OBJECTS} size=100 dirs=100")
    try:
        for round_ in ("all", "nothing"):
            began = time.monotonic()
            samples = sampled(box.start("sync", "s3://bkt/", box.data), 120 + OBJECTS / 500)
            print(f"{OBJECTS} objects, {round_} to do: {time.monotonic() - began:.1f} s, RSS at most {max(samples):.1f} MB")
            assert max(samples) <= RSS_MAX_MB
            late = samples[len(samples) // 4:]
            # A run of a few samples is all start-up.
            assert len(samples) < 20 or max(late) - min(late) <= 4, "it grows"
        assert tree_lines(box.data) == world.manifest("bkt")
        assert world.counters()["GetObject"] == OBJECTS
    finally:
        shutil.rmtree(box.data, ignore_errors=True)
