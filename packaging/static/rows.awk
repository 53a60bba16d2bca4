# The manifest for the shell, a line a source: name version sha256 source debian debian-sha256 patches patches-sha256
# patches-not, "-" for what is not there. -v use=tests: the sources of the tests too. -v want='name license': these columns;
# -v sep='|': that between them.
function flush() {
	if (f["name"] != "" && (f["use"] == "" || f["use"] == use)) {
		row = ""
		for (i = 1; i <= n; i++) row = row (f[columns[i]] == "" ? "-" : f[columns[i]]) (i < n ? sep : "")
		print row
	}
	split("", f)
}
BEGIN {
	if (want == "") want = "name version sha256 source debian debian-sha256 patches patches-sha256 patches-not"
	if (sep == "") sep = " "
	n = split(want, columns, " ")
}
/^#/ { next }
/^$/ { flush() }
match($0, /^[a-z0-9-]+: /) { f[substr($0, 1, RLENGTH - 2)] = substr($0, RLENGTH + 1) }
END { flush() }
