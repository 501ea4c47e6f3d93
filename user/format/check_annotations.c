// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Workflow commands that GitHub shows beside the lines of a pull request:
 *
 *     ::error file=app/db.py,line=27,title=…::…
 *
 * A command is a line, in which line ends and % are escaped, in values of properties : and , as
 * well (actions/toolkit, packages/core/src/command.ts). Ten errors of a step are shown, so those
 * that matter most come first.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/text.h"
#include "format/check_report.h"

#define SHOWN_MAX 10

struct annotations {
	const struct kb_check *check;
	const char *title;
	uint32_t n;
	FILE *stream;
};

/* ---------------------------------------------------------------- escaping */

static void write_escaped(FILE *stream, const char *text, const char *special)
{
	uint32_t cp;

	while ((cp = kb_text__next(&text))) {
		char bytes[4];

		if (!kb_text__is_printable(cp))
			cp = KB_TEXT_REPLACEMENT;
		if (cp < 0x80 && strchr(special, (int)cp))
			fprintf(stream, "%%%02" PRIX32, cp);
		else
			fwrite(bytes, 1, kb_text__encode(cp, bytes), stream);
	}
}

static void write_property(FILE *stream, const char *text)
{
	write_escaped(stream, text, "%:,");
}

static void write_data(FILE *stream, const char *text)
{
	write_escaped(stream, text, "%");
}

/* ---------------------------------------------------------------- paths */

/* Is this directory, the first `length` bytes of path, the root of a repository? */
static bool is_root(const char *path, size_t length)
{
	char *git = NULL;
	bool found;

	if (asprintf(&git, "%.*s/.git", (int)length, path) < 0)
		return false;
	found = !access(git, F_OK);
	free(git);
	return found;
}

/* Where the path continues behind the root of the repository that it is in; NULL: in none. */
static const char *below_root(const char *path)
{
	for (const char *slash = strrchr(path, '/'); slash && slash > path;) {
		size_t length = (size_t)(slash - path);

		if (is_root(path, length))
			return slash + 1;
		slash = memrchr(path, '/', length);
	}
	return NULL;
}

/* Of a file as head has it: relative to the repository's root. A file that is in no repository has
 * no line that GitHub could show. free() it; NULL: there is none. */
static char *path_of(const struct annotations *annotations, const char *file)
{
	const char *directory = kb_check__meta(annotations->check)->dir[KB_CHECK_HEAD];
	char *path = NULL, *absolute, *result = NULL;

	if (!*file || *file == '<')
		return NULL;
	if (*file == '/')
		path = strdup(file);
	else if (asprintf(&path, "%s/%s", *directory ? directory : ".", file) < 0)
		path = NULL;
	absolute = path ? realpath(path, NULL) : NULL;
	if (absolute && below_root(absolute))
		result = strdup(below_root(absolute));
	else if (!absolute && *file != '/')
		result = strdup(file); /* of a recording that was made elsewhere */
	free(absolute);
	free(path);
	return result;
}

/* ---------------------------------------------------------------- commands */

/* Up to the message, for which the caller ends the line. False: there are enough. */
static bool begin(struct annotations *annotations, const char *level, const char *file,
		  int32_t line, const char *title)
{
	char *path = path_of(annotations, file);

	if (annotations->n++ >= SHOWN_MAX) {
		free(path);
		return false;
	}
	fprintf(annotations->stream, "::%s ", level);
	if (path) {
		fputs("file=", annotations->stream);
		write_property(annotations->stream, path);
		if (line > 0)
			fprintf(annotations->stream, ",line=%" PRId32, line);
		putc(',', annotations->stream);
	}
	fputs("title=", annotations->stream);
	write_property(annotations->stream, annotations->title);
	fputs("%3A ", annotations->stream);
	write_property(annotations->stream, title);
	fputs("::", annotations->stream);
	free(path);
	return true;
}

static void write_measures(struct annotations *annotations)
{
	for (uint32_t i = 0; i < kb_check__n_measures(annotations->check); i++) {
		const struct kb_check_measure *measure = kb_check__measure(annotations->check, i);
		char text[KB_CHECK_SENTENCE_MAX];

		if (!measure->gated || (measure->verdict != KB_CHECK_REGRESSION &&
					measure->verdict != KB_CHECK_CANNOT_TELL))
			continue;
		kb_check_report__measure(measure, text);
		if (!begin(annotations,
			   measure->verdict == KB_CHECK_REGRESSION ? "error" : "warning", "", 0,
			   kb_check_report__verdict(measure->verdict)))
			return;
		write_data(annotations->stream, text);
		putc('\n', annotations->stream);
	}
}

/* "name: 1.020 s to 1.073 s" and the end of the line. */
static void write_figures(const struct annotations *annotations, const char *name,
			  enum kb_check_unit unit, double base, double head)
{
	char before[KB_CHECK_TEXT_MAX], after[KB_CHECK_TEXT_MAX];

	kb_check_text__value(unit, base, before);
	kb_check_text__value(unit, head, after);
	write_data(annotations->stream, *name ? name : "?");
	fprintf(annotations->stream, ": %s to %s", before, after);
}

/* At the line that became slower most, where it is known. */
static void write_functions(struct annotations *annotations)
{
	for (uint32_t i = 0; i < kb_check__n_functions(annotations->check); i++) {
		const struct kb_check_function *function =
			kb_check__function(annotations->check, i);
		int32_t line = function->line[KB_CHECK_HEAD];

		if (!function->blamed)
			continue;
		if (function->n_lines && function->lines[0].line[KB_CHECK_HEAD] > 0)
			line = function->lines[0].line[KB_CHECK_HEAD];
		if (!begin(annotations, "error", function->file, line, "slower"))
			return;
		write_figures(annotations, function->name, KB_CHECK_SECONDS,
			      function->seconds[KB_CHECK_BASE], function->seconds[KB_CHECK_HEAD]);
		fputs(" of CPU time\n", annotations->stream);
	}
}

static void write_counts(struct annotations *annotations)
{
	for (uint32_t i = 0; i < kb_check__n_counts(annotations->check); i++) {
		const struct kb_check_count *count = kb_check__count(annotations->check, i);
		const char *metric = kb_check_metric__text(count->metric);

		if (!kb_check_report__is_to_blame(annotations->check, count))
			continue;
		if (!begin(annotations, "error", count->file, count->line[KB_CHECK_HEAD], metric))
			return;
		write_figures(annotations, count->name, kb_check_metric__unit(count->metric),
			      (double)count->value[KB_CHECK_BASE],
			      (double)count->value[KB_CHECK_HEAD]);
		fprintf(annotations->stream, " (%s)\n", metric);
	}
}

static void write_edges(struct annotations *annotations)
{
	for (uint32_t i = 0; i < kb_check__n_edges(annotations->check); i++) {
		const struct kb_check_count *edge = kb_check__edge(annotations->check, i);

		if (!begin(annotations, "notice", edge->caller_file ?: "", edge->caller_line,
			   "new call"))
			return;
		write_data(annotations->stream, edge->caller_name ?: "?");
		fputs(" calls ", annotations->stream);
		write_figures(annotations, edge->name, KB_CHECK_COUNT,
			      (double)edge->value[KB_CHECK_BASE],
			      (double)edge->value[KB_CHECK_HEAD]);
		fputs(" calls\n", annotations->stream);
	}
}

static void write_trend(struct annotations *annotations, const struct kb_check_trend *trend)
{
	for (uint32_t i = 0; i < kb_check_trend__n_measures(trend); i++) {
		const struct kb_check_trend_measure *measure = kb_check_trend__measure(trend, i);
		char text[KB_CHECK_SENTENCE_MAX];

		if (!measure->gated || measure->verdict != KB_CHECK_REGRESSION)
			continue;
		kb_check_report__trend(measure, text);
		if (!begin(annotations, "error", "", 0, "regression beside the history"))
			return;
		write_data(annotations->stream, text);
		if (measure->since) {
			fputs(", since ", annotations->stream);
			write_data(annotations->stream, measure->since);
		}
		putc('\n', annotations->stream);
	}
}

struct kb_error *kb_check_annotations__write(const struct kb_check *check,
					     const struct kb_check_view_opts *opts, FILE *stream)
{
	struct annotations annotations = { check, opts->title ?: "keelback check", 0, stream };

	write_measures(&annotations);
	if (opts->trend)
		write_trend(&annotations, opts->trend);
	write_functions(&annotations);
	write_counts(&annotations);
	write_edges(&annotations);
	return NULL;
}
