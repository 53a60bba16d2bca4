/* Media types by suffix, as IANA has them registered. */
#include <strings.h>

#include "aws/s3_put_private.h"

const char *s3_content_type(const char *name) {
	static const struct {
		const char *suffix, *type;
	} rows[] = {
		{"avif", "image/avif"},
		{"bmp", "image/bmp"},
		{"bz2", "application/x-bzip2"},
		{"css", "text/css"},
		{"csv", "text/csv"},
		{"gif", "image/gif"},
		{"gz", "application/gzip"},
		{"htm", "text/html"},
		{"html", "text/html"},
		{"ipynb", "application/x-ipynb+json"},
		{"jpeg", "image/jpeg"},
		{"jpg", "image/jpeg"},
		{"js", "text/javascript"},
		{"json", "application/json"},
		{"jsonl", "application/jsonl"},
		{"md", "text/markdown"},
		{"mp3", "audio/mpeg"},
		{"mp4", "video/mp4"},
		{"parquet", "application/vnd.apache.parquet"},
		{"pdf", "application/pdf"},
		{"png", "image/png"},
		{"svg", "image/svg+xml"},
		{"tar", "application/x-tar"},
		{"tif", "image/tiff"},
		{"tiff", "image/tiff"},
		{"tsv", "text/tab-separated-values"},
		{"txt", "text/plain"},
		{"wav", "audio/wav"},
		{"webp", "image/webp"},
		{"xml", "application/xml"},
		{"yaml", "application/yaml"},
		{"yml", "application/yaml"},
		{"zip", "application/zip"},
		{"zst", "application/zstd"},
	};
	const char *dot = name ? strrchr(name, '.') : NULL;

	for (size_t i = 0; dot && i < sizeof rows / sizeof *rows; i++)
		if (strcasecmp(dot + 1, rows[i].suffix) == 0) return rows[i].type;
	return "application/octet-stream";
}
