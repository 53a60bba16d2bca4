/* The text of a unit: systemd.unit(5), systemd.exec(5), systemd.service(5), "COMMAND LINES". */
#include "base/buf.h"
#include "base/err.h"
#include "sys/unit.h"

#define UNIT_TEXT_MAX (256 * 1024)

/* One word of a command line or assignment, quoted: %, $, quotes and backslashes mean themselves. */
static const char *quote(const char *word, bool is_command, struct arena *arena) {
	AUTO_BUF struct buf b = BUF_INIT(UNIT_TEXT_MAX);
	buf_addc(&b, '"');
	for (const char *c = word; *c; c++) {
		if (*c == '\n') {
			buf_adds(&b, "\\n");
			continue;
		}
		if (*c == '"' || *c == '\\') buf_addc(&b, '\\');
		if (*c == '%' || (*c == '$' && is_command)) buf_addc(&b, *c);
		buf_addc(&b, *c);
	}
	buf_addc(&b, '"');
	return arena_strdup(arena, buf_str(&b));
}

static bool is_plain(const char *word) {
	return *word && !word[strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./=:,@+-")];
}

static void add_command(const struct unit_service *s, struct buf *b, struct arena *arena) {
	buf_adds(b, "ExecStart=");
	if (s->command) buf_adds(b, s->command);
	for (size_t i = 0; s->argv && i < s->argv->count; i++) {
		const char *word = s->argv->items[i];
		bool is_bare = is_plain(word) && (i || word[0] == '/');
		buf_addf(b, "%s%s", i ? " " : "", is_bare ? word : quote(word, true, arena));
	}
	buf_addc(b, '\n');
}

static void add_setting(struct buf *b, const char *key, const char *value) {
	if (value) buf_addf(b, "%s=%s\n", key, value);
}

const char *unit_text(const struct unit_service *s, struct arena *arena) {
	AUTO_BUF struct buf b = BUF_INIT(UNIT_TEXT_MAX);
	buf_adds(&b, "# Written by dsagent: change the recipe instead.\n[Unit]\n");
	add_setting(&b, "Description", s->description);
	buf_adds(&b, "Wants=network-online.target\nAfter=network-online.target\n");
	for (size_t i = 0; s->after && i < s->after->count; i++)
		buf_addf(&b, "Wants=%s\nAfter=%s\n", s->after->items[i], s->after->items[i]);
	buf_adds(&b, "\n[Service]\n");
	add_setting(&b, "Type", s->type);
	add_command(s, &b, arena);
	add_setting(&b, "User", s->user);
	add_setting(&b, "WorkingDirectory", s->directory);
	for (size_t i = 0; i < s->env_count; i++)
		buf_addf(&b, "Environment=%s\n",
			 quote(arena_printf(arena, "%s=%s", s->env_keys[i], s->env_values[i]), false, arena));
	add_setting(&b, "Restart", s->restart);
	if (s->restart && !str_eq(s->restart, "no")) buf_adds(&b, "RestartSec=5\n");
	for (size_t i = 0; i < s->set_count; i++) add_setting(&b, s->set_keys[i], s->set_values[i]);
	buf_adds(&b, "\n[Install]\nWantedBy=multi-user.target\n");
	return arena_strdup(arena, buf_str(&b));
}
