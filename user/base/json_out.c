// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include "base/clock.h"
#include "base/json_out.h"
#include "base/text.h"

void kb_json_out__begin(struct kb_json_out *out, const char *name)
{
	if (out->comma)
		putc(',', out->stream);
	out->comma = true;
	if (name)
		fprintf(out->stream, "\"%s\":", name);
}

void kb_json_out__open(struct kb_json_out *out, const char *name, char bracket)
{
	kb_json_out__begin(out, name);
	putc(bracket, out->stream);
	out->comma = false;
}

void kb_json_out__open_keyed(struct kb_json_out *out, const char *key, char bracket)
{
	kb_json_out__begin(out, NULL);
	kb_text__write_json_data(out->stream, key);
	fprintf(out->stream, ":%c", bracket);
	out->comma = false;
}

void kb_json_out__close(struct kb_json_out *out, char bracket)
{
	putc(bracket, out->stream);
	out->comma = true;
}

void kb_json_out__text(struct kb_json_out *out, const char *name, const char *text)
{
	kb_json_out__begin(out, name);
	kb_text__write_json_data(out->stream, text);
}

void kb_json_out__textf(struct kb_json_out *out, const char *name, const char *format, ...)
{
	char *text = NULL;
	va_list args;
	int size;

	va_start(args, format);
	size = vasprintf(&text, format, args);
	va_end(args);
	kb_json_out__text(out, name, size < 0 ? "" : text);
	if (size >= 0)
		free(text);
}

void kb_json_out__uint(struct kb_json_out *out, const char *name, uint64_t value)
{
	kb_json_out__begin(out, name);
	fprintf(out->stream, "%" PRIu64, value);
}

void kb_json_out__int(struct kb_json_out *out, const char *name, int64_t value)
{
	kb_json_out__begin(out, name);
	fprintf(out->stream, "%" PRId64, value);
}

void kb_json_out__real(struct kb_json_out *out, const char *name, double value)
{
	kb_json_out__begin(out, name);
	fprintf(out->stream, "%.15g", isfinite(value) ? value : 0);
}

void kb_json_out__fixed(struct kb_json_out *out, const char *name, double value, int decimals)
{
	kb_json_out__begin(out, name);
	fprintf(out->stream, "%.*f", decimals, isfinite(value) ? value : 0);
}

void kb_json_out__bool(struct kb_json_out *out, const char *name, bool value)
{
	kb_json_out__begin(out, name);
	fputs(value ? "true" : "false", out->stream);
}

void kb_json_out__null(struct kb_json_out *out, const char *name)
{
	kb_json_out__begin(out, name);
	fputs("null", out->stream);
}

void kb_json_out__index(struct kb_json_out *out, const char *name, uint32_t index)
{
	if (index == UINT32_MAX)
		kb_json_out__null(out, name);
	else
		kb_json_out__uint(out, name, index);
}

void kb_json_out__ms(struct kb_json_out *out, const char *name, uint64_t ns)
{
	uint64_t whole = ns / KB_NS_PER_MS, rest = ns % KB_NS_PER_MS;

	kb_json_out__begin(out, name);
	fprintf(out->stream, "%" PRIu64, whole);
	if (rest)
		fprintf(out->stream, ".%06" PRIu64, rest);
}

void kb_json_out__line(struct kb_json_out *out)
{
	putc('\n', out->stream);
}
