/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_CLI_REALTIME_H
#define KB_CLI_REALTIME_H

#include "keelback/sample.h"

/* --realtime-stats: a line on stderr for every second in which samples were taken. */
struct kb_realtime {
	struct kb_sampler *sampler;
	uint64_t began_ns, last_ns; /* CLOCK_MONOTONIC */
	uint64_t last_attempted, last_cpu_ns;
	double slowest, fastest; /* samples per second so far */
};

void kb_realtime__start(struct kb_realtime *realtime, struct kb_sampler *sampler);
/* After each poll: says a line when a second has passed since the one before. */
void kb_realtime__look(struct kb_realtime *realtime);

#endif
