#!/bin/sh
# reproducible.sh ARCH PROGRAM: builds everything once more from the same sources, elsewhere and otherwise, and compares.
set -eu

arch=$1 program=$2
copy=$(mktemp -d "${TMPDIR:-/tmp}/dsagent-again.XXXXXX")
trap 'rm -rf "$copy"' EXIT
there=$copy/a/deeper/folder/with-a-longer-name
mkdir -p "$there/build/static"
tar --exclude=./build --exclude=./.git -cf - . | tar -xf - -C "$there"
cp -R build/static/src "$there/build/static/src"
echo "  once more in $there: ${program##*/}"
(
	umask 077
	cd "$there"
	env -i PATH="$PATH" HOME="$copy" TZ=Asia/Kolkata LANG=C.UTF-8 STATIC_JOBS=3 \
		make -j3 --no-print-directory static STATIC_ARCH="$arch" >"$copy/log" 2>&1
) || {
	tail -n 30 "$copy/log" >&2
	exit 1
}
first=$(sha256sum <"$program" | cut -d' ' -f1)
second=$(sha256sum <"$there/$program" | cut -d' ' -f1)
echo "  $first $program"
echo "  $second $there/$program"
[ "$first" = "$second" ] || {
	mkdir -p build/static/differs && cp "$there/$program" build/static/differs/
	echo "dsagent: the two differ; the second is kept in build/static/differs (cmp -l, or diffoscope)" >&2
	exit 1
}
echo "  reproducible: ${program##*/}"
