#include "io/ca.h"

#include <stddef.h>

const char *const ca_places[] = {
	"/etc/ssl/certs/ca-certificates.crt",		     /* Debian, Ubuntu */
	"/etc/pki/tls/certs/ca-bundle.crt",		     /* Amazon Linux, Fedora, RHEL */
	"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", /* the same, newer layout */
	"/etc/ssl/ca-bundle.pem",			     /* SUSE */
	"/etc/ssl/cert.pem",				     /* Alpine */
	NULL,
};
