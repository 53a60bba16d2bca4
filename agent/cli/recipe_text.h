#pragma once
/*
 * Recipes that dsagent writes itself: what `boot` keeps and `userdata` carries for names and settings.
 */
struct buf;

/** A recipe that is nothing but another one, by a name that is known everywhere: built-in, s3:// or https://. */
void recipe_text_include(const char *name, struct buf *out);
