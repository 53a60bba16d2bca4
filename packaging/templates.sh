#!/bin/sh
# templates.sh: writes user-data.sh anew into the templates that carry it, from "#!/bin/sh" to "RECIPE", with their
# parameters in the place of its values. `make templates` after a change of user-data.sh; a test says when.
set -eu

here=$(cd "$(dirname "$0")" && pwd)

# put FILE AGENT X86_64 AARCH64 RECIPE SED
put() {
	script=$(mktemp)
	grep -v '^[[:space:]]*\(#[^!].*\|#\)\{0,1\}$' "$here/user-data.sh" | sed -e "$6" -e "s|^agent=''|agent='$2'|" \
		-e "s|^x86_64=''|x86_64='$3'|" -e "s|^aarch64=''|aarch64='$4'|" -e '/RECIPE.$/q' >"$script"
	printf '%s\nRECIPE\n' "$5" >>"$script"
	awk -v script="$script" '
		/^ +#!\/bin\/sh$/ && !is_in {
			is_in = 1
			match($0, /^ +/)
			indent = substr($0, 1, RLENGTH)
			while ((getline line < script) > 0) print indent line
		}
		!is_in { print }
		/^ +RECIPE$/ { is_in = 0 }' "$here/$1" >"$script.new"
	cat "$script.new" >"$here/$1"
	rm "$script" "$script.new"
}

# In Fn::Sub, ${!x} is the shell's ${x}.
# shellcheck disable=SC2016
put cloudformation/daily-cpu.yaml 's3://${AgentBucket}/dsagent/dsagent-{arch}' '${Sha256X8664}' '${Sha256Aarch64}' \
	'recipe: daily
include: [daily-driver]' 's/\${/${!/g'
put ssm/dsagent-apply.yaml '{{ Agent }}' '{{ Sha256X8664 }}' '{{ Sha256Aarch64 }}' '{{ Recipe }}' 's/ boot - / apply - /'
