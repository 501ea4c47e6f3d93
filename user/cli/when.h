/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_CLI_WHEN_H
#define KB_CLI_WHEN_H

#include <stdbool.h>
#include <stdint.h>
#include "keelback/error.h"
#include "keelback/profile.h"

/* Conditions on what the moments of a profile say: --when. */
enum kb_when_metric { KB_WHEN_NONE, KB_WHEN_CPU, KB_WHEN_GIL, KB_WHEN_THREADS };

struct kb_when {
	enum kb_when_metric metric;
	bool below;   /* NAME<NUMBER */
	double limit; /* percent of one CPU, or a number */
};

/* "cpu>80%", "gil>90%", "threads>16", also with <. */
struct kb_error *kb_when__parse(const char *text, struct kb_when *when);
/* Does it hold for the moments from..to of a profile, in ns since the start of observation? */
bool kb_when__holds(const struct kb_when *when, const struct kb_profile *profile, uint64_t from_ns,
		    uint64_t to_ns);

/* Conditions on memory: "rss>2G", "rss<500M". bytes 0: none. */
struct kb_when_size {
	uint64_t bytes;
	bool below;
	const char *text; /* as it was given */
};
struct kb_error *kb_when_size__parse(const char *text, struct kb_when_size *when);
bool kb_when_size__holds(const struct kb_when_size *when, uint64_t rss);

#endif
