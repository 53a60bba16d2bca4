#!/bin/sh
# install.sh install ROOT PREFIX PROGRAM HOST-PROGRAM KIND…: puts what packaging/files lists below ROOT, PREFIX in the
#   place of /usr, of the kinds that are named. HOST-PROGRAM runs here and knows its own manual: PROGRAM need not.
# install.sh rpm-files PROGRAM: the same list as rpm's %files has it.
set -eu

top=$(cd "$(dirname "$0")/.." && pwd)

# Every row, wildcards in FROM expanded: KIND MODE PATH FROM.
rows() {
	grep -v '^#' "$top/packaging/files" | while read -r kind mode path from; do
		[ "$from" != notices ] || [ -f "$notices" ] || continue
		case $path in
		*/) (cd "$top" && for one in $from; do echo "$kind $mode $path${one##*/} $one"; done) ;;
		*) echo "$kind $mode $path $from" ;;
		esac
	done
}

page() { # PATH
	name=${1##*/}
	sh "$top/packaging/man/make.sh" "$host" "$top/packaging/man/${name%.gz}.in" >"$tmp"
	gzip -9n "$tmp"
	mv "$tmp.gz" "$tmp"
}

put() { # KIND MODE PATH FROM
	to=$root$3
	case $3 in /usr/*) to=$root$prefix${3#/usr} ;; esac
	if [ "$1" = dir ]; then
		install -d -m "$2" "$to"
		return
	fi
	case $4 in
	program) cp "$program" "$tmp" ;;
	notices) cp "$notices" "$tmp" ;;
	man) page "$3" ;;
	"-> "*)
		install -d -m 0755 "${to%/*}"
		ln -sfn "${4#-> }" "$to"
		return
		;;
	*.service | */99-dsagent) sed "s|/usr/bin/|$prefix/bin/|" "$top/$4" >"$tmp" ;;
	*) cp "$top/$4" "$tmp" ;;
	esac
	install -D -m "$2" "$tmp" "$to"
}

case $1 in
rpm-files)
	notices=$(dirname "$2")/THIRD-PARTY-NOTICES
	rows | while read -r kind _ path _; do
		case $kind in
		dir) echo "%dir $path" ;;
		config) echo "%config(noreplace) $path" ;;
		license) echo "%license $path" ;;
		file | motd.d) echo "$path" ;;
		esac
	done
	;;
install)
	root=$2 prefix=$3 program=$4 host=$5 notices=$(dirname "$4")/THIRD-PARTY-NOTICES
	shift 5
	kinds=" $* "
	tmp=$(mktemp)
	trap 'rm -f "$tmp" "$tmp.gz"' EXIT
	rows | while read -r kind mode path from; do
		case $kinds in *" $kind "*) put "$kind" "$mode" "$path" "$from" ;; esac
	done
	;;
*)
	echo "install.sh: install or rpm-files, not '$1'" >&2
	exit 2
	;;
esac
