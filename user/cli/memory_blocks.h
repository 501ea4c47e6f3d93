/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_CLI_MEMORY_BLOCKS_H
#define KB_CLI_MEMORY_BLOCKS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include "keelback/memory.h"

/*
 * Where single blocks were allocated: --address ADDRESS, which is answered at the end, and
 * --address -, for which addresses come line by line on stdin and are answered at once.
 */
#define KB_ADDRESS_TEXT_MAX 64

struct kb_block_requests {
	const char *text; /* of --address; NULL: not given */
	bool from_stdin;
	bool ended; /* stdin */
	uint64_t address;
	char line[KB_ADDRESS_TEXT_MAX]; /* what was read of the next one; longer ones are cut */
	size_t size;
};

struct kb_error *kb_block_requests__parse(struct kb_block_requests *requests, const char *text);
/* Answers on stdout what has come on stdin, without waiting for more. */
struct kb_error *kb_block_requests__serve(struct kb_block_requests *requests,
					  struct kb_memory_tracer *tracer);
/* The block of --address ADDRESS, as of the last snapshot. */
struct kb_error *kb_block_requests__write(const struct kb_block_requests *requests,
					  const struct kb_memory_tracer *tracer, FILE *stream);

#endif
