#!/bin/sh
# dnf.sh: makes, once, below build/rig, a root that looks like Amazon Linux 2023 to dsagent and has the real dnf and rpm, with
# a repository of toy packages at /srv/toys; prints its path. The tools are Debian's, since no image of Amazon Linux is
# needed for what is tested here: that dsagent's dnf and rpm calls do what they should.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
rig=${RIG_DIR:-$top/build/rig}
root=$rig/dnf
[ "$root/.made" -nt "$0" ] && { echo "$root"; exit 0; }
[ "$(id -u)" = 0 ] || { echo "rig: needs root" >&2; exit 1; }
base=$(sh "$here/debian.sh")
rm -rf "$root" "$root.part"
cp -a "$base" "$root.part"
rm -f "$root.part/.made"
chroot "$root.part" env DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 \
	apt-get install -y -q --no-install-recommends dnf rpm createrepo-c >&2

# Toy packages: NAME VERSION [REQUIRES] [PROVIDES] [COMMAND, a script that ends well]. ds-release tells dnf the release,
# as system-release does there.
toy() {
	spec=$root.part/srv/specs/$1-$2.spec make_command=
	[ -z "${5:-}" ] || make_command="mkdir -p %{buildroot}/usr/bin
printf '#!/bin/sh\\n' >%{buildroot}/usr/bin/$5
chmod 755 %{buildroot}/usr/bin/$5"
	mkdir -p "$root.part/srv/specs"
	cat >"$spec" <<SPEC
Name: $1
Version: $2
Release: 1
Summary: toy package $1
License: Public Domain
BuildArch: noarch
AutoReqProv: no
${3:+Requires: $3}
${4:+Provides: $4}
%description
A toy.
%install
mkdir -p %{buildroot}/usr/share/toys
echo $1 $2 > %{buildroot}/usr/share/toys/$1
$make_command
%files
/usr/share/toys/$1
${5:+/usr/bin/$5}
SPEC
	chroot "$root.part" rpmbuild -bb --quiet --define '_topdir /srv/build' --define '_rpmdir /srv/toys' \
		"/srv/specs/$1-$2.spec" >&2
}
toy ds-release 2023 "" "system-release = 2023"
toy ds-tool 1.0
toy ds-tool 2.0
toy ds-lib 1.0
toy ds-app 1.0 ds-lib
toy ds-editor 1.0 "" ds-virtual-editor
toy ds-broken 1.0 ds-nowhere
# What daily-driver asks for; its Python is the root's own.
for name in git make gcc gcc-c++ R-core-devel libcurl-devel openssl-devel libxml2-devel; do toy "$name" 1.0; done
toy R-core 4.3.2 "" "" Rscript
chroot "$root.part" createrepo_c -q /srv/toys >&2

cat >"$root.part/etc/os-release" <<'EOT'
NAME="Amazon Linux"
VERSION="2023"
ID="amzn"
ID_LIKE="fedora"
VERSION_ID="2023"
PLATFORM_ID="platform:al2023"
PRETTY_NAME="Amazon Linux 2023"
EOT
mkdir -p "$root.part/etc/yum.repos.d" "$root.part/etc/dnf/vars"
rm -f "$root.part"/etc/yum.repos.d/*
cat >"$root.part/etc/yum.repos.d/toys.repo" <<'EOT'
[toys]
name=toys
baseurl=file:///srv/toys
gpgcheck=0
EOT
printf '[main]\ngpgcheck=0\nbest=True\nmodule_platform_id=platform:al2023\nassumeyes=False\n' >"$root.part/etc/dnf/dnf.conf"
mkdir -p "$root.part/etc/rpm"
echo '%_dbpath /var/lib/rpm' >"$root.part/etc/rpm/macros"
chroot "$root.part" rpm --initdb
chroot "$root.part" rpm -i --nodeps /srv/toys/noarch/ds-release-2023-1.noarch.rpm
chroot "$root.part" dnf -q makecache >&2
touch "$root.part/.made"
mv "$root.part" "$root"
echo "$root"
