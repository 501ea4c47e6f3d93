/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_CLI_TABLE_H
#define KB_CLI_TABLE_H

#include <stddef.h>
#include <stdio.h>

/* Rows of text in columns as wide as their longest cell. Cells are for people: see base/text.h. */
#define KB_TABLE_COLUMNS_MAX 8

/* cells: rows times columns, row after row; the last column is not padded. */
void kb_table__print(FILE *stream, const char *const *cells, size_t rows, size_t columns);

#endif
