#!/bin/sh
# build.sh VERSION PROGRAM HOST-PROGRAM OUT: OUT/dsagent-VERSION-1.ARCH.rpm of PROGRAM. The same input and SOURCE_DATE_EPOCH
# make the same file.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
top=$(dirname "$here")
version=$1 program=$(realpath "$2") host=$(realpath "$3") out=$4
command -v rpmbuild >/dev/null || { echo "make rpm: rpmbuild is missing (Debian: apt-get install rpm; Amazon Linux: dnf install rpm-build)" >&2; exit 1; }
arch=$(sh "$top/packaging/arch.sh" "$program")
note=$(sh "$top/packaging/linkage.sh" "$program")
mkdir -p "$out"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
license=Apache-2.0
[ -n "$note" ] || license=$(sh "$top/packaging/static/notices.sh" spdx)
set -- --define "_topdir $work" --define "agent_version $version" --define "agent_top $top" \
	--define "agent_license $license" --define "agent_program $program" --define "agent_host $host" \
	--define "agent_day $(LC_ALL=C date -u -d "@$SOURCE_DATE_EPOCH" '+%a %b %d %Y')"
[ -z "$note" ] || set -- "$@" --define "agent_note $note"
rpmbuild -bb --quiet --target "$arch-linux" "$@" --define '_rpmfilename %{NAME}-%{VERSION}-%{RELEASE}.%{ARCH}.rpm' \
	--define '_buildhost localhost' --define 'use_source_date_epoch_as_buildtime 1' \
	--define 'clamp_mtime_to_source_date_epoch 1' --define '_binary_payload w7.xzdio' "$here/dsagent.spec" >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
rpm=dsagent-$version-1.$arch.rpm
cp "$work/RPMS/$rpm" "$out/"
echo "  $out/$rpm"
