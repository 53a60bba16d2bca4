#!/bin/sh
# fetch.sh DIR [tests]: the sources that the manifest names, into DIR/<name>-<version>.source and .patches.
# Each is tried upstream, then in the pool of Debian's archive, then in Debian's snapshots, which forget nothing; only what
# has the pinned SHA-256 is kept. No index is read: what a newer one no longer lists is in the pool a good while longer.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
dir=$(cd "$1" && pwd)
mirror=${DEBIAN_MIRROR:-http://deb.debian.org}
snapshot=https://snapshot.debian.org/archive
day=$(sed -n 's/^snapshot: //p' "$here/manifest")
helper=/usr/lib/apt/apt-helper
said=$dir/.said

has() { # FILE SHA256
	[ -f "$1" ] && [ "$(sha256sum <"$1" | cut -d' ' -f1)" = "$2" ]
}

get() { # ADDRESS SHA256 FILE: apt's own client where there is one, with the machine's proxies and mirrors
	rm -f "$3.part"
	case $1 in
	"$mirror"/*) [ ! -x "$helper" ] || "$helper" -q -o APT::Sandbox::User=root download-file "$1" "$3.part" >"$said" 2>&1 || true ;;
	esac
	if [ ! -f "$3.part" ] && command -v curl >/dev/null; then
		curl -fsSL --connect-timeout 10 --max-time 300 -o "$3.part" "$1" 2>"$said" || true
	fi
	if has "$3.part" "$2"; then mv "$3.part" "$3" && return 0; fi
	[ ! -f "$3.part" ] || echo "what $1 holds has another SHA-256" >"$said"
	rm -f "$3.part"
	return 1
}

from_debian() { # POOL-PATH SHA256 FILE
	[ "$1" != - ] || return 1
	for place in "$mirror/debian/pool/$1" "$mirror/debian-security/pool/updates/$1" "$snapshot/debian/$day/pool/$1" \
		"$snapshot/debian-security/$day/pool/updates/$1"; do
		if get "$place" "$2" "$3"; then return 0; fi
	done
	return 1
}

lost() { # NAME VERSION WHAT
	echo "dsagent: the $3 of $1 $2 is reached neither upstream nor in Debian's archive with the SHA-256 that" \
		"packaging/static/manifest pins (last: $(tail -n 1 "$said" 2>/dev/null))" >&2
	exit 1
}

awk -v use="${2:-}" -f "$here/rows.awk" "$here/manifest" | while read -r name version sha address debian debian_sha patches patches_sha _; do
	[ "$debian_sha" != - ] || debian_sha=$sha
	file=$dir/$name-$version.source
	if ! has "$file" "$sha" && ! has "$file" "$debian_sha"; then
		printf '  FETCH %s %s\n' "$name" "$version"
		get "$address" "$sha" "$file" || from_debian "$debian" "$debian_sha" "$file" || lost "$name" "$version" source
	fi
	file=$dir/$name-$version.patches
	if [ "$patches" != - ] && ! has "$file" "$patches_sha"; then
		printf '  FETCH %s\n' "${patches##*/}"
		from_debian "$patches" "$patches_sha" "$file" || lost "$name" "$version" patches
	fi
done
rm -f "$said"
