#!/bin/sh
# gate.sh PROGRAM: a static program is one that asks the machine for nothing. No interpreter, no library, no stack that
# runs; and in an empty root it starts, reads a built-in recipe and knows where it is. Run by root, or where user namespaces are.
set -eu

program=$1
fail() {
	echo "dsagent: $program: $*" >&2
	exit 1
}

headers=$(readelf -lW "$program")
case $headers in *INTERP*) fail "names an interpreter (readelf -lW): it was linked with another -static-pie than musl's" ;; esac
case $headers in *GNU_RELRO*) ;; *) fail "has no RELRO segment" ;; esac
echo "$headers" | grep -q 'GNU_STACK.* RW ' || fail "has an executable stack"
case $(readelf -hW "$program") in *'Type:'*DYN*) ;; *) fail "is not position-independent" ;; esac
dynamic=$(readelf -dW "$program")
case $dynamic in *'(NEEDED)'*) fail "needs shared libraries: $(echo "$dynamic" | grep NEEDED)" ;; esac
# What another machine's program says is for that machine's tests.
case $(readelf -hW "$program") in
*X86-64*) [ "$(uname -m)" = x86_64 ] || exit 0 ;;
*AArch64*) [ "$(uname -m)" = aarch64 ] || exit 0 ;;
esac

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
cp "$program" "$root/dsagent"
chmod 755 "$root/dsagent"
PATH=$PATH:/usr/sbin:/sbin
chroot=$(command -v chroot)
[ "$(id -u)" = 0 ] || chroot="$(command -v unshare) -r $chroot"

for run in version "validate quickstart" facts; do
	# shellcheck disable=SC2086
	out=$(env -i $chroot "$root" /dsagent $run 2>&1) || fail "in an empty root, '$run' ends with $?: $out"
	[ -n "$out" ] || fail "in an empty root, '$run' says nothing"
done
