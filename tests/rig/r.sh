#!/bin/sh
# r.sh: makes, once, below build/rig, the Debian root with R and a CRAN-like repository of toy packages at /srv/cran; prints
# its path. Toys: rigpure (R alone), rigc (C), righeader (wants libxml/parser.h), rignoload (fails when loaded), rigcrash
# (ends R when loaded), riguser (depends on rigpure).
set -eu

here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
rig=${RIG_DIR:-$top/build/rig}
root=$rig/r
[ -e "$root/.made" ] && { echo "$root"; exit 0; }
[ "$(id -u)" = 0 ] || { echo "rig: needs root" >&2; exit 1; }
base=$(sh "$here/debian.sh")
rm -rf "$root" "$root.part"
cp -a "$base" "$root.part"
rm -f "$root.part/.made"
chroot "$root.part" env DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 \
	apt-get install -y -q --no-install-recommends r-base-core >&2

# toy NAME VERSION [IMPORTS]
toy() {
	dir=$root.part/srv/src/$1
	mkdir -p "$dir/R"
	cat >"$dir/DESCRIPTION" <<EOT
Package: $1
Version: $2
Title: Toy
Description: A toy.
Author: rig
Maintainer: rig <rig@example.invalid>
License: GPL-2
${3:+Imports: $3}
EOT
	sed -i '/^$/d' "$dir/DESCRIPTION"
	echo 'exportPattern("^[a-z]")' >"$dir/NAMESPACE"
	[ -z "${3:-}" ] || echo "import($3)" >>"$dir/NAMESPACE"
	echo "toy <- function() '$1 $2'" >"$dir/R/toy.R"
}
toy rigpure 1.0
toy riguser 1.0 rigpure
toy rigc 1.0
mkdir "$root.part/srv/src/rigc/src"
printf '#include <R.h>\nvoid rigc(int *x) { *x = 42; }\n' >"$root.part/srv/src/rigc/src/c.c"
echo 'useDynLib(rigc)' >>"$root.part/srv/src/rigc/NAMESPACE"
toy righeader 1.0
mkdir "$root.part/srv/src/righeader/src"
printf '#include <libxml/parser.h>\nvoid x(void) {}\n' >"$root.part/srv/src/righeader/src/c.c"
echo 'useDynLib(righeader)' >>"$root.part/srv/src/righeader/NAMESPACE"
toy rignoload 1.0
echo '.onLoad <- function(...) if (!nzchar(Sys.getenv("R_INSTALL_PKG"))) stop("libgsl.so.27: cannot open shared object file")' \
	>>"$root.part/srv/src/rignoload/R/toy.R"
toy rigcrash 1.0
echo '.onLoad <- function(...) if (!nzchar(Sys.getenv("R_INSTALL_PKG"))) quit(status = 9)' >>"$root.part/srv/src/rigcrash/R/toy.R"
# BiocManager as far as the step uses it: it installs what is in the repository.
toy BiocManager 1.0
echo 'install <- function(pkgs, ..., ask, update, force) { stopifnot(!ask, !update); utils::install.packages(pkgs, ...) }' \
	>>"$root.part/srv/src/BiocManager/R/toy.R"
echo 'importFrom(utils, install.packages)' >>"$root.part/srv/src/BiocManager/NAMESPACE"

mkdir -p "$root.part/srv/cran/src/contrib"
for dir in "$root.part"/srv/src/*; do
	chroot "$root.part" sh -c "cd /srv/cran/src/contrib && R CMD build /srv/src/${dir##*/}" >&2
done
chroot "$root.part" Rscript -e 'tools::write_PACKAGES("/srv/cran/src/contrib", type = "source")' >&2
touch "$root.part/.made"
mv "$root.part" "$root"
echo "$root"
