#!/bin/sh
# Packages that dsagent is built, tested and linted with.
#   deps.sh check SET…     names what is missing in one line and fails
#   deps.sh install SET…   installs it when root asks, else does what check does
# Sets: build, test (with the throw-away roots of the rigs), lint, static (both architectures of `make static-all`).
set -eu

family() {
	if command -v apt-get >/dev/null 2>&1; then echo apt; elif command -v dnf >/dev/null 2>&1; then echo dnf; else echo none; fi
}

packages() {
	case $1/$2 in
	apt/build) echo gcc libc6-dev make pkg-config libcurl4-openssl-dev libssl-dev libyaml-dev libjansson-dev libexpat1-dev zlib1g-dev libarchive-dev ;;
	dnf/build) echo gcc make pkgconf-pkg-config libcurl-devel openssl-devel libyaml-devel jansson-devel expat-devel zlib-devel libarchive-devel ;;
	apt/demo) echo python3 python3-venv curl ca-certificates ;;
	dnf/demo) echo python3 python3-pip ca-certificates ;;
	apt/test) echo tmux git libcmocka-dev python3 python3-venv curl ca-certificates procps iproute2 util-linux debootstrap dnf rpm createrepo-c strace time tinyproxy-bin busybox shellcheck nginx-light systemd-container e2fsprogs xfsprogs debhelper lintian rpmlint mandoc groff-base libfaketime openssl wget ;;
	dnf/test) echo tmux git libcmocka-devel python3 python3-pip procps-ng iproute util-linux dnf rpm-build createrepo_c strace time nginx e2fsprogs xfsprogs ;;
	apt/static)
		echo gcc make perl patch xz-utils curl linux-libc-dev qemu-user-static
		case $(uname -m) in
		x86_64) echo gcc-aarch64-linux-gnu libc6-dev-arm64-cross ;;
		aarch64) echo gcc-x86-64-linux-gnu libc6-dev-amd64-cross ;;
		esac
		;;
	dnf/static) echo gcc make perl patch xz curl kernel-headers ;;
	apt/lint) echo clang clang-format clang-tidy cppcheck libclang-rt-dev ;;
	dnf/lint) echo clang clang-tools-extra cppcheck compiler-rt ;;
	esac
}

is_there() {
	case $1 in
	apt) [ "$(dpkg-query -W -f='${db:Status-Status}' "$2" 2>/dev/null)" = installed ] ;;
	dnf) rpm -q --whatprovides "$2" >/dev/null 2>&1 ;;
	esac
}

mode=$1
shift
fam=$(family)
[ "$fam" != none ] || { echo "dsagent: neither apt-get nor dnf here: install a C compiler, pkg-config and the development files of libcurl, OpenSSL, libyaml, Jansson, expat, zlib and libarchive" >&2; exit 1; }
missing=
for set in "$@"; do
	for p in $(packages "$fam" "$set"); do
		is_there "$fam" "$p" || missing="$missing $p"
	done
done
[ -n "$missing" ] || exit 0
case $fam in
apt) command="apt-get install -y --no-install-recommends$missing" ;;
dnf) command="dnf install -y$missing" ;;
esac
if [ "$mode" = install ] && [ "$(id -u)" = 0 ]; then
	echo "dsagent: installing$missing" >&2
	if [ "$fam" = apt ]; then
		export DEBIAN_FRONTEND=noninteractive
		apt-get update -q >&2
	fi
	$command >&2
	exit
fi
echo "dsagent: missing packages:$missing (as root: make deps, or: $command)" >&2
exit 1
