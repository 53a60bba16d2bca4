/*
 * References: RFC 9110 (HTTP), libcurl's easy interface. One easy handle is kept for the life of struct http: its
 * connections, TLS sessions and DNS answers outlive curl_easy_reset. libcurl itself repeats a request whose kept-alive
 * connection turned out to be dead before the first byte of an answer; that is the one repetition below io/retry.
 */
#include "io/http.h"

#include <limits.h>
#include <strings.h>

#include <curl/curl.h>

#include "base/err.h"
#include "base/mem.h"
#include "io/ca.h"

/** Header lines of one answer: AWS sends about 1 KiB; CDNs with cookies and policies up to 16 KiB. */
#define HEADERS_MAX (64 * 1024)
/** Idle connections kept: an endpoint, metadata and a CDN are three. */
#define CONNECTIONS_MAX 8L
/** Longest URL: a presigned one with a session token is about 3 KiB. */
#define URL_MAX (16 * 1024)
/** A path and the sentence around it. */
#define TRUST_TEXT_MAX (PATH_MAX + 256)

struct http {
	CURL *easy; /* NULL until the first request: libcurl's start costs milliseconds that an idle run must not pay */
	bool has_global;
};

/** What the callbacks of one transfer share. */
struct transfer {
	const struct http_request *req;
	CURL *easy;
	struct ca ca;
	struct http_response response;
	size_t received; /* bytes that went to on_body */
	bool has_head;	 /* on_head was called */
	bool is_cut; /* an error's body was longer than HTTP_ERROR_BODY_MAX: what came is kept, the rest is not awaited
		      */
	struct err *err; /* filled by a callback that stops the transfer */
};

int http_open(struct http **ret_http, struct err *err) {
	(void)err; /* nothing can fail before the first request */
	*ret_http = mem_zalloc(sizeof **ret_http);
	return 0;
}

void http_disconnect(struct http *http) {
	if (http->easy) curl_easy_cleanup(http->easy);
	http->easy = NULL;
}

void http_close(struct http *http) {
	if (!http) return;
	http_disconnect(http);
	if (http->has_global) curl_global_cleanup(); /* counted by libcurl: the last one cleans up */
	free(http);
}

void http_close_p(struct http **http) { http_close(*http); }

void http_response_clear(struct http_response *response) {
	if (!response) return;
	buf_clear(&response->body);
	buf_clear(&response->headers);
	response->status = 0;
}

char *http_header(const struct http_response *response, const char *name) {
	size_t name_len = strlen(name);

	for (const char *line = buf_str(&response->headers); *line;) {
		const char *end = strchr(line, '\n');
		size_t len = end ? (size_t)(end - line) : strlen(line);

		if (len > name_len && line[name_len] == ':' && strncasecmp(line, name, name_len) == 0) {
			char *copy = mem_dup(line + name_len + 1, len - name_len - 1), *value = str_trim(copy);

			memmove(copy, value, strlen(value) + 1);
			return copy;
		}
		line += end ? len + 1 : len;
	}
	return NULL;
}

/** The URL as messages may show it: no user, no password, no query (it may be presigned), no control characters. */
static void visible_url(const char *url, struct buf *out) {
	const char *scheme_end = strstr(url, "://"), *host = scheme_end ? scheme_end + 3 : url;
	size_t authority_len = strcspn(host, "/?#");
	const char *at = memrchr(host, '@', authority_len);

	buf_add(out, url, (size_t)(host - url));
	if (at) {
		authority_len -= (size_t)(at + 1 - host);
		host = at + 1;
	}
	buf_add(out, host, authority_len + strcspn(host + authority_len, "?#"));
	for (size_t i = 0; i < out->len; i++)
		if ((unsigned char)out->data[i] < ' ') out->data[i] = '?';
}

static int request_failed(const struct transfer *t, struct err *err) {
	AUTO_BUF struct buf url = BUF_INIT(URL_MAX);

	visible_url(t->req->url, &url);
	return err_wrap(err, "%s %s", t->req->method, buf_str(&url));
}

static int64_t status_of(CURL *easy) {
	long status = 0;

	curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
	return status;
}

static size_t on_header(char *data, size_t size, size_t count, void *arg) {
	struct transfer *t = arg;
	size_t len = size * count;

	if (len >= 5 && memcmp(data, "HTTP/", 5) == 0) buf_reset(&t->response.headers); /* after "100 Continue" */
	buf_add(&t->response.headers, data, len);
	if (!t->response.headers.has_overflowed) return len;
	(void)err_set(t->err, ERR_LIMIT, "the answer's headers are larger than %d bytes", HEADERS_MAX);
	return 0;
}

/** An error's body past the cap: its beginning is enough to say what went wrong. */
static size_t cut_error_body(struct transfer *t, const char *data, size_t len) {
	size_t room = HTTP_ERROR_BODY_MAX - t->response.body.len;

	t->response.body.max = HTTP_ERROR_BODY_MAX;
	if (len <= room) {
		buf_add(&t->response.body, data, len);
		return len;
	}
	buf_add(&t->response.body, data, room);
	t->is_cut = true;
	return 0;
}

static size_t stopped(struct transfer *t) {
	if (t->err->code == ERR_NONE) (void)err_set(t->err, ERR_CANCELLED, "stopped by the receiver");
	return 0;
}

static size_t on_data(char *data, size_t size, size_t count, void *arg) {
	struct transfer *t = arg;
	size_t len = size * count;
	int64_t status = status_of(t->easy);

	if (status < 200 || status > 299) return cut_error_body(t, data, len);
	if (t->req->on_head && !t->has_head) {
		t->has_head = true;
		t->response.status = (int)status;
		if (t->req->on_head(&t->response, t->req->arg, t->err) != 0) return stopped(t);
	}
	if (len > t->req->body_max - t->received) {
		(void)err_set(t->err, ERR_LIMIT, "the answer is larger than %zu bytes", t->req->body_max);
		return 0;
	}
	t->received += len;
	if (!t->req->on_body) {
		buf_add(&t->response.body, data, len);
		return len;
	}
	if (t->req->on_body(data, len, t->req->arg, t->err) == 0) return len;
	return stopped(t);
}

static int start(struct http *http, struct err *err) {
	if (http->easy) return 0;
	if (!http->has_global && curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return err_set(err, ERR_NET, "libcurl cannot start");
	http->has_global = true;
	http->easy = curl_easy_init();
	if (!http->easy) return err_set(err, ERR_NET, "libcurl cannot make a handle");
	return 0;
}

/** Refuses what would change the meaning of the request on the wire, or another protocol. */
static int check_request(const struct http_request *req, struct err *err) {
	if (strncasecmp(req->url, "http://", 7) != 0 && strncasecmp(req->url, "https://", 8) != 0)
		return err_set(err, ERR_NET, "not an http:// or https:// URL");
	if (strlen(req->url) > URL_MAX) return err_set(err, ERR_NET, "the URL is longer than %d bytes", URL_MAX);
	for (const char *p = req->url; *p; p++)
		if ((unsigned char)*p <= ' ' || *p == 0x7f)
			return err_set(err, ERR_NET,
				       "malformed URL: it holds a space or control character; write %%%02X",
				       (unsigned)(unsigned char)*p);
	for (size_t i = 0; req->headers && i < req->headers->count; i++)
		if (strpbrk(req->headers->items[i], "\r\n"))
			return err_set(err, ERR_NET, "malformed request: header %zu holds a line break", i + 1);
	return 0;
}

static void add_header(struct curl_slist **list, const char *line) {
	struct curl_slist *longer = curl_slist_append(*list, line);

	if (!longer) abort(); /* out of memory: see base/mem.h */
	*list = longer;
}

/** The caller's headers, without those that libcurl would add by itself to a body. */
static struct curl_slist *make_headers(const struct http_request *req) {
	struct curl_slist *list = NULL;
	bool has_type = false;

	for (size_t i = 0; req->headers && i < req->headers->count; i++) {
		has_type = has_type || strncasecmp(req->headers->items[i], "Content-Type:", 13) == 0;
		add_header(&list, req->headers->items[i]);
	}
	if (!has_type) add_header(&list, "Content-Type:");
	add_header(&list, "Expect:");
	return list;
}

static void set_method(CURL *easy, const struct http_request *req) {
	if (str_eq(req->method, "HEAD")) {
		curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
	} else if (req->body || str_eq(req->method, "POST") || str_eq(req->method, "PUT")) {
		curl_easy_setopt(easy, CURLOPT_POST, 1L);
		curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)(req->body ? req->body_len : 0));
		curl_easy_setopt(easy, CURLOPT_POSTFIELDS, req->body ? req->body : "");
		curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, req->method);
	} else {
		curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
		curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, req->method);
	}
}

static void set_protocol(CURL *easy, const struct http_request *req) {
#if LIBCURL_VERSION_NUM >= 0x075500
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
#else
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L); /* an S3 key may hold "/../"; the signature covers it */
	curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	if (req->bypasses_proxy) curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
	curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	curl_easy_setopt(easy, CURLOPT_USERAGENT, "dsagent/" DSAGENT_VERSION);
}

/** For the server, and a proxy that is spoken to by TLS. What libcurl was built to trust does not count. */
static void set_trust(CURL *easy, const struct ca *ca) {
	struct curl_blob roots = {.data = NULL, .len = 0, .flags = CURL_BLOB_COPY};

	curl_easy_setopt(easy, CURLOPT_CAINFO, ca->file);
	curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
	curl_easy_setopt(easy, CURLOPT_PROXY_CAINFO, ca->file);
	curl_easy_setopt(easy, CURLOPT_PROXY_CAPATH, NULL);
	if (ca->file) return;
	roots.data = (void *)(uintptr_t)ca->pem; /* libcurl does not write there, but says so only in its manual */
	roots.len = strlen(ca->pem);
	curl_easy_setopt(easy, CURLOPT_CAINFO_BLOB, &roots);
	curl_easy_setopt(easy, CURLOPT_PROXY_CAINFO_BLOB, &roots);
}

static void set_transfer(CURL *easy, struct transfer *t, char *reason) {
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_URL, t->req->url);
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)t->req->connect_timeout_ms);
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)t->req->total_timeout_ms);
	if (t->req->stall_timeout_ms > 0) {
		curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
		curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, (long)((t->req->stall_timeout_ms + 999) / 1000));
	}
	curl_easy_setopt(easy, CURLOPT_MAXCONNECTS, CONNECTIONS_MAX);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, reason);
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, t);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_data);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, t);
}

static bool is_certificate_problem(CURLcode code) {
	return code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE ||
	       code == CURLE_SSL_ISSUER_ERROR || code == CURLE_SSL_CERTPROBLEM || code == CURLE_SSL_CRL_BADFILE;
}

static int explain(const struct transfer *t, CURLcode code, const char *reason, struct err *err) {
	const char *text = *reason ? reason : curl_easy_strerror(code);

	if (code == CURLE_OPERATION_TIMEDOUT) {
		(void)err_set(err, ERR_TIMEOUT, "%s", text);
		err->is_retryable = true;
	} else if (is_certificate_problem(code)) {
		AUTO_BUF struct buf trusted = BUF_INIT(TRUST_TEXT_MAX);

		ca_describe(&t->ca, &trusted);
		(void)err_set(err, ERR_NET, "%s (%s)", text, buf_str(&trusted));
	} else {
		(void)err_set(err, ERR_NET, "%s", text);
		err->is_retryable = code != CURLE_URL_MALFORMAT;
	}
	return -(int)err->code;
}

static int perform(struct http *http, struct transfer *t, struct err *err) {
	char reason[CURL_ERROR_SIZE] = "";
	struct curl_slist *headers;
	CURLcode code;

	curl_easy_reset(http->easy);
	headers = make_headers(t->req);
	set_protocol(http->easy, t->req);
	set_trust(http->easy, &t->ca);
	set_method(http->easy, t->req);
	set_transfer(http->easy, t, reason);
	curl_easy_setopt(http->easy, CURLOPT_HTTPHEADER, headers);
	code = curl_easy_perform(http->easy);
	t->response.status = (int)status_of(http->easy);
	curl_easy_setopt(http->easy, CURLOPT_ERRORBUFFER, NULL); /* it dies with this function */
	curl_slist_free_all(headers);
	if (code == CURLE_OK || t->is_cut) return 0;
	if (err->code != ERR_NONE) return -(int)err->code; /* a callback stopped it and said why */
	return explain(t, code, reason, err);
}

int http_do(struct http *http, const struct http_request *req, struct http_response *ret_response, struct err *err) {
	struct transfer t = {.req = req, .ca = ca_choose(req->ca_file), .err = err};

	t.response.body = BUF_INIT(req->body_max);
	t.response.headers = BUF_INIT(HEADERS_MAX);
	err_clear(err);
	if (check_request(req, err) != 0 || start(http, err) != 0) return request_failed(&t, err);
	t.easy = http->easy;
	if (perform(http, &t, err) != 0) {
		http_response_clear(&t.response);
		return request_failed(&t, err);
	}
	*ret_response = t.response;
	return 0;
}
