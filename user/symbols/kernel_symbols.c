// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "symbols/kernel_symbols.h"

/* A line is "ffffffff81000000 T name", in modules with "\t[module]" behind it. */
static void take_line(char *line, struct kb_symbol_table *table)
{
	char *at = line;
	uint64_t address = strtoull(line, &at, 16);

	if (!address || at == line || at[0] != ' ' || !strchr("tTwW", at[1]) || at[2] != ' ')
		return;
	at += 3;
	kb_symbol_table__add(table, address, 0, at, strcspn(at, "\t \n"));
}

bool kb_kernel_symbols__read(const char *path, struct kb_symbol_table *table)
{
	char *line = NULL;
	size_t size = 0;
	FILE *file = fopen(path, "re");

	if (!file)
		return false;
	while (getline(&line, &size, file) > 0)
		take_line(line, table);
	free(line);
	fclose(file);
	kb_symbol_table__close(table);
	return table->n;
}
