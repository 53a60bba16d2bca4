#pragma once
/*
 * An event as one JSON object: a line of events.jsonl and of `--json`. The shape of v1 is in agent/README.md.
 */
#include "engine/event.h"

struct buf;

/** The shape's version; in the events of the run as a whole. */
#define EVENT_SCHEMA 1

/** Adds the object and a newline. */
void event_js_print(const struct event *event, const struct run_view *view, struct buf *out);
