// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include "base/buf.h"
#include "base/error.h"
#include "format/marshal_read.h"
#include "format/pstats_read.h"
#include "model/calls.h"

/* Names beyond this are cut by the model anyway. */
#define TEXT_BYTES_MAX (128u << 10)

/* The key that profiling.sampling adds to its files (3.15, sampling/pstats_collector.py). */
#define SAMPLED_MARKER "__sampled__"

#define NOT_STATISTICS "not a file of call statistics"

struct loader {
	const struct kb_marshal_values *values;
	struct kb_calls *calls;
	struct kb_buf file, name;
	uint32_t entry; /* of the file, for messages */
	bool sampled;
};

static struct kb_error *bad(const struct loader *loader, const char *what)
{
	return kb_failed("entry %" PRIu32 ": %s", loader->entry, what);
}

static const struct kb_marshal_value *item(const struct loader *loader,
					   const struct kb_marshal_value *of, uint32_t index)
{
	return kb_marshal_values__item(loader->values, of, index);
}

static bool is_tuple(const struct kb_marshal_value *value, uint32_t size)
{
	return value->kind == KB_MARSHAL_TUPLE && value->size == size;
}

static bool is_marker(const struct loader *loader, const struct kb_marshal_value *key)
{
	const struct kb_marshal_value *text = is_tuple(key, 1) ? item(loader, key, 0) : NULL;

	return text && text->kind == KB_MARSHAL_TEXT && text->size == strlen(SAMPLED_MARKER) &&
	       !memcmp(text->text, SAMPLED_MARKER, text->size);
}

/* Text as a C string. What is not UTF-8 otherwise is replaced by the model. */
static const char *text_of(const struct kb_marshal_value *value, struct kb_buf *buf)
{
	static const char replacement[] = "\xef\xbf\xbd";
	const uint8_t *at = value->text, *end = at + value->size;

	kb_buf__clear(buf);
	while (at < end && !buf->failed) {
		bool surrogate = end - at >= 3 && at[0] == 0xed && at[1] >= 0xa0;

		if (surrogate || !*at)
			kb_buf__append(buf, replacement, 3);
		else
			kb_buf__append(buf, at, 1);
		at += surrogate ? 3 : 1;
	}
	kb_buf__append(buf, "", 1);
	return buf->failed ? NULL : (const char *)buf->data;
}

static struct kb_error *get_function(struct loader *loader, const struct kb_marshal_value *key,
				     uint32_t *id)
{
	const struct kb_marshal_value *line;
	const char *file, *name;

	if (!is_tuple(key, 3) || item(loader, key, 0)->kind != KB_MARSHAL_TEXT ||
	    item(loader, key, 2)->kind != KB_MARSHAL_TEXT)
		return bad(loader, "no (file, line, name) of a function");
	line = item(loader, key, 1);
	if (line->kind != KB_MARSHAL_INT || line->integer < INT32_MIN || line->integer > INT32_MAX)
		return bad(loader, "a line that is no number of one");
	file = text_of(item(loader, key, 0), &loader->file);
	name = text_of(item(loader, key, 2), &loader->name);
	if (!file || !name)
		return bad(loader, "a name that is too long");
	*id = kb_calls__add_function(loader->calls, file, (int32_t)line->integer, name);
	return *id == KB_ID_NONE ? bad(loader, "more functions than fit") : NULL;
}

static struct kb_error *get_count(const struct loader *loader, const struct kb_marshal_value *value,
				  uint64_t *count)
{
	if (value->kind != KB_MARSHAL_INT || value->integer < 0)
		return bad(loader, "a count that is none");
	*count = (uint64_t)value->integer;
	return NULL;
}

static struct kb_error *get_time(const struct loader *loader, const struct kb_marshal_value *value,
				 double *seconds)
{
	if (value->kind == KB_MARSHAL_INT)
		*seconds = (double)value->integer;
	else if (value->kind == KB_MARSHAL_REAL && isfinite(value->real))
		*seconds = value->real;
	else
		return bad(loader, "a time that is no number");
	return NULL;
}

static struct kb_error *get_times(const struct loader *loader, const struct kb_marshal_value *of,
				  struct kb_call_stats *stats)
{
	KB_TRY(get_time(loader, item(loader, of, 2), &stats->tottime));
	return get_time(loader, item(loader, of, 3), &stats->cumtime);
}

/* cProfile has (calls, primitive, tottime, cumtime) for a caller, profile the calls alone. */
static struct kb_error *add_caller(struct loader *loader, uint32_t callee, uint32_t caller,
				   const struct kb_marshal_value *value)
{
	uint32_t before = kb_calls__n_edges(loader->calls);
	struct kb_call_stats stats = {};
	bool whole = is_tuple(value, 4);

	if (whole) {
		KB_TRY(get_count(loader, item(loader, value, 0), &stats.ncalls));
		KB_TRY(get_count(loader, item(loader, value, 1), &stats.primitive));
		KB_TRY(get_times(loader, value, &stats));
	} else {
		KB_TRY(get_count(loader, value, &stats.ncalls));
	}
	if (!kb_calls__add_edge(loader->calls, KB_ID_NONE, caller, callee, &stats))
		return bad(loader, "more pairs of caller and callee than fit");
	if (kb_calls__n_edges(loader->calls) == before)
		return bad(loader, "a caller that comes twice");
	if (!whole)
		kb_calls__mark_count_only(loader->calls, caller, callee);
	return NULL;
}

static struct kb_error *add_callers(struct loader *loader, uint32_t callee,
				    const struct kb_marshal_value *callers)
{
	for (uint32_t i = 0; i < callers->size; i += 2) {
		uint32_t caller;

		KB_TRY(get_function(loader, item(loader, callers, i), &caller));
		KB_TRY(add_caller(loader, callee, caller, item(loader, callers, i + 1)));
	}
	return NULL;
}

/* (primitive, calls, tottime, cumtime, callers): the counts in another order than in callers. */
static struct kb_error *add_entry(struct loader *loader, const struct kb_marshal_value *key,
				  const struct kb_marshal_value *value)
{
	struct kb_call_stats stats = {};
	uint32_t id;

	if (is_marker(loader, key)) {
		loader->sampled = true;
		return NULL;
	}
	KB_TRY(get_function(loader, key, &id));
	if (!is_tuple(value, 5) || item(loader, value, 4)->kind != KB_MARSHAL_DICT)
		return bad(loader, "no (calls, calls, time, time, callers) of a function");
	KB_TRY(get_count(loader, item(loader, value, 0), &stats.primitive));
	KB_TRY(get_count(loader, item(loader, value, 1), &stats.ncalls));
	KB_TRY(get_times(loader, value, &stats));
	if (kb_calls__function(loader->calls, id)->listed)
		return bad(loader, "a function that comes twice");
	if (!kb_calls__add_stats(loader->calls, KB_ID_NONE, id, &stats))
		return bad(loader, "more functions than fit");
	return add_callers(loader, id, item(loader, value, 4));
}

static struct kb_error *load(struct loader *loader)
{
	const struct kb_marshal_value *root = &loader->values->values[loader->values->root];
	struct kb_calls_meta meta = { sizeof(meta), .timing = KB_CALLS_MEASURED };

	if (root->kind != KB_MARSHAL_DICT)
		return kb_failed("no dictionary");
	KB_TRY(kb_calls__create(&meta, &loader->calls));
	for (uint32_t i = 0; i < root->size; i += 2, loader->entry++)
		KB_TRY(add_entry(loader, item(loader, root, i), item(loader, root, i + 1)));
	if (!kb_calls__n_listed(loader->calls))
		return kb_failed("no statistics in it");
	if (!loader->sampled)
		return NULL;
	meta.unit = KB_CALLS_SAMPLES;
	meta.timing = KB_CALLS_SAMPLED;
	return kb_calls__set_meta(loader->calls, &meta);
}

struct kb_error *kb_pstats__read(const void *bytes, size_t size, struct kb_calls **calls)
{
	struct kb_marshal_values values;
	struct loader loader = { .values = &values };
	struct kb_error *err;

	KB_TRY(kb_error__prefix(kb_marshal_values__read(bytes, size, &values), NOT_STATISTICS));
	kb_buf__init(&loader.file, TEXT_BYTES_MAX);
	kb_buf__init(&loader.name, TEXT_BYTES_MAX);
	err = load(&loader);
	kb_buf__free(&loader.file);
	kb_buf__free(&loader.name);
	kb_marshal_values__free(&values);
	if (err) {
		kb_calls__destroy(loader.calls);
		return kb_error__prefix(err, NOT_STATISTICS);
	}
	*calls = loader.calls;
	return NULL;
}
