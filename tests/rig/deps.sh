#!/bin/sh
# Debian packages that only the rigs need; installs what is missing when run as root, else names it.
set -eu

missing=
for pair in debootstrap:debootstrap dnf:dnf rpm:rpm rpmbuild:rpm createrepo_c:createrepo-c unshare:util-linux; do
	command -v "${pair%%:*}" >/dev/null 2>&1 || missing="$missing ${pair#*:}"
done
[ -z "$missing" ] && exit 0
if [ "$(id -u)" != 0 ]; then
	echo "rig: missing packages:$missing (apt-get install them, or run as root)" >&2
	exit 1
fi
apt-get update -q >&2
# shellcheck disable=SC2086  # a list of words
DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing >&2
