#include "fmt/secrets.h"

#include <ctype.h>
#include <strings.h>

#include "base/buf.h"
#include "base/str.h"

/* Shorter values are words: "token: on". */
#define VALUE_MIN 4
#define ACCESS_KEY_LEN 20

/* Ends of names whose value is secret, '-' written as '_'. */
static const char *const names[] = {
	"password",    "passwd",	"passphrase",  "secret",    "token",	     "api_key",	    "apikey",
	"access_key",  "secret_key",	"private_key", "accesskey", "secretkey",     "signature",   "credential",
	"credentials", "access_key_id", "accesskeyid", "sig",	    "authorization", "session_key", "pwd",
};

static bool is_name_char(char c) { return isalnum((unsigned char)c) || c == '_' || c == '-'; }

/* Where a value ends: white space, quotes, and what divides the parts of a query, a list or a flow map. */
static size_t value_len(const char *s) { return strcspn(s, " \t\r\n\"'`&,;|<>{}()[]\\"); }

static bool ends_in(const char *name, size_t len, const char *end) {
	size_t n = strlen(end);
	if (len < n) return false;
	for (size_t i = 0; i < n; i++) {
		char c = name[len - n + i];
		if ((c == '-' ? '_' : tolower((unsigned char)c)) != end[i]) return false;
	}
	/* "sig" and "pwd" as whole words only: "design", "cpwd" are none */
	return n > 3 || len == n || name[len - n - 1] == '_' || name[len - n - 1] == '-';
}

static bool is_secret_name(const char *name, size_t len) {
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (ends_in(name, len, names[i])) return true;
	return false;
}

/* A reference, a command or what is hidden already says nothing. */
static bool is_worth_hiding(const char *value, size_t len) {
	return len >= VALUE_MIN && value[0] != '$' && value[0] != '*' && value[0] != '%';
}

/* "://user:PASSWORD@" at text[at] == ':'. */
static bool in_url(const char *text, size_t at, struct secret_span *ret) {
	if (strncmp(text + at, "://", 3) != 0) return false;
	const char *user = text + at + 3;
	size_t len = strcspn(user, "/?# \t\r\n\"'<>");
	const char *end = memrchr(user, '@', len), *colon = memchr(user, ':', len);
	if (!end) return false;
	const char *start = colon && colon < end ? colon + 1 : user;
	if (start == end || *start == '$' || *start == '*') return false;
	*ret = (struct secret_span){(size_t)(start - text), (size_t)(end - start), true};
	return true;
}

/* True if the name before text[at] stands in a URL's query. */
static bool is_in_query(const char *text, size_t name_at) {
	return name_at > 0 && (text[name_at - 1] == '?' || text[name_at - 1] == '&');
}

/* "Bearer VALUE", "Basic VALUE" at value: the word itself tells nothing. */
static size_t scheme_len(const char *value) {
	static const char *const schemes[] = {"Bearer ", "Basic ", "Token "};
	for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
		if (strncasecmp(value, schemes[i], strlen(schemes[i])) == 0) return strlen(schemes[i]);
	return 0;
}

/* NAME = VALUE, NAME: "VALUE", --NAME VALUE at text[at], the first character after the name. */
static bool by_name(const char *text, size_t at, struct secret_span *ret) {
	size_t name_at = at, value = at;
	while (name_at > 0 && is_name_char(text[name_at - 1])) name_at--;
	if (name_at == at || !is_secret_name(text + name_at, at - name_at)) return false;
	bool is_option = text[name_at] == '-' && text[at] == ' ';
	value += strspn(text + value, "\"'");
	value += strspn(text + value, " \t");
	if (text[value] != '=' && text[value] != ':' && !is_option) return false;
	if (!is_option) value++;
	value += strspn(text + value, " \t\"'");
	size_t scheme = scheme_len(text + value);
	value += scheme;
	size_t len = value_len(text + value);
	if (!is_worth_hiding(text + value, len)) return false;
	*ret = (struct secret_span){value, len, is_in_query(text, name_at) || scheme};
	return true;
}

/* AKIA… and ASIA… (IAM User Guide, "Unique identifiers"). */
static bool is_access_key(const char *text, size_t at, struct secret_span *ret) {
	if (!str_starts(text + at, "AKIA") && !str_starts(text + at, "ASIA")) return false;
	size_t n = strspn(text + at, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789");
	if (n != ACCESS_KEY_LEN || (at > 0 && isalnum((unsigned char)text[at - 1]))) return false;
	*ret = (struct secret_span){at, n, true};
	return true;
}

static bool is_private_key(const char *text, size_t at, struct secret_span *ret) {
	static const char begin[] = "-----BEGIN ";
	if (!str_starts(text + at, begin)) return false;
	const char *line = text + at, *end_mark = strstr(line, "PRIVATE KEY-----");
	if (!end_mark || memchr(line, '\n', (size_t)(end_mark - line))) return false;
	const char *body = end_mark + strlen("PRIVATE KEY-----"), *end = strstr(body, "-----END ");
	size_t len = end ? (size_t)(end - body) : strlen(body);
	if (len < VALUE_MIN) return false;
	*ret = (struct secret_span){(size_t)(body - text), len, true};
	return true;
}

bool secrets_next(const char *text, size_t from, struct secret_span *ret_span) {
	struct secret_span span;
	for (size_t at = from; text[at]; at++) {
		char c = text[at];
		bool is_found = false;
		if (c == ':') is_found = in_url(text, at, &span);
		if (!is_found && c == 'A') is_found = is_access_key(text, at, &span);
		if (!is_found && c == '-') is_found = is_private_key(text, at, &span);
		if (!is_found && strchr(":= \"'\t", c) && at > 0 && is_name_char(text[at - 1]))
			is_found = by_name(text, at, &span);
		if (is_found && span.at >= from) {
			*ret_span = span;
			return true;
		}
	}
	return false;
}

void secrets_scrub(const char *text, struct buf *out) {
	size_t from = 0;
	struct secret_span span;
	while (secrets_next(text, from, &span)) {
		buf_add(out, text + from, span.at - from);
		buf_adds(out, "***");
		from = span.at + span.len;
	}
	buf_adds(out, text + from);
}
