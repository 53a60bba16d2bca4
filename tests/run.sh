#!/bin/sh
# run.sh BUILD UNIT-PROGRAMS PYTEST: all tests in turn; the last line sums them up, the exit status is 1 if any failed.
set -u

build=$1 units=$2 pytest=$3
passed=0 failed=0 skipped=0

# The number before a word in a summary line: count "$line" passed.
count() { echo "$1" | sed -n "s/.*[^0-9]\([0-9][0-9]*\) $2.*/\1/p; s/^\([0-9][0-9]*\) $2.*/\1/p" | head -n 1; }

add() {
	passed=$((passed + ${1:-0}))
	failed=$((failed + ${2:-0}))
	skipped=$((skipped + ${3:-0}))
}

for unit in $units; do
	"$unit" >"$unit.log" 2>&1
	status=$?
	good=$(sed -n 's/^\[  PASSED  \] \([0-9]*\) test.*/\1/p' "$unit.log" | tail -n 1)
	bad=$(sed -n 's/^\[  FAILED  \] .*: \([0-9]*\) test.*/\1/p' "$unit.log" | tail -n 1)
	left=$(sed -n 's/^\[  SKIPPED \] .*: \([0-9]*\) test.*/\1/p' "$unit.log" | tail -n 1)
	if [ "$status" != 0 ]; then
		echo "FAILED $unit"
		cat "$unit.log"
		[ "${bad:-0}" -gt 0 ] || bad=1 # it crashed
	fi
	add "${good:-0}" "${bad:-0}" "${left:-0}"
done
echo "unit: $passed passed, $failed failed, $skipped skipped"

# begin NAME COMMAND…: runs it in the background, its output kept in NAME.log. end NAME: waits for it, shows what it said
# and adds the counts of its last line.
begin() {
	name=$1
	shift
	("$@" >"$build/tests/$name.log" 2>&1; echo $? >"$build/tests/$name.status") &
	eval "pid_$name=\$!"
}

end() {
	eval "wait \$pid_$1"
	status=$(cat "$build/tests/$1.status")
	cat "$build/tests/$1.log"
	line=$(grep -E '[0-9]+ (passed|failed|skipped|error)' "$build/tests/$1.log" | tail -n 1)
	bad=$(($(count "$line" failed || echo 0) + $(count "$line" error || echo 0) + 0))
	[ "$status" = 0 ] || [ "$bad" -gt 0 ] || bad=1
	add "$(count "$line" passed)" "$bad" "$(count "$line" skipped)"
}

begin cases sh tests/cases/run.sh "$build/dsagent"
end cases
# Both wait more than they work, and neither sees what the other has.
# shellcheck disable=SC2086  # a command line
begin rig $pytest --basetemp="$build/tests/tmp/rig" tests/rig
# shellcheck disable=SC2086
begin e2e $pytest --basetemp="$build/tests/tmp/e2e" tests/e2e
end e2e
end rig

echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ] || exit 1
# In CI everything can be had: what was skipped was not tested.
[ "${CI:-}" != true ] || [ "$skipped" = 0 ]
