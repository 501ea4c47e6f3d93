/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_CLI_JSON_H
#define KB_CLI_JSON_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* Adds a string member, with what is not UTF-8 replaced. */
void kb_json__add_text(struct json_object *object, const char *name, const char *text);
void kb_json__add_bool(struct json_object *object, const char *name, bool value);
void kb_json__add_int(struct json_object *object, const char *name, int64_t value);

/* Prints and frees. */
void kb_json__print(FILE *stream, struct json_object *object);

#endif
