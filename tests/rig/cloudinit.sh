#!/bin/sh
# cloudinit.sh [SUITE]: makes, once, below build/rig, the Debian root with systemd and the real cloud-init, set up as on EC2 but for
# what a container cannot have: no DMI (so the metadata service must take IMDSv1 too), no network of its own to set up.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
suite=${1:-bookworm}
root=${RIG_DIR:-$top/build/rig}/cloudinit
[ "$suite" = bookworm ] || root=$root-$suite
[ -e "$root/.made" ] && { echo "$root"; exit 0; }
base=$(sh "$here/systemd.sh" "$suite")
rm -rf "$root" "$root.part"
cp -a "$base" "$root.part"
rm -f "$root.part/.made"
chroot "$root.part" env DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 \
	apt-get install -y -q --no-install-recommends cloud-init iproute2 >&2
echo 'policy: enabled' >"$root.part/etc/cloud/ds-identify.cfg"
cat >"$root.part/etc/cloud/cloud.cfg.d/99-rig.cfg" <<'CFG'
datasource_list: [Ec2]
datasource: {Ec2: {strict_id: false, max_wait: 20, timeout: 5}}
network: {config: disabled}
apt: {preserve_sources_list: true}
locale: false
CFG
touch "$root.part/.made"
mv "$root.part" "$root"
echo "$root"
