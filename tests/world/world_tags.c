#include <stdlib.h>
#include <string.h>

#include "world.h"

void tags_set(struct world *world, const char *key, const char *value) {
	for (size_t i = 0; i < world->tag_count; i++) {
		if (strcmp(world->tags[i].key, key) == 0) {
			free(world->tags[i].value);
			world->tags[i].value = text_dup(value);
			return;
		}
	}
	if (world->tag_count < TAGS_MAX) world->tags[world->tag_count++] = (struct tag){text_dup(key), text_dup(value)};
}

static void print_object(const struct tag *tags, size_t count, FILE *out) {
	fputc('{', out);
	for (size_t i = 0; i < count; i++) {
		if (i) fputs(", ", out);
		text_json(out, tags[i].key);
		fputs(": ", out);
		text_json(out, tags[i].value);
	}
	fputc('}', out);
}

void tags_print_json(const struct world *world, FILE *out) {
	print_object(world->tags, world->tag_count, out);
	fputc('\n', out);
}

static int compare_tags(const void *a, const void *b) {
	return strcmp(((const struct tag *)a)->key, ((const struct tag *)b)->key);
}

/* As the console's "Tags" tab has it: Key and Value, sorted by key. */
void tags_print_table(const struct world *world, FILE *out) {
	struct tag sorted[TAGS_MAX];
	size_t width = 3;

	memcpy(sorted, world->tags, world->tag_count * sizeof *sorted);
	qsort(sorted, world->tag_count, sizeof *sorted, compare_tags);
	for (size_t i = 0; i < world->tag_count; i++) {
		size_t len = text_characters(sorted[i].key);
		if (len > width) width = len;
	}
	fprintf(out, "%-*s  Value\n", (int)width, "Key");
	for (size_t i = 0; i < world->tag_count; i++)
		fprintf(out, "%-*s  %s\n", (int)width, sorted[i].key, sorted[i].value);
}

void tags_print_history(const struct world *world, FILE *out) {
	fputs("[", out);
	for (size_t i = 0; i < world->history_count; i++) {
		fprintf(out, "%s\n{\"at_ms\": %lld, \"resource\": ", i ? "," : "", (long long)world->history[i].at_ms);
		text_json(out, world->history[i].resource);
		fputs(", \"tags\": ", out);
		print_object(world->history[i].tags, world->history[i].count, out);
		fputs("}", out);
	}
	fputs("]\n", out);
}

void tags_forget(struct world *world) {
	for (size_t i = 0; i < world->tag_count; i++) {
		free(world->tags[i].key);
		free(world->tags[i].value);
	}
	for (size_t i = 0; i < world->history_count; i++) {
		for (size_t k = 0; k < world->history[i].count; k++) {
			free(world->history[i].tags[k].key);
			free(world->history[i].tags[k].value);
		}
		free(world->history[i].resource);
	}
	free(world->history);
	world->history = NULL;
	world->tag_count = world->history_count = 0;
}
