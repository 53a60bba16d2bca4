#pragma once
/*
 * AWS Signature Version 4 (AWS General Reference, "Signature Version 4 signing process"; S3 rules: "Authenticating
 * Requests (AWS Signature Version 4)"). Pure: no clock, no network. Every stage can be called and is tested alone.
 *
 * Path, query and headers may hold any bytes: none of them makes a line of its own in what is signed. Method, region,
 * service, payload hash and access key are words, checked where they come in. A request of more than 64 KiB is not
 * signed as a whole; io/http refuses its URL long before.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

struct arena;
struct cred;

struct sigv4_request {
	const char *method;
	const char *path;	      /* raw, not encoded; "" means "/". Encoded once, never normalised (S3's rule) */
	bool encodes_path_twice;      /* services other than S3 */
	const char *const *query;     /* name, value, name, value, …, NULL; raw; a value may be "" */
	const struct strs *headers;   /* "name: value" lines that are to be signed, host included */
	const char *payload_hash;     /* hex SHA-256 of the body, or UNSIGNED-PAYLOAD */
	const char *region, *service; /* "us-east-1", "ec2" */
	int64_t now;		      /* epoch seconds */
};

#define SIGV4_EMPTY_HASH "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

/** "20130524T000000Z" */
const char *sigv4_amz_date(int64_t now, struct arena *arena);

/** "a=1&b=2": encoded, sorted by encoded name, then value. */
const char *sigv4_canonical_query(const char *const *query, struct arena *arena);

/** "host;x-amz-date" */
const char *sigv4_signed_headers(const struct strs *headers, struct arena *arena);

const char *sigv4_canonical_request(const struct sigv4_request *req, struct arena *arena);

/** "20130524/us-east-1/s3/aws4_request" */
const char *sigv4_scope(const struct sigv4_request *req, struct arena *arena);

const char *sigv4_string_to_sign(const struct sigv4_request *req, const char *canonical_request, struct arena *arena);

/** The derived key of (secret, date, region, service). */
void sigv4_signing_key(const struct sigv4_request *req, const char *secret_key, unsigned char ret_key[32]);

/** Lower-case hex signature. */
const char *sigv4_signature(const unsigned char key[32], const char *string_to_sign, struct arena *arena);

/** All stages: the whole "Authorization: AWS4-HMAC-SHA256 Credential=…" line. */
const char *sigv4_authorization(const struct sigv4_request *req, const struct cred *cred, struct arena *arena);

/**
 * The same for many requests: the derived key of (secret, date, region, service) is kept, prepared, until one of them
 * is another.
 */
struct sigv4_signer;
struct sigv4_signer *sigv4_signer_new(void);
void sigv4_signer_free(struct sigv4_signer *signer); /* wipes; NULL is fine */
const char *sigv4_sign(struct sigv4_signer *signer, const struct sigv4_request *req, const struct cred *cred,
		       struct arena *arena);
