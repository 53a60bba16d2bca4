#include "cli/recipe_text.h"

#include "aws/fetch.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"
#include "fmt/diag.h"
#include "fmt/digest.h"
#include "fmt/js.h"
#include "fmt/yml.h"
#include "recipe/recipe.h"
#include "recipe/userdata.h"

/* A JSON string, which a double-quoted YAML scalar may be: any text fits. */
static void add_quoted(const char *text, struct buf *out) {
	AUTO_JS struct js *list = js_array();
	js_push_str(list, text);
	AUTO_BUF struct buf json = BUF_INIT(out->max);
	js_print(list, JS_COMPACT, &json);
	if (json.len > 2) buf_add(out, json.data + 1, json.len - 2); /* without the brackets */
}

void recipe_text_include(const char *name, struct buf *out) {
	if (recipe_builtin(name, NULL)) buf_addf(out, "recipe: %s\n", name);
	buf_adds(out, "include: [");
	add_quoted(name, out);
	buf_adds(out, "]\n");
}

/* What --var gives is plain text, a default is not: ${ becomes $${. */
static void add_literal(const char *value, struct buf *out) {
	AUTO_BUF struct buf text = BUF_INIT(out->max);
	for (const char *p = value; *p; p++) {
		if (p[0] == '$' && p[1] == '{') buf_addc(&text, '$');
		buf_addc(&text, *p);
	}
	add_quoted(buf_str(&text), out);
}

void recipe_text_vars(const struct strs *vars, struct buf *out) {
	buf_adds(out, "vars:\n");
	for (size_t i = 0; i < vars->count; i++) {
		const char *setting = vars->items[i];
		size_t name = strcspn(setting, "=");
		buf_addf(out, "  %.*s: {default: ", (int)name, setting);
		add_literal(setting + name + (setting[name] == '='), out);
		buf_adds(out, "}\n");
	}
}

/* RFC 2046, 5.1.1: a line of 1 to 70 characters that occurs in no part; a digest of the parts does not. */
void recipe_text_mime(const char *const *texts, size_t count, struct arena *arena, struct buf *out) {
	AUTO_BUF struct buf all = BUF_INIT(out->max);
	char hex[SHA256_HEX_SIZE];
	for (size_t i = 0; i < count; i++) buf_adds(&all, texts[i]);
	const char *boundary = arena_printf(arena, "%.32s", digest_sha256_hex(buf_str(&all), all.len, hex));
	buf_addf(out, "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"%s\"\n", boundary);
	for (size_t i = 0; i < count; i++)
		buf_addf(out, "\n--%s\nContent-Type: text/x-dsagent-recipe\n\n%s", boundary, texts[i]);
	buf_addf(out, "\n--%s--\n", boundary);
}

void recipe_text_check_includes(const char *file, const struct userdata_doc *doc, const char *remedy, bool has_files,
				struct arena *arena, struct diags *diags) {
	const struct yml_node *root = yml_parse(file, doc->data, doc->len, arena, diags);
	const struct yml_node *include = root && root->kind == YML_MAP ? yml_get(root, "include") : NULL;
	size_t count = !include ? 0 : include->kind == YML_SEQ ? include->count : 1;
	for (size_t i = 0; i < count; i++) {
		const struct yml_node *at = include->kind == YML_SEQ ? include->items[i] : include;
		if (at->kind != YML_SCALAR || fetch_is_url(at->text) || recipe_builtin(at->text, NULL)) continue;
		if (has_files && at->text[0] == '/') continue;
		diag_add(diags, at, "'%s' is a file beside this one, and %s", at->text, remedy);
	}
}
