/* What R and compilers print when a package does not build or load, and the system package that helps. */
#include "steps/r.h"
#include "recipe/step.h"
#include "steps/python.h"

/* A word of the output and the package that has it. Headers and -l names of the packages that most of CRAN leans on. */
static const struct {
	const char *text, *apt, *dnf;
} known[] = {
	{"curl/curl.h", "libcurl4-openssl-dev", "libcurl-devel"},
	{"-lcurl", "libcurl4-openssl-dev", "libcurl-devel"},
	{"openssl/", "libssl-dev", "openssl-devel"},
	{"-lssl", "libssl-dev", "openssl-devel"},
	{"libxml/", "libxml2-dev", "libxml2-devel"},
	{"-lxml2", "libxml2-dev", "libxml2-devel"},
	{"fontconfig/", "libfontconfig1-dev", "fontconfig-devel"},
	{"ft2build.h", "libfreetype-dev", "freetype-devel"},
	{"hb.h", "libharfbuzz-dev", "harfbuzz-devel"},
	{"fribidi.h", "libfribidi-dev", "fribidi-devel"},
	{"png.h", "libpng-dev", "libpng-devel"},
	{"tiffio.h", "libtiff-dev", "libtiff-devel"},
	{"jpeglib.h", "libjpeg-dev", "libjpeg-turbo-devel"},
	{"git2.h", "libgit2-dev", "libgit2-devel"},
	{"libpq-fe.h", "libpq-dev", "libpq-devel"},
	{"-lpq", "libpq-dev", "libpq-devel"},
	{"sqlite3.h", "libsqlite3-dev", "sqlite-devel"},
	{"sql.h", "unixodbc-dev", "unixODBC-devel"},
	{"gsl/", "libgsl-dev", "gsl-devel"},
	{"libgsl.so", "libgsl27", "gsl"},
	{"gmp.h", "libgmp-dev", "gmp-devel"},
	{"mpfr.h", "libmpfr-dev", "mpfr-devel"},
	{"fftw3.h", "libfftw3-dev", "fftw-devel"},
	{"sodium.h", "libsodium-dev", "libsodium-devel"},
	{"unicode/", "libicu-dev", "libicu-devel"},
	{"hdf5.h", "libhdf5-dev", "hdf5-devel"},
	{"udunits2.h", "libudunits2-dev", "udunits2-devel"},
	{"gdal", "libgdal-dev", "gdal-devel"},
	{"geos_c.h", "libgeos-dev", "geos-devel"},
	{"proj.h", "libproj-dev", "proj-devel"},
	{"zlib.h", "zlib1g-dev", "zlib-devel"},
	{"-lz", "zlib1g-dev", "zlib-devel"},
	{"bzlib.h", "libbz2-dev", "bzip2-devel"},
	{"lzma.h", "liblzma-dev", "xz-devel"},
	{"-lblas", "libblas-dev", "openblas-devel"},
	{"-llapack", "liblapack-dev", "openblas-devel"},
	{"cmake", "cmake", "cmake"},
	{"jni.h", "default-jdk", "java-17-amazon-corretto-devel"},
	{"libicui18n.so", "libicu-dev", "libicu"},
	{"libxml2.so.2", "libxml2", "libxml2"},
	{"libcurl.so.4", "libcurl4", "libcurl"},
	{"libfontconfig.so.1", "libfontconfig1", "fontconfig"},
	{"libharfbuzz.so.0", "libharfbuzz0b", "harfbuzz"},
};

/* Lines that tell what is missing; the rest of the output only mentions names. */
static const char *const signs[] = {"fatal error:",	    "cannot find -l", "cannot open shared object file",
				    ": command not found",  ": not found",    "configure: error",
				    "Configuration failed", "No package '",   NULL};

static const char *word_after(const char *text, const char *prefix, struct arena *arena) {
	const char *at = strstr(text, prefix);
	if (!at) return NULL;
	at += strlen(prefix);
	at += strspn(at, " ");
	size_t len = strcspn(at, " ,(\n\t");
	return len && len < 80 ? arena_dup(arena, at, len) : NULL;
}

/* R's own configure scripts often name the packages: " * deb: libxml2-dev (Debian, Ubuntu, etc)". */
static const char *said_by_configure(const char *output, struct arena *arena) {
	const char *apt = word_after(output, "* deb:", arena), *dnf = word_after(output, "* rpm:", arena);
	if (!apt && !dnf) return NULL;
	return arena_printf(arena, ": a system library is missing: add a `packages` step with {apt: %s, dnf: %s}",
			    apt ? apt : "\"\"", dnf ? dnf : "\"\"");
}

static const char *line_hint(const char *line, struct arena *arena) {
	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (strstr(line, known[i].text))
			return arena_printf(
				arena,
				": a system library is missing (%s): add a `packages` step with {apt: %s, dnf: "
				"%s}",
				line, known[i].apt, known[i].dnf);
	const char *hint = py_library_hint(line, arena);
	return hint ? arena_printf(arena, ": %s", hint) : NULL;
}

const char *r_hint(const char *output, struct arena *arena) {
	const char *said = said_by_configure(output, arena), *first = NULL;
	AUTO_STRS struct strs lines = {0};
	if (said) return said;
	str_split(output, "\n", arena, &lines);
	for (size_t i = 0; i < lines.count; i++) {
		bool tells = false;
		for (size_t k = 0; signs[k]; k++) tells = tells || strstr(lines.items[i], signs[k]);
		if (!tells) continue;
		char *line = str_trim(arena_dup(arena, lines.items[i], str_utf8_prefix(lines.items[i], 300)));
		const char *hint = line_hint(line, arena);
		if (hint) return hint;
		if (!first) first = line;
	}
	for (size_t i = 0; i < lines.count && !first; i++)
		if (str_starts(lines.items[i], "ERROR: ") || str_starts(lines.items[i], "Error"))
			first = arena_dup(arena, lines.items[i], str_utf8_prefix(lines.items[i], 300));
	/* A single line is the error itself, which the caller shows. */
	return first && lines.count > 1 ? arena_printf(arena, ": %s", first) : "";
}

bool r_lacks_compiler(const char *output) {
	static const char *const texts[] = {
		"gcc: not found",     "g++: not found",	   "gfortran: not found",     "make: not found",
		"cc: not found",      "R.h: No such file", "Rinternals.h: No",	      "make: gcc: No such",
		"make: g++: No such", "'make' not found",  "make: command not found", "cannot find -lR",
		"gcc: No such file",  "g++: No such file", "gfortran: No such file",  NULL};
	for (size_t i = 0; texts[i]; i++)
		if (strstr(output, texts[i])) return true;
	return false;
}
