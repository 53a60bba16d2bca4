# `dsagent explain TYPE` in mdoc(7): part=step is the type's own keys and its example, part=common the keys of every step.
function close_lists(to) {
	for (; depth > to; depth--) print ".El"
}

# Two lines a key: "  NAME  what it takes", and below it, further in, what it is.
function key(line,   name, at) {
	match(line, /^ +/)
	at = (RLENGTH - 2) / 4 + 1
	sub(/^ +/, "", line)
	name = line
	sub(/ .*/, "", name)
	sub(/^[^ ]+ +/, "", line)
	close_lists(at)
	for (; depth < at; depth++) print ".Bl -tag -width Ds"
	print ".It Cm \\&" text(name)
	print ".Pq " text(line)
	wants_help = 1
}

NR == 1 {
	state = "step"
	if (part != "step") next
	name = $1
	sub(/:$/, "", name)
	sub(/^[a-z_]+: /, "")
	print ".Ss " name
	print text(toupper(substr($0, 1, 1)) substr($0, 2)) "."
	next
}
/^Every step may also have:$/ { close_lists(0); state = "common"; next }
/^Example:$/ {
	close_lists(0)
	state = "example"
	if (part == "step") print ".Pp\nExample:\n.Bd -literal -offset indent"
	next
}
state != "example" && state != part { next }
state == "example" && part == "step" { sub(/^  /, ""); print text($0); next }
state == "example" { next }
/^In short: / { close_lists(0); print ".Pp"; print text($0); next }
wants_help { sub(/^ +/, ""); print text($0); wants_help = 0; next }
/^ / { key($0) }
END { close_lists(0); if (part == "step") print ".Ed" }
