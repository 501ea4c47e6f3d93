/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_CLI_FLIGHT_H
#define KB_CLI_FLIGHT_H

#include <argp.h>
#include "cli/options.h"
#include "cli/when.h"
#include "keelback/sample.h"

/*
 * The flight recorder of `keelback sample`: --keep holds the last seconds and
 * writes them on SIGUSR2, when the condition of --when comes to hold, and at the end.
 */
struct kb_flight_args {
	long keep_s; /* 0: no flight recorder */
	struct kb_when when;
	bool timeline;
	bool realtime;
};
extern const struct argp kb_flight_argp;

struct kb_flight {
	const struct kb_flight_args *args;
	const struct kb_view_args *view;
	const struct kb_general_args *general;
	const struct kb_format *format;
	struct kb_sampler *sampler;
	unsigned files;	     /* written so far */
	uint32_t drains;     /* as of the last look */
	uint64_t looked_ns;  /* moments up to here were looked at */
	uint64_t written_ns; /* of observation, when --when wrote last */
	bool held;
};

/* Options that do not go together. */
struct kb_error *kb_flight__check(const struct kb_flight_args *args,
				  const struct kb_view_args *view);
/* From here on SIGUSR2 is a request; without it it ends the program, as always. */
void kb_flight__install(void);
/* After each poll: writes what was asked for. */
struct kb_error *kb_flight__look(struct kb_flight *flight);

#endif
