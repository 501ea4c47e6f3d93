// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdlib.h>
#include "base/text.h"
#include "cli/json.h"

void kb_json__add_text(struct json_object *object, const char *name, const char *text)
{
	char *valid = NULL;
	size_t size = 0;
	FILE *stream = open_memstream(&valid, &size);

	if (!stream)
		return;
	kb_text__write_utf8(stream, text);
	if (fclose(stream) == 0)
		json_object_object_add(object, name, json_object_new_string_len(valid, size));
	free(valid);
}

void kb_json__add_bool(struct json_object *object, const char *name, bool value)
{
	json_object_object_add(object, name, json_object_new_boolean(value));
}

void kb_json__add_int(struct json_object *object, const char *name, int64_t value)
{
	json_object_object_add(object, name, json_object_new_int64(value));
}

void kb_json__print(FILE *stream, struct json_object *object)
{
	fputs(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PRETTY |
							     JSON_C_TO_STRING_NOSLASHESCAPE),
	      stream);
	fputc('\n', stream);
	json_object_put(object);
}
