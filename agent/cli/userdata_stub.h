#pragma once
/*
 * User-data for cloud-init: the script of packaging/user-data.sh filled in, and the shapes that it may come in.
 */
#include <stddef.h>

#include "base/cleanup.h"

struct buf;
struct err;

/** EC2 User Guide, "Run commands when you launch an EC2 instance": 16 KB, before base64. */
#define USERDATA_BYTES_MAX 16384

struct userdata_stub {
	const char *agent;	      /* "" when dsagent is on the AMI, else s3:// or https:// */
	const char *x86_64, *aarch64; /* SHA-256; "" for an architecture that is not served */
	const char *recipe;	      /* lines for standard input of `dsagent boot -`, ending in a newline */
};

/** The script without its comments. ERR_STATE when the template has no place for a value. */
CHECK_RESULT int userdata_stub_fill(const struct userdata_stub *stub, struct buf *out, struct err *err);

enum userdata_format { USERDATA_SCRIPT, USERDATA_MIME, USERDATA_CLOUD_CONFIG, USERDATA_FORMATS };

/** "script", "mime", "cloud-config". */
extern const char *const userdata_formats[USERDATA_FORMATS];

/** Puts a script (of sh, or of dsagent: its first line says) into its shape. */
void userdata_wrap(enum userdata_format format, const char *script, struct buf *out);
