#!/bin/sh
# box.sh [-u UPPER] [-b FILE]… ROOT -- COMMAND…: runs COMMAND in a throw-away overlay of ROOT, in mount, pid, ipc and uts
# namespaces of its own, with this machine's network. -u DIR keeps what it wrote in DIR (a second box with the same DIR
# sees it); -b FILE:PATH binds a file or directory in. RIG_BINARY (default build/dsagent) is /usr/bin/dsagent inside.
set -eu

top=$(cd "$(dirname "$0")/../.." && pwd)
upper= binds=
while getopts u:b: option; do
	case $option in
	u) upper=$OPTARG ;;
	b) binds="$binds $OPTARG" ;;
	*) exit 2 ;;
	esac
done
shift $((OPTIND - 1))
root=$1
shift
[ "$1" = -- ] && shift
binary=${RIG_BINARY:-$top/build/dsagent}
keep=
if [ -z "$upper" ]; then
	mkdir -p "$top/build/rig"
	upper=$(mktemp -d "$top/build/rig/box.XXXXXX")
	keep=no
fi
mkdir -p "$upper/up" "$upper/work" "$upper/box"

libs=
if [ -f "$binary" ]; then libs=$(sh "$top/tests/rig/libs.sh" "$binary" "$upper/libs"); fi
export RIG_LIBS="$libs" RIG_ROOT="$root" RIG_UPPER="$upper" RIG_BINDS="$binds" RIG_BINARY_AT="$binary"
status=0
unshare --mount --pid --ipc --uts --fork --kill-child --propagation private \
	sh "$top/tests/rig/box-inside.sh" "$@" || status=$?
[ -z "$keep" ] || rm -rf "$upper"
exit "$status"
