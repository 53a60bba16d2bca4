#include <stdlib.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/fs.h"
#include "fmt/js.h"
#include "fuzz.h"
#include "report/page.h"
#include "report/show.h"
#include "report/told.h"

const char page_css[] = ""; /* the look is made by the build */

static struct fs_root tree = {.fd = -1};
static char dir[] = "/tmp/dsagent-fuzz-XXXXXX";

static void clean_up(void) {
	struct err ignored = {0};
	(void)!fs_remove(&tree, "/events.jsonl", false, &ignored);
	(void)rmdir(dir);
}

static const struct fs_root *root(void) {
	struct err err = {0};
	if (tree.fd >= 0) return &tree;
	FUZZ_CLAIM(mkdtemp(dir) && fs_root_open(dir, &tree, &err) == 0);
	FUZZ_CLAIM(atexit(clean_up) == 0);
	return &tree;
}

/* Whatever events.jsonl holds, the page is small, has no control character, and as many tags open as close. */
static void check_page(const struct told *told) {
	struct buf page AUTO_BUF = BUF_INIT(2 * TOLD_PAGE_MAX);
	told_page(told, &page);
	FUZZ_CLAIM(!page.has_overflowed && page.len < TOLD_PAGE_MAX);
	size_t open = 0, close = 0;
	for (size_t i = 0; i < page.len; i++) {
		unsigned char c = (unsigned char)page.data[i];
		FUZZ_CLAIM(c >= 0x20 || c == '\n');
		open += c == '<';
		close += c == '>';
	}
	FUZZ_CLAIM(open == close);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
	struct arena arena AUTO_ARENA = {0};
	struct told told = {.machine = "", .root = root()};
	struct fs_write how = {.mode = 0600, .uid = (uid_t)-1, .gid = (gid_t)-1, .is_unsynced = true};
	struct show_style style = {.width = 79};
	struct buf text AUTO_BUF = BUF_INIT((size_t)8 << 20);
	struct err err = {0};
	FUZZ_CLAIM(fs_write(told.root, "/events.jsonl", data, len, &how, &err) == 0);
	if (story_read(told.root, "", NULL, &arena, &told.story, &err) < 0) {
		FUZZ_CLAIM(err.msg[0]);
		return 0;
	}
	struct js *js AUTO_JS = told_js(&told);
	js_print(js, JS_COMPACT, &text);
	told_print(&told, &style, &text);
	FUZZ_CLAIM(!text.has_overflowed);
	check_page(&told);
	return 0;
}
