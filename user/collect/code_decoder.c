// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "base/id_map.h"
#include "base/unicode.h"
#include "collect/code_decoder.h"

#define ADDRESSES_MAX (1u << 22)
#define LINES_MAX     (KB_LINES_CHUNK * KB_LINES_CHUNKS)

#define SHIM_LINES_MAX 8 /* a line table with a single entry */

/* The object whose chunks are arriving: one at a time on each CPU, so chunks of two may alternate.
 */
struct pending {
	uint32_t proc;
	uint64_t address;
	uint64_t fingerprint;
	struct kb_code_info info;
	char *file, *name;
	uint8_t *lines;
	uint32_t received;
	uint64_t age;
};
#define PENDING_MAX  64
#define KB_ID_UNREAD (KB_CODE_HIDDEN - 1)

struct kb_code_decoder {
	struct kb_profile *profile;
	struct kb_id_map codes; /* (process, address) → code */
	struct pending pending[PENDING_MAX];
	uint64_t now;
};

struct kb_error *kb_code_decoder__create(struct kb_profile *profile,
					 struct kb_code_decoder **result)
{
	struct kb_code_decoder *decoder = calloc(1, sizeof(*decoder));

	if (!decoder)
		return kb_error__no_memory();
	decoder->profile = profile;
	kb_id_map__init(&decoder->codes, ADDRESSES_MAX);
	*result = decoder;
	return NULL;
}

static void release(struct pending *pending)
{
	free(pending->file);
	free(pending->name);
	free(pending->lines);
	memset(pending, 0, sizeof(*pending));
}

void kb_code_decoder__destroy(struct kb_code_decoder *decoder)
{
	if (!decoder)
		return;
	for (int i = 0; i < PENDING_MAX; i++)
		release(&decoder->pending[i]);
	kb_id_map__free(&decoder->codes);
	free(decoder);
}

/*
 * 3.13 and later inline calls of classes: between the caller and __init__ lies a frame that checks
 * what
 * __init__ returned (_Py_MakeShimCode in Objects/codeobject.c). Tracebacks leave it out.
 */
static bool is_shim(const struct pending *pending)
{
	return pending->info.linetable_bytes <= SHIM_LINES_MAX &&
	       !strcmp(pending->file, "__init__") && !strcmp(pending->name, "__init__");
}

void kb_code_decoder__add(struct kb_code_decoder *decoder, uint32_t proc, uint64_t address,
			  const struct kb_code_info *info)
{
	uint32_t code = kb_profile__add_code(decoder->profile, info);

	if (code != KB_ID_NONE)
		kb_id_map__set(&decoder->codes, proc, address, code);
}

void kb_code_decoder__add_remote(struct kb_code_decoder *decoder, uint32_t proc, uint64_t address,
				 const struct kb_remote_code *code, const struct kb_layout *layout)
{
	struct kb_code_info info = { .file = code->file,
				     .name = code->name,
				     .first_line = code->first_line,
				     .linetable_kind = layout->linetable_kind,
				     .linetable = code->lines,
				     .linetable_bytes = code->lines_bytes };

	kb_code_decoder__add(decoder, proc, address, &info);
}

/* Into the profile, with the line table if all of it is there. */
static void finish(struct kb_code_decoder *decoder, struct pending *pending)
{
	pending->info.file = pending->file;
	pending->info.name = pending->name;
	if (pending->received >= pending->info.linetable_bytes)
		pending->info.linetable = pending->lines;
	else
		pending->info.linetable_bytes = 0;
	if (is_shim(pending))
		kb_id_map__set(&decoder->codes, pending->proc, pending->address, KB_CODE_HIDDEN);
	else
		kb_code_decoder__add(decoder, pending->proc, pending->address, &pending->info);
	release(pending);
}

static struct pending *find_pending(struct kb_code_decoder *decoder, uint32_t proc,
				    uint64_t address)
{
	for (int i = 0; i < PENDING_MAX; i++) {
		struct pending *p = &decoder->pending[i];

		if (p->file && p->proc == proc && p->address == address)
			return p;
	}
	return NULL;
}

/* A free place, or the one whose chunks have been missing for longest. */
static struct pending *take_pending(struct kb_code_decoder *decoder)
{
	struct pending *oldest = &decoder->pending[0];

	for (int i = 0; i < PENDING_MAX; i++) {
		if (!decoder->pending[i].file)
			return &decoder->pending[i];
		if (decoder->pending[i].age < oldest->age)
			oldest = &decoder->pending[i];
	}
	finish(decoder, oldest);
	return oldest;
}

static char *decode(const uint8_t *bytes, uint32_t n, uint32_t flags, int kind_shift,
		    uint32_t cut_flag)
{
	uint32_t width = KB_CODE_KIND(flags, kind_shift);

	return width ? kb_unicode__to_utf8(bytes, n / width, width, flags & cut_flag) : NULL;
}

void kb_code_decoder__code(struct kb_code_decoder *decoder, const struct kb_data_code *record,
			   size_t size, const struct kb_layout *layout)
{
	const uint8_t *strings = (const uint8_t *)(record + 1);
	struct pending *pending;

	/* Part of it was not in memory: it will be asked for, and read from the process. */
	if (record->flags & KB_CODE_INCOMPLETE) {
		kb_id_map__set(&decoder->codes, record->proc, record->address, KB_ID_UNREAD);
		return;
	}
	if (!layout || record->filename_bytes > KB_FILENAME_MAX ||
	    record->name_bytes > KB_QUALNAME_MAX || record->lines_bytes > LINES_MAX ||
	    size < sizeof(*record) + record->filename_bytes + record->name_bytes)
		return;
	pending = find_pending(decoder, record->proc, record->address);
	if (pending)
		release(pending);
	else
		pending = take_pending(decoder);
	pending->proc = record->proc;
	pending->address = record->address;
	pending->fingerprint = record->fingerprint;
	pending->age = ++decoder->now;
	pending->file = decode(strings, record->filename_bytes, record->flags,
			       KB_CODE_FILENAME_KIND, KB_CODE_FILENAME_CUT);
	pending->name = decode(strings + record->filename_bytes, record->name_bytes, record->flags,
			       KB_CODE_NAME_KIND, KB_CODE_NAME_CUT);
	pending->info.first_line = record->first_line;
	pending->info.linetable_kind = layout->linetable_kind;
	pending->info.linetable_bytes = record->lines_bytes;
	pending->lines = malloc(record->lines_bytes ? record->lines_bytes : 1);
	if (!pending->file || !pending->name || !pending->lines) {
		release(pending);
		return;
	}
	if (!record->lines_bytes)
		finish(decoder, pending);
}

void kb_code_decoder__lines(struct kb_code_decoder *decoder, const struct kb_data_lines *record,
			    size_t size)
{
	struct pending *pending = find_pending(decoder, record->proc, record->address);

	/* Chunks come in order from one CPU; one out of order belongs to an object that was
	 * replaced. */
	if (!pending || pending->fingerprint != record->fingerprint ||
	    record->offset != pending->received || size < sizeof(*record) + record->bytes ||
	    record->bytes > pending->info.linetable_bytes - pending->received)
		return;
	memcpy(pending->lines + record->offset, record + 1, record->bytes);
	pending->received += record->bytes;
	if (pending->received == pending->info.linetable_bytes)
		finish(decoder, pending);
}

uint32_t kb_code_decoder__find(struct kb_code_decoder *decoder, uint32_t proc, uint64_t address)
{
	uint32_t code = kb_id_map__get(&decoder->codes, proc, address);
	struct pending *pending;

	if (code == KB_ID_UNREAD)
		return KB_ID_NONE;
	if (code != KB_ID_MAP_NONE)
		return code;
	/* Its line table did not arrive in full: better a name without lines than none. */
	pending = find_pending(decoder, proc, address);
	if (!pending)
		return KB_ID_NONE;
	finish(decoder, pending);
	return kb_id_map__get(&decoder->codes, proc, address);
}
