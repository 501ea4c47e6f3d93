// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/error.h"
#include "cli/memory_blocks.h"

static bool parse_address(const char *text, uint64_t *address)
{
	char *end;

	errno = 0;
	*address = strtoull(text, &end, 0);
	return *text && !*end && *text != '-' && !errno;
}

struct kb_error *kb_block_requests__parse(struct kb_block_requests *requests, const char *text)
{
	requests->text = text;
	requests->from_stdin = !strcmp(text, "-");
	if (requests->from_stdin || parse_address(text, &requests->address))
		return NULL;
	return kb_usage("--address: '%s' is no address such as 0x7f3a5c001230", text);
}

/* False: there is no such block. */
static struct kb_error *write_block(const struct kb_memory_tracer *tracer, uint64_t address,
				    FILE *stream, bool *found)
{
	const struct kb_profile *profile = kb_memory_tracer__profile(tracer);
	const struct kb_memory *memory = kb_profile__memory(profile);

	*found = false;
	for (uint32_t i = 0; i < kb_memory__n_processes(memory); i++) {
		uint32_t process = kb_memory__process(memory, i)->process;
		struct kb_memory_block block;

		KB_TRY(kb_memory_tracer__block(tracer, process, address, &block));
		if (block.entry == KB_ID_NONE)
			continue;
		*found = true;
		fprintf(stream, "Process %d: %llu bytes at %#llx, allocated %.1f s ago (%s)\n",
			kb_profile__process(profile, process)->pid, (unsigned long long)block.size,
			(unsigned long long)block.address,
			(double)(kb_memory__taken_ns(memory) - block.time_ns) / KB_NS_PER_SECOND,
			kb_memory_domain__name(kb_memory__entries(memory)[block.entry].domain));
		return kb_memory_traceback__write(profile, block.entry, stream);
	}
	return NULL;
}

struct kb_error *kb_block_requests__write(const struct kb_block_requests *requests,
					  const struct kb_memory_tracer *tracer, FILE *stream)
{
	bool found;

	KB_TRY(write_block(tracer, requests->address, stream, &found));
	return found ? NULL
		     : kb_failed("no live block with %s was allocated while it was observed",
				 requests->text);
}

static struct kb_error *answer(const struct kb_block_requests *requests,
			       struct kb_memory_tracer *tracer)
{
	uint64_t address;
	bool found;

	if (!*requests->line)
		return NULL;
	if (!parse_address(requests->line, &address)) {
		printf("'%s' is no address such as 0x7f3a5c001230\n", requests->line);
		return NULL;
	}
	KB_TRY(kb_memory_tracer__snapshot(tracer));
	KB_TRY(write_block(tracer, address, stdout, &found));
	if (!found)
		printf("no live block with %s was allocated while it was observed\n",
		       requests->line);
	return NULL;
}

struct kb_error *kb_block_requests__serve(struct kb_block_requests *requests,
					  struct kb_memory_tracer *tracer)
{
	struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };
	char c;

	while (!requests->ended && poll(&input, 1, 0) > 0) {
		if (read(STDIN_FILENO, &c, 1) != 1) {
			requests->ended = true;
		} else if (c != '\n') {
			if (requests->size + 1 < sizeof(requests->line))
				requests->line[requests->size++] = c;
		} else {
			requests->line[requests->size] = 0;
			requests->size = 0;
			KB_TRY(answer(requests, tracer));
			if (fflush(stdout))
				return kb_error__from_errno(errno, KB_STATUS_FAILED,
							    "cannot write to stdout");
		}
	}
	return NULL;
}
