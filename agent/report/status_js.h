#pragma once
/*
 * status.json back into a view, for who shows it.
 */
#include "engine/event.h"

struct arena;
struct js;

/** Absent members are 0 or "". Texts and steps live in the arena; times are whole seconds, durations are exact. */
void report_status_view(const struct js *js, struct arena *arena, struct run_view *ret_view);
