/*
 * What one easy handle is told for a request and what it brings back: shared by http (one at a time) and http_multi.
 * Reference: libcurl's easy interface, CURLOPT_*.
 */
#include "io/http_private.h"

#include <ctype.h>
#include <limits.h>
#include <strings.h>

#include "base/err.h"
#include "base/mem.h"
#include "io/ca.h"

/** Header lines of one answer: AWS sends about 1 KiB; CDNs with cookies and policies up to 16 KiB. */
#define HEADERS_MAX (64 * 1024)
/** Longest URL: a presigned one with a session token is about 3 KiB; a key of 1,024 bytes, encoded, as much. */
#define URL_MAX (16 * 1024)
/** A path and the sentence around it. */
#define TRUST_TEXT_MAX (PATH_MAX + 256)

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

int http_request_failed(const struct http_request *req, struct err *err) {
	AUTO_BUF struct buf url = BUF_INIT(URL_MAX);

	visible_url(req->url, &url);
	return err_wrap(err, "%s %s", req->method, buf_str(&url));
}

static int64_t status_of(CURL *easy) {
	long status = 0;

	curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
	return status;
}

static size_t on_header(char *data, size_t size, size_t count, void *arg) {
	struct http_transfer *t = arg;
	size_t len = size * count;

	if (len >= 5 && memcmp(data, "HTTP/", 5) == 0) buf_reset(&t->response.headers); /* after "100 Continue" */
	buf_add(&t->response.headers, data, len);
	if (!t->response.headers.has_overflowed) return len;
	(void)err_set(t->err, ERR_LIMIT, "the answer's headers are larger than %d bytes", HEADERS_MAX);
	return 0;
}

/** An error's body past the cap: its beginning is enough to say what went wrong. */
static size_t cut_error_body(struct http_transfer *t, const char *data, size_t len) {
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

static size_t stopped(struct http_transfer *t) {
	if (t->err->code == ERR_NONE) (void)err_set(t->err, ERR_CANCELLED, "stopped by the receiver");
	return 0;
}

static size_t on_data(char *data, size_t size, size_t count, void *arg) {
	struct http_transfer *t = arg;
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

int http_check_request(const struct http_request *req, struct err *err) {
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

/** The request's body in pieces; libcurl has asked for at most body_len bytes in all. */
static size_t on_source(char *data, size_t size, size_t count, void *arg) {
	struct http_transfer *t = arg;
	size_t room = size * count, left = t->req->body_len - t->sent, n = 0;

	if (room > left) room = left;
	if (room == 0) return 0;
	if (t->req->on_source(t->sent, data, room, &n, t->req->arg, t->err) != 0) {
		if (t->err->code == ERR_NONE) (void)err_set(t->err, ERR_CANCELLED, "stopped by the sender");
		return CURL_READFUNC_ABORT;
	}
	t->sent += n;
	return n;
}

/** libcurl sends a body again whose kept-alive connection had died. */
static int on_rewind(void *arg, curl_off_t offset, int origin) {
	struct http_transfer *t = arg;

	if (origin != SEEK_SET || offset < 0 || (size_t)offset > t->req->body_len) return CURL_SEEKFUNC_CANTSEEK;
	t->sent = (size_t)offset;
	return CURL_SEEKFUNC_OK;
}

/**
 * Before each sending, also those that libcurl repeats by itself on a fresh connection: 7.88 then goes on where it was
 * in the body without asking for a rewind, and both sides wait for what is missing.
 */
#if LIBCURL_VERSION_NUM >= 0x075000
static int on_connected(void *arg, char *here, char *there, int local_port, int port) {
	struct http_transfer *t = arg;

	(void)here, (void)there, (void)local_port, (void)port;
	t->sent = 0;
	return CURL_PREREQFUNC_OK;
}
#endif

static void add_line(struct http_transfer *t, size_t *count, const char *line) {
	if (*count == t->lines_cap) {
		t->lines_cap = t->lines_cap ? 2 * t->lines_cap : 16;
		t->lines = mem_resize(t->lines, t->lines_cap, sizeof *t->lines);
	}
	t->lines[(*count)++].data = (char *)line; /* libcurl reads it only */
}

/** The caller's headers, without those that libcurl would add by itself to a body. */
static struct curl_slist *chain_headers(struct http_transfer *t) {
	const struct strs *headers = t->req->headers;
	bool has_type = false;
	size_t count = 0;

	for (size_t i = 0; headers && i < headers->count; i++) {
		has_type = has_type || strncasecmp(headers->items[i], "Content-Type:", 13) == 0;
		add_line(t, &count, headers->items[i]);
	}
	if (!has_type) add_line(t, &count, "Content-Type:");
	add_line(t, &count, "Expect:");
	for (size_t i = 0; i < count; i++) t->lines[i].next = i + 1 < count ? &t->lines[i + 1] : NULL;
	return t->lines;
}

static void set_post(CURL *easy, const struct http_request *req) {
	curl_easy_setopt(easy, CURLOPT_POST, 1L);
	curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)(req->body ? req->body_len : 0));
	curl_easy_setopt(easy, CURLOPT_POSTFIELDS, req->body ? req->body : "");
}

static void set_source(struct http_transfer *t) {
	curl_easy_setopt(t->easy, CURLOPT_UPLOAD, 1L);
	curl_easy_setopt(t->easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)t->req->body_len);
	curl_easy_setopt(t->easy, CURLOPT_READFUNCTION, on_source);
	curl_easy_setopt(t->easy, CURLOPT_READDATA, t);
	curl_easy_setopt(t->easy, CURLOPT_SEEKFUNCTION, on_rewind);
	curl_easy_setopt(t->easy, CURLOPT_SEEKDATA, t);
#if LIBCURL_VERSION_NUM >= 0x075000
	curl_easy_setopt(t->easy, CURLOPT_PREREQFUNCTION, on_connected);
	curl_easy_setopt(t->easy, CURLOPT_PREREQDATA, t);
#endif
}

/** A handle that did a GET is as it must be for the next one: the common case costs nothing. */
static void set_method(struct http_transfer *t) {
	const struct http_request *req = t->req;
	bool is_get = str_eq(req->method, "GET");

	if (is_get && str_eq(t->method, "GET")) return;
	curl_easy_setopt(t->easy, CURLOPT_HTTPGET, 1L); /* takes back NOBODY and UPLOAD of an earlier request */
	t->method = is_get ? "GET" : "other";
	if (str_eq(req->method, "HEAD"))
		curl_easy_setopt(t->easy, CURLOPT_NOBODY, 1L);
	else if (req->on_source)
		set_source(t);
	else if (req->body || str_eq(req->method, "POST") || str_eq(req->method, "PUT"))
		set_post(t->easy, req);
	curl_easy_setopt(t->easy, CURLOPT_CUSTOMREQUEST, str_eq(req->method, "HEAD") ? NULL : req->method);
}

/** For the server, and a proxy that is spoken to by TLS. What libcurl was built to trust does not count. */
static void set_trust(CURL *easy, const struct ca *ca) {
	struct curl_blob roots = {.data = NULL, .len = 0, .flags = CURL_BLOB_NOCOPY};

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

void http_set_handle(struct http_transfer *t, const char *ca_file, bool bypasses_proxy) {
	struct ca ca = ca_choose(ca_file);

	set_trust(t->easy, &ca);
#if LIBCURL_VERSION_NUM >= 0x075500
	curl_easy_setopt(t->easy, CURLOPT_PROTOCOLS_STR, "http,https");
#else
	curl_easy_setopt(t->easy, CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
	curl_easy_setopt(t->easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(t->easy, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(t->easy, CURLOPT_PATH_AS_IS, 1L); /* an S3 key may hold "/../"; the signature covers it */
	curl_easy_setopt(t->easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	if (bypasses_proxy) curl_easy_setopt(t->easy, CURLOPT_NOPROXY, "*");
	curl_easy_setopt(t->easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	curl_easy_setopt(t->easy, CURLOPT_USERAGENT, "dsagent/" DSAGENT_VERSION);
	curl_easy_setopt(t->easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(t->easy, CURLOPT_ERRORBUFFER, t->reason);
	curl_easy_setopt(t->easy, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(t->easy, CURLOPT_HEADERDATA, t);
	curl_easy_setopt(t->easy, CURLOPT_WRITEFUNCTION, on_data);
	curl_easy_setopt(t->easy, CURLOPT_WRITEDATA, t);
}

void http_set_request(struct http_transfer *t) {
	const struct http_request *req = t->req;

	t->received = t->sent = 0;
	t->has_head = t->is_cut = false;
	*t->reason = '\0';
	buf_reset(&t->response.headers);
	t->response.headers.max = HEADERS_MAX;
	buf_reset(&t->response.body);
	t->response.body.max = req->body_max;
	set_method(t);
	curl_easy_setopt(t->easy, CURLOPT_URL, req->url);
	curl_easy_setopt(t->easy, CURLOPT_CONNECTTIMEOUT_MS, (long)req->connect_timeout_ms);
	curl_easy_setopt(t->easy, CURLOPT_TIMEOUT_MS, (long)req->total_timeout_ms);
	curl_easy_setopt(t->easy, CURLOPT_LOW_SPEED_LIMIT, req->stall_timeout_ms > 0 ? 1L : 0L);
	curl_easy_setopt(t->easy, CURLOPT_LOW_SPEED_TIME, (long)((req->stall_timeout_ms + 999) / 1000));
	curl_easy_setopt(t->easy, CURLOPT_HTTPHEADER, chain_headers(t));
}

static bool is_certificate_problem(CURLcode code) {
	return code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE ||
	       code == CURLE_SSL_ISSUER_ERROR || code == CURLE_SSL_CERTPROBLEM || code == CURLE_SSL_CRL_BADFILE;
}

/** What a proxy answered that was to connect us; 0: none was asked, or it did. */
static long proxy_refusal(const struct http_transfer *t) {
	long status = 0;

	curl_easy_getinfo(t->easy, CURLINFO_HTTP_CONNECTCODE, &status);
	return status >= 300 ? status : 0;
}

static int explain_proxy(long status, struct err *err) {
	if (status == 401 || status == 407)
		(void)err_set(err, ERR_DENIED, "HTTP %ld: " HTTP_PROXY_ASKS, status);
	else
		(void)err_set(err, status < 500 ? ERR_DENIED : ERR_NET,
			      "the proxy does not connect to it: HTTP %ld from the proxy", status);
	err->is_retryable = status >= 500;
	return -(int)err->code;
}

static int explain(const struct http_transfer *t, CURLcode code, struct err *err) {
	const char *text = *t->reason ? t->reason : curl_easy_strerror(code);
	long refusal = proxy_refusal(t);

	if (refusal) return explain_proxy(refusal, err);
	if (code == CURLE_OPERATION_TIMEDOUT) {
		(void)err_set(err, ERR_TIMEOUT, "%s", text);
		err->is_retryable = true;
	} else if (is_certificate_problem(code)) {
		AUTO_BUF struct buf trusted = BUF_INIT(TRUST_TEXT_MAX);
		struct ca ca = ca_choose(t->req->ca_file);

		ca_describe(&ca, &trusted);
		(void)err_set(err, ERR_NET, "%s (%s)", text, buf_str(&trusted));
	} else {
		(void)err_set(err, ERR_NET, "%s", text);
		err->is_retryable = code != CURLE_URL_MALFORMAT;
	}
	return -(int)err->code;
}

int http_finish(struct http_transfer *t, CURLcode code, struct err *err) {
	t->response.status = (int)status_of(t->easy);
	if (code == CURLE_OK || t->is_cut) return 0;
	if (err->code != ERR_NONE) return -(int)err->code; /* a callback stopped it and said why */
	return explain(t, code, err);
}

void http_transfer_clear(struct http_transfer *t) {
	http_response_clear(&t->response);
	free(t->lines);
	t->lines = NULL;
	t->lines_cap = 0;
}
