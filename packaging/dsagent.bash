# bash completion for dsagent: commands and options are asked of dsagent itself, so they are those of the version at hand.

# The first column of the indented lines of a help text: commands.
_dsagent_commands() { "$1" help 2>/dev/null | sed -n 's/^  \([a-z][a-z-]*\)  .*/\1/p'; }

# The options in a command's help text.
_dsagent_options() { "$1" help "$2" 2>/dev/null | sed -n 's/^  \(\(-.\), \| *\)\(--[a-z-]*\).*/\3/p'; }

_dsagent() {
	local program=${COMP_WORDS[0]} current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
	local command='' words='' i
	COMPREPLY=()
	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		--root) ((i++)) ;;
		-*) ;;
		*)
			command=${COMP_WORDS[i]}
			break
			;;
		esac
	done
	case $previous in
	--root)
		mapfile -t COMPREPLY < <(compgen -d -- "$current")
		return
		;;
	--format) words='script mime cloud-config' ;;
	esac
	if [[ -z $words ]]; then
		case $command/$current in
		/-*) words='--root --json --help --version' ;;
		/* | help/*) words=$(_dsagent_commands "$program") ;;
		*/-*) words=$(_dsagent_options "$program" "$command") ;;
		explain/*) words=$("$program" explain 2>/dev/null | sed -n 's/^  \([a-z][a-z_-]*\)  .*/\1/p') ;;
		doctor/*) words=gpu ;;
		esac
	fi
	# Files come from -o default when no word fits.
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}

complete -o default -o bashdefault -F _dsagent dsagent
