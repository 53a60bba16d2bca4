# `dsagent help COMMAND` as a subsection in mdoc(7).
# A word in a macro's arguments: what mdoc would take for punctuation or a macro is protected.
function word(s) { return "\\&" text(s) }

# One sentence a line, as mdoc wants it.
function prose(s) {
	s = text(s)
	while (match(s, /[A-Za-z0-9)][.] [A-Z]/)) {
		print substr(s, 1, RSTART + 1)
		s = substr(s, RSTART + 3)
	}
	print s
}

# "-j, --jobs N": flags, and in italics what they take.
function option(s,   parts, n, i, line) {
	n = split(s, parts, /,? +/)
	line = ".It"
	for (i = 1; i <= n; i++) {
		if (parts[i] ~ /^--/) line = line (i > 1 ? " , " : " ") "Fl \\-" word(substr(parts[i], 3))
		else if (parts[i] ~ /^-/) line = line " Fl " word(substr(parts[i], 2))
		else line = line " Ar " word(parts[i])
	}
	return line
}

/^Usage: dsagent / {
	sub(/^Usage: dsagent /, "")
	print ".Ss dsagent " text($0) "\\&"
	state = "description"
	next
}
/^Options:$/ {
	print ".Bl -tag -width Ds"
	state = "options"
	next
}
/^Example:$/ {
	print ".El\n.Pp\nExample:\n.Bd -literal -offset indent"
	state = "example"
	next
}
state == "description" && $0 != "" { description = description (description == "" ? "" : " ") $0 }
state == "description" && $0 == "" && description != "" {
	prose(description)
	description = ""
}
state == "options" && match($0, /^ +(-[a-z], )?--[a-z-]+( [A-Z=]+)?/) {
	flags = substr($0, 1, RLENGTH)
	help = substr($0, RLENGTH + 1)
	sub(/^ +/, "", flags)
	sub(/^ +/, "", help)
	print option(flags)
	prose(help)
}
state == "example" {
	sub(/^  /, "")
	print text($0)
}
END { print ".Ed" }
