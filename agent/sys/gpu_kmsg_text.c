/*
 * The texts. Sources: kernel-open/nvidia/nv.c, nv-pci.c and src/nvidia/arch/nvalloc/unix/src/osinit.c of
 * open-gpu-kernel-modules 595.45.04; kernel/module/signing.c and main.c of Linux. The driver wraps long messages, each
 * line with "NVRM: " in front; printk makes them one record or several, and other records may come between.
 */
#include "base/str.h"
#include "sys/gpu_kmsg.h"

/* Lines of the longest wrapped message that matters, with some room. */
#define WRAPPED_LINES_MAX 6

static bool is_hex(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }
static bool is_digit(char c) { return c >= '0' && c <= '9'; }
static char lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c; }
static int hex_value(char c) { return is_digit(c) ? c - '0' : lower(c) - 'a' + 10; }

static size_t hex_run(const char *s) {
	size_t n = 0;
	while (is_hex(s[n])) n++;
	return n;
}

/* "0000:18:00", "00000000:18:00.0" at s: into "0000:18:00.0". Xid lines leave the function out; a GPU's is 0. */
static bool read_address(const char *s, char *address, size_t size) {
	size_t domain = hex_run(s);
	if (domain < 4 || domain > 8 || s[domain] != ':') return false;
	const char *bus = s + domain + 1, *slot = bus + 3;
	if (hex_run(bus) != 2 || bus[2] != ':' || hex_run(slot) != 2) return false;
	char function = slot[2] == '.' && is_hex(slot[3]) ? slot[3] : '0';
	(void)snprintf(address, size, "%.4s:%.2s:%.2s.%c", s + domain - 4, bus, slot, function);
	for (char *c = address; *c; c++) *c = lower(*c);
	return true;
}

static void find_address(const char *text, char *address, size_t size) {
	address[0] = '\0';
	for (const char *colon = strchr(text, ':'); colon; colon = strchr(colon + 1, ':')) {
		const char *start = colon;
		while (start > text && is_hex(start[-1])) start--;
		if (read_address(start, address, size)) return;
	}
}

/* "Fatal", but neither "Non-fatal" nor "Nonfatal". */
static bool says_fatal(const char *text) {
	for (const char *at = text; (at = strcasestr(at, "fatal")); at++) {
		bool is_non = (at - text >= 3 && !strncasecmp(at - 3, "non", 3)) ||
			      (at - text >= 4 && !strncasecmp(at - 4, "non-", 4));
		if (!is_non) return true;
	}
	return false;
}

static void copy_printable(char *out, size_t size, const char *text) {
	size_t n = 0;
	for (; text[n] && n + 1 < size; n++) out[n] = text[n] >= ' ' && text[n] <= '~' ? text[n] : '?';
	out[n] = '\0';
}

static struct gpu_kmsg_event *event_of(struct gpu_kmsg *log, enum gpu_kmsg_kind kind, unsigned number,
				       const char *address) {
	for (size_t i = 0; i < log->count; i++) {
		struct gpu_kmsg_event *e = &log->events[i];
		if (e->kind == kind && e->number == number && str_eq(e->address, address)) return e;
	}
	if (log->count == GPU_KMSG_EVENTS_MAX) {
		memmove(log->events, log->events + 1, (--log->count) * sizeof *log->events);
		log->forgotten++;
	}
	struct gpu_kmsg_event *e = &log->events[log->count++];
	*e = (struct gpu_kmsg_event){.kind = kind, .number = number};
	(void)snprintf(e->address, sizeof e->address, "%s", address);
	return e;
}

static void add(struct gpu_kmsg *log, enum gpu_kmsg_kind kind, unsigned number, const char *address, const char *text) {
	struct gpu_kmsg_event *e = event_of(log, kind, number, address);
	bool is_fatal = says_fatal(text);
	if (e->count < 1000000) e->count++;
	if (is_fatal || !e->is_fatal) copy_printable(e->text, sizeof e->text, text);
	e->is_fatal |= is_fatal;
}

/* "Xid (PCI:0000:01:00): 43, pid=…" from the bracket on; also SXid's. */
static bool read_code(const char *bracket, char *address, size_t size, unsigned *ret_number) {
	const char *s = bracket + 1, *close = strchr(s, ')');
	if (str_starts(s, "PCI:")) s += 4;
	if (!close || !read_address(s, address, size)) return false;
	for (const char *colon = strchr(close, ':'); colon; colon = strchr(colon + 1, ':')) {
		size_t digits = 0;
		unsigned number = 0;
		colon += strspn(colon + 1, " ");
		while (digits < 6 && is_digit(colon[1 + digits]))
			number = number * 10 + (unsigned)(colon[1 + digits++] - '0');
		if (digits && digits < 6 && (colon[1 + digits] == ',' || !colon[1 + digits])) {
			*ret_number = number;
			return true;
		}
	}
	return false;
}

static bool is_init_failure(const char *text) {
	static const char *const texts[] = {
		"RmInitAdapter failed!",
		"rm_init_adapter failed",
		"The NVIDIA probe routine failed for",
		"The NVIDIA probe routine was not called for",
		"None of the NVIDIA devices were initialized",
		"No NVIDIA GPU found",
		"No NVIDIA devices probed",
		"No NVIDIA graphics adapter",
	};
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		if (strstr(text, texts[i])) return true;
	return false;
}

/* A message of one line. */
static bool take_line(struct gpu_kmsg *log, const char *text) {
	char address[16] = "";
	unsigned number;
	const char *xid = strstr(text, "Xid (");
	if (xid && xid > text && xid[-1] != 'S') {
		if (read_code(xid + 4, address, sizeof address, &number)) add(log, GPU_KMSG_XID, number, address, text);
		return true;
	}
	find_address(text, address, sizeof address);
	if (strstr(text, "GPU has fallen off the bus"))
		add(log, GPU_KMSG_XID, 79, address, text);
	else if (is_init_failure(text))
		add(log, GPU_KMSG_INIT_FAILED, 0, address, text);
	else
		return false;
	return true;
}

/* What the lines so far say together. */
static bool take_wrapped(struct gpu_kmsg *log) {
	static const struct {
		const char *first, *second;
		enum gpu_kmsg_kind kind;
		unsigned number;
	} messages[] = {
		{"fallen off the bus", "not responding", GPU_KMSG_XID, 79},
		{"not supported by open", "nvidia.ko because", GPU_KMSG_OPEN_UNSUPPORTED, 0},
		{"not supported by the", "driver release", GPU_KMSG_UNSUPPORTED, 0},
		{"supported through the NVIDIA", "Legacy drivers", GPU_KMSG_UNSUPPORTED, 0},
		{"API mismatch: the client", "the version", GPU_KMSG_MISMATCH, 0},
	};
	char address[16];
	for (size_t i = 0; i < sizeof messages / sizeof *messages; i++) {
		const char *at = strstr(log->wrapped, messages[i].first);
		if (!at || !strstr(at, messages[i].second)) continue;
		/* "… the version X, but this kernel module has the version Y": both are wanted. */
		if (messages[i].kind == GPU_KMSG_MISMATCH && !strstr(at, "module has the version")) continue;
		find_address(log->wrapped, address, sizeof address);
		add(log, messages[i].kind, messages[i].number, address, log->wrapped);
		return true;
	}
	return false;
}

static void take_nvrm(struct gpu_kmsg *log, const char *text) {
	const char *body = text + strlen("NVRM:");
	body += strspn(body, " ");
	if (take_line(log, text)) return;
	if (str_starts(body, "The NVIDIA ") || str_starts(body, "API mismatch:")) {
		(void)snprintf(log->wrapped, sizeof log->wrapped, "NVRM: %s", body); /* a line may be cut */
		log->wrapped_lines = 1;
	} else if (log->wrapped_lines) {
		size_t n = strlen(log->wrapped);
		while (n && log->wrapped[n - 1] == ' ') n--;
		(void)snprintf(log->wrapped + n, sizeof log->wrapped - n, " %s", body);
		log->wrapped_lines++;
	} else
		return;
	if (take_wrapped(log) || log->wrapped_lines >= WRAPPED_LINES_MAX) log->wrapped_lines = 0;
}

static void take_sxid(struct gpu_kmsg *log, const char *sxid, const char *line) {
	char address[16] = "";
	unsigned number;
	const char *start = sxid;
	/* "nvidia-nvswitch3: " in front says which switch. */
	const char *name = strstr(line, "nvidia-nvswitch");
	if (name && name < sxid) start = name;
	if (read_code(sxid + 5, address, sizeof address, &number)) add(log, GPU_KMSG_SXID, number, address, start);
}

static void take_refusal(struct gpu_kmsg *log, const char *line) {
	static const char *const texts[] = {
		"Loading of unsigned module is rejected",
		"Loading of module with unavailable key is rejected",
		"Loading of module with unsupported crypto is rejected",
		"Key was rejected by service",
	};
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		const char *at = strstr(line, texts[i]);
		if (at) add(log, GPU_KMSG_UNSIGNED, 0, "", at);
	}
}

static void take(struct gpu_kmsg *log, char *line) {
	const char *nvrm = strstr(line, "NVRM:"), *sxid = strstr(line, "SXid (");
	size_t n = strlen(line);
	while (n && (line[n - 1] == '\r' || line[n - 1] == ' ')) line[--n] = '\0';
	if (nvrm)
		take_nvrm(log, nvrm);
	else if (sxid)
		take_sxid(log, sxid, line);
	else
		take_refusal(log, line);
}

static bool is_of_interest(const char *record, size_t n) {
	return memmem(record, n, "NVRM:", 5) || memmem(record, n, "SXid (", 6) || memmem(record, n, "rejected", 8);
}

/* Undoes \xNN; NULs would end the text early. */
static size_t unescape(char *out, size_t size, const char *in, size_t n) {
	size_t len = 0;
	for (size_t i = 0; i < n && len + 1 < size; i++) {
		char c = in[i];
		if (c == '\\' && n - i >= 4 && in[i + 1] == 'x' && is_hex(in[i + 2]) && is_hex(in[i + 3])) {
			c = (char)(hex_value(in[i + 2]) * 16 + hex_value(in[i + 3]));
			i += 3;
		}
		out[len++] = c ? c : '?';
	}
	out[len] = '\0';
	return len;
}

void gpu_kmsg_record(struct gpu_kmsg *log, const char *record, size_t n) {
	char text[GPU_KMSG_LINE_MAX];
	if (n > sizeof text - 1) n = sizeof text - 1;
	if (!is_of_interest(record, n)) return;
	(void)unescape(text, sizeof text, record, n);
	for (char *line = text, *next; line; line = next) {
		next = strchr(line, '\n');
		if (next) *next++ = '\0';
		take(log, line);
	}
}
