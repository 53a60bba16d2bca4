/* Faults of S3's answers, and the log. */
#include <stdlib.h>
#include <string.h>

#include "s3.h"

#define LOG_MAX (16 * 1024 * 1024)

/* What changes the world before the answer is made. */
void s3_fault_before(struct world *w, struct s3_conn *c) {
	c->bucket = s3_bucket_find(w->s3, c->bucket_name); /* it may have gone meanwhile */
	if (c->fault.rotates) {
		snprintf(w->expired_token, sizeof w->expired_token, "%s", w->session_token);
		snprintf(w->session_token, sizeof w->session_token, "%.200s+%llu", w->expired_token,
			 (unsigned long long)++w->s3->next_id);
	}
	struct s3_object *old = c->fault.changes && c->bucket ? s3_object_find(c->bucket, c->key) : NULL;
	if (old) {
		char seed[32];
		struct s3_object *new = s3_object_new(c->key, old->size);
		snprintf(seed, sizeof seed, "%llu", (unsigned long long)++w->s3->next_id);
		s3_object_invent(w->s3, new, seed, true);
		s3_object_put(c->bucket, new);
	}
}

bool s3_is_false(const struct fault *f) {
	switch (f->action) {
	case FAULT_NONE:
	case FAULT_TRUNCATED:
	case FAULT_STALL: return false;
	case FAULT_RESET: return f->bytes == 0;
	case FAULT_STATUS:
	case FAULT_GARBAGE:
	case FAULT_HTML: return true;
	}
	return true;
}

void s3_answer_falsely(struct s3_conn *c) {
	static const char html[] =
		"<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body>Please sign in to the "
		"network.</body></html>\n";
	static const char garbage[] = "\x01\xff\xfe<{[\"\x7f\x80 %s%n ]}>\x1b[31m\r\n\t\xc3(";

	if (c->fault.action == FAULT_HTML)
		s3_answer(c, 200, "", "text/html", html, sizeof html - 1);
	else if (c->fault.action == FAULT_GARBAGE)
		s3_answer(c, 200, "", "text/plain", garbage, sizeof garbage - 1);
	else
		s3_error(c, c->fault.status ? c->fault.status : 503, c->fault.code[0] ? c->fault.code : "SlowDown",
			 c->fault.message[0] ? c->fault.message : "Please reduce your request rate.");
}

int64_t s3_send_limit(struct s3_conn *c) {
	int64_t whole = (int64_t)c->out.len + c->left;

	if (c->fault.action == FAULT_TRUNCATED) return whole > c->fault.bytes ? whole - c->fault.bytes : 0;
	if (c->fault.action != FAULT_RESET) return -1;
	c->resets = true;
	/* Of a request with a body the bytes were counted there: done, and the answer is lost. */
	return c->request.body_len ? 0 : c->fault.bytes;
}

void s3_log(struct world *w, const struct s3_conn *c) {
	if (w->log_quiet || ftell(w->log) > LOG_MAX) return;
	fprintf(w->log, "%lld %s %s %s %d%s\n", (long long)wall_ms(), kind_names[c->kind], c->request.method,
		c->request.target, c->status, c->fault.is_used ? " faulted" : "");
}
