// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <inttypes.h>
#include "base/text.h"
#include "format/ledger_text.h"

/* What the ledger counts. */
static const char *what(const struct kb_profile *profile)
{
	switch (kb_profile__meta(profile)->mode) {
	case KB_MODE_WALL:
		return "Samples and waits";
	case KB_MODE_GIL_WAIT:
		return "Waits";
	default:
		return "Samples";
	}
}

static void write_sum(const struct kb_profile *profile, FILE *stream)
{
	const char *sign = "=";
	uint64_t failed = 0;

	fprintf(stream, "%s: attempted %" PRIu64, what(profile), kb_profile__attempted(profile));
	for (size_t i = 0; i < kb_profile__n_ledger(profile); i++) {
		struct kb_ledger_entry entry = kb_profile__ledger(profile, i);

		if (entry.note)
			continue;
		if (!entry.reported) {
			failed += entry.count;
			continue;
		}
		fprintf(stream, " %s ", sign);
		kb_text__write(stream, entry.name);
		fprintf(stream, " %" PRIu64, entry.count);
		sign = "+";
	}
	fprintf(stream, " %s failed %" PRIu64 "\n", sign, failed);
}

static void write_entry(const struct kb_ledger_entry *entry, FILE *stream)
{
	fprintf(stream, "%11" PRIu64 "  ", entry->count);
	kb_text__write(stream, entry->text);
	putc('\n', stream);
}

void kb_ledger_text__write(const struct kb_profile *profile, FILE *stream)
{
	bool titled = false;

	write_sum(profile, stream);
	for (size_t i = 0; i < kb_profile__n_ledger(profile); i++) {
		struct kb_ledger_entry entry = kb_profile__ledger(profile, i);

		if (!entry.note && !entry.reported && entry.count)
			write_entry(&entry, stream);
	}
	for (size_t i = 0; i < kb_profile__n_ledger(profile); i++) {
		struct kb_ledger_entry entry = kb_profile__ledger(profile, i);

		if (!entry.note || !entry.count)
			continue;
		if (!titled)
			fputs("Notes:\n", stream);
		titled = true;
		write_entry(&entry, stream);
	}
	if (kb_profile__meta(profile)->incomplete)
		fputs("The recording is incomplete: it ends without its last section.\n", stream);
}
