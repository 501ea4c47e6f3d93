// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "bpf/shared/events.h"
#include "python/remote_code.h"
#include "python/remote_string.h"
#include "system/memory.h"

/* The same limits as in the kernel, so that a name does not depend on who read it. */
#define LINES_MAX (KB_LINES_CHUNK * KB_LINES_CHUNKS)

#define PAGES_MAX 16 /* for one code object: its own page, two strings, a table's head */

static bool read_lines(struct kb_pages *pages, const struct kb_layout *layout, uint64_t table,
		       struct kb_remote_code *code)
{
	uint64_t bytes;

	if (!kb_pages__read_u64(pages, table + layout->bytes_size, &bytes))
		return false;
	if (bytes > LINES_MAX)
		bytes = 0;
	code->lines = malloc(bytes ? bytes : 1);
	code->lines_bytes = bytes;
	return code->lines && kb_memory__read(kb_pages__pid(pages), table + layout->bytes_data,
					      code->lines, bytes);
}

bool kb_remote_code__read_pages(struct kb_pages *pages, const struct kb_layout *layout,
				uint64_t code_type, uint64_t address, struct kb_remote_code *code)
{
	uint64_t type, file, name, table;

	memset(code, 0, sizeof(*code));
	if (!kb_pages__read_u64(pages, address + layout->object_type, &type) || type != code_type ||
	    !kb_pages__read_u64(pages, address + layout->code_filename, &file) ||
	    !kb_pages__read_u64(pages, address + layout->code_name, &name) ||
	    !kb_pages__read_u64(pages, address + layout->code_linetable, &table) ||
	    !kb_pages__read(pages, address + layout->code_firstlineno, &code->first_line, 4))
		return false;
	code->file = kb_remote_string__read(pages, layout, file, KB_FILENAME_MAX);
	code->name = kb_remote_string__read(pages, layout, name, KB_QUALNAME_MAX);
	if (code->file && code->name && read_lines(pages, layout, table, code))
		return true;
	kb_remote_code__free(code);
	return false;
}

bool kb_remote_code__read(pid_t pid, const struct kb_layout *layout, uint64_t code_type,
			  uint64_t address, struct kb_remote_code *code)
{
	struct kb_pages *pages;
	struct kb_error *err = kb_pages__create(pid, PAGES_MAX, &pages);
	bool ok;

	memset(code, 0, sizeof(*code));
	if (err) {
		kb_error__destroy(err);
		return false;
	}
	ok = kb_remote_code__read_pages(pages, layout, code_type, address, code);
	kb_pages__destroy(pages);
	return ok;
}

void kb_remote_code__free(struct kb_remote_code *code)
{
	free(code->file);
	free(code->name);
	free(code->lines);
	memset(code, 0, sizeof(*code));
}
