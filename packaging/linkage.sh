#!/bin/sh
# linkage.sh PROGRAM: nothing for a static one that has the notices of its libraries beside it, else the sentence that a
# package of it carries: such packages are for tests.
set -eu

if readelf -lW "$1" 2>/dev/null | grep -q INTERP; then
	echo "NOT FOR RELEASE: it needs the libraries of the machine it was built on."
elif ! readelf -hW "$1" >/dev/null 2>&1; then
	echo "NOT FOR RELEASE: what it has in the program's place is a script."
elif [ ! -f "$(dirname "$1")/THIRD-PARTY-NOTICES" ]; then
	echo "NOT FOR RELEASE: the notices of the libraries in it are missing."
fi
