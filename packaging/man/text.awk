# A line of text in mdoc(7): ASCII, hyphens that stay hyphens, nothing that roff would take for a request.
function text(s) {
	gsub(/\\/, "\\e", s)
	gsub(/`/, "\\(ga", s)
	gsub(/-/, "\\-", s)
	gsub(/…/, "...", s)
	if (s ~ /^[.']/) s = "\\&" s
	return s
}
