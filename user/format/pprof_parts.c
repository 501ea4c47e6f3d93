// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include "base/array.h"
#include "base/error.h"
#include "base/text.h"
#include "format/pprof_parts.h"

#define STRING_BYTES (1u << 30) /* of all text; the profile holds a quarter of it */
#define STRINGS	     (1u << 24)

void kb_pprof_parts__no_memory(struct kb_pprof_parts *parts)
{
	if (!parts->err)
		parts->err = kb_error__no_memory();
}

static bool is_printable(const char *text)
{
	uint32_t code_point;

	while ((code_point = kb_text__next(&text)))
		if (!kb_text__is_printable(code_point))
			return false;
	return true;
}

static int64_t intern(struct kb_pprof_parts *parts, const char *text)
{
	uint32_t id = kb_strpool__add(parts->strings, text, strlen(text));

	if (id != KB_STRPOOL_NONE)
		return id;
	kb_pprof_parts__no_memory(parts);
	return 0;
}

int64_t kb_pprof_parts__string(struct kb_pprof_parts *parts, const char *text)
{
	char *printable = NULL;
	size_t size;
	FILE *stream;
	int64_t id = 0;

	if (is_printable(text))
		return intern(parts, text);
	stream = open_memstream(&printable, &size);
	if (stream) {
		kb_text__write(stream, text);
		if (fclose(stream) == 0)
			id = intern(parts, printable);
	}
	free(printable);
	return id;
}

int64_t kb_pprof_parts__stringf(struct kb_pprof_parts *parts, const char *format, ...)
{
	char *text = NULL;
	va_list args;
	int64_t id;
	int size;

	va_start(args, format);
	size = vasprintf(&text, format, args);
	va_end(args);
	if (size < 0) {
		kb_pprof_parts__no_memory(parts);
		return 0;
	}
	id = kb_pprof_parts__string(parts, text);
	free(text);
	return id;
}

void kb_pprof_parts__write(struct kb_pprof_parts *parts, const KbPprof__Profile *part)
{
	size_t size = kb_pprof__profile__get_packed_size(part);
	uint8_t *packed;

	if (parts->err)
		return;
	packed = size > UINT32_MAX ? NULL
				   : kb_array__grow(parts->packed, &parts->packed_capacity,
						    (uint32_t)size, 1, UINT32_MAX);
	if (!packed && size) {
		kb_pprof_parts__no_memory(parts);
		return;
	}
	parts->packed = packed;
	kb_gzip__write(parts->gzip, packed, kb_pprof__profile__pack(part, packed));
}

void kb_pprof_parts__function(struct kb_pprof_parts *parts, uint64_t id, int64_t name, int64_t file,
			      int32_t line)
{
	KbPprof__Function function, *list = &function;
	KbPprof__Profile part;

	kb_pprof__function__init(&function);
	function.id = id;
	function.name = name;
	function.filename = file;
	function.start_line = line > 0 ? line : 0;
	kb_pprof__profile__init(&part);
	part.n_function = 1;
	part.function = &list;
	kb_pprof_parts__write(parts, &part);
}

void kb_pprof_parts__mapping(struct kb_pprof_parts *parts, uint64_t id, int64_t file, bool sources)
{
	KbPprof__Mapping mapping, *list = &mapping;
	KbPprof__Profile part;

	kb_pprof__mapping__init(&mapping);
	mapping.id = id;
	mapping.filename = file;
	mapping.has_functions = true;
	mapping.has_filenames = mapping.has_line_numbers = sources;
	kb_pprof__profile__init(&part);
	part.n_mapping = 1;
	part.mapping = &list;
	kb_pprof_parts__write(parts, &part);
}

KbPprof__ValueType kb_pprof_parts__value_type(struct kb_pprof_parts *parts, const char *type,
					      const char *unit)
{
	KbPprof__ValueType value;

	kb_pprof__value_type__init(&value);
	value.type = kb_pprof_parts__string(parts, type);
	value.unit = kb_pprof_parts__string(parts, unit);
	return value;
}

void kb_pprof_parts__comment(struct kb_pprof_parts *parts, int64_t text)
{
	KbPprof__Profile part;

	kb_pprof__profile__init(&part);
	part.n_comment = 1;
	part.comment = &text;
	kb_pprof_parts__write(parts, &part);
}

int64_t kb_pprof_parts__number(uint64_t count)
{
	return count < INT64_MAX ? (int64_t)count : INT64_MAX;
}

struct kb_error *kb_pprof_parts__init(struct kb_pprof_parts *parts, FILE *stream)
{
	parts->strings = kb_strpool__create(STRING_BYTES, STRINGS);
	if (!parts->strings)
		return kb_error__no_memory();
	KB_TRY(kb_gzip__create(stream, &parts->gzip));
	kb_pprof_parts__string(parts, "");
	return parts->err;
}

static void write_strings(struct kb_pprof_parts *parts)
{
	for (uint32_t i = 0; i < kb_strpool__count(parts->strings) && !parts->err; i++) {
		char *text = (char *)kb_strpool__at(parts->strings, i);
		KbPprof__Profile part;

		kb_pprof__profile__init(&part);
		part.n_string_table = 1;
		part.string_table = &text;
		kb_pprof_parts__write(parts, &part);
	}
}

struct kb_error *kb_pprof_parts__finish(struct kb_pprof_parts *parts)
{
	if (parts->gzip) {
		write_strings(parts);
		kb_gzip__finish(parts->gzip);
	}
	kb_strpool__destroy(parts->strings);
	free(parts->packed);
	return parts->err;
}
