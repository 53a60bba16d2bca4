#!/bin/sh
# make.sh PROGRAM PAGE.in: prints a manual page. What the program knows of itself (commands, options, step types, keys) it
# is asked for, so the pages cannot disagree with it:
#   @DATE@ @VERSION@   of the release
#   @COMMANDS@         every command by its --help
#   @KEYS@ @STEPS@     the keys of every step; every step type by `explain`
set -eu

program=$1
here=$(cd "$(dirname "$0")" && pwd)

"$program" --version >/dev/null

# The names in a list of "  NAME  text" lines.
words() { sed -n 's/^  \([a-z][a-z_-]*\)  .*/\1/p'; }

commands() {
	for command in $("$program" help | words); do
		"$program" help "$command" | awk -f "$here/text.awk" -f "$here/command.awk"
	done
}

steps() {
	for type in $("$program" explain | words); do
		"$program" explain "$type" | awk -v part=step -f "$here/text.awk" -f "$here/step.awk"
	done
}

keys() { "$program" explain run | awk -v part=common -f "$here/text.awk" -f "$here/step.awk"; }

# SOURCE_DATE_EPOCH: the same page from the same source, on any day.
epoch=${SOURCE_DATE_EPOCH:-$(date +%s)}
while IFS= read -r line; do
	case $line in
	@COMMANDS@) commands ;;
	@KEYS@) keys ;;
	@STEPS@) steps ;;
	*@DATE@*) printf '%s%s%s\n' "${line%%@DATE@*}" "$(LC_ALL=C date -u -d "@$epoch" '+%B %-d, %Y')" "${line#*@DATE@}" ;;
	*@VERSION@*) printf '%s%s%s\n' "${line%%@VERSION@*}" "$("$program" --version | sed 's/^dsagent //; s/ .*//')" "${line#*@VERSION@}" ;;
	*) printf '%s\n' "$line" ;;
	esac
done <"$2"
