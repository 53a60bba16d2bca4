"""The S3 clients that are measured: how each is called, and which version it is."""
import re
import subprocess
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
BUCKET = "bench"


class Client:
    """The commands for a download, an upload and a resync; SRC and DIR stand for the prefix and the folder."""

    def __init__(self, name, down, up, resync=None, env=None):
        self.name, self.down, self.up, self.resync, self.env = name, down, up, resync or down, env or {}


def clients(url, agent, work):
    """Those that are there, by name. dsagent's root is the work folder, so that its index lies there too."""
    found = {}
    where = TOP / "build/s3-rivals"

    def add(name, program, down, up, resync=None, env=None):
        if program and Path(program).exists():
            found[name] = Client(name, *([program, *c] if c else None for c in (down, up, resync)), env)

    s5cmd = next(where.glob("lib/python3*/site-packages/s5cmd/bin/s5cmd"), None)
    s5 = ["--endpoint-url", url, "--log", "error"]
    remote = f"s3://{BUCKET}/SRC/"
    ours = ["--root", work, "sync", "--endpoint-url", url]
    add("dsagent", agent, [*ours, remote, "/tree"], [*ours, "/tree", remote])
    add("s5cmd sync", s5cmd, [*s5, "sync", f"{remote}*", "DIR/"], [*s5, "sync", "DIR/", remote])
    add("s5cmd cp", s5cmd, [*s5, "cp", f"{remote}*", "DIR/"], [*s5, "cp", "DIR/", remote],
        [*s5, "sync", f"{remote}*", "DIR/"])
    rclone_env = {"RCLONE_CONFIG_X_TYPE": "s3", "RCLONE_CONFIG_X_PROVIDER": "Other", "RCLONE_CONFIG_X_ENV_AUTH": "true",
                  "RCLONE_CONFIG_X_FORCE_PATH_STYLE": "true", "RCLONE_CONFIG_X_LIST_VERSION": "2",
                  "RCLONE_CONFIG_X_ENDPOINT": url, "RCLONE_CONFIG_X_REGION": "us-east-1", "RCLONE_CONFIG": f"{work}/home/rclone.conf"}
    there = f"x:{BUCKET}/SRC"
    tuned = ["--transfers", "64", "--checkers", "64", "--fast-list", "--use-server-modtime", "--update", "--s3-no-check-bucket",
             "--multi-thread-streams", "8"]
    put = ["--s3-no-head", "--s3-disable-checksum", "--s3-upload-concurrency", "16", "--s3-chunk-size", "8M"]
    add("rclone", where / "bin/rclone", ["sync", there, "DIR"], ["sync", "DIR", there], None, rclone_env)
    add("rclone tuned", where / "bin/rclone", ["sync", there, "DIR", *tuned], ["sync", "DIR", there, *tuned, *put], None, rclone_env)
    for name, program in (("aws v1", where / "bin/aws"), ("aws v2", "/usr/bin/aws")):
        aws = ["--endpoint-url", url, "s3", "sync", "--only-show-errors"]
        add(name, program, [*aws, remote, "DIR"], [*aws, "DIR", remote])
    return found


def versions(names):
    """One line of what ran."""
    lines = []
    for label, argv in {"dsagent": None, "s5cmd": ["s5cmd", "version"], "rclone": ["rclone", "version"],
                        "aws v1": ["aws", "--version"], "aws v2": ["/usr/bin/aws", "--version"]}.items():
        if not any(n.startswith(label) for n in names):
            continue
        if argv and label != "aws v2":
            program = next((TOP / "build/s3-rivals").glob(f"**/bin/{argv[0]}"), None)
            program = next((TOP / "build/s3-rivals").glob("lib/python3*/site-packages/s5cmd/bin/s5cmd"), program) if label == "s5cmd" else program
            argv = [str(program), argv[1]]
        if argv:
            text = subprocess.run(argv, capture_output=True, text=True).stdout
            lines.append(f"{label} {re.search(r'[0-9]+[.][0-9]+[.][0-9]+', text).group(0)}")
    return ", ".join(lines)
