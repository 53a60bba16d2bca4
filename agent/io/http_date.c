#include "base/err.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/str.h"
#include "io/http.h"

bool http_parse_date(const char *s, int64_t *ret_epoch_s) {
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	AUTO_FREE char *iso = NULL;
	struct err ignored;
	unsigned month = 0;

	if (!s || strlen(s) != 29 || !str_ends(s, " GMT")) return false;
	while (month < 12 && strncmp(months + 3 * (size_t)month, s + 8, 3) != 0) month++;
	if (month == 12) return false;
	iso = mem_printf("%.4s-%02u-%.2sT%.8sZ", s + 12, month + 1, s + 5, s + 17);
	return parse_time(iso, ret_epoch_s, &ignored) == 0;
}
