#!/bin/sh
# Licences of what is linked into the static program, from the manifest:
#   notices.sh spdx            all of them as one SPDX expression, its own first: for the RPM
#   notices.sh dep5            a paragraph for each library: for the DEB's copyright file
#   notices.sh texts SOURCES   the libraries' own words, which MIT, BSD and others want handed on, from what fetch.sh has got
set -eu

here=$(cd "$(dirname "$0")" && pwd)
rows() { awk -v sep='|' -v want="$1" -f "$here/rows.awk" "$here/manifest"; }

# A choice keeps its parentheses.
spdx() {
	rows license | awk '
		BEGIN { all = "Apache-2.0"; seen[all] = 1 }
		!seen[$0]++ { all = all " AND " ($0 ~ / OR / ? "(" $0 ")" : $0) }
		END { print all }'
}

dep5() {
	rows 'name version license homepage' | while IFS='|' read -r name version license homepage; do
		printf '\nFiles: %s-%s/*\nCopyright: as its notice says\nLicense: %s\n' "$name" "$version" \
			"$(echo "$license" | sed 's/ OR / or /g')"
		printf ' %s, which /usr/bin/dsagent holds.\n' "$homepage"
		printf ' Its notice is in /usr/share/doc/dsagent/THIRD-PARTY-NOTICES.gz.\n'
	done
}

text() { # ARCHIVE FILE: below the one folder of the archive, whatever its name
	rm -rf "$tmp" && mkdir "$tmp"
	tar -xf "$1" -C "$tmp" --strip-components=1 --no-same-owner --no-wildcards-match-slash --wildcards "*/$2"
	case $2 in
	*.c) sed '/\*\//q' "$tmp/$2" ;;
	*) cat "$tmp/$2" ;;
	esac
}

texts() { # SOURCES
	line=$(printf '%80s' '' | tr ' ' =)
	cat <<END
The static program dsagent holds the software below; each has its own licence, and wants its notice handed on with it.
dsagent itself is under the Apache License, version 2.0. libgcc, of which gcc puts a few functions into every program, is
under the GNU General Public License with the GCC Runtime Library Exception, which asks for nothing here.
END
	rows 'name version license homepage notices' | while IFS='|' read -r name version license homepage files; do
		printf '\n%s\n%s %s, %s\n%s\n%s\n' "$line" "$name" "$version" "$license" "$homepage" "$line"
		for file in $files; do
			echo
			text "$1/$name-$version.source" "$file"
		done
	done
}

case ${1:-} in
spdx | dep5) "$1" ;;
texts)
	tmp=$(mktemp -d)
	trap 'rm -rf "$tmp"' EXIT
	texts "$2"
	;;
*)
	echo "notices.sh: spdx, dep5 or texts SOURCES" >&2
	exit 2
	;;
esac
