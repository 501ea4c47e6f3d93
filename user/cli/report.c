// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include "base/text.h"
#include "cli/report.h"
#include "keelback/inspect.h"

#define LINE_MAX_BYTES 2048

/* In one write, so that lines of a command that runs beside us do not end up within. */
static void write_line(const char *prefix, const char *text)
{
	char *line = NULL;
	size_t size = 0;
	FILE *stream = open_memstream(&line, &size);

	if (!stream)
		return;
	fprintf(stream, "keelback: %s", prefix);
	kb_text__write(stream, text);
	fputc('\n', stream);
	if (fclose(stream) == 0)
		fwrite(line, 1, size, stderr);
	free(line);
}

void kb_say(const char *format, ...)
{
	char text[LINE_MAX_BYTES];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	write_line("", text);
}

static void on_log(int level, const char *line, void *context)
{
	write_line(level ? "" : "warning: ", line);
}

void kb_report__start(const struct kb_general_args *general)
{
	kb_log__set(general->quiet ? NULL : on_log, NULL, general->verbose);
}

/* Those entries of the ledger that are notes, or those that are not, one behind the other. */
static void write_entries(const struct kb_profile *profile, bool notes, bool events,
			  const char *first, const char *next, FILE *stream)
{
	const char *separator = first;

	for (size_t i = 0; i < kb_profile__n_ledger(profile); i++) {
		struct kb_ledger_entry entry = kb_profile__ledger(profile, i);

		if (entry.note != notes || !entry.count)
			continue;
		fprintf(stream, "%s%" PRIu64 " %s", separator, entry.count,
			events && entry.reported ? "reported" : entry.name);
		separator = next;
	}
}

static const char *what_of(const struct kb_profile *profile)
{
	switch (kb_profile__meta(profile)->mode) {
	case KB_MODE_WALL:
		return "samples and waits";
	case KB_MODE_GIL_WAIT:
		return "waits";
	case KB_MODE_TASKS:
		return "tasks";
	default:
		return "samples";
	}
}

static const char *nothing_of(const struct kb_profile *profile)
{
	switch (kb_profile__meta(profile)->mode) {
	case KB_MODE_WALL:
		return "no samples and no waits";
	case KB_MODE_GIL_WAIT:
		return "no waits for the GIL";
	case KB_MODE_TASKS:
		return "no tasks: the target has no asyncio event loop with one";
	case KB_MODE_GIL:
		return "no samples: the target held the GIL at none";
	case KB_MODE_EXCEPTION:
		return "no samples: the target raised and handled no exception at one";
	default:
		return "no samples: the target used no CPU time";
	}
}

void kb_report__ledger(const struct kb_profile *profile, FILE *stream)
{
	uint64_t attempted = kb_profile__attempted(profile);

	if (attempted) {
		fprintf(stream, "%" PRIu64 " %s attempted", attempted, what_of(profile));
		write_entries(profile, false, false, " = ", " + ", stream);
	} else {
		fputs(nothing_of(profile), stream);
	}
	write_entries(profile, true, false, "; beside them ", ", ", stream);
}

void kb_report__events(const struct kb_profile *profile, FILE *stream)
{
	uint64_t seen = kb_profile__attempted(profile);

	fprintf(stream, seen ? "%" PRIu64 " events seen" : "no events", seen);
	write_entries(profile, false, true, " = ", " + ", stream);
	write_entries(profile, true, true, "; beside them ", ", ", stream);
}
