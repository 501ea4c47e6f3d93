// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <inttypes.h>
#include <string.h>
#include "base/text.h"
#include "format/callgrind_name.h"

void kb_callgrind_name__write(const char *name, FILE *stream)
{
	putc(' ', stream);
	kb_text__write_field(stream, name, "");
}

void kb_callgrind_name__write_pooled(const char *key, struct kb_strpool *pool, const char *text,
				     FILE *stream)
{
	uint32_t known = kb_strpool__count(pool), id = kb_strpool__add(pool, text, strlen(text));

	if (id == KB_STRPOOL_NONE) /* of another file it would be wrong */
		return;
	fprintf(stream, "%s=(%" PRIu32 ")", key, id + 1);
	if (id >= known)
		kb_callgrind_name__write(text, stream);
	putc('\n', stream);
}
