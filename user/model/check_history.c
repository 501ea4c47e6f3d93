// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <json-c/json.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/buf.h"
#include "base/error.h"
#include "base/read_file.h"
#include "model/check_history.h"
#include "model/check_stats.h"

#define JSON_DEPTH  8	  /* ours have 4 */
#define RUNS_MAX    1000  /* of a metric */
#define NUMBER_MAX  1e300 /* so that sums of some are numbers, too */
#define STRINGS_MAX 1000000

struct reader {
	struct kb_check_history *history;
	struct json_tokener *tokener;
	const char *name;
	uint32_t line;
};

/* ---------------------------------------------------------------- members */

static struct kb_error *intern(const struct reader *reader, const char *text, size_t size,
			       const char **interned)
{
	struct kb_strpool *pool = reader->history->strings;
	uint32_t id = kb_strpool__add(pool, text, size);

	if (id == KB_STRPOOL_NONE)
		return kb_error__no_memory();
	*interned = kb_strpool__at(pool, id);
	return NULL;
}

/* "" when it is not there. */
static struct kb_error *get_text(const struct reader *reader, struct json_object *object,
				 const char *key, const char **text)
{
	struct json_object *value;

	if (!json_object_object_get_ex(object, key, &value))
		return intern(reader, "", 0, text);
	if (!json_object_is_type(value, json_type_string))
		return kb_failed("\"%s\" must be a string", key);
	return intern(reader, json_object_get_string(value), strlen(json_object_get_string(value)),
		      text);
}

static bool is_number(struct json_object *value)
{
	return json_object_is_type(value, json_type_int) ||
	       json_object_is_type(value, json_type_double);
}

/* 0 when it is not there. */
static struct kb_error *get_number(struct json_object *object, const char *key, double max,
				   double *number)
{
	struct json_object *value;

	*number = 0;
	if (!json_object_object_get_ex(object, key, &value))
		return NULL;
	if (is_number(value))
		*number = json_object_get_double(value);
	if (!is_number(value) || !(*number >= 0 && *number <= max))
		return kb_failed("\"%s\" must be a number from 0 to %g", key, max);
	return NULL;
}

/* A member that must be an object or an array; NULL when it is not there. */
static struct kb_error *get_container(struct json_object *object, const char *key,
				      enum json_type type, struct json_object **value)
{
	*value = NULL;
	if (!json_object_object_get_ex(object, key, value) || json_object_is_type(*value, type))
		return NULL;
	return kb_failed("\"%s\" must be %s", key,
			 type == json_type_array ? "a list" : "an object");
}

/* -1: none, perhaps one of a newer version. */
static int metric_by_name(const char *name)
{
	for (int i = 0; i < KB_CHECK_METRICS; i++)
		if (!strcmp(kb_check_metric__name(i), name))
			return i;
	return -1;
}

/* ---------------------------------------------------------------- values */

static struct kb_error *get_runs(struct json_object *object, const char *key, double runs[RUNS_MAX],
				 uint32_t *n)
{
	struct json_object *list;
	size_t length;

	*n = 0;
	KB_TRY(get_container(object, key, json_type_array, &list));
	length = list ? json_object_array_length(list) : 0;
	if (length > RUNS_MAX)
		return kb_failed("\"%s\" has more than %d runs", key, RUNS_MAX);
	for (size_t i = 0; i < length; i++) {
		struct json_object *value = json_object_array_get_idx(list, i);

		runs[i] = is_number(value) ? json_object_get_double(value) : -1;
		if (!(runs[i] >= 0 && runs[i] <= NUMBER_MAX))
			return kb_failed("\"%s\" must be a list of numbers that are not negative",
					 key);
	}
	*n = (uint32_t)length;
	return NULL;
}

static struct kb_error *read_value(struct json_object *object, struct kb_history_value *value)
{
	double base[RUNS_MAX], head[RUNS_MAX], ratios[RUNS_MAX];
	uint32_t n_base, n_ratios = 0;

	if (!json_object_is_type(object, json_type_object))
		return kb_failed("each of \"metrics\" must be an object");
	KB_TRY(get_runs(object, "base", base, &n_base));
	KB_TRY(get_runs(object, "head", head, &value->n));
	for (uint32_t i = 0; n_base == value->n && i < n_base; i++)
		if (base[i] > 0)
			ratios[n_ratios++] = fmin(head[i] / base[i], NUMBER_MAX);
	value->ratio_known = n_ratios && n_ratios == n_base;
	KB_TRY(kb_stats__median(ratios, n_ratios, &value->ratio));
	KB_TRY(kb_stats__median(head, value->n, &value->head));
	return NULL;
}

static struct kb_error *read_metrics(struct json_object *object, struct kb_history_entry *entry)
{
	struct json_object *metrics;

	KB_TRY(get_container(object, "metrics", json_type_object, &metrics));
	if (!metrics)
		return kb_failed("\"metrics\" is missing");
	json_object_object_foreach(metrics, key, value)
	{
		int metric = metric_by_name(key);

		if (metric >= 0)
			KB_TRY(read_value(value, &entry->values[metric]));
	}
	return NULL;
}

/* ---------------------------------------------------------------- functions */

static struct kb_error *read_function(const struct reader *reader, struct json_object *object,
				      struct kb_history_function *function)
{
	double line;

	if (!json_object_is_type(object, json_type_object))
		return kb_failed("each of \"functions\" must be an object");
	KB_TRY(get_text(reader, object, "name", &function->name));
	KB_TRY(get_text(reader, object, "file", &function->file));
	KB_TRY(get_number(object, "line", INT32_MAX, &line));
	function->line = (int32_t)line;
	return get_number(object, "seconds", NUMBER_MAX, &function->seconds);
}

static struct kb_error *read_functions(const struct reader *reader, struct json_object *object,
				       struct kb_history_entry *entry)
{
	struct json_object *list;
	size_t n;

	KB_TRY(get_container(object, "functions", json_type_array, &list));
	n = list ? json_object_array_length(list) : 0;
	if (n > KB_HISTORY_FUNCTIONS_MAX)
		return kb_failed("\"functions\" has more than %d", KB_HISTORY_FUNCTIONS_MAX);
	entry->functions = calloc(n + 1, sizeof(*entry->functions));
	if (!entry->functions)
		return kb_error__no_memory();
	for (size_t i = 0; i < n; i++)
		KB_TRY(read_function(reader, json_object_array_get_idx(list, i),
				     &entry->functions[entry->n_functions++]));
	return NULL;
}

/* known: the metric is one of ours. */
static struct kb_error *read_count(const struct reader *reader, struct json_object *object,
				   struct kb_history_count *count, bool *known)
{
	const char *metric;
	double line;
	int index;

	if (!json_object_is_type(object, json_type_object))
		return kb_failed("each of \"counts\" must be an object");
	KB_TRY(get_text(reader, object, "metric", &metric));
	KB_TRY(get_text(reader, object, "name", &count->name));
	KB_TRY(get_text(reader, object, "file", &count->file));
	KB_TRY(get_number(object, "line", INT32_MAX, &line));
	KB_TRY(get_number(object, "base", NUMBER_MAX, &count->value[KB_CHECK_BASE]));
	KB_TRY(get_number(object, "head", NUMBER_MAX, &count->value[KB_CHECK_HEAD]));
	count->line = (int32_t)line;
	index = metric_by_name(metric);
	*known = index >= 0;
	if (*known)
		count->metric = index;
	return NULL;
}

static struct kb_error *read_counts(const struct reader *reader, struct json_object *object,
				    struct kb_history_entry *entry)
{
	struct json_object *list;
	size_t n, max = KB_HISTORY_COUNTS_MAX * KB_CHECK_METRICS;

	KB_TRY(get_container(object, "counts", json_type_array, &list));
	n = list ? json_object_array_length(list) : 0;
	if (n > max)
		return kb_failed("\"counts\" has more than %zu", max);
	entry->counts = calloc(n + 1, sizeof(*entry->counts));
	if (!entry->counts)
		return kb_error__no_memory();
	for (size_t i = 0; i < n; i++) {
		bool known;

		KB_TRY(read_count(reader, json_object_array_get_idx(list, i),
				  &entry->counts[entry->n_counts], &known));
		entry->n_counts += known;
	}
	return NULL;
}

/* ---------------------------------------------------------------- entries */

/* Major and minor version: what is before the second dot. */
static struct kb_error *read_python(const struct reader *reader, struct json_object *object,
				    const char *key, const char **python)
{
	const char *full, *dot;

	KB_TRY(get_text(reader, object, key, &full));
	dot = strchr(full, '.');
	dot = dot ? strchr(dot + 1, '.') : NULL;
	return intern(reader, full, dot ? (size_t)(dot - full) : strlen(full), python);
}

static struct kb_error *read_facts(const struct reader *reader, struct json_object *object,
				   struct kb_history_entry *entry)
{
	struct json_object *machine, *python; /* NULL has no members */
	double cpus;

	KB_TRY(get_container(object, "machine", json_type_object, &machine));
	KB_TRY(get_container(object, "python", json_type_object, &python));
	KB_TRY(get_text(reader, machine, "architecture", &entry->architecture));
	KB_TRY(get_text(reader, machine, "cpu", &entry->cpu));
	KB_TRY(get_number(machine, "cpus", UINT32_MAX, &cpus));
	entry->cpus = (uint32_t)cpus;
	KB_TRY(read_python(reader, python, "base", &entry->python[KB_CHECK_BASE]));
	return read_python(reader, python, "head", &entry->python[KB_CHECK_HEAD]);
}

static struct kb_error *read_entry(const struct reader *reader, struct json_object *object,
				   struct kb_history_entry *entry)
{
	struct json_object *version;
	double seconds;

	if (!json_object_is_type(object, json_type_object) ||
	    !json_object_object_get_ex(object, "keelback_check", &version) ||
	    !json_object_is_type(version, json_type_int))
		return kb_failed("no entry of a history of checks");
	if (json_object_get_int(version) > KB_CHECK_HISTORY_VERSION)
		return kb_failed("written by a newer keelback (version %d of histories): use that",
				 json_object_get_int(version));
	KB_TRY(get_text(reader, object, "label", &entry->label));
	if (!*entry->label)
		return kb_failed("\"label\" is missing");
	KB_TRY(get_text(reader, object, "base_label", &entry->base_label));
	KB_TRY(get_number(object, "time", 1e15, &seconds));
	entry->unix_seconds = (int64_t)seconds;
	KB_TRY(read_facts(reader, object, entry));
	KB_TRY(read_metrics(object, entry));
	KB_TRY(read_functions(reader, object, entry));
	return read_counts(reader, object, entry);
}

static struct kb_error *read_line(const struct reader *reader, const char *line, size_t size)
{
	struct kb_check_history *history = reader->history;
	enum json_tokener_error error;
	struct json_object *object;
	struct kb_error *err;

	while (size && strchr(" \t\r", line[size - 1]) && line[size - 1])
		size--;
	if (!size)
		return NULL;
	if (size > KB_HISTORY_LINE_MAX)
		return kb_failed("longer than %u bytes", KB_HISTORY_LINE_MAX);
	json_tokener_reset(reader->tokener);
	object = json_tokener_parse_ex(reader->tokener, line, (int)size);
	error = json_tokener_get_error(reader->tokener);
	if (!object && error == json_tokener_continue && *line == '{') {
		history->n_cut++;
		history->cut_line = reader->line;
		return NULL;
	}
	if (!object)
		return kb_failed("not JSON: mend or remove that line (%s)",
				 json_tokener_error_desc(error));
	err = read_entry(reader, object, &history->entries[history->n_entries]);
	history->n_entries++; /* what it has is freed with the others */
	json_object_put(object);
	return err;
}

/* ---------------------------------------------------------------- files */

/* Where the newest lines begin, with the number of lines before them. */
static const char *newest_lines(const char *bytes, const char *end, uint32_t *skipped)
{
	uint32_t n = 0;

	*skipped = 0;
	for (const char *at = bytes; (at = memchr(at, '\n', (size_t)(end - at))); at++)
		n++;
	n += end > bytes && end[-1] != '\n';
	while (n-- > KB_HISTORY_ENTRIES_MAX) {
		bytes = (const char *)memchr(bytes, '\n', (size_t)(end - bytes)) + 1;
		++*skipped;
	}
	return bytes;
}

static struct kb_error *read_lines(struct reader *reader, const char *bytes, size_t size)
{
	const char *end = bytes + size;
	const char *at = size ? newest_lines(bytes, end, &reader->line) : end;

	while (at < end) {
		const char *line_end = memchr(at, '\n', (size_t)(end - at)) ?: end;

		reader->line++;
		KB_TRY(kb_error__prefix(read_line(reader, at, (size_t)(line_end - at)),
					"'%s', line %u", reader->name, reader->line));
		at = line_end + 1;
	}
	return NULL;
}

struct kb_error *kb_check_history__read(const void *bytes, size_t size, const char *name,
					struct kb_check_history **result)
{
	struct kb_check_history *history = calloc(1, sizeof(*history));
	struct reader reader = { history, json_tokener_new_ex(JSON_DEPTH), name };
	struct kb_error *err = NULL;

	if (history) {
		history->strings = kb_strpool__create(KB_HISTORY_FILE_MAX, STRINGS_MAX);
		history->entries = calloc(KB_HISTORY_ENTRIES_MAX, sizeof(*history->entries));
	}
	if (!history || !reader.tokener || !history->strings || !history->entries) {
		err = kb_error__no_memory();
	} else {
		json_tokener_set_flags(reader.tokener,
				       JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
		err = read_lines(&reader, bytes, size);
	}
	if (reader.tokener)
		json_tokener_free(reader.tokener);
	if (err)
		kb_check_history__destroy(history);
	else
		*result = history;
	return err;
}

struct kb_error *kb_check_history__load(const char *path, struct kb_check_history **history)
{
	struct kb_error *err;
	struct kb_buf buf;

	kb_buf__init(&buf, KB_HISTORY_FILE_MAX);
	err = kb_read_file(path, &buf);
	if (!err)
		err = kb_check_history__read(buf.data, buf.size, path, history);
	kb_buf__free(&buf);
	return err;
}

uint32_t kb_check_history__n_entries(const struct kb_check_history *history)
{
	return history->n_entries;
}

uint32_t kb_check_history__n_cut(const struct kb_check_history *history)
{
	return history->n_cut;
}

void kb_check_history__destroy(struct kb_check_history *history)
{
	if (!history)
		return;
	for (uint32_t i = 0; history->entries && i < history->n_entries; i++) {
		free(history->entries[i].functions);
		free(history->entries[i].counts);
	}
	free(history->entries);
	kb_strpool__destroy(history->strings);
	free(history);
}
