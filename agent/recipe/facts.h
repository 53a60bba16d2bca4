#pragma once
/*
 * What is known of machine and instance, gathered once and passed const. One table (facts_fields) serves `facts`, its
 * JSON, `${facts.x}` and `when`.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "aws/imds.h"
#include "sys/osinfo.h"

struct arena;
struct err;
struct fs_root;
struct js;

struct facts {
	struct osinfo os;
	struct imds_identity instance; /* all "" off EC2 */
	bool has_instance;	       /* metadata answered */
	char metadata_error[256];      /* why not, when it was worth asking; "" otherwise */
	bool is_root;
	char user[40], home[256]; /* who runs dsagent */
};

enum fact_kind { FACT_TEXT, FACT_NUMBER, FACT_BOOL };

struct fact_field {
	const char *name, *help;
	enum fact_kind kind;
	size_t offset; /* in struct facts: char[], int64_t or bool */
	size_t size;   /* of the member: tells int from int64_t */
};

extern const struct fact_field facts_fields[];
extern const size_t facts_fields_count;

/** Files first; then metadata if the DMI says EC2 or an endpoint is set in env. A silent metadata service is no error.
 */
CHECK_RESULT int facts_gather(const struct fs_root *root, struct imds *imds, const char *const *env,
			      struct facts *ret_facts, struct err *err);

/** True when asking metadata is worth it: EC2 by DMI, or the endpoint is set in env. */
bool facts_wants_imds(const struct osinfo *os, const char *const *env);

/** The text of a fact ("true", "4", "ubuntu") in the arena, or NULL if there is none of that name. */
const char *facts_get(const struct facts *facts, const char *name, struct arena *arena);

/** {"os": "ubuntu", …} of facts_fields, and back (unknown members ignored): `facts --save`, `plan --facts`. */
struct js *facts_to_js(const struct facts *facts);
CHECK_RESULT int facts_from_js(const struct js *js, struct facts *ret_facts, struct err *err);
