/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A PyRefTracer that counts objects by type, for test_refs.py. It needs no header of Python, so
 * that one build of it is for all versions: ob_type is at 8, tp_name at 24.
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define TYPES_MAX 4096

int PyRefTracer_SetTracer(int (*tracer)(void *object, int event, void *data), void *data);

static struct {
	const char *type;
	char name[96];
	unsigned long events[2]; /* created, destroyed */
} types[TYPES_MAX];
static unsigned n;

static int trace(void *object, int event, void *data)
{
	const char *type = object ? *(const char **)((char *)object + 8) : NULL, *name;
	unsigned i = 0;

	if (event > 1 || !type)
		return 0;
	name = *(const char **)(type + 24);
	while (i < n && (types[i].type != type || strcmp(types[i].name, name)))
		i++;
	if (i == TYPES_MAX)
		return 0;
	if (i == n) {
		types[n].type = type;
		snprintf(types[n++].name, sizeof(types->name), "%s", name);
	}
	types[i].events[event]++;
	return 0;
}

void begin(void)
{
	n = 0;
	memset(types, 0, sizeof(types));
	PyRefTracer_SetTracer(trace, NULL);
}

void end(const char *path)
{
	FILE *file;

	PyRefTracer_SetTracer(NULL, NULL);
	file = fopen(path, "w");
	if (!file)
		return;
	for (unsigned i = 0; i < n; i++)
		fprintf(file, "%s %lu %lu\n", types[i].name, types[i].events[0],
			types[i].events[1]);
	fclose(file);
}
