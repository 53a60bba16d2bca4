#include "recipe/recipe_impl.h"

#include "base/buf.h"
#include "fmt/js.h"
#include "recipe/schema_impl.h"

static struct js *object_of(const char *key, const char *value) {
	struct js *js = js_object();
	js_set_str(js, key, value);
	return js;
}

/* {"required": [key]} */
static struct js *requires(const char *key) {
	struct js *js = js_object(), *list = js_array();
	js_push_str(list, key);
	js_set(js, "required", list);
	return js;
}

/* A field that is a name: what the field table cannot say. */
static struct js *json_name(const char *pattern, const char *help) {
	struct js *js = js_object(), *types = js_array();
	js_push_str(types, "string");
	js_push_str(types, "number");
	js_set(js, "type", types);
	js_set_str(js, "pattern", pattern);
	js_set_str(js, "description", help);
	return js;
}

static struct js *json_step(const struct step_type *const *types) {
	struct js *js = object_of("type", "object"), *properties = js_object(), *one_of = js_array();
	schema_json_fields(&step_common_shape, properties);
	js_set(properties, "id", json_name("^[a-z0-9][a-z0-9_-]{0,63}$", schema_field(&step_common_shape, "id")->help));
	for (; *types; types++) {
		struct js *value = schema_json(&(*types)->shape);
		js_set_str(value, "description", (*types)->summary);
		js_set(properties, (*types)->name, value);
		js_push(one_of, requires((*types)->name));
	}
	js_set(js, "properties", properties);
	js_set_bool(js, "additionalProperties", false);
	js_set(js, "oneOf", one_of);
	return js;
}

static struct js *json_vars(void) {
	struct js *js = object_of("type", "object"), *any_of = js_array(), *value = js_object();
	js_set_str(js, "description", "values that --var NAME=VALUE may override; in steps ${vars.NAME}");
	js_set(js, "propertyNames", object_of("pattern", "^[A-Za-z_][A-Za-z0-9_]*$"));
	js_push(any_of, schema_json(&recipe_var_shape));
	js_push(any_of, object_of("type", "null"));
	js_set(value, "anyOf", any_of);
	js_set(js, "additionalProperties", value);
	return js;
}

static struct js *json_steps(void) {
	struct js *js = object_of("type", "array");
	js_set_str(js, "description", "what is to be done, in order");
	js_set_int(js, "minItems", 1);
	js_set_int(js, "maxItems", RECIPE_STEPS_MAX);
	js_set(js, "items", object_of("$ref", "#/$defs/step"));
	return js;
}

struct js *recipe_schema_json(const struct step_type *const *types) {
	struct js *js = object_of("$schema", "https://json-schema.org/draft/2020-12/schema");
	struct js *properties = js_object(), *any_of = js_array(), *defs = js_object();
	js_set_str(js, "title", "dsagent recipe");
	js_set_str(js, "type", "object");
	schema_json_fields(&recipe_top_shape, properties);
	js_set(properties, "recipe",
	       json_name("^[A-Za-z0-9._-]{1,64}$", schema_field(&recipe_top_shape, "recipe")->help));
	js_set(properties, "vars", json_vars());
	js_set(properties, "steps", json_steps());
	js_set(js, "properties", properties);
	js_set_bool(js, "additionalProperties", false);
	js_push(any_of, requires("steps"));
	js_push(any_of, requires("include"));
	js_set(js, "anyOf", any_of);
	js_set(defs, "step", json_step(types));
	js_set(js, "$defs", defs);
	return js;
}

static void add_short_forms(const struct step_type *type, const char *quote, struct buf *out) {
	const struct shape *shape = &type->shape;
	if (shape->scalar_field) {
		buf_addf(out, "In short: %s%s: text%s stands for %s%s: {%s: text}%s.\n", quote, type->name, quote,
			 quote, type->name, shape->scalar_field, quote);
	}
	if (shape->list_field) {
		buf_addf(out, "In short: %s%s: [...]%s stands for %s%s: {%s: [...]}%s.\n", quote, type->name, quote,
			 quote, type->name, shape->list_field, quote);
	}
	if (shape->scalar_field || shape->list_field) buf_addc(out, '\n');
}

/* The example as it stands, each line indented, one newline at its end. */
static void add_example(const char *example, const char *indent, struct buf *out) {
	while (*example) {
		size_t len = strcspn(example, "\n");
		if (len) buf_adds(out, indent);
		buf_add(out, example, len);
		buf_addc(out, '\n');
		example += len + (example[len] == '\n');
	}
}

void recipe_explain(const struct step_type *type, struct buf *out) {
	buf_addf(out, "%s: %s\n\n", type->name, type->summary);
	schema_print_help(&type->shape, out);
	buf_addc(out, '\n');
	add_short_forms(type, "`", out);
	buf_adds(out, "Every step may also have:\n");
	schema_print_help(&step_common_shape, out);
	buf_adds(out, "\nExample:\n");
	add_example(type->example, "  ", out);
}

void recipe_steps_markdown(const struct step_type *const *types, struct buf *out) {
	buf_adds(out, "# Step types\n\nMade by `dsagent explain --markdown`; README.md explains the language.\n\n");
	for (const struct step_type *const *t = types; *t; t++) {
		buf_addf(out, "- [%s](#%s): %s\n", (*t)->name, (*t)->name, (*t)->summary);
	}
	buf_adds(out, "\n## Keys of every step\n\n");
	schema_print_markdown(&step_common_shape, out);
	for (; *types; types++) {
		buf_addf(out, "\n## %s\n\n%s\n\n```yaml\n", (*types)->name, (*types)->summary);
		add_example((*types)->example, "", out);
		buf_adds(out, "```\n\n");
		add_short_forms(*types, "`", out);
		schema_print_markdown(&(*types)->shape, out);
	}
}
