#!/bin/sh
# unit.sh RUNNER PROGRAM…: the unit tests of a static build, each by RUNNER (empty, or qemu); the last line sums them up.
set -u

runner=$1
shift
passed=0 failed=0
for unit in "$@"; do
	# shellcheck disable=SC2086
	if timeout 900 $runner "$unit" >"$unit.log" 2>&1; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "FAILED ${unit##*/}"
		tail -n 30 "$unit.log"
	fi
done
echo "static unit programs${runner:+ by $runner}: $passed passed, $failed failed"
[ "$failed" = 0 ]
