#!/bin/sh
# Fails when a file includes a floor that it must not see, or a third-party header outside its owner.
# The floors are ARCHITECTURE's: each folder lists what it may include beside itself.
set -eu
cd "$(dirname "$0")"
bad=0
complain() {
	echo "layers: $1" >&2
	bad=1
}
floors() {
	case $1 in
	base) echo base ;;
	fmt) echo base fmt ;;
	io) echo base io ;;
	aws) echo base fmt io aws ;;
	sys) echo base fmt io sys ;;
	recipe) echo base fmt io aws sys recipe ;;
	steps) echo base fmt io aws sys recipe steps ;;
	engine) echo base fmt io aws sys recipe engine ;;
	report) echo base fmt io aws report engine/event.h ;;
	cli) echo base fmt io aws sys recipe steps engine report cli ;;
	esac
}
owner() {
	case $1 in
	yaml.h) echo fmt/yml ;;
	jansson.h) echo fmt/js ;;
	expat.h) echo fmt/xml ;;
	openssl/*) echo "fmt/digest fmt/cert io/tls" ;;
	zlib.h) echo fmt/codec ;;
	curl/*) echo io/http ;;
	archive*.h) echo io/arc ;;
	esac
}
for file in */*.c */*.h; do
	dir=${file%%/*}
	allowed=$(floors "$dir")
	[ -n "$allowed" ] || complain "$file: folder $dir is on no floor"
	for inc in $(sed -n 's/^#include "\([^"]*\)".*/\1/p' "$file"); do
		ok=0
		for a in $allowed; do
			case $inc in "$a" | "$a"/*) ok=1 ;; esac
		done
		[ $ok = 1 ] || complain "$file includes $inc: $dir may include only $allowed"
	done
	for inc in $(sed -n 's/^#include <\([^>]*\)>.*/\1/p' "$file"); do
		own=$(owner "$inc")
		[ -z "$own" ] && continue
		ok=0
		for o in $own; do
			case ${file%.*} in "$o"*) ok=1 ;; esac
		done
		[ $ok = 1 ] || complain "$file includes <$inc>, which belongs to $own"
	done
done
[ $bad = 0 ] && echo "layers: ok"
exit $bad
