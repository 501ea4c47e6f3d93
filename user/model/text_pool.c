// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/text.h"
#include "model/text_pool.h"

/* Makes *size at most KB_TEXT_POOL_STRING_MAX, without cutting a UTF-8 sequence. */
static void cut(const char *text, size_t *size)
{
	if (*size <= KB_TEXT_POOL_STRING_MAX)
		return;
	*size = KB_TEXT_POOL_STRING_MAX;
	while (*size && ((uint8_t)text[*size] & 0xc0) == 0x80)
		(*size)--;
}

static const char *intern_bytes(struct kb_strpool *pool, const char *text, size_t size)
{
	uint32_t id;

	cut(text, &size);
	id = kb_strpool__add(pool, text, size);
	return id == KB_STRPOOL_NONE ? NULL : kb_strpool__at(pool, id);
}

static const char *intern_repaired(struct kb_strpool *pool, const char *text)
{
	const char *interned = NULL;
	char *repaired = NULL;
	size_t size;
	FILE *stream = open_memstream(&repaired, &size);
	bool whole;

	if (!stream)
		return NULL;
	kb_text__write_utf8(stream, text);
	whole = !ferror(stream);
	if (!fclose(stream) && whole)
		interned = intern_bytes(pool, repaired, size);
	free(repaired);
	return interned;
}

const char *kb_text_pool__intern(struct kb_strpool *pool, const char *text)
{
	size_t size = text ? strlen(text) : 0;

	/* What is not UTF-8 becomes longer: one byte gives three. */
	if (size && kb_text__utf8_size(text) != size)
		return intern_repaired(pool, text);
	return intern_bytes(pool, text, size);
}
