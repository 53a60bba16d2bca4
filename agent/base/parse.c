#include "base/parse.h"

#include <ctype.h>
#include <strings.h>

#include "base/err.h"

#define MS_PER_DAY INT64_C(86400000)
#define DURATION_MAX_MS (366 * MS_PER_DAY)

/* Reads decimal digits at *p into *ret_value, stepping over them; false without a digit or above max. */
static bool read_digits(const char **p, int64_t max, int64_t *ret_value) {
	int64_t value = 0;
	const char *s = *p;

	if (!isdigit((unsigned char)*s)) return false;
	for (; isdigit((unsigned char)*s); s++) {
		int digit = *s - '0';

		if (value > (max - digit) / 10) return false;
		value = value * 10 + digit;
	}
	*p = s;
	*ret_value = value;
	return true;
}

int parse_i64(const char *s, int64_t min, int64_t max, int64_t *ret_value, struct err *err) {
	bool is_negative = s[0] == '-';
	const char *p = s + is_negative;
	bool has_digits = isdigit((unsigned char)*p);
	int64_t value = 0;

	/* Built downwards, where one value more fits, so that INT64_MIN needs no special case. */
	for (; isdigit((unsigned char)*p); p++) {
		int digit = *p - '0';

		if (value < (INT64_MIN + digit) / 10) goto out_of_range;
		value = value * 10 - digit;
	}
	if (!has_digits || *p) return err_set(err, ERR_INVALID, "'%s' is not a whole number", s);
	if (!is_negative) {
		if (value == INT64_MIN) goto out_of_range;
		value = -value;
	}
	if (value < min || value > max) goto out_of_range;
	*ret_value = value;
	return 0;
out_of_range:
	return err_set(err, ERR_INVALID, "%s is out of range: between %lld and %lld is accepted", s, (long long)min,
		       (long long)max);
}

int parse_duration(const char *s, int64_t *ret_ms, struct err *err) {
	static const struct {
		const char *name;
		int64_t ms;
	} units[] = {{"d", MS_PER_DAY}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};
	const size_t count = sizeof units / sizeof *units;
	const char *p = s;
	int64_t total = 0, n;
	size_t next = 0; /* units must come in falling order, each once */

	do {
		size_t len = 0, u;

		if (!read_digits(&p, DURATION_MAX_MS, &n)) goto bad;
		if (p[0] == '\0' && next == 0) {
			u = 3; /* a bare number is seconds */
		} else {
			while (isalpha((unsigned char)p[len])) len++;
			for (u = next; u < count; u++)
				if (strlen(units[u].name) == len && memcmp(units[u].name, p, len) == 0) break;
			if (u == count) goto bad;
		}
		if (n > (DURATION_MAX_MS - total) / units[u].ms)
			return err_set(err, ERR_INVALID, "duration '%s' is above 366 days", s);
		total += n * units[u].ms;
		next = u + 1;
		p += len;
	} while (*p);
	*ret_ms = total;
	return 0;
bad:
	return err_set(err, ERR_INVALID,
		       "'%s' is not a duration: write it like 90s, 10m, 1h30m, 500ms or 2d, at most 366d", s);
}

int parse_size(const char *s, int64_t *ret_bytes, struct err *err) {
	static const char letters[] = "KMGT";
	const char *p = s;
	const char *letter = NULL;
	int64_t n;
	int shift = 0;

	if (!isdigit((unsigned char)*p)) goto bad;
	if (!read_digits(&p, INT64_MAX, &n)) return err_set(err, ERR_INVALID, "size '%s' is too large", s);
	if (*p) letter = strchr(letters, toupper((unsigned char)*p));
	if (letter) {
		shift = 10 * (int)(letter - letters + 1);
		p++;
		if (p[0] == 'i' && p[1] == 'B') p++;
	}
	if (*p == 'B') p++;
	if (*p) goto bad;
	if (n > INT64_MAX >> shift) return err_set(err, ERR_INVALID, "size '%s' is too large", s);
	*ret_bytes = n << shift;
	return 0;
bad:
	return err_set(err, ERR_INVALID, "'%s' is not a size: write whole bytes, or like 512K, 4M, 2G, 1T or 8GiB", s);
}

int parse_mode(const char *s, mode_t *ret_mode, struct err *err) {
	const char *p = s;
	unsigned mode = 0;

	if (p[0] == '0' && (p[1] == 'o' || p[1] == 'O'))
		p += 2;
	else if (p[0] != '0')
		goto bad;
	if (!*p) goto bad;
	for (; *p; p++) {
		if (*p < '0' || *p > '7') goto bad;
		mode = mode * 8 + (unsigned)(*p - '0');
		if (mode > 07777) goto bad;
	}
	*ret_mode = (mode_t)mode;
	return 0;
bad:
	return err_set(err, ERR_INVALID, "'%s' is not a file mode: write it in octal with a leading 0, like 0644", s);
}

int parse_bool(const char *s, bool *ret_value, struct err *err) {
	static const struct {
		const char *word;
		bool value;
	} words[] = {{"true", true}, {"false", false}, {"yes", true}, {"no", false}, {"on", true}, {"off", false}};

	for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
		if (strcasecmp(s, words[i].word) != 0) continue;
		*ret_value = words[i].value;
		return 0;
	}
	return err_set(err, ERR_INVALID, "'%s' is neither true nor false: write true, false, yes, no, on or off", s);
}

/* Days from 1970-01-01 to a date of the Gregorian calendar, year >= 1970. */
static int64_t days_to(int year, int month, int day) {
	static const int before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
	int y = year - (month <= 2); /* leap days counted up to the end of February */
	int leaps = y / 4 - y / 100 + y / 400 - (1969 / 4 - 1969 / 100 + 1969 / 400);

	return (int64_t)(year - 1970) * 365 + leaps + before[month - 1] + day - 1;
}

/* Reads exactly n digits; -1 if there are fewer. */
static int fixed_digits(const char *s, int n) {
	int value = 0;

	for (int i = 0; i < n; i++) {
		if (!isdigit((unsigned char)s[i])) return -1;
		value = value * 10 + (s[i] - '0');
	}
	return value;
}

static int days_in(int year, int month) {
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

	return days[month - 1] + (month == 2 && is_leap);
}

int parse_time(const char *s, int64_t *ret_epoch_s, struct err *err) {
	static const char shape[] = "####-##-##T##:##:##";
	int year, month, day, hour, minute, second;
	const char *p;

	for (size_t i = 0; shape[i]; i++)
		if (shape[i] == '#' ? !isdigit((unsigned char)s[i]) : s[i] != shape[i]) goto bad;
	year = fixed_digits(s, 4);
	month = fixed_digits(s + 5, 2);
	day = fixed_digits(s + 8, 2);
	hour = fixed_digits(s + 11, 2);
	minute = fixed_digits(s + 14, 2);
	second = fixed_digits(s + 17, 2);
	if (year < 1970 || month < 1 || month > 12 || day < 1 || day > days_in(year, month)) goto bad;
	if (hour > 23 || minute > 59 || second > 59) goto bad;
	p = s + sizeof shape - 1;
	if (*p == '.') {
		p++;
		if (!isdigit((unsigned char)*p)) goto bad;
		while (isdigit((unsigned char)*p)) p++;
	}
	if (p[0] != 'Z' || p[1]) goto bad;
	*ret_epoch_s = days_to(year, month, day) * 86400 + hour * 3600 + minute * 60 + second;
	return 0;
bad:
	return err_set(err, ERR_INVALID, "'%s' is not a time: write it in UTC like 2026-11-20T13:00:00Z", s);
}

/** Of a character that is one. */
static unsigned hex_digit(char c) { return c <= '9' ? (unsigned)(c - '0') : (unsigned)((c | 0x20) - 'a') + 10; }

int parse_hex(const char *s, unsigned char *ret_bytes, size_t n, struct err *err) {
	if (strlen(s) != 2 * n)
		return err_set(err, ERR_INVALID, "'%s' has %zu characters: %zu hexadecimal digits are needed", s,
			       strlen(s), 2 * n);
	if (strspn(s, "0123456789abcdefABCDEF") != 2 * n)
		return err_set(err, ERR_INVALID, "'%s' is not hexadecimal", s);
	for (size_t i = 0; i < n; i++)
		ret_bytes[i] = (unsigned char)(hex_digit(s[2 * i]) << 4 | hex_digit(s[2 * i + 1]));
	return 0;
}
