#!/bin/sh
# debian.sh [SUITE]: makes a Debian root by debootstrap once, below build/rig, and prints its path. The package sources and
# the trust of this machine are copied in, so that apt inside works wherever it works outside.
set -eu

suite=${1:-bookworm}
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
root=${RIG_DIR:-$top/build/rig}/$suite
[ -e "$root/.made" ] && { echo "$root"; exit 0; }
[ "$(id -u)" = 0 ] || { echo "rig: needs root" >&2; exit 1; }
sh "$here/deps.sh"

# The first mirror of this machine: deb822 or one-line format.
mirror=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/*.sources /etc/apt/sources.list.d/*.list 2>/dev/null |
	sed -n 's/^URIs: *\([^ ]*\).*/\1/p; s/^deb  *\(\[[^]]*\] *\)\{0,1\}\([^ ]*\).*/\2/p' | head -n 1)
rm -rf "$root" "$root.part"
mkdir -p "$(dirname "$root")"
http_proxy=${http_proxy:-} debootstrap --variant=minbase --include=ca-certificates,python3,python3-venv \
	"$suite" "$root.part" "${mirror:-http://deb.debian.org/debian}" >&2

# apt's settings, sources, keys and CA certificates of this machine.
rm -rf "$root.part/etc/apt/sources.list" "$root.part/etc/apt/sources.list.d"
for path in etc/apt/sources.list etc/apt/sources.list.d etc/apt/auth.conf.d etc/apt/keyrings etc/apt/trusted.gpg.d \
	usr/share/keyrings etc/apt/apt.conf.d; do
	[ -e "/$path" ] || continue
	mkdir -p "$root.part/$(dirname "$path")"
	cp -a "/$path" "$root.part/$(dirname "$path")/"
done
find "$root.part/etc/apt/sources.list.d" -type f ! -name 'debian*' ! -name 'ubuntu*' -delete 2>/dev/null || true
# They name the suite of this machine, which need not be the root's.
here_suite=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
[ -z "$here_suite" ] || find "$root.part/etc/apt" -name '*.list' -exec sed -i "s/\b$here_suite\b/$suite/g" {} + \
	-o -name '*.sources' -exec sed -i "s/\b$here_suite\b/$suite/g" {} +
rm -f "$root.part"/etc/apt/apt.conf.d/*docker* "$root.part"/etc/apt/apt.conf.d/20packagekit \
	"$root.part"/etc/apt/apt.conf.d/50appstream
mkdir -p "$root.part/etc/ssl/certs"
[ -f /etc/ssl/certs/ca-certificates.crt ] && cp -L /etc/ssl/certs/ca-certificates.crt "$root.part/etc/ssl/certs/"

# No service starts in a box.
printf '#!/bin/sh\nexit 101\n' >"$root.part/usr/sbin/policy-rc.d"
chmod 755 "$root.part/usr/sbin/policy-rc.d"
cp -L /etc/resolv.conf "$root.part/etc/resolv.conf" 2>/dev/null || true
chroot "$root.part" apt-get update -q >&2
touch "$root.part/.made"
mv "$root.part" "$root"
echo "$root"
