/*
 * HTTP/1.1 as far as the agent's client may use it (RFC 9112): keep-alive, Content-Length, Expect: 100-continue. No
 * chunked requests: 411.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "world.h"

static bool write_all(int fd, const char *data, size_t len) {
	while (len) {
		ssize_t n = send(fd, data, len, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR) continue;
		if (n <= 0) return false;
		data += n;
		len -= (size_t)n;
	}
	return true;
}

const char *http_get_header(const struct request *request, const char *name) {
	for (size_t i = 0; i < request->header_count; i++)
		if (strcasecmp(request->headers[i].name, name) == 0) return request->headers[i].value;
	return NULL;
}

char *http_form_value(const char *form, const char *name) {
	size_t len = strlen(name);

	for (const char *p = form; *p;) {
		size_t item = strcspn(p, "&");
		if (item > len && strncmp(p, name, len) == 0 && p[len] == '=')
			return text_url_decode(p + len + 1, item - len - 1, true);
		p += item + (p[item] == '&');
	}
	return NULL;
}

void http_answer(struct answer *answer, int status, const char *content_type, char *body) {
	answer->status = status;
	answer->content_type = content_type;
	answer->body = body;
	answer->len = strlen(body);
}

bool http_parse_head(char *head, struct request *r) {
	char *save = NULL, *line = strtok_r(head, "\r\n", &save);
	char *target = line ? strchr(line, ' ') : NULL;
	char *version = target ? strchr(target + 1, ' ') : NULL;

	if (!version || !text_starts(version + 1, "HTTP/1.")) return false;
	*target++ = '\0';
	*version++ = '\0';
	if (strlen(line) >= sizeof r->method) return false;
	memcpy(r->method, line, strlen(line) + 1);
	r->target = text_dup(target);
	r->path = must(strndup(target, strcspn(target, "?")));
	r->query = text_dup(strchr(target, '?') ? strchr(target, '?') + 1 : "");
	r->wants_close = strcmp(version, "HTTP/1.0") == 0;
	while ((line = strtok_r(NULL, "\r\n", &save))) {
		char *colon = strchr(line, ':');
		if (!colon || r->header_count == HEADERS_MAX) return false;
		*colon = '\0';
		for (char *p = line; *p; p++) *p = (char)tolower((unsigned char)*p);
		char *value = colon + 1 + strspn(colon + 1, " \t");
		size_t len = strlen(value);
		while (len && strchr(" \t", value[len - 1])) value[--len] = '\0';
		r->headers[r->header_count++] = (struct header){text_dup(line), text_dup(value)};
	}
	const char *connection = http_get_header(r, "connection");
	if (connection && strcasecmp(connection, "close") == 0) r->wants_close = true;
	return true;
}

/* Reads until *pending holds `want` bytes, or (want 0) the end of a head; false at the end of the stream. */
static bool fill(int fd, char **pending, size_t *len, size_t want, char **ret_end) {
	for (;;) {
		if (want && *len >= want) return true;
		if (!want && *pending) {
			(*pending)[*len] = '\0';
			if ((*ret_end = strstr(*pending, "\r\n\r\n"))) return true;
		}
		if (*len > HEAD_MAX + BODY_MAX) return false;
		*pending = must(realloc(*pending, *len + 16384 + 1));
		ssize_t n = recv(fd, *pending + *len, 16384, 0);
		if (n < 0 && errno == EINTR) continue;
		if (n <= 0) return false;
		*len += (size_t)n;
		(*pending)[*len] = '\0';
	}
}

bool http_read(int fd, char **pending, size_t *pending_len, struct request *r) {
	char *end = NULL;

	memset(r, 0, sizeof *r);
	if (!fill(fd, pending, pending_len, 0, &end)) return false;
	size_t head_len = (size_t)(end - *pending) + 4;
	char *head = must(strndup(*pending, head_len));
	bool is_ok = http_parse_head(head, r);
	free(head);
	if (!is_ok) return false;
	const char *length = http_get_header(r, "content-length"), *expect = http_get_header(r, "expect");
	r->body_len = length ? strtoul(length, NULL, 10) : 0;
	if (r->body_len > BODY_MAX || http_get_header(r, "transfer-encoding")) {
		static const char refused[] =
			"HTTP/1.1 411 Length Required\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
		(void)write_all(fd, refused, sizeof refused - 1);
		return false;
	}
	if (expect && *pending_len < head_len + r->body_len) (void)write_all(fd, "HTTP/1.1 100 Continue\r\n\r\n", 25);
	if (r->body_len && !fill(fd, pending, pending_len, head_len + r->body_len, &end)) return false;
	r->body = must(malloc(r->body_len + 1));
	memcpy(r->body, *pending + head_len, r->body_len);
	r->body[r->body_len] = '\0';
	*pending_len -= head_len + r->body_len;
	memmove(*pending, *pending + head_len + r->body_len, *pending_len);
	return true;
}

void http_request_clear(struct request *r) {
	free(r->target);
	free(r->path);
	free(r->query);
	free(r->body);
	for (size_t i = 0; i < r->header_count; i++) {
		free(r->headers[i].name);
		free(r->headers[i].value);
	}
	memset(r, 0, sizeof *r);
}

static const char *reason(int status) {
	switch (status) {
	case 200: return "OK";
	case 400: return "Bad Request";
	case 401: return "Unauthorized";
	case 403: return "Forbidden";
	case 404: return "Not Found";
	case 429: return "Too Many Requests";
	case 500: return "Internal Server Error";
	case 503: return "Service Unavailable";
	default: return "Status";
	}
}

void http_arm_reset(int fd) {
	struct linger linger = {.l_onoff = 1, .l_linger = 0};

	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
}

/* Keeps the connection without a word until the client leaves; ten minutes at most. */
static void stall(int fd) {
	struct timeval limit = {.tv_sec = 600};
	char c;

	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	while (recv(fd, &c, 1, 0) > 0) {
	}
}

static void http_date(char *text, size_t size, long skew_s) {
	time_t now = time(NULL) + skew_s;
	struct tm tm;

	gmtime_r(&now, &tm);
	strftime(text, size, "%a, %d %b %Y %H:%M:%S GMT", &tm);
}

bool http_send(int fd, const struct request *request, const struct answer *answer, const struct fault *fault) {
	char date[64], *out = NULL;
	size_t len = 0;
	bool is_head = strcmp(request->method, "HEAD") == 0;

	if (fault->action == FAULT_STALL) {
		stall(fd);
		return false;
	}
	http_date(date, sizeof date, fault->skew_s);
	FILE *f = must(open_memstream(&out, &len));
	fprintf(f, "HTTP/1.1 %d %s\r\nServer: EC2ws\r\nDate: %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n%s%s\r\n",
		answer->status, reason(answer->status), date, answer->content_type, answer->len, answer->extra,
		request->wants_close ? "Connection: close\r\n" : "");
	if (!is_head) fwrite(answer->body, 1, answer->len, f);
	fclose(f);
	size_t send_len = len;
	bool goes_on = !request->wants_close;
	if (fault->action == FAULT_RESET) {
		send_len = (size_t)fault->bytes < len ? (size_t)fault->bytes : len;
		goes_on = false;
	}
	if (fault->action == FAULT_TRUNCATED) {
		size_t cut = (size_t)fault->bytes < answer->len ? (size_t)fault->bytes : answer->len;
		send_len = len - cut;
		goes_on = false;
	}
	goes_on = write_all(fd, out, send_len) && goes_on;
	if (fault->action == FAULT_RESET) http_arm_reset(fd);
	free(out);
	return goes_on;
}
