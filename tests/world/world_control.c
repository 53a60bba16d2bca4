/*
 * The tests' own door, below /_world/: faults, config, metadata (PUT), tokens and tags (DELETE), tags, history,
 * counters, requests (GET). Bodies are lines; answers are JSON, or text with ?format=text.
 */
#include <stdlib.h>
#include <string.h>

#include "s3.h"

static bool is_true(const char *value) { return strcmp(value, "on") == 0 || strcmp(value, "1") == 0; }

/* `role=none`, `expires_in=600`, … */
static bool set_config(struct world *w, const char *name, const char *value) {
	const struct {
		const char *name;
		char *slot;
		size_t size;
	} texts[] = {
		{"role", w->role, sizeof w->role},
		{"access_key", w->access_key, sizeof w->access_key},
		{"secret_key", w->secret_key, sizeof w->secret_key},
		{"session_token", w->session_token, sizeof w->session_token},
		{"creds_code", w->creds_code, sizeof w->creds_code},
	};

	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		if (strcmp(name, texts[i].name) == 0) {
			snprintf(texts[i].slot, texts[i].size, "%s", strcmp(value, "none") == 0 ? "" : value);
			return true;
		}
	}
	if (strcmp(name, "expires_in") == 0)
		w->creds_live_s = strtol(value, NULL, 10);
	else if (strcmp(name, "s3_trust") == 0)
		w->trusts_payload = is_true(value);
	else if (strcmp(name, "s3_log") == 0)
		w->log_quiet = !is_true(value);
	else if (strcmp(name, "metadata") == 0)
		w->is_metadata_off = !is_true(value);
	else if (strcmp(name, "metadata_tags") == 0)
		w->has_metadata_tags = is_true(value);
	else
		return false;
	return true;
}

/* "PATH VALUE" sets, "PATH" alone takes away. "\n" in a value is a new line. */
static bool set_metadata(struct world *w, const char *path, const char *value) {
	if (w->override_count == OVERRIDES_MAX) return false;
	struct override *o = &w->overrides[w->override_count++];
	*o = (struct override){text_dup(path), value ? text_dup(value) : NULL};
	if (!o->value) return true;
	char *out = o->value;
	for (const char *p = o->value; *p; p++) {
		if (p[0] == '\\' && p[1] == 'n') {
			*out++ = '\n';
			p++;
		} else {
			*out++ = *p;
		}
	}
	*out = '\0';
	return true;
}

static bool each_line(struct world *w, const char *body, char separator,
		      bool (*set)(struct world *, const char *, const char *)) {
	char *copy = text_dup(body), *save = NULL;
	bool is_ok = true;

	for (char *line = strtok_r(copy, "\r\n", &save); line && is_ok; line = strtok_r(NULL, "\r\n", &save)) {
		char *value = strchr(line, separator);
		if (value) *value++ = '\0';
		is_ok = (value || separator == ' ') && set(w, line, value);
	}
	free(copy);
	return is_ok;
}

static void serve_put(struct world *w, const char *what, const char *body, struct answer *answer) {
	char *error = NULL;
	bool is_ok;

	if (strcmp(what, "faults") == 0)
		is_ok = fault_parse(w, body, &error);
	else if (strcmp(what, "config") == 0)
		is_ok = each_line(w, body, '=', set_config);
	else if (strcmp(what, "metadata") == 0)
		is_ok = each_line(w, body, ' ', set_metadata);
	else
		is_ok = false;
	http_answer(answer, is_ok ? 200 : 400, "text/plain",
		    error ? error : text_dup(is_ok ? "ok\n" : "cannot read it\n"));
}

static void print_counters(const struct world *w, FILE *out) {
	fprintf(out, "{\"connections\": %llu, \"s3-connections\": %llu, \"faulted\": %llu",
		(unsigned long long)w->connections, (unsigned long long)w->s3->connections,
		(unsigned long long)w->faulted);
	for (int i = 0; i < KIND_CONTROL; i++)
		fprintf(out, ", \"%s\": %llu", kind_names[i], (unsigned long long)w->counters[i]);
	fputs("}\n", out);
}

static void forget_counters(struct world *w) {
	memset(w->counters, 0, sizeof w->counters);
	w->connections = w->faulted = 0;
	w->s3->connections = w->s3->bytes_in = w->s3->bytes_out = 0;
	rewind(w->log);
}

static bool serve_get(struct world *w, const char *what, bool is_text, FILE *out) {
	if (strcmp(what, "tags") == 0 && is_text) {
		tags_print_table(w, out);
	} else if (strcmp(what, "tags") == 0) {
		tags_print_json(w, out);
	} else if (strcmp(what, "history") == 0) {
		tags_print_history(w, out);
	} else if (strcmp(what, "counters") == 0) {
		print_counters(w, out);
	} else if (strcmp(what, "requests") == 0) {
		fflush(w->log);
		fwrite(w->log_text, 1, w->log_len, out);
	} else {
		return false;
	}
	return true;
}

void control_serve(struct world *w, const struct request *request, struct answer *answer) {
	const char *what = request->path + strlen("/_world/");
	char *text = NULL;
	size_t len = 0;

	if (text_starts(what, "s3/")) return s3_control(w, request, answer);
	if (strcmp(request->method, "PUT") == 0) return serve_put(w, what, request->body, answer);
	if (strcmp(request->method, "DELETE") == 0) {
		bool is_counters = strcmp(what, "counters") == 0;
		bool is_known = is_counters || strcmp(what, "tokens") == 0 || strcmp(what, "tags") == 0;
		if (is_counters) forget_counters(w);
		if (strcmp(what, "tokens") == 0) memset(w->tokens, 0, sizeof w->tokens);
		if (strcmp(what, "tags") == 0) tags_forget(w);
		return http_answer(answer, is_known ? 200 : 404, "text/plain",
				   text_dup(is_known ? "ok\n" : "no such thing\n"));
	}
	FILE *out = must(open_memstream(&text, &len));
	bool is_known = serve_get(w, what, strstr(request->query, "format=text"), out);
	if (!is_known) fputs("no such thing\n", out);
	fclose(out);
	http_answer(answer, is_known ? 200 : 404, is_known ? "application/json" : "text/plain", text);
}
