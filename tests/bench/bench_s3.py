#!/usr/bin/env python3
"""dsagent's S3 beside s5cmd, rclone and the AWS CLIs, in one run: `make bench-s3`.

One S3 server (tests/world) on loopback, pinned to CPU 0; clients take turns, each run on an empty destination in tmpfs
unless the row says otherwise. Printed as Markdown: medians of wall clock with minimum and maximum, CPU seconds (user and
system, all processes of the client), peak memory of its largest process, requests and TCP connections as the server
counted them, and whether the tree is equal to the source, byte by byte. A rival that is far behind runs once. Then the
bars, and the distance to each.
"""
import argparse
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tests/e2e"))

from harness import BUILD, S3_KEY, S3_SECRET, S3_TOKEN, World, tree_lines  # noqa: E402
from s3_clients import BUCKET, clients, versions  # noqa: E402

UPLOADED, RUN_LIMIT_S = "bench-up", 900
FLOORS = ("discard", "write")  # loops that receive or send, and no more; the second keeps what it receives
FAR_BEHIND = 5  # times the best rival of the first round: not asked again, its one run is shown
OPERATIONS = ["ListObjectsV2", "GetObject", "HeadObject", "PutObject", "DeleteObject", "DeleteObjects",
              "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload", "AbortMultipartUpload", "ListParts",
              "ListMultipartUploads", "HeadBucket", "ListBuckets", "s3-other"]


# ---- the place: server, folders, one measured run ---------------------------------------------------------------------

class Place:
    def __init__(self, args, work):
        self.args, self.work, self.build = args, work, BUILD
        self.world = World(work / "world")
        subprocess.run(["taskset", "-a", "-p", "-c", "0", str(self.world.process.pid)], check=True, stdout=subprocess.DEVNULL)
        self.world.config("s3_trust=on", "s3_log=off")
        self.home = work / "home"
        self.home.mkdir()
        self.env = {"PATH": os.environ["PATH"], "HOME": str(self.home), "LANG": "C.UTF-8", "NO_PROXY": "127.0.0.1",
                    "XDG_STATE_HOME": f"{self.home}/state", "XDG_CACHE_HOME": f"{self.home}/cache",
                    "AWS_ACCESS_KEY_ID": S3_KEY, "AWS_SECRET_ACCESS_KEY": S3_SECRET, "AWS_SESSION_TOKEN": S3_TOKEN,
                    "AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true"}

    def server_cpu(self):
        fields = Path(f"/proc/{self.world.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def sample(self, argv, env):
        """One run; a failure is a result too."""
        self.world.forget_counters()
        time_file = self.work / "time"
        command = ["/usr/bin/time", "-q", "-o", str(time_file), "-f", "%U %S %M", *map(str, argv)]
        busy, began = self.server_cpu(), time.monotonic()
        try:
            done = subprocess.run(command, env={**self.env, **env}, cwd=self.work, stdin=subprocess.DEVNULL,
                                  capture_output=True, timeout=RUN_LIMIT_S)
            code, text = done.returncode, (done.stdout + done.stderr).decode(errors="replace")
        except subprocess.TimeoutExpired:
            code, text = 124, f"took more than {RUN_LIMIT_S} s"
        wall = time.monotonic() - began
        user, system, rss = time_file.read_text().split()[-3:] if code != 124 else ("0", "0", "0")
        counters = self.world.counters()
        if code:
            print(f"bench-s3: {Path(argv[0]).name} ended with {code}: {text[-400:]}", file=sys.stderr)
        return {"wall": wall, "cpu": float(user) + float(system), "rss": int(rss) / 1024, "code": code,
                "requests": sum(counters[k] for k in OPERATIONS), "gets": counters["GetObject"],
                "lists": counters["ListObjectsV2"], "connections": counters["s3-connections"],
                "server": (self.server_cpu() - busy) / wall}


def filled(argv, **names):
    """The command with SRC and DIR in their places."""
    out = []
    for word in map(str, argv):
        for name, value in names.items():
            word = re.sub(rf"\b{name}\b", str(value), word)
        out.append(word)
    return out


# ---- workloads --------------------------------------------------------------------------------------------------------

class Row:
    """What lies in the bucket, and which way it goes."""

    def __init__(self, name, title, objects, way, bar, faults=(), floors=()):
        self.name, self.title, self.objects, self.way, self.bar = name, title, objects, way, bar
        self.faults, self.floors = faults, floors


BAD_NETWORK = ("s3 status=503 code=SlowDown rate=0.005 seed=1 delay=30", "s3 delay=5030 rate=0.001 seed=2",
               "s3 reset=2000 rate=0.001 seed=3 delay=30", "s3 delay=30")


def count_text(n):
    return f"{n:,}"


def rows(args):
    small, mid, idle, scale = args.small, args.mid, args.idle, args.scale
    gb = f"{args.big / 1e9:g} GB"
    images, shards, shard, texts = int(50000 * scale), max(1, int(64 * scale)), 100_000_000, int(10000 * scale)
    four_kb = [f"prefix=SRC/ count={small} size=4096 dirs=20 suffix=.bin"]
    one_mb = [f"prefix=SRC/ count={mid} size=1000000 suffix=.bin"]
    big = [f"key=SRC/big.bin size={args.big}"]
    mix = [f"prefix=SRC/images/ count={images} size=5000 size-max=200000 dirs=100 suffix=.jpg",
           f"prefix=SRC/shards/ count={shards} size={shard} suffix=.tar",
           f"prefix=SRC/meta/ count={texts} size=200 size-max=2000 dirs=10 suffix=.json"]
    return [
        Row("small-down", f"{count_text(small)} x 4 KB down", four_kb, "down", bar_small_down),
        Row("small-up", f"{count_text(small)} x 4 KB up", four_kb, "up", bar_small_up),
        Row("mid-down", f"{count_text(mid)} x 1 MB down", one_mb, "down", bar_mid),
        Row("mid-up", f"{count_text(mid)} x 1 MB up", one_mb, "up", bar_mid),
        Row("big-down", f"1 x {gb} down", big, "down", bar_big, floors=("discard", "write")),
        Row("big-up", f"1 x {gb} up", big, "up", bar_big, floors=("discard",)),
        Row("resync", f"no-change resync of {count_text(idle)} files", [f"prefix=SRC/ count={idle} size=100 dirs=100"],
            "resync", bar_resync),
        Row("mix", f"mix: {count_text(images)} images of 5 to 200 KB, {shards} shards of 100 MB, {count_text(texts)} JSON, down"
            + ("" if scale == 1 else f" (scale {scale:g})"), mix, "down", bar_best),
        Row("bad-network", f"{count_text(mid)} x 1 MB down, 30 ms round trip, 0.5 % 503, 0.1 % stalls of 5 s, 0.1 % resets",
            one_mb, "down", bar_network, faults=BAD_NETWORK),
    ]


def median(samples, what):
    return statistics.median(s[what] for s in samples)


def best(results, what):
    """The best rival of those that finished with an equal tree."""
    values = {name: median(s, what) for name, s in results.items()
              if name not in ("dsagent", *FLOORS) and all(x["code"] == 0 and x["tree"] for x in s)}
    return min(values.items(), key=lambda item: item[1]) if values else (None, None)


def ratio_bar(ours, results, what, unit, limit):
    """(text, met) of "at most `limit` of the best rival"."""
    name, value = best(results, what)
    if value is None:
        return f"{what}: no rival ran", None
    of = median(ours, what) / value if value else 0
    return f"{what} {of:.2f} of {name} (at most {limit:g})", of <= limit


def limit_bar(label, value, limit, unit=""):
    return f"{label} {value:g}{unit} (at most {limit:g})", value <= limit


def rss_bar(ours, limit):
    return limit_bar("RSS", round(max(s["rss"] for s in ours), 1), limit, " MB")


def bar_small_down(row, results, args):
    ours = results["dsagent"]
    pages = -(-args.small // 1000) + 1
    return [ratio_bar(ours, results, "wall", "s", 1 / 4), ratio_bar(ours, results, "cpu", "s", 1 / 5),
            limit_bar("requests", max(s["requests"] for s in ours), args.small + pages), rss_bar(ours, 16)]


def bar_small_up(row, results, args):
    return [ratio_bar(results["dsagent"], results, "wall", "s", 1 / 2)]


def bar_mid(row, results, args):
    return [ratio_bar(results["dsagent"], results, "cpu", "s", 0.8), ratio_bar(results["dsagent"], results, "wall", "s", 1)]


def bar_big(row, results, args):
    ours = results["dsagent"]
    of = median(ours, "wall") / median(results["discard"], "wall")
    written = f", {median(ours, 'wall') / median(results['write'], 'wall'):.2f} of one that writes" if "write" in results else ""
    return [(f"wall {of:.2f} of the receive-and-discard loop (at most 1.15){written}", of <= 1.15), rss_bar(ours, 48)]


def bar_resync(row, results, args):
    ours = results["dsagent"]
    return [limit_bar("wall", round(median(ours, "wall"), 3), 0.6, " s"),
            limit_bar("requests", max(s["requests"] for s in ours), -(-args.idle // 1000) + 1), rss_bar(ours, 16)]


def bar_best(row, results, args):
    return [ratio_bar(results["dsagent"], results, "wall", "s", 1), ratio_bar(results["dsagent"], results, "cpu", "s", 1)]


def bar_network(row, results, args):
    ours = results["dsagent"]
    lost = sum(not s["tree"] or s["code"] != 0 for s in ours)
    return [ratio_bar(ours, results, "wall", "s", 1), (f"runs with something lost: {lost}", lost == 0)]


# ---- running ----------------------------------------------------------------------------------------------------------

def empty(folder):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def forget_state(place):
    """No client finds an index or a journal of an earlier run."""
    for folder in (place.home, place.work / "var", place.work / "run"):
        shutil.rmtree(folder, ignore_errors=True)
    place.home.mkdir()


def run_down(place, row, client, folder, keeps):
    if not keeps:
        empty(folder)
        forget_state(place)
    argv = client.resync if row.way == "resync" else client.down
    result = place.sample(filled(argv, SRC="SRC", DIR=folder), client.env)
    place.world.faults()
    result["tree"] = tree_lines(folder) == place.manifest
    return result


def run_up(place, row, client, folder):
    place.world.drop_bucket(UPLOADED)
    place.world.bucket(UPLOADED, "keep=off")
    forget_state(place)
    argv = [w.replace(f"s3://{BUCKET}/", f"s3://{UPLOADED}/").replace(f"x:{BUCKET}/", f"x:{UPLOADED}/") for w in map(str, client.up)]
    result = place.sample(filled(argv, SRC="SRC", DIR=folder), client.env)
    result["tree"] = place.world.manifest(UPLOADED, "SRC/") == place.manifest
    return result


def run_floor(place, row, name, folder):
    """The least that a client can do with the one big object."""
    host = place.world.s3_url.removeprefix("http://").split(":")
    argv = [place.build / "tests/discard"]
    if row.way == "up":
        place.world.drop_bucket(UPLOADED)
        place.world.bucket(UPLOADED, "keep=off", "public=on")
        argv += ["-u", folder / "big.bin", *host, f"/{UPLOADED}/SRC/big.bin"]
    else:
        empty(folder)
        argv += [*(["-o", folder / "big.bin"] if name == "write" else []), *host, f"/{BUCKET}/SRC/big.bin"]
    return {**place.sample(argv, {}), "tree": True}


def fetch_source(place, agent_client, folder):
    """The bucket's contents as files, for uploads and resyncs: by dsagent, checked against the manifest."""
    empty(folder)
    result = place.sample(filled(agent_client.down, SRC="SRC", DIR=folder), agent_client.env)
    if result["code"] or tree_lines(folder) != place.manifest:
        sys.exit("bench-s3: the source could not be prepared")


def run_row(place, row, chosen):
    place.world.drop_bucket(BUCKET)
    place.world.bucket(BUCKET, "public=on")
    place.world.objects(BUCKET, *(f"{line} modified=1760000000" for line in row.objects))
    place.manifest = place.world.manifest(BUCKET, "SRC/")
    folder = place.work / "tree"
    empty(folder)
    forget_state(place)
    if row.way in ("up", "resync"):
        fetch_source(place, chosen["dsagent"], folder)
    names = [*chosen, *row.floors]
    results, first = {name: [] for name in names}, {}
    for turn in range(place.args.runs + (0 if place.args.quick else 1)):
        for name in names:
            if name in first and first[name]["wall"] > FAR_BEHIND * min(r["wall"] for r in first.values()):
                results[name] = [first[name]]
                continue
            if row.faults:
                place.world.faults(*row.faults)
            if name in row.floors:
                result = run_floor(place, row, name, folder)
            elif row.way == "up":
                result = run_up(place, row, chosen[name], folder)
            else:
                result = run_down(place, row, chosen[name], folder, row.way == "resync")
            place.world.faults()
            if not turn and name not in ("dsagent", *row.floors):
                first[name] = result
            if turn or place.args.quick:  # the first round warms up
                results[name].append(result)
            print(f"  {row.name} {name}: {result['wall']:.2f} s", file=sys.stderr, flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    return results


def print_row(place, row, results):
    print(f"\n### {row.title}\n")
    print("| client | wall s | CPU s | peak RSS MB | requests | connections | tree |")
    print("|---|---:|---:|---:|---:|---:|---|")
    for name, samples in results.items():
        walls = [s["wall"] for s in samples]
        failed = [s["code"] for s in samples if s["code"]]
        tree = f"exit {failed[0]}" if failed else "equal" if all(s["tree"] for s in samples) else "DIFFERS"
        bound = " *" if median(samples, "server") > 0.95 else ""
        label = name if len(samples) > 1 or place.args.runs == 1 else f"{name} (1 run)"
        print(f"| {label} | {statistics.median(walls):.2f} ({min(walls):.2f}-{max(walls):.2f}){bound} "
              f"| {median(samples, 'cpu'):.2f} | {max(s['rss'] for s in samples):.0f} "
              f"| {count_text(int(median(samples, 'requests')))} | {count_text(int(median(samples, 'connections')))} "
              f"| {'-' if name in FLOORS else tree} |")
    if any(median(s, "server") > 0.95 for s in results.values()):
        print("\n\\* the server's core was more than 95 % busy: the server is what was measured.")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agent", default=BUILD / "dsagent", type=Path)
    parser.add_argument("--rows", help="comma-separated: small-down small-up mid-down mid-up big-down big-up resync mix bad-network")
    parser.add_argument("--clients", help="comma-separated names, dsagent always runs")
    parser.add_argument("--runs", default=5, type=int)
    parser.add_argument("--scale", default=1.0, type=float, help="of the mix, for small machines")
    parser.add_argument("--big", default=8_000_000_000, type=int, help="bytes of the one big object")
    parser.add_argument("--small", default=10000, type=int)
    parser.add_argument("--mid", default=1000, type=int)
    parser.add_argument("--idle", default=100000, type=int)
    parser.add_argument("--work", default="/dev/shm", type=Path, help="where source and destination lie")
    parser.add_argument("--quick", action="store_true", help="seconds: one run of a little of everything, no figures to quote")
    args = parser.parse_args()
    if args.quick:
        args.runs, args.small, args.mid, args.big, args.idle, args.scale = 1, 500, 30, 100_000_000, 3000, 0.01
    args.agent = args.agent.resolve()
    return args


def main():
    args = arguments()
    if not Path("/usr/bin/time").exists() or not shutil.which("taskset"):
        sys.exit("bench-s3: /usr/bin/time and taskset are needed (packages: time, util-linux)")
    bars, wanted = [], args.rows.split(",") if args.rows else None
    with tempfile.TemporaryDirectory(dir=args.work, prefix="bench-s3-") as name:
        place = Place(args, Path(name))
        try:
            found = clients(place.world.s3_url, args.agent, place.work)
            chosen = {n: c for n, c in found.items()
                      if n == "dsagent" or not args.clients or n in args.clients.split(",")}
            for missing in set(["s5cmd sync", "rclone", "aws v1", "aws v2"]) - set(found):
                print(f"bench-s3: {missing} is not here (make s3-tools; aws v2: apt-get install awscli): its rows are missing",
                      file=sys.stderr)
            print(f"{os.cpu_count()} CPUs, Linux {platform.release().split('-')[0]}, {platform.machine()}; server on CPU 0; "
                  f"{args.runs} alternating runs, medians; {versions(chosen)}")
            for row in rows(args):
                if wanted and row.name not in wanted:
                    continue
                results = run_row(place, row, chosen)
                print_row(place, row, results)
                bars += [(row.title, *bar) for bar in row.bar(row, results, args)]
                sys.stdout.flush()
        finally:
            place.world.close()
    print("\n### Bars\n\n| workload | measured | met |\n|---|---|---|")
    for title, text, met in bars:
        print(f"| {title} | {text} | {'-' if met is None else 'yes' if met else 'NO'} |")


if __name__ == "__main__":
    main()
