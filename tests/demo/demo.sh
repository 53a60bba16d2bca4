#!/bin/sh
# make demo: a small EC2 on loopback (metadata and the tag API), the quickstart recipe applied to it into a scratch folder
# with a real venv and real wheels, and the tags as the EC2 console would show them.
# usage: demo.sh DSAGENT WORLD SCRATCH
set -eu
agent=$1
world=$2
scratch=$3

rm -rf "$scratch"
mkdir -p "$scratch/home"
scratch=$(cd "$scratch" && pwd)
"$world" --port 0 --ready-file "$scratch/world.port" >"$scratch/world.log" 2>&1 &
world_pid=$!
trap 'kill $world_pid 2>/dev/null || true' EXIT
i=0
while [ ! -s "$scratch/world.port" ]; do
	i=$((i + 1))
	[ $i -le 100 ] || { echo "demo: the loopback EC2 did not start: $(cat "$scratch/world.log")" >&2; exit 1; }
	sleep 0.1
done
url=http://127.0.0.1:$(cat "$scratch/world.port")

# The same seams that PRODUCT users have: endpoints by environment, a home of its own.
run() {
	env -u AWS_PROFILE -u AWS_ACCESS_KEY_ID -u AWS_SECRET_ACCESS_KEY -u AWS_SESSION_TOKEN \
		HOME="$scratch/home" XDG_STATE_HOME="$scratch/state" XDG_RUNTIME_DIR="$scratch/run" \
		AWS_EC2_METADATA_SERVICE_ENDPOINT="$url" AWS_ENDPOINT_URL_EC2="$url" NO_PROXY=127.0.0.1 no_proxy=127.0.0.1 \
		"$agent" "$@"
}

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }

say '$ dsagent plan quickstart'
run plan quickstart --var folder="$scratch/quickstart"
say '$ dsagent apply quickstart'
run apply quickstart --var folder="$scratch/quickstart"
say 'The tags, as the EC2 console shows them:'
sleep 1
curl -fsS "$url/_world/tags?format=text"
say '$ dsagent apply quickstart        # again'
run apply quickstart --var folder="$scratch/quickstart"
say '$ python hello.py              # in the Python it made'
"$scratch/quickstart/venv/bin/python" "$scratch/quickstart/hello.py"
