#!/bin/sh
# libs.sh BINARY FOLDER: when BINARY is not static, copies its libraries and its loader (as "loader") to FOLDER, once, and
# prints FOLDER: the root that it runs in may have others.
set -eu

binary=$1 folder=$2
loader=$(ldd "$binary" 2>/dev/null | sed -n 's/^[[:space:]]*\(\/[^ ]*ld-linux[^ ]*\) .*/\1/p') || exit 0
[ -n "$loader" ] || exit 0
if [ ! -d "$folder" ]; then
	mkdir "$folder"
	ldd "$binary" | sed -n 's/.*=> \(\/[^ ]*\) .*/\1/p' | xargs -I{} cp -L {} "$folder/"
	cp -L "$loader" "$folder/loader"
fi
echo "$folder"
