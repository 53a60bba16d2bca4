#!/bin/sh
# gate.sh PROGRAM BYTES XZ-BYTES PATH: a static program is one that asks the machine for nothing. No interpreter, no library,
# no stack that runs, no relocation left open, nothing of the folder PATH that it was built in, no more than so many bytes, plain and
# by xz; and in an empty root it starts, reads a built-in recipe and knows where it is. Run by root, or where user namespaces are.
set -eu

program=$1 most=$2 xz_most=$3 path=$4
fail() {
	echo "dsagent: $program: $*" >&2
	exit 1
}

headers=$(readelf -lW "$program")
case $headers in *INTERP*) fail "names an interpreter (readelf -lW): it was linked with another -static-pie than musl's" ;; esac
case $headers in *GNU_RELRO*) ;; *) fail "has no RELRO segment" ;; esac
echo "$headers" | grep -q 'GNU_STACK.* RW ' || fail "has an executable stack"
if echo "$headers" | grep -q 'LOAD.* RWE '; then fail "has a segment that is writable and runs"; fi
case $(readelf -hW "$program") in *'Type:'*DYN*) ;; *) fail "is not position-independent" ;; esac
dynamic=$(readelf -dW "$program")
case $dynamic in *'(NEEDED)'*) fail "needs shared libraries: $(echo "$dynamic" | grep NEEDED)" ;; esac
case $dynamic in *'(RPATH)'* | *'(RUNPATH)'*) fail "has a search path for libraries" ;; esac
case $dynamic in *BIND_NOW*) ;; *) fail "is not linked with -z now" ;; esac
case $dynamic in *'Flags:'*PIE*) ;; *) fail "is not marked as PIE" ;; esac
if grep -qaF "$path" "$program"; then fail "holds the folder that it was built in, $path"; fi
if readelf -SW "$program" | grep -Eq '\.(debug_|comment|note\.gnu\.build-id|symtab)'; then fail "is not stripped"; fi

bytes=$(wc -c <"$program")
[ "$bytes" -le "$most" ] || fail "has $bytes bytes, more than $most"
xz_bytes=$(xz -9e -c "$program" | wc -c)
[ "$xz_bytes" -le "$xz_most" ] || fail "has $xz_bytes bytes as .xz, more than $xz_most"

# Another machine's program runs where qemu knows how.
arch=x86_64
case $(readelf -hW "$program") in *AArch64*) arch=aarch64 ;; esac
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
cp "$program" "$root/dsagent"
chmod 755 "$root/dsagent"
run=/dsagent
if [ "$arch" != "$(uname -m)" ]; then
	qemu=$(command -v "qemu-$arch-static") || {
		echo "dsagent: $program was not started: there is no qemu-$arch-static here" >&2
		exit 0
	}
	cp "$qemu" "$root/qemu"
	run="/qemu /dsagent"
fi
PATH=$PATH:/usr/sbin:/sbin
chroot=$(command -v chroot)
[ "$(id -u)" = 0 ] || chroot="$(command -v unshare) -r $chroot"

for words in version "validate quickstart" facts; do
	# shellcheck disable=SC2086
	out=$(env -i $chroot "$root" $run $words 2>&1) || fail "in an empty root, '$words' ends with $?: $out"
	[ -n "$out" ] || fail "in an empty root, '$words' says nothing"
done
