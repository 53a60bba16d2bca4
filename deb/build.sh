#!/bin/sh
# build.sh VERSION PROGRAM HOST-PROGRAM OUT: OUT/dsagent_VERSION_ARCH.deb of PROGRAM. The same input and SOURCE_DATE_EPOCH
# make the same file.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
top=$(dirname "$here")
version=$1 program=$(realpath "$2") host=$(realpath "$3") out=$4
for tool in dpkg-buildpackage dh; do
	command -v "$tool" >/dev/null || { echo "make deb: $tool is missing (apt-get install dpkg-dev debhelper)" >&2; exit 1; }
done
case $(sh "$top/packaging/arch.sh" "$program") in
x86_64) arch=amd64 ;;
aarch64) arch=arm64 ;;
esac
note=$(sh "$top/packaging/linkage.sh" "$program")
mkdir -p "$out"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/source/debian/source"
cp "$here"/control "$here"/rules "$here"/copyright "$here"/dsagent.* "$work/source/debian/"
echo '3.0 (native)' >"$work/source/debian/source/format"
[ -n "$note" ] || sh "$top/packaging/static/notices.sh" dep5 >>"$work/source/debian/copyright"
[ -z "$note" ] || printf ' .\n %s\n' "$note" >>"$work/source/debian/control"
cat >"$work/source/debian/changelog" <<END
dsagent ($version) unstable; urgency=medium

  * Release $version

 -- dsagent maintainers <maintainers@dsagent.example>  $(LC_ALL=C date -u -R -d "@$SOURCE_DATE_EPOCH")
END
# -d: no compiler for that architecture is needed.
(cd "$work/source" && DSAGENT_TOP=$top DSAGENT_PROGRAM=$program DSAGENT_HOST=$host \
	dpkg-buildpackage -b -us -uc -d -a"$arch" >"$work/log" 2>&1) || { cat "$work/log" >&2; exit 1; }
deb=dsagent_${version}_$arch.deb
cp "$work/$deb" "$out/"
echo "  $out/$deb"
