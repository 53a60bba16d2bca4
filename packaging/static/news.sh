#!/bin/sh
# news.sh: which of the manifest's files Debian has newer ones of, in the manifest's suite, its updates and its security
# archive: the path below pool/ and the SHA-256 of each, as the manifest has them. Ends with 1 when there are any. Asks apt,
# with lists of its own; needs Debian's keys (debian-archive-keyring).
set -eu

here=$(cd "$(dirname "$0")" && pwd)
suite=$(sed -n 's/^suite: //p' "$here/manifest")
mirror=${DEBIAN_MIRROR:-http://deb.debian.org}
keys=/usr/share/keyrings/debian-archive-keyring.gpg
[ -f "$keys" ] || { echo "news.sh: $keys is missing (apt-get install debian-archive-keyring)" >&2; exit 2; }
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
mkdir -p "$tmp/lists/partial"
for place in "debian $suite" "debian $suite-updates" "debian-security $suite-security"; do
	echo "deb-src [signed-by=$keys] $mirror/${place% *} ${place#* } main"
done >"$tmp/sources"
apt() { "$@" -o Dir::Etc::sourcelist="$tmp/sources" -o Dir::Etc::sourceparts=- -o Dir::State::lists="$tmp/lists" -o Dir::Cache="$tmp" -o APT::Sandbox::User=root; }
apt apt-get -q update >"$tmp/said" 2>&1 || { tail -n 3 "$tmp/said" >&2; exit 2; }

# A source package's newest stanza: what it was packed from and Debian's patches, a path and a hash each.
newest() { # SOURCE
	apt apt-cache showsrc "$1" >"$tmp/stanzas" 2>/dev/null
	version=$(sed -n 's/^Version: //p' "$tmp/stanzas" | sort -Vu | tail -n 1)
	awk -v version="$version" '
		/^Version: / { is_it = $2 == version }
		/^Directory: / { dir = $2; sub(/^pool\/(updates\/)?/, "", dir) }
		/^[^ ]/ { is_sum = /^Checksums-Sha256:/ }
		/^$/ { for (f in sum) if (is_it) print dir "/" f, sum[f]; split("", sum) }
		is_sum && $3 ~ /\.(orig|debian)\.tar\.[a-z]*$/ { sum[$3] = $1 }' "$tmp/stanzas" | sort -u
}

awk -v want='name debian patches' -f "$here/rows.awk" "$here/manifest" | while read -r name source patches; do
	package=${source%/*}
	newest "${package##*/}" | while read -r file sum; do
		case $file in
		"$source" | "$patches") ;;
		# What Debian packs of itself is no news, what it patches in a stable suite is.
		*[+~]deb[0-9]*u*.debian.* | *.orig.*) echo "$name: $file $sum" ;;
		*.debian.*) if [ "$patches" != - ]; then echo "$name: $file $sum"; fi ;;
		esac
	done
done >"$tmp/news"
cat "$tmp/news"
[ ! -s "$tmp/news" ]
