// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <inttypes.h>
#include "base/text.h"
#include "bpf/shared/ledger.h"
#include "format/ledger_text.h"
#include "keelback/memory.h"
#include "model/calls.h"

struct ledger {
	const char *what, *taken, *failed; /* "Samples", "attempted", "failed" */
	uint64_t sum;
	const struct kb_ledger_entry *entries;
	size_t n;
	bool incomplete; /* says so in a last line */
};

/* What the ledger counts. */
static const char *what(const struct kb_profile *profile)
{
	if (kb_profile__memory(profile))
		return "Allocations";
	switch (kb_profile__meta(profile)->mode) {
	case KB_MODE_WALL:
		return "Samples and waits";
	case KB_MODE_GIL_WAIT:
		return "Waits";
	default:
		return "Samples";
	}
}

static void write_sum(const struct ledger *text, FILE *stream)
{
	const char *sign = "=";
	uint64_t failed = 0;

	fprintf(stream, "%s: %s %" PRIu64, text->what, text->taken, text->sum);
	for (size_t i = 0; i < text->n; i++) {
		const struct kb_ledger_entry *entry = &text->entries[i];

		if (entry->note)
			continue;
		if (!entry->reported) {
			failed += entry->count;
			continue;
		}
		fprintf(stream, " %s ", sign);
		kb_text__write(stream, entry->name);
		fprintf(stream, " %" PRIu64, entry->count);
		sign = "+";
	}
	fprintf(stream, " %s %s %" PRIu64 "\n", sign, text->failed, failed);
}

static void write_entry(const struct kb_ledger_entry *entry, FILE *stream)
{
	fprintf(stream, "%11" PRIu64 "  ", entry->count);
	kb_text__write(stream, entry->text);
	putc('\n', stream);
}

static void write_text(const struct ledger *text, FILE *stream)
{
	bool titled = false;

	write_sum(text, stream);
	for (size_t i = 0; i < text->n; i++) {
		const struct kb_ledger_entry *entry = &text->entries[i];

		if (!entry->note && !entry->reported && entry->count)
			write_entry(entry, stream);
	}
	for (size_t i = 0; i < text->n; i++) {
		const struct kb_ledger_entry *entry = &text->entries[i];

		if (!entry->note || !entry->count)
			continue;
		if (!titled)
			fputs("Notes:\n", stream);
		titled = true;
		write_entry(entry, stream);
	}
	if (text->incomplete)
		fputs("The recording is incomplete: it ends without its last section.\n", stream);
}

void kb_ledger_text__write(const struct kb_profile *profile, FILE *stream)
{
	struct kb_ledger_entry entries[KB_L_COUNT];
	struct ledger text = { .what = what(profile),
			       .taken = "attempted",
			       .failed = "failed",
			       .sum = kb_profile__attempted(profile),
			       .entries = entries,
			       .n = kb_profile__n_ledger(profile),
			       .incomplete = kb_profile__meta(profile)->incomplete };

	for (size_t i = 0; i < text.n; i++)
		entries[i] = kb_profile__ledger(profile, i);
	write_text(&text, stream);
}

void kb_ledger_text__write_calls(const struct kb_calls *calls, FILE *stream)
{
	struct kb_ledger_entry entries[KB_CALLS_LEDGER_MAX];
	bool samples = kb_calls__meta(calls)->unit == KB_CALLS_SAMPLES;
	struct ledger text = { .what = samples ? "Samples" : "Calls",
			       .taken = samples ? "attempted" : "seen",
			       .failed = samples ? "failed" : "lost",
			       .sum = kb_calls__seen(calls),
			       .entries = entries,
			       .n = kb_calls__n_ledger(calls),
			       .incomplete = kb_calls__meta(calls)->incomplete };

	for (size_t i = 0; i < text.n; i++)
		entries[i] = kb_calls__ledger(calls, i);
	write_text(&text, stream);
}
