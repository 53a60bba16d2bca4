#include "io/ca.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/str.h"

struct ca ca_choose(const char *file) {
	if (str_is_empty(file)) file = getenv("SSL_CERT_FILE");
	if (!str_is_empty(file)) return (struct ca){.file = file};
	for (const char *const *place = ca_places; *place; place++)
		if (access(*place, R_OK) == 0) return (struct ca){.file = *place};
	return (struct ca){.pem = ca_roots};
}

void ca_describe(const struct ca *ca, struct buf *out) {
	if (ca->file)
		buf_addf(out, "CA bundle: %s; check the clock, install ca-certificates, or set SSL_CERT_FILE",
			 ca->file);
	else
		buf_adds(out, "no CA bundle found, so only Amazon's own roots, which are built in, are trusted; "
			      "install ca-certificates, or set SSL_CERT_FILE");
}
