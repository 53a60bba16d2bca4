#include "fmt/xml.h"

#include <expat.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

/** Longest path: XML_DEPTH_MAX names of AWS answers, the longest of which has 40 letters. */
#define XML_PATH_MAX 1024

struct xml {
	XML_Parser parser;
	xml_element_fn fn;
	void *arg;
	struct err *err; /* of the push at work */
	size_t pushed;	 /* bytes so far */
	int rc;		 /* our own failure, with err filled */
	bool is_stopped; /* by fn */
	unsigned depth;
	struct buf path;
	struct buf texts[XML_DEPTH_MAX]; /* of each open element */
};

/* Every handler looks first: expat may still call some after XML_StopParser. */
static bool is_over(const struct xml *p) { return p->rc < 0 || p->is_stopped; }

static int place(struct xml *p, const char *message) {
	return err_set(p->err, ERR_INVALID, "XML, line %lu, column %lu: %s",
		       (unsigned long)XML_GetCurrentLineNumber(p->parser),
		       (unsigned long)XML_GetCurrentColumnNumber(p->parser) + 1, message);
}

static void fail(struct xml *p, int rc) {
	p->rc = rc;
	(void)XML_StopParser(p->parser, XML_FALSE); /* fails only when it is stopped already */
}

static void on_start(void *arg, const XML_Char *name, const XML_Char **attributes) {
	struct xml *p = arg;
	if (is_over(p)) return;
	if (p->depth == XML_DEPTH_MAX) {
		fail(p, err_set(p->err, ERR_LIMIT, "XML is nested more than %d deep", XML_DEPTH_MAX));
		return;
	}
	const char *colon = strrchr(name, ':');
	buf_addc(&p->path, '/');
	buf_adds(&p->path, colon ? colon + 1 : name);
	int rc = buf_check(&p->path, "the path of an XML element", p->err);
	if (rc < 0) {
		fail(p, rc);
		return;
	}
	buf_reset(&p->texts[p->depth++]);
}

static void on_end(void *arg, const XML_Char *name) {
	struct xml *p = arg;
	if (is_over(p)) return;
	struct buf *text = &p->texts[--p->depth];
	char *trimmed = text->data ? str_trim(text->data) : (char[]){""};
	if (p->fn(buf_str(&p->path), trimmed, p->arg) != 0) {
		p->is_stopped = true;
		(void)XML_StopParser(p->parser, XML_FALSE); /* as in fail */
		return;
	}
	const char *last = strrchr(buf_str(&p->path), '/');
	buf_cut(&p->path, (size_t)(last - p->path.data));
}

static void on_text(void *arg, const XML_Char *s, int len) {
	struct xml *p = arg;
	if (is_over(p) || p->depth == 0) return;
	struct buf *text = &p->texts[p->depth - 1];
	buf_add(text, s, (size_t)len);
	int rc = buf_check(text, "the text of an XML element", p->err);
	if (rc < 0) fail(p, rc);
}

static void on_doctype(void *arg, const XML_Char *name, const XML_Char *system_id, const XML_Char *public_id,
		       int is_internal) {
	struct xml *p = arg;
	if (!is_over(p)) fail(p, place(p, "a DOCTYPE is refused: no answer of AWS has one"));
}

struct xml *xml_new(xml_element_fn fn, void *arg) {
	struct xml *p = mem_zalloc(sizeof *p);

	p->fn = fn;
	p->arg = arg;
	p->path = BUF_INIT(XML_PATH_MAX);
	for (size_t i = 0; i < XML_DEPTH_MAX; i++) p->texts[i] = BUF_INIT(XML_TEXT_MAX);
	p->parser = XML_ParserCreate(NULL);
	if (!p->parser) abort(); /* memory never fails: base/mem.h */
	XML_SetUserData(p->parser, p);
	XML_SetElementHandler(p->parser, on_start, on_end);
	XML_SetCharacterDataHandler(p->parser, on_text);
	XML_SetStartDoctypeDeclHandler(p->parser, on_doctype);
	return p;
}

int xml_push(struct xml *p, const char *data, size_t len, bool is_last, struct err *err) {
	enum XML_Status status;

	if (is_over(p)) return 0;
	p->err = err;
	if (len > XML_BYTES_MAX - p->pushed) {
		p->rc = err_set(err, ERR_LIMIT, "XML of more than %d bytes", XML_BYTES_MAX);
		return p->rc;
	}
	p->pushed += len;
	status = XML_Parse(p->parser, data ? data : "", (int)len, is_last);
	if (p->rc < 0) return p->rc;
	if (p->is_stopped || status == XML_STATUS_OK) return 0;
	p->rc = place(p, XML_ErrorString(XML_GetErrorCode(p->parser)));
	return p->rc;
}

void xml_free(struct xml *p) {
	if (!p) return;
	XML_ParserFree(p->parser);
	for (size_t i = 0; i < XML_DEPTH_MAX; i++) buf_clear(&p->texts[i]);
	buf_clear(&p->path);
	free(p);
}

int xml_parse(const char *data, size_t len, xml_element_fn fn, void *arg, struct err *err) {
	struct xml *p;
	int rc;

	if (len > XML_BYTES_MAX)
		return err_set(err, ERR_LIMIT, "XML of %zu bytes: at most %d are read", len, XML_BYTES_MAX);
	p = xml_new(fn, arg);
	rc = xml_push(p, data, len, true, err);
	xml_free(p);
	return rc;
}
