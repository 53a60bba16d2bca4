#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/parse.h"
#include "fmt/diag.h"
#include "recipe/facts.h"
#include "recipe/step.h"
#include "steps/check_http.h"
#include "steps/check_net.h"
#include "steps/check_postgres.h"
#include "steps/steps.h"
#include "sys/disk_mounts.h"

/** One attempt at a connection or an answer. */
#define ATTEMPT_MS (10 * 1000)
/** One attempt at a login: Python starts first. */
#define LOGIN_MS (60 * 1000)
/** One attempt of a command: something that takes longer is work, not a check. */
#define COMMAND_MS (5 * 60 * 1000)
#define POLL_EVERY_MS 1000

struct check_disk {
	const char *path;
	int64_t free_bytes;
};

struct check_python {
	const char *python, *venv;
	struct strs imports;
};

struct check_params {
	struct strs command;
	const char *tcp, *http, *contains, *path, *mount;
	int64_t status, memory_bytes, wait_ms;
	struct check_postgres_login postgres;
	struct check_disk disk;
	struct check_python python;
	bool has_postgres, has_disk, has_python;
};

static const struct field disk_fields[] = {
	{.name = "path",
	 .kind = FIELD_TEXT,
	 .offset = offsetof(struct check_disk, path),
	 .help = "a path on the file system",
	 .fallback = "/"},
	{.name = "free",
	 .kind = FIELD_SIZE,
	 .offset = offsetof(struct check_disk, free_bytes),
	 .help = "at least so much must be free, such as 20G",
	 .is_required = true},
	{0},
};
static const struct shape disk_shape = {
	.fields = disk_fields, .size = sizeof(struct check_disk), .scalar_field = "free"};

static const struct field python_fields[] = {
	{.name = "import",
	 .kind = FIELD_TEXTS,
	 .offset = offsetof(struct check_python, imports),
	 .help = "modules that must load",
	 .is_required = true},
	{.name = "python",
	 .kind = FIELD_TEXT,
	 .offset = offsetof(struct check_python, python),
	 .help = "interpreter; default: that of `venv`, else python3"},
	{.name = "venv", .kind = FIELD_TEXT, .offset = offsetof(struct check_python, venv), .help = "path of a venv"},
	{0},
};
static const struct shape python_shape = {
	.fields = python_fields, .size = sizeof(struct check_python), .list_field = "import", .scalar_field = "import"};

#define LOGIN_FIELD(n, member, text)                                                                                   \
	.name = n, .kind = FIELD_TEXT, .offset = offsetof(struct check_postgres_login, member), .help = text

static const struct field postgres_fields[] = {
	{LOGIN_FIELD("address", address, "host:port of the server"), .is_required = true},
	{LOGIN_FIELD("venv", venv, "with `user`: a venv that has psycopg or psycopg2; the account must be let in")},
	{LOGIN_FIELD("user", user, "with `venv`: the account")},
	{LOGIN_FIELD("password", password, "its password, a sensitive variable; default: as libpq finds one"),
	 .is_secret = true},
	{LOGIN_FIELD("database", database, "the database; default: the user's name")},
	{0},
};
static const struct shape postgres_shape = {
	.fields = postgres_fields, .size = sizeof(struct check_postgres_login), .scalar_field = "address"};

#define CHECK_FIELD(n, k, member, text)                                                                                \
	.name = n, .kind = k, .offset = offsetof(struct check_params, member), .help = text

static const struct field check_fields[] = {
	{CHECK_FIELD("command", FIELD_TEXTS, command,
		     "a script for `/bin/sh -e`, or a list of command and arguments: exits 0")},
	{CHECK_FIELD("tcp", FIELD_TEXT, tcp, "host:port accepts connections")},
	{CHECK_FIELD("postgres", FIELD_STRUCT, postgres,
		     "host:port is a PostgreSQL server that takes sessions; a map: and lets an account in"),
	 .shape = &postgres_shape, .presence = offsetof(struct check_params, has_postgres)},
	{CHECK_FIELD("http", FIELD_TEXT, http, "an http:// or https:// address that answers with 2xx (or `status`)")},
	{CHECK_FIELD("status", FIELD_INT, status, "with http: this status exactly"), .min = 100, .max = 599},
	{CHECK_FIELD("contains", FIELD_TEXT, contains, "with http: text that the answer's body holds")},
	{CHECK_FIELD("disk", FIELD_STRUCT, disk, "free space, a size or {path, free}"), .shape = &disk_shape,
	 .presence = offsetof(struct check_params, has_disk)},
	{CHECK_FIELD("memory", FIELD_SIZE, memory_bytes, "at least so much memory in the machine, such as 7G")},
	{CHECK_FIELD("python", FIELD_STRUCT, python, "modules that load: a list, or {venv or python, import}"),
	 .shape = &python_shape, .presence = offsetof(struct check_params, has_python)},
	{CHECK_FIELD("path", FIELD_TEXT, path, "this path exists")},
	{CHECK_FIELD("mount", FIELD_TEXT, mount, "something is mounted at this path")},
	{CHECK_FIELD("wait", FIELD_DURATION, wait_ms,
		     "how long to wait for it to become true (at most the step's timeout)"),
	 .fallback = "0s"},
	{0},
};

static void check_check(const void *params, const struct yml_node *node, struct diags *diags) {
	const struct check_params *p = params;
	if (!p->command.count && !p->tcp && !p->has_postgres && !p->http && !p->has_disk && !p->memory_bytes &&
	    !p->has_python && !p->path && !p->mount)
		diag_add(diags, node,
			 "check needs a condition: command, tcp, postgres, http, disk, memory, python, path or mount");
	if (!p->http && (p->status || p->contains)) diag_add(diags, node, "status and contains belong to http");
	if (p->http && !str_starts(p->http, "http://") && !str_starts(p->http, "https://") &&
	    !step_text_is_open(p->http))
		diag_add(diags, node, "http '%s' is no http:// or https:// address", p->http);
	const char *addresses[] = {p->tcp, p->postgres.address};
	for (size_t i = 0; i < 2; i++) {
		struct err err;
		const char *host, *port;
		if (addresses[i] && !step_text_is_open(addresses[i]) &&
		    check_net_split(addresses[i], diags->arena, &host, &port, &err) < 0)
			diag_add(diags, node, "%s", err.msg);
	}
	if (p->has_python && p->python.venv && p->python.python)
		diag_add(diags, node, "venv and python exclude each other");
	if (!p->postgres.venv != !p->postgres.user)
		diag_add(diags, node, "postgres: a login needs both `user` and the `venv` that has psycopg");
	if (!p->postgres.user && (p->postgres.password || p->postgres.database))
		diag_add(diags, node, "postgres: password and database belong to a login: give `user` and `venv` too");
	if (p->mount && p->mount[0] != '/' && !step_text_is_open(p->mount))
		diag_add(diags, node, "mount '%s' is not absolute", p->mount);
}

/* A size as recipes write them, binary: "20 GiB". */
static const char *size_text(int64_t bytes, struct arena *arena) {
	static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
	double size = (double)bytes;
	size_t unit = 0;
	for (; size >= 1024 && unit + 1 < sizeof units / sizeof *units; unit++) size /= 1024;
	bool is_whole = size >= 100 || size == (double)(int64_t)size;
	return arena_printf(arena, "%.*f %s", is_whole ? 0 : 1, size, units[unit]);
}

/* One condition: tried once; 0, or err says why it does not hold. */
struct condition {
	bool is_given;
	const char *text; /* "tcp db:5432 to answer" */
	int (*holds)(const struct check_params *p, struct step_ctx *ctx, struct err *err);
};

static int64_t attempt_ms(const struct step_ctx *ctx, int64_t most) {
	int64_t left = machine_left_ms(&ctx->machine);
	return left < 1 ? 1 : left < most ? left : most;
}

static int run_quietly(struct step_ctx *ctx, const char *const *argv, const char *label, struct err *err) {
	struct machine_command cmd = {.argv = argv,
				      .label = label,
				      .user = ctx->user,
				      .timeout_ms = attempt_ms(ctx, COMMAND_MS),
				      .is_quiet = true};
	return machine_check(&ctx->machine, &cmd, NULL, err);
}

static int command_holds(const struct check_params *p, struct step_ctx *ctx, struct err *err) {
	const char *shell[] = {"/bin/sh", "-ec", p->command.items[0], NULL};
	const char **argv = arena_alloc(ctx->arena, (p->command.count + 1) * sizeof *argv);
	for (size_t i = 0; i < p->command.count; i++) argv[i] = p->command.items[i];
	bool is_script = p->command.count == 1;
	return run_quietly(ctx, is_script ? shell : argv, is_script ? p->command.items[0] : NULL, err);
}

static int tcp_holds(const struct check_params *p, struct step_ctx *ctx, struct err *err) {
	return check_net_tcp(p->tcp, attempt_ms(ctx, ATTEMPT_MS), ctx->arena, err);
}

static int postgres_holds(const struct check_params *p, struct step_ctx *ctx, struct err *err) {
	int r = check_postgres(p->postgres.address, attempt_ms(ctx, ATTEMPT_MS), ctx->arena, err);
	if (r < 0 || !p->postgres.user) return r;
	return check_postgres_login(&p->postgres, attempt_ms(ctx, LOGIN_MS), ctx, err);
}

static int http_holds(const struct check_params *p, struct step_ctx *ctx, struct err *err) {
	struct check_http wanted = {.url = p->http, .contains = p->contains, .status = (int)p->status};
	return check_http(ctx->fetch, &wanted, attempt_ms(ctx, ATTEMPT_MS), err);
}

static int disk_holds(const struct check_params *p, struct step_ctx *ctx, struct err *err) {
	int64_t free_bytes;
	const char *path = p->disk.path;
	int r = fs_free_bytes(ctx->machine.root, path, &free_bytes, err);
	if (r < 0 || free_bytes >= p->disk.free_bytes) return r;
	return err_set(err, ERR_NO_SPACE, "%s has %s free, %s are needed: make room or use a larger volume", path,
		       size_text(free_bytes, ctx->arena), size_text(p->disk.free_bytes, ctx->arena));
}

/* The kernel keeps a part of the memory for itself: a 8 GiB instance shows 7.6. So 1/16 less is enough. */
static int memory_holds(const struct check_params *p, struct step_ctx *ctx, struct err *err) {
	int64_t has = ctx->facts->os.memory_bytes;
	if (has >= p->memory_bytes - p->memory_bytes / 16) return 0;
	return err_set(err, ERR_UNSUPPORTED, "the machine has %s of memory, %s are needed: use a larger instance type",
		       size_text(has, ctx->arena), size_text(p->memory_bytes, ctx->arena));
}

static int python_holds(const struct check_params *p, struct step_ctx *ctx, struct err *err) {
	const char *python = p->python.python ? p->python.python : "python3";
	if (p->python.venv) python = arena_printf(ctx->arena, "%s/bin/python", p->python.venv);
	size_t count = p->python.imports.count;
	const char **argv = arena_alloc(ctx->arena, (count + 4) * sizeof *argv);
	argv[0] = python;
	argv[1] = "-c";
	argv[2] = "import sys, importlib\n"
		  "for m in sys.argv[1:]:\n"
		  " try: importlib.import_module(m)\n"
		  " except Exception as e: sys.exit('%s: %s' % (type(e).__name__, e))\n";
	for (size_t i = 0; i < count; i++) argv[3 + i] = p->python.imports.items[i];
	const char *modules = strs_join(&p->python.imports, ", ", ctx->arena);
	return run_quietly(ctx, argv, arena_printf(ctx->arena, "%s: import %s", python, modules), err);
}

static int path_holds(const struct check_params *p, struct step_ctx *ctx, struct err *err) {
	if (fs_exists(ctx->machine.root, p->path)) return 0;
	return err_set(err, ERR_NOT_FOUND, "%s does not exist", p->path);
}

static int mount_holds(const struct check_params *p, struct step_ctx *ctx, struct err *err) {
	struct mounts mounts = {0};
	int r = mounts_read(ctx->arena, &mounts, err);
	if (r < 0) return r;
	if (mounts_at(&mounts, fs_host_path(ctx->machine.root, p->mount, ctx->arena))) return 0;
	return err_set(err, ERR_NOT_FOUND, "nothing is mounted at %s", p->mount);
}

#define CONDITIONS 9

static void list_conditions(const struct check_params *p, struct arena *arena, struct condition c[CONDITIONS]) {
	const char *script = p->command.count ? strs_join(&p->command, " ", arena) : "";
	size_t len = strcspn(script, "\n");
	const char *first =
		arena_dup(arena, script, str_utf8_prefix(script, 60) < len ? str_utf8_prefix(script, 60) : len);
	c[0] = (struct condition){p->path, arena_printf(arena, "%s to exist", p->path ? p->path : ""), path_holds};
	c[1] = (struct condition){p->has_disk,
				  arena_printf(arena, "%s free on %s", size_text(p->disk.free_bytes, arena),
					       p->disk.path ? p->disk.path : "/"),
				  disk_holds};
	c[2] = (struct condition){p->memory_bytes > 0,
				  arena_printf(arena, "%s of memory", size_text(p->memory_bytes, arena)), memory_holds};
	c[3] = (struct condition){p->tcp, arena_printf(arena, "tcp %s to answer", p->tcp ? p->tcp : ""), tcp_holds};
	const char *address = p->has_postgres ? p->postgres.address : "";
	c[4] = (struct condition){
		p->has_postgres,
		p->postgres.user ? arena_printf(arena, "login to PostgreSQL at %s as %s", address, p->postgres.user)
				 : arena_printf(arena, "PostgreSQL at %s", address),
		postgres_holds};
	c[5] = (struct condition){p->http, arena_printf(arena, "%s to answer", p->http ? p->http : ""), http_holds};
	c[6] = (struct condition){p->has_python,
				  arena_printf(arena, "import of %s", strs_join(&p->python.imports, ", ", arena)),
				  python_holds};
	c[8] = (struct condition){p->mount, arena_printf(arena, "a mount at %s", p->mount ? p->mount : ""),
				  mount_holds};
	c[7] = (struct condition){p->command.count, arena_printf(arena, "'%s' to succeed", first), command_holds};
}

static int check_probe(const void *params, struct step_ctx *ctx, struct changes *changes, struct err *err) {
	const struct check_params *p = params;
	struct condition c[CONDITIONS];
	list_conditions(p, ctx->arena, c);
	for (size_t i = 0; i < CONDITIONS; i++) {
		if (!c[i].is_given || c[i].holds(p, ctx, err) == 0) continue;
		changes_add(changes, ctx->arena, NULL, "%s %s (now: %s)", p->wait_ms ? "wait for" : "require",
			    c[i].text, err->msg);
		err_clear(err);
	}
	return 0;
}

/* Until it holds, its wait is over or the step's deadline is near. */
static int await(const struct condition *c, const struct check_params *p, struct step_ctx *ctx, int64_t started_at_ms,
		 struct err *err) {
	for (;;) {
		int r = c->holds(p, ctx, err);
		int64_t waited_ms = clock_mono_ms() - started_at_ms;
		if (r == 0) return 0;
		int64_t left_ms = p->wait_ms - waited_ms;
		if (left_ms <= 0 || machine_left_ms(&ctx->machine) <= POLL_EVERY_MS) {
			if (!p->wait_ms) return r;
			return err_wrap(err, "waited %s for %s", str_duration(waited_ms, ctx->arena), c->text);
		}
		err_clear(err);
		machine_wait(&ctx->machine, waited_ms, "%s", c->text);
		clock_sleep_ms(left_ms < POLL_EVERY_MS ? left_ms : POLL_EVERY_MS);
	}
}

static int check_apply(const void *params, struct step_ctx *ctx, const struct changes *changes, struct err *err) {
	const struct check_params *p = params;
	struct condition c[CONDITIONS];
	int64_t started_at_ms = clock_mono_ms();
	list_conditions(p, ctx->arena, c);
	for (size_t i = 0; i < CONDITIONS; i++) {
		int r = c[i].is_given ? await(&c[i], p, ctx, started_at_ms, err) : 0;
		if (r < 0) return r;
	}
	return 0;
}

const struct step_type step_check = {
	.name = "check",
	.summary = "a condition: command, tcp, postgres, http, disk, memory, python import, path or mount; waits for "
		   "it if "
		   "asked",
	.example = "- name: Database answers\n"
		   "  check:\n"
		   "    tcp: db.internal:5432\n"
		   "    wait: 5m\n",
	.shape = {.fields = check_fields, .size = sizeof(struct check_params), .scalar_field = "command"},
	.timeout_ms = 30LL * 60 * 1000,
	.check = check_check,
	.probe = check_probe,
	.apply = check_apply,
};
