#!/bin/sh
# Golden cases: NAME/recipe.yaml with what `dsagent validate` says about it, exactly, in NAME/expected.txt.
# Usage: tests/cases/run.sh path/to/dsagent [NAME...]; UPDATE=1 writes the expectations anew (read the diff!).
# NAME/args holds further arguments, one option with its value a line. A NAME that ends in -accepted is a good
# recipe (exit status 0), every other is a broken one (exit status 2).
set -u
agent=${1:?usage: run.sh DSAGENT [NAME...]}
shift
case $agent in
/*) ;;
*) agent=$PWD/$agent ;;
esac
cd "$(dirname "$0")" || exit 1
out=$(mktemp) || exit 1
trap 'rm -f "$out"' EXIT
passed=0 failed=0
[ $# -gt 0 ] || set -- */
for dir; do
	dir=${dir%/}
	want=2
	case $dir in *-accepted) want=0 ;; esac
	(
		cd "$dir" || exit 1
		set --
		if [ -f args ]; then
			while read -r option value; do set -- "$@" "$option" "$value"; done <args
		fi
		# Nothing of the caller's shell, terminal or account shows in a diagnosis.
		exec env -i PATH="$PATH" HOME=/nonexistent LANG=C.UTF-8 ${ASAN_OPTIONS:+"ASAN_OPTIONS=$ASAN_OPTIONS"} \
			"$agent" validate "$@" recipe.yaml
	) >"$out" 2>&1 </dev/null
	got=$?
	[ "${UPDATE:-}" ] && cp "$out" "$dir/expected.txt"
	if [ $got -ne $want ]; then
		failed=$((failed + 1))
		echo "FAILED $dir: exit status $got instead of $want"
		cat "$out"
	elif ! diff -u "$dir/expected.txt" "$out"; then
		failed=$((failed + 1))
		echo "FAILED $dir: other text"
	else
		passed=$((passed + 1))
	fi
done
echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
