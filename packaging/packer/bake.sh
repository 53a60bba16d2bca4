#!/bin/sh
# bake.sh: what is done on the machine that becomes an image, as root. PACKAGE is the RPM or the DEB, RECIPE the recipe.
set -eu

case $PACKAGE in
*.rpm) dnf install -y "$PACKAGE" ;;
*.deb)
	export DEBIAN_FRONTEND=noninteractive
	apt-get -o DPkg::Lock::Timeout=600 install -y "$PACKAGE"
	;;
*)
	echo "bake.sh: PACKAGE is an RPM or a DEB, not '$PACKAGE'" >&2
	exit 2
	;;
esac
install -D -m 0644 "$RECIPE" /etc/dsagent/recipes.d/10-team.yaml
# The tags are for the instances of the image; this machine is none of them.
dsagent apply --no-tags
systemctl enable dsagent.service
dsagent clean --image
rm -f "$PACKAGE" "$RECIPE"
