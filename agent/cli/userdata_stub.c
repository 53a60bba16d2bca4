#include "cli/userdata_stub.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "cli/packaged.h"

#define RECIPE_BEGIN "<<'RECIPE'"
#define RECIPE_END "RECIPE"
/* Where cloud-config puts the script: gone with the next boot, and no folder is noexec for one that is read. */
#define SCRIPT_PATH "/run/dsagent/user-data"

const char *const userdata_formats[USERDATA_FORMATS] = {"script", "mime", "cloud-config"};

struct value {
	const char *name, *text;
	bool is_filled;
};

static bool is_comment(const char *line, size_t len) {
	size_t i = 0;
	while (i < len && (line[i] == ' ' || line[i] == '\t')) i++;
	return i == len || (line[i] == '#' && line[i + 1] != '!');
}

/* "name=''" at the beginning of a line is a value to be filled in. */
static bool fill_value(struct value *values, size_t count, const char *line, size_t len, struct buf *out) {
	for (size_t i = 0; i < count; i++) {
		size_t n = strlen(values[i].name);
		if (len != n + 3 || memcmp(line, values[i].name, n) != 0 || memcmp(line + n, "=''", 3) != 0) continue;
		values[i].is_filled = true;
		buf_addf(out, "%s='%s'\n", values[i].name, values[i].text);
		return true;
	}
	return false;
}

static bool ends_in(const char *line, size_t len, const char *end) {
	size_t n = strlen(end);
	return len >= n && memcmp(line + len - n, end, n) == 0;
}

int userdata_stub_fill(const struct userdata_stub *stub, struct buf *out, struct err *err) {
	struct value values[] = {{"agent", stub->agent, false},
				 {"x86_64", stub->x86_64, false},
				 {"aarch64", stub->aarch64, false},
				 {"its recipe", stub->recipe, false}};
	const size_t count = sizeof values / sizeof *values, recipe = count - 1;
	bool is_recipe = false;
	for (const char *line = packaged_user_data; *line;) {
		size_t len = strcspn(line, "\n");
		bool is_end = is_recipe && len == strlen(RECIPE_END) && memcmp(line, RECIPE_END, len) == 0;
		bool is_left_out = is_recipe ? !is_end : is_comment(line, len);
		if (!is_left_out && !fill_value(values, recipe, line, len, out))
			buf_addf(out, "%.*s\n", (int)len, line);
		if (is_end) is_recipe = false;
		if (!is_left_out && ends_in(line, len, RECIPE_BEGIN)) {
			buf_adds(out, stub->recipe);
			is_recipe = values[recipe].is_filled = true;
		}
		line += len + (line[len] == '\n');
	}
	for (size_t i = 0; i < count; i++)
		if (!values[i].is_filled)
			return err_set(err, ERR_STATE,
				       "this dsagent was built with a user-data.sh that has no place for %s",
				       values[i].name);
	return 0;
}

static void add_indented(const char *text, const char *indent, struct buf *out) {
	while (*text) {
		size_t len = strcspn(text, "\n");
		if (len) buf_addf(out, "%s%.*s", indent, (int)len, text);
		buf_addc(out, '\n');
		text += len + (text[len] == '\n');
	}
}

void userdata_wrap(enum userdata_format format, const char *script, struct buf *out) {
	switch (format) {
	case USERDATA_FORMATS:
	case USERDATA_SCRIPT: buf_adds(out, script); return;
	case USERDATA_MIME:
		buf_adds(out, "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"==dsagent==\"\n\n"
			      "--==dsagent==\nContent-Type: text/x-shellscript; charset=\"utf-8\"\n"
			      "Content-Disposition: attachment; filename=\"dsagent\"\n\n");
		buf_adds(out, script);
		buf_adds(out, "\n--==dsagent==--\n");
		return;
	case USERDATA_CLOUD_CONFIG:
		buf_adds(out, "#cloud-config\nwrite_files:\n  - path: " SCRIPT_PATH "\n    permissions: \"0600\"\n"
			      "    content: |\n");
		add_indented(script, "      ", out);
		buf_addf(out, "runcmd:\n  - [%s, " SCRIPT_PATH "]\n",
			 str_starts(script, "#!/bin/sh\n") ? "sh" : "dsagent, boot");
		return;
	}
}
