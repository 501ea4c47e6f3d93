// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <inttypes.h>
#include <stdlib.h>
#include "base/text.h"
#include "format/chosen_text.h"

#define BAR_WIDTH 40
#define TIME_MAX  24 /* characters of a time */
#define OCTAVE	  KB_CALLS_BUCKETS_PER_OCTAVE
#define LEAST	  13 /* octave of KB_CALLS_LATENCY_LEAST: those below are one row */

static const char *time_text(double seconds, char text[TIME_MAX])
{
	static const struct {
		double unit;
		const char *name;
	} units[] = { { 1, "s" }, { 1e-3, "ms" }, { 1e-6, "µs" } };
	size_t i = 0;

	if (seconds < KB_CALLS_LATENCY_LEAST) {
		snprintf(text, TIME_MAX, "<8.19 µs");
		return text;
	}
	while (i + 1 < sizeof(units) / sizeof(*units) && seconds < units[i].unit)
		i++;
	snprintf(text, TIME_MAX, "%.3g %s", seconds / units[i].unit, units[i].name);
	return text;
}

/* With those below, of the last one that is not told from them. */
static uint64_t octave_count(const struct kb_calls_chosen *chosen, uint32_t octave)
{
	uint32_t from = octave == LEAST - 1 ? 0 : octave * OCTAVE;
	uint64_t n = 0;

	for (uint32_t i = from; i < (octave + 1) * OCTAVE && i < chosen->n_buckets; i++)
		n += chosen->buckets[i];
	return n;
}

/* Right-aligned by characters: a µ has two bytes. */
static void write_time(double seconds, FILE *stream)
{
	char text[TIME_MAX];
	const char *at = time_text(seconds, text);
	int n = 0;

	while (kb_text__next(&at))
		n++;
	fprintf(stream, "%*s%s", n < 8 ? 8 - n : 0, "", text);
}

static void write_histogram(const struct kb_calls_chosen *chosen, FILE *stream)
{
	uint32_t octaves = (chosen->n_buckets + OCTAVE - 1) / OCTAVE, first = LEAST - 1;
	uint64_t most = 1;

	if (octaves < LEAST)
		octaves = LEAST;
	for (uint32_t i = first; i < octaves; i++)
		if (octave_count(chosen, i) > most)
			most = octave_count(chosen, i);
	while (first < octaves && !octave_count(chosen, first))
		first++;
	for (uint32_t i = first; i < octaves; i++) {
		uint64_t n = octave_count(chosen, i);
		/* What is there has a mark at least. */
		uint64_t width = n ? 1 + (uint64_t)((double)n / (double)most * (BAR_WIDTH - 1)) : 0;

		fputs("    ", stream);
		if (i == LEAST - 1)
			fputs("       0", stream);
		else
			write_time(kb_calls_chosen__bucket_start(i * OCTAVE), stream);
		fputs(" … ", stream);
		write_time(kb_calls_chosen__bucket_start((i + 1) * OCTAVE), stream);
		fprintf(stream, " %10" PRIu64 "  |", n);
		for (uint64_t j = 0; j < width; j++)
			fputc('#', stream);
		fputc('\n', stream);
	}
}

static void write_one(const struct kb_calls_chosen *chosen, FILE *stream)
{
	static const double shares[] = { 0.5, 0.9, 0.99 };
	char text[TIME_MAX];

	fputs(chosen->function == KB_ID_NONE ? "Not found: " : "Latency of ", stream);
	kb_text__write(stream, chosen->name);
	if (*chosen->remark) {
		fputs(chosen->function == KB_ID_NONE ? ": " : ": not measured: ", stream);
		kb_text__write(stream, chosen->remark);
		fputc('\n', stream);
		return;
	}
	fprintf(stream, ": %" PRIu64 " calls", chosen->n);
	if (chosen->n)
		fprintf(stream, ", mean %s", time_text(chosen->sum / (double)chosen->n, text));
	for (size_t i = 0; i < sizeof(shares) / sizeof(*shares) && chosen->n; i++)
		fprintf(stream, ", p%g %s", shares[i] * 100,
			time_text(kb_calls_chosen__quantile(chosen, shares[i]), text));
	fputc('\n', stream);
	write_histogram(chosen, stream);
}

void kb_chosen_text__write(const struct kb_calls *calls, FILE *stream)
{
	for (uint32_t i = 0; i < kb_calls__n_chosen(calls); i++)
		write_one(kb_calls__chosen(calls, i), stream);
	if (kb_calls__n_chosen(calls))
		fputc('\n', stream);
}
