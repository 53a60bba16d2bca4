#!/bin/sh
# fetch.sh DIR: the sources that the manifest names, into DIR/<name>-<version>.source and .patches.
# Each is tried upstream, then as the same archive from Debian's; only what has the pinned SHA-256 is kept.
# Patches are Debian's alone. apt gets a configuration of its own in DIR: the machine's lists stay as they are.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
dir=$(cd "$1" && pwd)
mirror=${DEBIAN_MIRROR:-http://deb.debian.org}
suite=trixie
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
part=$dir/.part

has() { # FILE SHA256
	[ -f "$1" ] && [ "$(sha256sum <"$1" | cut -d' ' -f1)" = "$2" ]
}

# Once a run, and only when something is missing.
apt_ready() {
	[ ! -f "$dir/apt/ready" ] || return 0
	command -v apt-get >/dev/null || return 1
	mkdir -p "$dir/apt/lists/partial" "$dir/apt/cache/archives/partial"
	: >"$dir/apt/status"
	# Where the keyring is not installed the pinned hashes alone decide, as they do upstream.
	trust=signed-by=$keyring
	[ -f "$keyring" ] || trust=trusted=yes
	for s in "debian $suite" "debian $suite-updates" "debian-security $suite-security"; do
		echo "deb-src [$trust] $mirror/$s main"
	done >"$dir/apt/sources.list"
	cat >"$dir/apt/apt.conf" <<-END
		Dir::State "$dir/apt";
		Dir::State::status "$dir/apt/status";
		Dir::State::lists "$dir/apt/lists";
		Dir::Cache "$dir/apt/cache";
		Dir::Etc::sourcelist "$dir/apt/sources.list";
		Dir::Etc::sourceparts "/dev/null";
		APT::Sandbox::User "root";
	END
	APT_CONFIG=$dir/apt/apt.conf apt-get -q update >"$dir/apt/log" 2>&1 || return 1
	touch "$dir/apt/ready"
}

# A file of one kind from Debian: the name is found by its hash, as apt chooses it.
from_debian() { # SOURCE=VERSION --tar-only|--diff-only SHA256 FILE
	apt_ready || return 1
	rm -rf "$part" && mkdir "$part"
	(cd "$part" && APT_CONFIG=$dir/apt/apt.conf apt-get -q source --download-only "$2" "$1") >"$dir/apt/log" 2>&1 || true
	for f in "$part"/*; do
		if has "$f" "$3"; then mv "$f" "$4" && return 0; fi
	done
	return 1
}

from_upstream() { # ADDRESS SHA256 FILE
	command -v curl >/dev/null || return 1
	curl -fsSL --proto =https --connect-timeout 10 --max-time 300 -o "$3.part" "$1" 2>/dev/null && has "$3.part" "$2" &&
		mv "$3.part" "$3" && return 0
	rm -f "$3.part"
	return 1
}

lost() { # NAME VERSION WHAT
	echo "dsagent: the $3 of $1 $2 is reached neither upstream nor in Debian's archive with the SHA-256 that" \
		"packaging/static/manifest pins (the last word of apt: $(tail -n 1 "$dir/apt/log" 2>/dev/null || echo no apt-get here))" >&2
	exit 1
}

rm -f "$dir/apt/ready"
grep -v '^#' "$here/manifest" | while read -r name version sha address debian orig patches skip; do
	: "$skip"
	[ "$orig" != = ] || orig=$sha
	file=$dir/$name-$version.source
	if ! has "$file" "$sha" && ! has "$file" "$orig"; then
		printf '  FETCH %s %s\n' "$name" "$version"
		from_upstream "$address" "$sha" "$file" || from_debian "$debian" --tar-only "$orig" "$file" ||
			lost "$name" "$version" source
	fi
	file=$dir/$name-$version.patches
	if [ "$patches" != - ] && ! has "$file" "$patches"; then
		printf '  FETCH %s %s, patches\n' "$name" "${debian#*=}"
		from_debian "$debian" --diff-only "$patches" "$file" || lost "$name" "$version" patches
	fi
done
rm -rf "$part"
