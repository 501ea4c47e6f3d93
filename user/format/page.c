// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>
#include "base/text.h"
#include "format/page.h"

/* Versions of Python that a page names; a machine may run a few. */
#define PYTHONS_MAX 8

static const unsigned char page_css[] = {
#include "embed/page.css.h"
	0
};
static const unsigned char page_js[] = {
#include "embed/page.js.h"
	0
};

/* Writes the template up to a mark and returns what follows the mark. */
static const char *write_until(const char *at, const char *mark, FILE *stream)
{
	const char *end = strstr(at, mark);

	fwrite(at, 1, (size_t)(end - at), stream);
	return end + strlen(mark);
}

static void write_all(const char *const *texts, FILE *stream)
{
	for (; *texts; texts++)
		fputs(*texts, stream);
}

struct kb_error *kb_page__write(const struct kb_page *page, FILE *stream)
{
	const char *at = page->template;

	at = write_until(at, "<!--css-->", stream);
	fputs((const char *)page_css, stream);
	write_all(page->styles, stream);
	at = write_until(at, "<!--data-->", stream);
	KB_TRY(page->write_data(page->context, stream));
	at = write_until(at, "<!--js-->", stream);
	fputs((const char *)page_js, stream);
	write_all(page->scripts, stream);
	fputs(at, stream);
	return NULL;
}

void kb_page__write_member(const char *name, const char *text, FILE *stream)
{
	fprintf(stream, ",\"%s\":", name);
	kb_text__write_json(stream, text ? text : "");
}

/* Each version once, in the order of the processes. */
static void write_pythons(const struct kb_profile *profile, FILE *stream)
{
	const char *seen[PYTHONS_MAX];
	unsigned n = 0;

	fputs(",\"pythons\":[", stream);
	for (uint32_t i = 0; n < PYTHONS_MAX && i < kb_profile__n_processes(profile); i++) {
		const char *python = kb_profile__process(profile, i)->python;
		bool known = !*python;

		for (unsigned k = 0; k < n; k++)
			known |= !strcmp(seen[k], python);
		if (known)
			continue;
		fputs(n ? "," : "", stream);
		kb_text__write_json(stream, python);
		seen[n++] = python;
	}
	putc(']', stream);
}

/* What threads were doing, as far as single samples tell: shares of their sum. */
static void write_states(const struct kb_profile *profile, FILE *stream)
{
	static const struct {
		uint32_t flag;
		const char *name;
	} states[] = {
		{ KB_MOMENT_GIL, "gil" },
		{ KB_MOMENT_GC, "gc" },
		{ KB_MOMENT_EXCEPTION, "exception" },
		{ KB_MOMENT_OFF_CPU, "offCpu" },
	};
	const struct kb_moment *moments = kb_profile__moments(profile);
	uint32_t n = kb_profile__n_moments(profile);
	double total = 0;

	for (uint32_t i = 0; i < n; i++)
		total += (double)moments[i].count;
	if (total <= 0)
		return;
	fputs(",\"states\":{", stream);
	for (size_t k = 0; k < sizeof(states) / sizeof(states[0]); k++) {
		double sum = 0;

		for (uint32_t i = 0; i < n; i++)
			sum += moments[i].flags & states[k].flag ? (double)moments[i].count : 0;
		fprintf(stream, "%s\"%s\":%.6g", k ? "," : "", states[k].name, sum / total);
	}
	putc('}', stream);
}

static void write_meta(const struct kb_profile *profile, const char *title, FILE *stream)
{
	static const char *const clocks[] = {
		[KB_CLOCK_CPU] = "CPU clock",
		[KB_CLOCK_CYCLES] = "CPU cycles",
		[KB_CLOCK_TICK] = "timer ticks",
	};
	const struct kb_profile_meta *meta = kb_profile__meta(profile);
	unsigned clock = meta->clock;

	/* JSON has no infinities. */
	fprintf(stream,
		"\"meta\":{\"rate\":%.17g,\"duration_ns\":%" PRIu64 ",\"start_ms\":%" PRId64
		",\"attempted\":%" PRIu64 ",\"incomplete\":%s,\"processes\":%" PRIu32
		",\"threads\":%" PRIu32,
		isfinite(meta->rate_hz) ? meta->rate_hz : 0, meta->duration_ns,
		meta->start_unix_ns / 1000000, kb_profile__attempted(profile),
		meta->incomplete ? "true" : "false", kb_profile__n_processes(profile),
		kb_profile__n_threads(profile));
	kb_page__write_member("unit",
			      meta->unit == KB_UNIT_NS	     ? "ns"
			      : meta->unit == KB_UNIT_BYTES  ? "bytes"
			      : meta->unit == KB_UNIT_BLOCKS ? "blocks"
							     : "samples",
			      stream);
	kb_page__write_member("mode", kb_sample_mode__name(meta->mode), stream);
	kb_page__write_member("clock", clock <= KB_CLOCK_TICK ? clocks[clock] : "unknown clock",
			      stream);
	kb_page__write_member("title", title ? title : meta->target, stream);
	kb_page__write_member("host", meta->host, stream);
	kb_page__write_member("kernel", meta->kernel, stream);
	kb_page__write_member("version", meta->version, stream);
	write_pythons(profile, stream);
	write_states(profile, stream);
	putc('}', stream);
}

void kb_page__begin_profile(const struct kb_profile *profile, const char *title, FILE *stream)
{
	putc('{', stream);
	write_meta(profile, title, stream);
	fputs(",\n\"ledger\":[", stream);
	for (size_t i = 0; i < kb_profile__n_ledger(profile); i++) {
		struct kb_ledger_entry entry = kb_profile__ledger(profile, i);

		fprintf(stream, "%s{\"count\":%" PRIu64 ",\"reported\":%s,\"note\":%s",
			i ? "," : "", entry.count, entry.reported ? "true" : "false",
			entry.note ? "true" : "false");
		kb_page__write_member("name", entry.name, stream);
		kb_page__write_member("text", entry.text, stream);
		putc('}', stream);
	}
	putc(']', stream);
}
