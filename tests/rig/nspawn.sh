#!/bin/sh
# nspawn.sh -u UPPER [-b FROM:TO]… ROOT: boots systemd as PID 1 in an overlay of ROOT, with this machine's network, until it
# powers off; a reboot inside boots it again. RIG_BINARY (default build/dsagent) is /usr/bin/dsagent inside.
set -eu

top=$(cd "$(dirname "$0")/../.." && pwd)
upper= binds=
while getopts u:b: option; do
	case $option in
	u) upper=$OPTARG ;;
	b) binds="$binds --bind=$OPTARG" ;;
	*) exit 2 ;;
	esac
done
shift $((OPTIND - 1))
root=$1
binary=${RIG_BINARY:-$top/build/dsagent}
mkdir -p "$upper/up/usr/bin" "$upper/work" "$upper/box"
libs=$(sh "$top/tests/rig/libs.sh" "$binary" "$upper/libs")
if [ -n "$libs" ]; then
	mkdir -p "$upper/up/opt/rig-libs"
	cp "$libs"/* "$upper/up/opt/rig-libs/"
	cp "$binary" "$upper/up/opt/rig-libs/dsagent"
	printf '#!/bin/sh\nexec /opt/rig-libs/loader --library-path /opt/rig-libs /opt/rig-libs/dsagent "$@"\n' >"$upper/up/usr/bin/dsagent"
else
	cp "$binary" "$upper/up/usr/bin/dsagent"
fi
chmod 755 "$upper/up/usr/bin/dsagent"
export upper root binds
# shellcheck disable=SC2016  # expanded by the inner shell
exec unshare --mount --propagation private sh -euc '
	mount -t overlay overlay -o "lowerdir=$root,upperdir=$upper/up,workdir=$upper/work" "$upper/box"
	status=133 # "reboot", to whoever keeps the unit
	while [ "$status" = 133 ]; do
		status=0
		SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 systemd-nspawn -q -b -D "$upper/box" --register=no --keep-unit \
			--resolv-conf=copy-host --bind-ro=/etc/ssl/certs/ca-certificates.crt $binds || status=$?
	done
	exit "$status"' </dev/null
