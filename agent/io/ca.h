#pragma once
/*
 * Which certificate authorities a TLS server is judged by: a file that is named, else the machine's bundle, else
 * Amazon's own roots (ca_roots.pem, compiled in), with which AWS is reached from an image that has no ca-certificates.
 */
struct buf;

/** One of the two is set. */
struct ca {
	const char *file; /* PEM */
	const char *pem;  /* text */
};

/** The file, if it is named; else $SSL_CERT_FILE; else the first of ca_places that can be read; else ca_roots. */
struct ca ca_choose(const char *file);

/** What is trusted and how to change it, for the message about a certificate that was refused. */
void ca_describe(const struct ca *ca, struct buf *out);

/** Where distributions keep their bundle; ends in NULL. */
extern const char *const ca_places[];

/** ca_roots.pem. Apart from ca.c, like ca_places, so that a test can put its own in their place. */
extern const char ca_roots[];
