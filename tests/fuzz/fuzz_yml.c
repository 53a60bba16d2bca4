#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"
#include "fmt/diag.h"
#include "fmt/yml.h"
#include "fuzz.h"

/* Places lie within the input, texts are UTF-8, keys are unlike each other, and no map is deeper than allowed. */
static void claim_node(const struct yml_node *node, size_t len, unsigned depth) {
	FUZZ_CLAIM(depth <= YML_DEPTH_MAX);
	FUZZ_CLAIM(node->line >= 1 && node->line <= len + 1 && node->col >= 1 && node->col <= len + 1);
	FUZZ_CLAIM(node->text && str_is_utf8(node->text, strlen(node->text)));
	for (size_t i = 0; i < node->count; i++) {
		claim_node(node->items[i], len, depth + 1);
		if (node->kind != YML_MAP) continue;
		FUZZ_CLAIM(node->keys[i]->kind == YML_SCALAR);
		FUZZ_CLAIM(yml_get(node, node->keys[i]->text) == node->items[i]);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
	struct arena arena AUTO_ARENA = {0};
	struct diags diags AUTO_DIAGS = {.arena = &arena};
	const struct yml_node *root = yml_parse("f", (const char *)data, len, &arena, &diags);
	FUZZ_CLAIM((root != NULL) == (diags.count == 0));
	if (root) claim_node(root, len, 0);
	diags_sort(&diags);
	struct buf out AUTO_BUF = BUF_INIT((size_t)1 << 20);
	diags_print(&diags, &out);
	FUZZ_CLAIM(!out.has_overflowed);
	return 0;
}
