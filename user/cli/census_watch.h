/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_CLI_CENSUS_WATCH_H
#define KB_CLI_CENSUS_WATCH_H

#include "cli/census_print.h"
#include "cli/options.h"

/* Censuses, once or again and again, for the commands that show them. */
struct kb_census_watch {
	const struct kb_target_args *target; /* these are borrowed */
	const struct kb_general_args *general;
	struct kb_census_view view;
	const char *output;
	bool json;
	double every, duration; /* seconds, 0: not given */
	long largest;
	bool growth_only; /* text: what has grown, without the first census */
};

/* "10", or "10s", "500ms" as durations are given elsewhere: --every. */
struct kb_error *kb_census_watch__every(const char *text, double *seconds);

struct kb_error *kb_census_watch__run(const struct kb_census_watch *watch);

#endif
