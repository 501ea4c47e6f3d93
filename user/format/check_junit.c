// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * JUnit's XML, as Jenkins, GitLab and others read it: a test case for each metric. A gated metric
 * that cannot be told is a skipped one, so that it is not taken for a success. What is not gated
 * cannot fail.
 */
#include <inttypes.h>
#include <time.h>
#include "format/check_report.h"
#include "format/xml.h"

struct junit {
	const struct kb_check *check;
	uint32_t limit; /* functions named by a failure */
	FILE *stream;
};

#define LIMIT_DEFAULT 20

/* ---------------------------------------------------------------- who did it */

static void write_place(const struct junit *junit, const char *name, const char *file, int32_t line)
{
	kb_xml__write(junit->stream, *name ? name : "?");
	if (!*file)
		return;
	fputs(" (", junit->stream);
	kb_xml__write(junit->stream, file);
	if (line > 0)
		fprintf(junit->stream, ":%" PRId32, line);
	putc(')', junit->stream);
}

static void write_function(const struct junit *junit, const struct kb_check_function *function)
{
	char base[KB_CHECK_TEXT_MAX], head[KB_CHECK_TEXT_MAX], p[KB_CHECK_TEXT_MAX];

	kb_check_text__value(KB_CHECK_SECONDS, function->seconds[KB_CHECK_BASE], base);
	kb_check_text__value(KB_CHECK_SECONDS, function->seconds[KB_CHECK_HEAD], head);
	kb_check_report__p(function->p, p);
	putc('\n', junit->stream);
	write_place(junit, function->name, function->file, kb_check_report__line(function->line));
	fprintf(junit->stream, ": %s to %s, p ", base, head);
	kb_xml__write(junit->stream, p);
}

static void write_functions(const struct junit *junit)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < kb_check__n_functions(junit->check) && n < junit->limit; i++) {
		const struct kb_check_function *function = kb_check__function(junit->check, i);

		if (!function->blamed)
			continue;
		n++;
		write_function(junit, function);
	}
	if (!n)
		fputs("\nno single function can be blamed", junit->stream);
}

static void write_count(const struct junit *junit, const struct kb_check_count *count)
{
	enum kb_check_unit unit = kb_check_metric__unit(count->metric);
	char base[KB_CHECK_TEXT_MAX], head[KB_CHECK_TEXT_MAX];

	kb_check_text__value(unit, count->value[KB_CHECK_BASE], base);
	kb_check_text__value(unit, count->value[KB_CHECK_HEAD], head);
	putc('\n', junit->stream);
	write_place(junit, count->name, count->file, kb_check_report__line(count->line));
	if (count->caller_name) {
		fputs(" called by ", junit->stream);
		write_place(junit, count->caller_name, count->caller_file ?: "",
			    count->caller_line);
	}
	fprintf(junit->stream, ": %s to %s", base, head);
}

static void write_counts(const struct junit *junit, enum kb_check_metric metric)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < kb_check__n_counts(junit->check) && n < junit->limit; i++) {
		const struct kb_check_count *count = kb_check__count(junit->check, i);

		if (count->metric != metric || !kb_check_report__is_to_blame(junit->check, count))
			continue;
		n++;
		write_count(junit, count);
	}
	for (uint32_t i = 0;
	     metric == KB_CHECK_CALLS && i < kb_check__n_edges(junit->check) && i < junit->limit;
	     i++)
		write_count(junit, kb_check__edge(junit->check, i));
}

/* ---------------------------------------------------------------- cases */

static void begin_case(const struct junit *junit, const char *class, const char *name)
{
	fputs("  <testcase", junit->stream);
	kb_xml__attribute(junit->stream, "classname", class);
	kb_xml__attribute(junit->stream, "name", name);
	fputs(" time=\"0\">\n", junit->stream);
}

/* An element with the figures as its message; open: it has content, which the caller ends. */
static void write_outcome(const struct junit *junit, const char *element, const char *message,
			  bool open)
{
	fprintf(junit->stream, "    <%s", element);
	kb_xml__attribute(junit->stream, "message", message);
	fputs(open ? " type=\"regression\">" : "/>\n", junit->stream);
	if (open)
		kb_xml__write(junit->stream, message);
}

static void write_passed(const struct junit *junit, const char *text)
{
	fputs("    <system-out>", junit->stream);
	kb_xml__write(junit->stream, text);
	fputs("</system-out>\n", junit->stream);
}

static void write_measure(const struct junit *junit, const struct kb_check_measure *measure)
{
	char text[KB_CHECK_SENTENCE_MAX];

	kb_check_report__measure(measure, text);
	begin_case(junit, "keelback.check", kb_check_metric__text(measure->metric));
	if (measure->gated && measure->verdict == KB_CHECK_REGRESSION) {
		write_outcome(junit, "failure", text, true);
		if (measure->metric == KB_CHECK_CPU)
			write_functions(junit);
		else if (kb_check_metric__is_exact(measure->metric))
			write_counts(junit, measure->metric);
		fputs("</failure>\n", junit->stream);
	} else if (measure->gated && measure->verdict == KB_CHECK_CANNOT_TELL) {
		write_outcome(junit, "skipped", text, false);
	} else {
		write_passed(junit, text);
	}
	fputs("  </testcase>\n", junit->stream);
}

static void write_trend_measure(const struct junit *junit,
				const struct kb_check_trend_measure *measure)
{
	char text[KB_CHECK_SENTENCE_MAX];

	kb_check_report__trend(measure, text);
	begin_case(junit, "keelback.check.history", kb_check_metric__text(measure->metric));
	if (measure->gated && measure->verdict == KB_CHECK_REGRESSION) {
		write_outcome(junit, "failure", text, true);
		if (measure->since) {
			fputs("\nsince ", junit->stream);
			kb_xml__write(junit->stream, measure->since);
		}
		fputs("</failure>\n", junit->stream);
	} else if (measure->gated && measure->verdict == KB_CHECK_CANNOT_TELL) {
		write_outcome(junit, "skipped", text, false);
	} else {
		write_passed(junit, text);
	}
	fputs("  </testcase>\n", junit->stream);
}

/* ---------------------------------------------------------------- suites */

struct tally {
	uint32_t tests, failures, skipped;
};

static void count(struct tally *tally, bool gated, enum kb_check_verdict verdict)
{
	tally->tests++;
	tally->failures += gated && verdict == KB_CHECK_REGRESSION;
	tally->skipped += gated && verdict == KB_CHECK_CANNOT_TELL;
}

static void begin_suite(const struct junit *junit, const char *name, const struct tally *tally)
{
	const struct kb_check_meta *meta = kb_check__meta(junit->check);
	time_t start = meta->start_unix_ns / 1000000000;
	char text[KB_CHECK_TEXT_MAX];
	struct tm tm;

	fputs(" <testsuite", junit->stream);
	kb_xml__attribute(junit->stream, "name", name);
	fprintf(junit->stream,
		" tests=\"%" PRIu32 "\" failures=\"%" PRIu32 "\" errors=\"0\" skipped=\"%" PRIu32
		"\" time=\"%.3f\"",
		tally->tests, tally->failures, tally->skipped, (double)meta->duration_ns / 1e9);
	if (gmtime_r(&start, &tm) && strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm))
		kb_xml__attribute(junit->stream, "timestamp", text);
	kb_xml__attribute(junit->stream, "hostname", meta->host);
	fputs(">\n", junit->stream);
}

static void write_property(const struct junit *junit, const char *name, const char *value)
{
	fputs("   <property", junit->stream);
	kb_xml__attribute(junit->stream, "name", name);
	kb_xml__attribute(junit->stream, "value", value);
	fputs("/>\n", junit->stream);
}

static void write_properties(const struct junit *junit)
{
	const struct kb_check_meta *meta = kb_check__meta(junit->check);

	fputs("  <properties>\n", junit->stream);
	write_property(junit, "base", meta->side[KB_CHECK_BASE]);
	write_property(junit, "head", meta->side[KB_CHECK_HEAD]);
	write_property(junit, "base.python", meta->python[KB_CHECK_BASE]);
	write_property(junit, "head.python", meta->python[KB_CHECK_HEAD]);
	write_property(junit, "keelback", meta->version);
	for (uint32_t i = 0; i < kb_check__n_notes(junit->check); i++)
		write_property(junit, "note", kb_check__note(junit->check, i));
	fputs("  </properties>\n", junit->stream);
}

static void write_trend(const struct junit *junit, const struct kb_check_trend *trend)
{
	struct tally tally = {};

	for (uint32_t i = 0; i < kb_check_trend__n_measures(trend); i++) {
		const struct kb_check_trend_measure *measure = kb_check_trend__measure(trend, i);

		count(&tally, measure->gated, measure->verdict);
	}
	begin_suite(junit, "history", &tally);
	for (uint32_t i = 0; i < tally.tests; i++)
		write_trend_measure(junit, kb_check_trend__measure(trend, i));
	fputs(" </testsuite>\n", junit->stream);
}

struct kb_error *kb_check_junit__write(const struct kb_check *check,
				       const struct kb_check_view_opts *opts, FILE *stream)
{
	struct junit junit = { check, opts->limit ?: LIMIT_DEFAULT, stream };
	struct tally tally = {};

	for (uint32_t i = 0; i < kb_check__n_measures(check); i++) {
		const struct kb_check_measure *measure = kb_check__measure(check, i);

		count(&tally, measure->gated, measure->verdict);
	}
	fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites", stream);
	kb_xml__attribute(stream, "name", opts->title ?: "keelback check");
	fputs(">\n", stream);
	begin_suite(&junit, "check", &tally);
	write_properties(&junit);
	for (uint32_t i = 0; i < tally.tests; i++)
		write_measure(&junit, kb_check__measure(check, i));
	fputs(" </testsuite>\n", stream);
	if (opts->trend)
		write_trend(&junit, opts->trend);
	fputs("</testsuites>\n", stream);
	return NULL;
}
