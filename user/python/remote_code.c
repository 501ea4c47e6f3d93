// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdlib.h>
#include <string.h>
#include "base/unicode.h"
#include "bpf/shared/events.h"
#include "python/remote_code.h"
#include "system/memory.h"

/* The same limits as in the kernel, so that a name does not depend on who read it. */
#define LINES_MAX (KB_LINES_CHUNK * KB_LINES_CHUNKS)

static char *read_string(pid_t pid, const struct kb_layout *layout, uint64_t string, uint32_t max)
{
	uint8_t characters[KB_FILENAME_MAX];
	uint64_t length, data, bytes;
	uint32_t state, width;

	if (!kb_memory__read_u64(pid, string + layout->unicode_length, &length) ||
	    !kb_memory__read_u32(pid, string + layout->unicode_state, &state))
		return NULL;
	state >>= layout->unicode_kind_shift;
	width = state & 7;
	if (width != 1 && width != 2 && width != 4)
		return NULL;
	data = string + (state & 16 ? layout->unicode_ascii_data : layout->unicode_compact_data);
	bytes = length > max / width ? max / width * width : length * width;
	if (!kb_memory__read(pid, data, characters, bytes))
		return NULL;
	return kb_unicode__to_utf8(characters, bytes / width, width, length > max / width);
}

static bool read_lines(pid_t pid, const struct kb_layout *layout, uint64_t table,
		       struct kb_remote_code *code)
{
	uint64_t bytes;

	if (!kb_memory__read_u64(pid, table + layout->bytes_size, &bytes))
		return false;
	if (bytes > LINES_MAX)
		bytes = 0;
	code->lines = malloc(bytes ? bytes : 1);
	code->lines_bytes = bytes;
	return code->lines &&
	       (!bytes || kb_memory__read(pid, table + layout->bytes_data, code->lines, bytes));
}

bool kb_remote_code__read(pid_t pid, const struct kb_layout *layout, uint64_t code_type,
			  uint64_t address, struct kb_remote_code *code)
{
	uint64_t type, file, name, table;

	memset(code, 0, sizeof(*code));
	if (!kb_memory__read_u64(pid, address + layout->object_type, &type) || type != code_type ||
	    !kb_memory__read_u64(pid, address + layout->code_filename, &file) ||
	    !kb_memory__read_u64(pid, address + layout->code_name, &name) ||
	    !kb_memory__read_u64(pid, address + layout->code_linetable, &table) ||
	    !kb_memory__read(pid, address + layout->code_firstlineno, &code->first_line, 4))
		return false;
	code->file = read_string(pid, layout, file, KB_FILENAME_MAX);
	code->name = read_string(pid, layout, name, KB_QUALNAME_MAX);
	if (code->file && code->name && read_lines(pid, layout, table, code))
		return true;
	kb_remote_code__free(code);
	return false;
}

void kb_remote_code__free(struct kb_remote_code *code)
{
	free(code->file);
	free(code->name);
	free(code->lines);
	memset(code, 0, sizeof(*code));
}
