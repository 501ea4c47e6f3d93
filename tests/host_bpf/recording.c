// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

/* The functions of recording.h, for inclusion: see there. */
#include <errno.h>
#include <glob.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>
#include "base/error.h"
#include "host_bpf/recording.h"
#include "python/layout.h"

#define RECORDING_MAGIC "keelback-memory 1"
#define RECORDING_LEVEL 19 /* of zstd: files are made once and stored for ever */

struct recorded_field {
	const char *name;
	uint16_t at, bytes;
};

#define FIELD(type, field)                                                                         \
	{                                                                                          \
#field, offsetof(struct type, field), sizeof(((struct type *)0)->field)            \
	}
#define L(field) FIELD(kb_layout, field)
#define P(field) FIELD(kb_proc, field)

static const struct recorded_field recorded_layout[] = {
	L(runtime_interpreters_head),
	L(runtime_tstate_current),
	L(runtime_tss_key),
	L(interp_next),
	L(interp_threads_head),
	L(tstate_next),
	L(tstate_interp),
	L(tstate_thread_id),
	L(tstate_native_thread_id),
	L(tstate_frame),
	L(cframe_current_frame),
	L(frame_previous),
	L(frame_code),
	L(frame_instr),
	L(frame_owner),
	L(frame_size),
	L(code_instructions),
	L(code_filename),
	L(code_name),
	L(code_firstlineno),
	L(code_linetable),
	L(code_size),
	L(object_type),
	L(unicode_length),
	L(unicode_state),
	L(unicode_ascii_data),
	L(unicode_compact_data),
	L(bytes_size),
	L(bytes_data),
	L(unicode_kind_shift),
	L(lasti_kind),
	L(linetable_kind),
	L(skip_owner),
	L(version_minor),
	L(flags),
	L(tstate_exc_info),
	L(tstate_raised),
	L(tstate_holds_gil),
	L(gil_bytes),
	L(runtime_gil),
	L(interp_gil),
	L(runtime_gc_collecting),
	L(interp_gc_collecting),
	L(frame_tlbc_index),
	L(code_tlbc),
	L(frame_is_entry),
	L(interp_id),
	L(interp_gc_frame),
	L(code_bytes),
	L(extended_arg),
};

static const struct recorded_field recorded_proc[] = {
	P(runtime),
	P(code_type),
	P(interp_head),
	P(tstate_current),
	P(tss_key),
	P(none),
	P(gil),
	P(gil_holder),
	P(gc_collecting),
	P(tstate_tls.offset),
	P(tstate_tls.module),
	P(tstate_tls.block_offset),
	P(tstate_tls.got),
	P(tstate_tls.kind),
	P(tstate_tls.displacement),
	P(gilstate_tls.offset),
	P(gilstate_tls.module),
	P(gilstate_tls.block_offset),
	P(gilstate_tls.got),
	P(gilstate_tls.kind),
	P(gilstate_tls.displacement),
	P(id),
	P(state),
};

#undef L
#undef P
#undef FIELD
#define COUNT(array) (sizeof(array) / sizeof(*(array)))

void recording__init(struct recording *recording)
{
	memset(recording, 0, sizeof(*recording));
	kb_layout__init(&recording->layout, 0);
}

void recording__free(struct recording *recording)
{
	free(recording->pages);
	memset(recording, 0, sizeof(*recording));
}

/* ---------------------------------------------------------------- pages */

/* Index of the first page whose address is not below. */
static unsigned page_index(const struct recording *recording, uint64_t address)
{
	unsigned low = 0, high = recording->n_pages;

	while (low < high) {
		unsigned middle = (low + high) / 2;

		if (recording->pages[middle].address < address)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct recorded_page *recording__page(const struct recording *recording, uint64_t address)
{
	uint64_t start = address & ~(uint64_t)(RECORDING_PAGE - 1);
	unsigned i = page_index(recording, start);

	if (i < recording->n_pages && recording->pages[i].address == start)
		return &recording->pages[i];
	return NULL;
}

/* Room for one more. */
static bool grow(struct recording *recording)
{
	unsigned room = recording->room ? 2 * recording->room : 64;
	struct recorded_page *pages;

	if (recording->n_pages < recording->room)
		return true;
	if (room > RECORDING_PAGES_MAX)
		return false;
	pages = realloc(recording->pages, room * sizeof(*pages));
	if (!pages)
		return false;
	recording->pages = pages;
	recording->room = room;
	return true;
}

struct recorded_page *recording__add_page(struct recording *recording, uint64_t address)
{
	uint64_t start = address & ~(uint64_t)(RECORDING_PAGE - 1);
	unsigned i = page_index(recording, start);
	struct recorded_page *page;

	if (!grow(recording))
		return NULL;
	page = &recording->pages[i];
	memmove(page + 1, page, (recording->n_pages - i) * sizeof(*page));
	memset(page, 0, sizeof(*page));
	page->address = start;
	recording->n_pages++;
	return page;
}

bool recording__read(unsigned long long address, void *to, unsigned long long size, void *context)
{
	struct recording *recording = context;
	uint8_t *out = to;

	while (size) {
		struct recorded_page *page = recording__page(recording, address);
		uint64_t offset = address & (RECORDING_PAGE - 1), n = RECORDING_PAGE - offset;

		if (!page || page->missing)
			return false;
		if (n > size)
			n = size;
		memcpy(out, page->bytes + offset, n);
		out += n;
		address += n;
		size -= n;
	}
	return true;
}

/* ---------------------------------------------------------------- header */

static struct kb_error *set_field(const struct recorded_field *fields, size_t n, void *to,
				  const char *text)
{
	char name[64], number[32];
	uint64_t value;

	if (sscanf(text, "%63s %31s", name, number) != 2)
		return kb_failed("no field and value: %s", text);
	value = strtoull(number, NULL, 0);
	for (size_t i = 0; i < n; i++) {
		/* Both ends are little-endian processors. */
		if (!strcmp(fields[i].name, name)) {
			memcpy((char *)to + fields[i].at, &value, fields[i].bytes);
			return NULL;
		}
	}
	return kb_failed("unknown field %s", name);
}

static struct kb_error *add_thread(struct recording *recording, const char *text)
{
	struct recorded_thread *thread = &recording->threads[recording->n_threads];

	if (recording->n_threads == RECORDING_THREADS_MAX)
		return kb_failed("more than %d threads", RECORDING_THREADS_MAX);
	if (sscanf(text, "%31s %" SCNu32 " %" SCNx64, thread->name, &thread->tid, &thread->tp) < 2)
		return kb_failed("no thread: %s", text);
	recording->n_threads++;
	return NULL;
}

static struct kb_error *add_frame(struct recording *recording, const char *text, bool outer)
{
	struct recorded_thread *thread = &recording->threads[recording->n_threads - 1];
	unsigned *n = outer ? &thread->n_outer : &thread->n_frames;

	if (!recording->n_threads || *n == RECORDING_FRAMES_MAX ||
	    strlen(text) >= RECORDING_FRAME_LENGTH)
		return kb_failed("frame out of place: %s", text);
	strcpy(outer ? thread->outer[*n] : thread->frames[*n], text);
	++*n;
	return NULL;
}

struct kb_error *recording__take_line(struct recording *recording, char *line)
{
	char *value = strchr(line, ' ');

	if (!value)
		return kb_failed("not a line of a recording: %s", line);
	*value++ = '\0';
	if (!strcmp(line, "layout"))
		return set_field(recorded_layout, COUNT(recorded_layout), &recording->layout,
				 value);
	if (!strcmp(line, "proc"))
		return set_field(recorded_proc, COUNT(recorded_proc), &recording->proc, value);
	if (!strcmp(line, "thread"))
		return add_thread(recording, value);
	if (!strcmp(line, "frame") || !strcmp(line, "outer"))
		return add_frame(recording, value, *line == 'o');
	if (!strcmp(line, "interpreter") &&
	    sscanf(value, "%63s %63s", recording->interpreter, recording->version) == 2)
		return NULL;
	return kb_failed("unknown line: %s %s", line, value);
}

static void write_fields(FILE *out, const char *kind, const struct recorded_field *fields, size_t n,
			 const void *from, bool hexadecimal)
{
	for (size_t i = 0; i < n; i++) {
		uint64_t value = 0;

		memcpy(&value, (const char *)from + fields[i].at, fields[i].bytes);
		fprintf(out, hexadecimal ? "%s %s 0x%" PRIx64 "\n" : "%s %s %" PRIu64 "\n", kind,
			fields[i].name, value);
	}
}

static void write_header(FILE *out, const struct recording *recording)
{
	fprintf(out, RECORDING_MAGIC "\ninterpreter %s %s\n", recording->interpreter,
		recording->version);
	write_fields(out, "layout", recorded_layout, COUNT(recorded_layout), &recording->layout,
		     false);
	write_fields(out, "proc", recorded_proc, COUNT(recorded_proc), &recording->proc, true);
	for (unsigned i = 0; i < recording->n_threads; i++) {
		const struct recorded_thread *thread = &recording->threads[i];

		fprintf(out, "thread %s %" PRIu32 " %" PRIx64 "\n", thread->name, thread->tid,
			thread->tp);
		for (unsigned j = 0; j < thread->n_frames; j++)
			fprintf(out, "frame %s\n", thread->frames[j]);
		for (unsigned j = 0; j < thread->n_outer; j++)
			fprintf(out, "outer %s\n", thread->outer[j]);
	}
	fprintf(out, "pages %u\n", recording->n_pages);
}

/* ---------------------------------------------------------------- files */

struct kb_error *recording__save(const char *path, const struct recording *recording)
{
	char *plain = NULL, *packed = NULL;
	size_t size = 0, packed_size = 0;
	FILE *memory = open_memstream(&plain, &size), *file;
	bool written = false;

	if (!memory)
		return kb_error__no_memory();
	write_header(memory, recording);
	for (unsigned i = 0; i < recording->n_pages; i++) {
		fwrite(&recording->pages[i].address, 8, 1, memory);
		fwrite(recording->pages[i].bytes, RECORDING_PAGE, 1, memory);
	}
	fclose(memory);
	if (plain)
		packed = malloc(ZSTD_compressBound(size));
	if (packed)
		packed_size = ZSTD_compress(packed, ZSTD_compressBound(size), plain, size,
					    RECORDING_LEVEL);
	file = fopen(path, "wb");
	if (packed && file && !ZSTD_isError(packed_size))
		written = fwrite(packed, packed_size, 1, file) == 1;
	if (file && fclose(file))
		written = false;
	free(plain);
	free(packed);
	return written ? NULL : kb_error__from_errno(errno, KB_STATUS_FAILED, "%s", path);
}

/* Uncompressed contents, with a 0 byte after them. */
static struct kb_error *read_whole(const char *path, char **text, size_t *size)
{
	FILE *file = fopen(path, "rb");
	char *packed = malloc(RECORDING_BYTES_MAX), *plain = malloc(RECORDING_BYTES_MAX + 1);
	size_t n = 0, plain_size;

	if (file && packed)
		n = fread(packed, 1, RECORDING_BYTES_MAX, file);
	if (file)
		fclose(file);
	plain_size =
		n && plain ? ZSTD_decompress(plain, RECORDING_BYTES_MAX, packed, n) : (size_t)-1;
	free(packed);
	if (ZSTD_isError(plain_size)) {
		free(plain);
		return kb_failed("%s: not a recording", path);
	}
	plain[plain_size] = '\0';
	*text = plain;
	*size = plain_size;
	return NULL;
}

static struct kb_error *parse(struct recording *recording, char *text, size_t size)
{
	char *line = text, *end;
	bool first = true;
	unsigned n = 0;

	while ((end = strchr(line, '\n'))) {
		*end = '\0';
		if (first != !strcmp(line, RECORDING_MAGIC))
			return kb_failed("not a recording of version 1");
		if (sscanf(line, "pages %u", &n) == 1)
			break;
		if (!first)
			KB_TRY(recording__take_line(recording, line));
		first = false;
		line = end + 1;
	}
	if (!end || n > RECORDING_PAGES_MAX ||
	    text + size - (end + 1) != (ptrdiff_t)n * (8 + RECORDING_PAGE))
		return kb_failed("pages are missing");
	recording->pages = calloc(n + 1, sizeof(*recording->pages));
	if (!recording->pages)
		return kb_error__no_memory();
	recording->n_pages = n;
	recording->room = n + 1;
	for (unsigned i = 0; i < n; i++) {
		const char *page = end + 1 + (size_t)i * (8 + RECORDING_PAGE);

		memcpy(&recording->pages[i].address, page, 8);
		memcpy(recording->pages[i].bytes, page + 8, RECORDING_PAGE);
	}
	return NULL;
}

struct kb_error *recording__load(const char *path, struct recording *recording)
{
	struct kb_error *err;
	char *text = NULL;
	size_t size = 0;

	recording__init(recording);
	KB_TRY(read_whole(path, &text, &size));
	err = parse(recording, text, size);
	free(text);
	if (err)
		recording__free(recording);
	return kb_error__prefix(err, "%s", path);
}

struct kb_error *recording__load_all(const char *directory, struct recording **recordings,
				     unsigned *n)
{
	struct kb_error *err = NULL;
	char pattern[256];
	glob_t found;

	snprintf(pattern, sizeof(pattern), "%s/*.kbmem.zst", directory);
	if (glob(pattern, 0, NULL, &found))
		return kb_failed("no recordings in %s", directory);
	*recordings = calloc(found.gl_pathc, sizeof(**recordings));
	for (*n = 0; *recordings && !err && *n < found.gl_pathc; ++*n)
		err = recording__load(found.gl_pathv[*n], &(*recordings)[*n]);
	globfree(&found);
	return *recordings ? err : kb_error__no_memory();
}
