#!/bin/sh
# Prints a C file that holds every recipe and pip set of a folder, or single texts under names of their own:
#   embed.sh recipes > builtin.c
#   embed.sh --text HEADER NAME=FILE… > gen.c
set -eu
dir=$1
bytes() { od -An -v -tx1 "$1" | sed 's/ \(..\)/0x\1,/g'; }
if [ "$dir" = --text ]; then
	printf '/* Made by agent/embed.sh. */\n#include "%s"\n' "$2"
	shift 2
	for pair in "$@"; do
		printf 'const char %s[] = {\n' "${pair%%=*}"
		bytes "${pair#*=}"
		printf '0};\n'
	done
	exit
fi
table() {
	printf 'const struct builtin %s[] = {\n' "$1"
	i=0
	for f in $2; do
		[ -e "$f" ] || continue
		n=${f##*/}
		printf '\t{"%s", (const char *)%s_%d, sizeof %s_%d - 1},\n' "${n%.*}" "$1" $i "$1" $i
		i=$((i + 1))
	done
	printf '\t{0, 0, 0},\n};\n'
}
data() {
	i=0
	for f in $2; do
		[ -e "$f" ] || continue
		printf 'static const unsigned char %s_%d[] = {\n' "$1" $i
		bytes "$f"
		printf '0};\n'
		i=$((i + 1))
	done
}
echo '/* Made by agent/embed.sh. */'
echo '#include "recipe/builtin.h"'
data builtin_recipes "$dir/*.yaml"
data builtin_sets "$dir/sets/*.txt"
table builtin_recipes "$dir/*.yaml"
table builtin_sets "$dir/sets/*.txt"
