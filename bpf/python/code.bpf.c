// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

/*
 * Code objects are named when they are first seen, because the process may be
 * gone a moment later. A record carries the raw strings and the line table; user
 * space decodes them.
 *
 * An address is not an identity: a code object may be freed and another one
 * take its place. So each known address has a fingerprint, a hash over the
 * immutable part of the object (its counts, flags and pointers to its names and
 * tables). It is compared for every stack that is new, and for a frame of every
 * few samples of known stacks.
 */
#include "common/maps.bpf.h"
#include "python/code.bpf.h"
#include "python/string.bpf.h"
#include "python/walk.bpf.h"

#define CODES_MAX	   65536 /* known code objects; forgotten ones are sent again */
#define FINGERPRINT_FACTOR 0xD6E8FEB86659FD93ULL

struct code_key {
	kb_u64 address;
	kb_u32 proc;
	kb_u32 reserved;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, CODES_MAX);
	__type(key, struct code_key);
	__type(value, kb_u64); /* fingerprint */
} codes SEC(".maps");

/* What is sent; the strings stand one behind the other. */
struct code_scratch {
	struct kb_data_code record;
	kb_u8 strings[KB_FILENAME_MAX + KB_QUALNAME_MAX];
	kb_u8 object[KB_CODE_SPAN];
	kb_u8 unicode[KB_UNICODE_SPAN];
	struct kb_string string; /* here, because the stack of those who call this is nearly full */
	struct kb_data_lines lines;
	kb_u8 chunk[KB_LINES_CHUNK];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, kb_u32);
	__type(value, struct code_scratch);
} code_scratch SEC(".maps");

static volatile kb_u64 unknown_zero; /* see walk.bpf.c */

static __always_inline kb_u64 object_field(struct code_scratch *s, kb_u64 offset)
{
	KB_OPAQUE(offset);
	return *(kb_u64 *)(s->object + (offset & (KB_CODE_SPAN - 8)));
}

static __always_inline kb_u64 fold(kb_u64 hash, kb_u64 word)
{
	hash = (hash ^ word) * FINGERPRINT_FACTOR;
	return hash ^ (hash >> 32);
}

/*
 * Over what names the object and where its tables are, and over the 32 bytes
 * of counts and flags around the first line. 3.11's co_warmup is in there and
 * counts up for the first calls: that costs a second record, no wrong name.
 */
static __always_inline kb_u64 fingerprint(struct code_scratch *s, const struct kb_layout *layout)
{
	kb_u64 hash = object_field(s, 16), at = layout->code_firstlineno & ~7u;

	hash = fold(hash, object_field(s, layout->code_filename & ~7u));
	hash = fold(hash, object_field(s, layout->code_name & ~7u));
	hash = fold(hash, object_field(s, layout->code_linetable & ~7u));
	hash = fold(hash, object_field(s, at));
	hash = fold(hash, object_field(s, at - 8));
	hash = fold(hash, object_field(s, at + 8));
	return hash;
}

/*
 * Copies a string's characters as they are stored behind those of the one
 * before. Returns its share of the record's flags; *used grows.
 */
static __always_inline kb_u32 read_string(struct code_scratch *s, const struct kb_layout *layout,
					  kb_u64 string, kb_u64 *used, kb_u64 max, kb_u32 shift,
					  kb_u32 ascii_flag, kb_u32 cut_flag)
{
	struct kb_string *at = &s->string;
	kb_u64 start = *used, bytes;
	kb_u32 flags;

	/* No more than the header: a short string may lie at the end of what is in memory. */
	bytes = layout->unicode_ascii_data;
	KB_OPAQUE(bytes);
	if (!string || bytes > KB_UNICODE_SPAN || kb_read_user(s->unicode, bytes, string) ||
	    !kb_string_parse(s->unicode, layout, string, max, at))
		return KB_CODE_INCOMPLETE;
	flags = at->width << shift;
	if (at->ascii)
		flags |= ascii_flag;
	if (at->cut)
		flags |= cut_flag;
	bytes = at->bytes;
	KB_OPAQUE(start);
	KB_OPAQUE(bytes);
	if (start > KB_FILENAME_MAX || bytes > max)
		return KB_CODE_INCOMPLETE;
	if (bytes && kb_read_user(s->strings + start, bytes, at->source))
		return KB_CODE_INCOMPLETE;
	*used = start + bytes;
	return flags;
}

/* Sends the line table in chunks. Chunks that do not fit are missing in user space: lines unknown.
 */
static __noinline int send_lines(struct code_scratch *s, kb_u64 source)
{
	kb_u64 total = s->record.lines_bytes, offset = unknown_zero, size;
	int status = 0;

	s->lines.kind = KB_DATA_LINES;
	s->lines.proc = s->record.proc;
	s->lines.address = s->record.address;
	s->lines.fingerprint = s->record.fingerprint;
	for (int step = 0; step < KB_LINES_CHUNKS; step++) {
		if (offset >= total)
			break;
		size = total - offset;
		if (size > KB_LINES_CHUNK)
			size = KB_LINES_CHUNK;
		KB_OPAQUE(size);
		/* Not in memory: lines unknown, and no reason to lose the stack. */
		if (size > KB_LINES_CHUNK || kb_read_user(s->chunk, size, source + offset))
			break;
		s->lines.offset = offset;
		s->lines.bytes = size;
		size += sizeof(s->lines);
		if (bpf_ringbuf_output(&data, &s->lines, size, BPF_RB_NO_WAKEUP)) {
			status = -1;
			break;
		}
		offset += KB_LINES_CHUNK;
	}
	return status;
}

/* Sends the code object in the scratch. */
static __always_inline int send_code(struct code_scratch *s, const struct kb_proc *proc,
				     const struct kb_layout *layout, kb_u64 address, kb_u64 print)
{
	kb_u64 used = 0, table, table_bytes = 0, size, at;
	kb_u32 flags;

	flags = read_string(s, layout, object_field(s, layout->code_filename), &used,
			    KB_FILENAME_MAX, KB_CODE_FILENAME_KIND, KB_CODE_FILENAME_ASCII,
			    KB_CODE_FILENAME_CUT);
	s->record.filename_bytes = used;
	flags |= read_string(s, layout, object_field(s, layout->code_name), &used, KB_QUALNAME_MAX,
			     KB_CODE_NAME_KIND, KB_CODE_NAME_ASCII, KB_CODE_NAME_CUT);
	s->record.name_bytes = used - s->record.filename_bytes;
	table = object_field(s, layout->code_linetable);
	if (kb_read_user(&table_bytes, 8, table + layout->bytes_size))
		flags |= KB_CODE_INCOMPLETE;
	if (table_bytes > KB_LINES_CHUNK * KB_LINES_CHUNKS)
		table_bytes = 0;
	at = layout->code_firstlineno;
	KB_OPAQUE(at);
	s->record.kind = KB_DATA_CODE;
	s->record.proc = proc->id;
	s->record.address = address;
	s->record.fingerprint = print;
	s->record.flags = flags;
	s->record.first_line = *(kb_s32 *)(s->object + (at & (KB_CODE_SPAN - 4)));
	s->record.lines_bytes = table_bytes;
	s->record.layout = proc->layout;
	size = sizeof(s->record) + used;
	KB_OPAQUE(size);
	if (size > sizeof(s->record) + sizeof(s->strings) ||
	    bpf_ringbuf_output(&data, &s->record, size, BPF_RB_NO_WAKEUP))
		return -1;
	return send_lines(s, table + layout->bytes_data);
}

#define NO_CODE	   0 /* these are no fingerprints: those have their lowest bit set */
#define UNREADABLE 2

/* Reads the object into the scratch and returns its fingerprint, NO_CODE or UNREADABLE. */
static __always_inline kb_u64 load_code(struct code_scratch *s, const struct kb_proc *proc,
					const struct kb_layout *layout, kb_u64 address)
{
	kb_u64 size = layout->code_size;

	/* No more than the fixed part: the object may lie at the end of what is in memory. */
	KB_OPAQUE(size);
	if (size > KB_CODE_SPAN || kb_read_user(s->object, size, address))
		return UNREADABLE;
	if (object_field(s, layout->object_type) != proc->code_type)
		return NO_CODE;
	return fingerprint(s, layout) | 1;
}

/* Has user space read what is not in memory, before the process is gone. Once for each object. */
static __noinline int request_code(kb_u64 address, kb_u32 proc)
{
	struct code_key key = { .address = address, .proc = proc };
	struct kb_notice notice = { .kind = KB_NOTICE_CODE,
				    .tgid = bpf_get_current_pid_tgid() >> 32,
				    .code = address,
				    .proc = proc };
	kb_u64 mark = UNREADABLE;

	bpf_map_update_elem(&codes, &key, &mark, BPF_ANY);
	kb_notify(&notice);
	return 0;
}

__noinline int kb_code_seen(const struct kb_proc *proc, const struct kb_layout *layout,
			    kb_u64 address)
{
	struct code_key key = { .address = address };
	kb_u64 *known, print;
	struct code_scratch *s;
	kb_u32 zero = 0;

	s = bpf_map_lookup_elem(&code_scratch, &zero);
	/* No object lies in the first page: a frame that is being set up holds NULL. */
	if (!proc || !layout || !s || address < KB_PAGE_SIZE)
		return KB_CODE_NOT_CODE;
	print = load_code(s, proc, layout, address);
	if (print == NO_CODE)
		return KB_CODE_NOT_CODE;
	key.proc = proc->id;
	known = bpf_map_lookup_elem(&codes, &key);
	if (known && (*known == print || print == UNREADABLE))
		return KB_CODE_OK;
	if (print == UNREADABLE) {
		request_code(address, key.proc);
		return KB_CODE_OK;
	}
	if (send_code(s, proc, layout, address, print))
		return KB_CODE_RING_FULL;
	bpf_map_update_elem(&codes, &key, &print, BPF_ANY);
	if (s->record.flags & KB_CODE_INCOMPLETE)
		request_code(address, key.proc);
	return KB_CODE_OK;
}

__noinline int kb_code_unchanged(const struct kb_proc *proc, const struct kb_layout *layout,
				 kb_u64 address)
{
	struct code_key key = { .address = address };
	struct code_scratch *s;
	kb_u64 *known, print;
	kb_u32 zero = 0;

	s = bpf_map_lookup_elem(&code_scratch, &zero);
	if (!proc || !layout || !s)
		return 0;
	key.proc = proc->id;
	known = bpf_map_lookup_elem(&codes, &key);
	print = load_code(s, proc, layout, address);
	return !known || *known == UNREADABLE || print == UNREADABLE || *known == print;
}
