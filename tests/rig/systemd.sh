#!/bin/sh
# systemd.sh [SUITE]: makes, once, below build/rig, the Debian root with systemd as its PID 1, sudo and what the steps of accounts and
# services need; prints its path. nspawn.sh boots it.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
rig=${RIG_DIR:-$top/build/rig}
suite=${1:-bookworm}
root=$rig/systemd
[ "$suite" = bookworm ] || root=$root-$suite
[ -e "$root/.made" ] && { echo "$root"; exit 0; }
[ "$(id -u)" = 0 ] || { echo "rig: needs root" >&2; exit 1; }
if ! command -v systemd-nspawn >/dev/null 2>&1; then
	apt-get update -q >&2
	DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends systemd-container >&2
fi
base=$(sh "$here/debian.sh" "$suite")
rm -rf "$root" "$root.part"
cp -a "$base" "$root.part"
rm -f "$root.part/.made"
chroot "$root.part" env DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 \
	apt-get install -y -q --no-install-recommends systemd systemd-sysv dbus rpm sudo locales tzdata procps curl openssh-client >&2
# Nothing but what a test starts: no login prompts, no name service, no time service.
for unit in systemd-resolved systemd-timesyncd systemd-networkd getty@tty1 console-getty systemd-logind; do
	ln -sf /dev/null "$root.part/etc/systemd/system/$unit.service"
done
rm -f "$root.part/etc/machine-id"
: >"$root.part/etc/machine-id"
touch "$root.part/.made"
mv "$root.part" "$root"
echo "$root"
