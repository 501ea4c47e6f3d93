// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "base/text.h"
#include "cli/table.h"

/* Code points: the columns that need padding hold no wide characters. */
static size_t width(const char *text)
{
	size_t n = 0;

	while (kb_text__next(&text))
		n++;
	return n;
}

void kb_table__print(FILE *stream, const char *const *cells, size_t rows, size_t columns)
{
	size_t widths[KB_TABLE_COLUMNS_MAX] = {};

	for (size_t i = 0; i < rows * columns; i++) {
		size_t w = width(cells[i]);

		if (w > widths[i % columns])
			widths[i % columns] = w;
	}
	for (size_t i = 0; i < rows * columns; i++) {
		size_t column = i % columns;

		kb_text__write(stream, cells[i]);
		if (column + 1 == columns)
			fputc('\n', stream);
		else
			fprintf(stream, "%*s", (int)(widths[column] - width(cells[i]) + 2), "");
	}
}
