#include "cli/recipe_text.h"

#include "base/buf.h"
#include "fmt/js.h"
#include "recipe/recipe.h"

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
