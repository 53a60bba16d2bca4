#!/bin/sh
# qemu.sh ARCH DIR: prints the qemu that runs programs of ARCH here: the machine's own if it knows openat2(2) (9.2 and newer),
# else Debian stable's, unpacked in DIR and not installed.
set -eu

arch=$1
mkdir -p "$2"
dir=$(cd "$2" && pwd)
knows() { # VERSION-LINE
	# shellcheck disable=SC2046
	set -- $(echo "$1" | sed -n 's/.*version \([0-9]*\)\.\([0-9]*\).*/\1 \2/p')
	[ "${1:-0}" -gt 9 ] || { [ "${1:-0}" = 9 ] && [ "$2" -ge 2 ]; }
}

for qemu in "qemu-$arch-static" "qemu-$arch" "$dir/usr/bin/qemu-$arch"; do
	if command -v "$qemu" >/dev/null && knows "$("$qemu" --version | head -n 1)"; then
		command -v "$qemu"
		exit
	fi
done
# An apt with a configuration of its own: the machine's lists and packages stay as they are.
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
mkdir -p "$dir/lists/partial" "$dir/cache/archives/partial"
: >"$dir/status"
echo "deb [signed-by=$keyring] ${DEBIAN_MIRROR:-http://deb.debian.org}/debian trixie main" >"$dir/sources.list"
cat >"$dir/apt.conf" <<END
Dir::State "$dir";
Dir::State::status "$dir/status";
Dir::State::lists "$dir/lists";
Dir::Cache "$dir/cache";
Dir::Etc::sourcelist "$dir/sources.list";
Dir::Etc::sourceparts "/dev/null";
APT::Sandbox::User "root";
END
export APT_CONFIG="$dir/apt.conf"
cd "$dir"
{ apt-get -q update && apt-get -q download qemu-user; } >log 2>&1 || {
	echo "dsagent: qemu-user 9.2 or newer is not here and cannot be had: $(tail -n 1 log)" >&2
	exit 1
}
dpkg-deb --fsys-tarfile qemu-user_*.deb | tar -xf - "./usr/bin/qemu-$arch"
rm -f qemu-user_*.deb
echo "$dir/usr/bin/qemu-$arch"
