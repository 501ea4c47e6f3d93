// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * _Py_DebugOffsets is a row of 8-byte words. Each minor version inserts new ones
 * in the middle, so that the place of a word is known only for versions whose
 * header was looked at; within a minor version it does not change after the first
 * release candidate. The places below are word numbers from the start of the
 * table, taken from Include/internal/pycore_runtime.h (3.13.0) and
 * Include/internal/pycore_debug_offsets.h (3.14.10, 3.15.2).
 */
#include <string.h>
#include "base/error.h"
#include "python/debug_offsets.h"
#include "python/layout.h"

#define WORD_COOKIE	   0 /* "xdebugpy" */
#define WORD_VERSION	   1 /* PY_VERSION_HEX */
#define WORD_FREE_THREADED 2

/* Structures are some 10 kB (interpreters 150 kB, the runtime 350 kB): more is damage. */
#define STRUCTURE_BYTES_MAX (16u << 20)

/* current_exception, exc_info, then dict, gilstate_counter and async_exc lie before thread_id:
 * Include/cpython/pystate.h, 3.13 to 3.15. */
#define EXC_INFO_BEFORE_THREAD_ID 32
#define RAISED_BEFORE_THREAD_ID	  40

/* Word numbers; 0 where a version has no such word. */
struct places {
	uint8_t runtime_size, interpreters_head;
	uint8_t interp_size, interp_id, interp_next, threads_head, gc, ceval_gil;
	uint8_t tstate_size, tstate_next, tstate_interp, current_frame, thread_id;
	uint8_t native_thread_id, holds_gil, base_frame;
	uint8_t frame_size, previous, executable, instr_ptr, owner, tlbc_index;
	uint8_t code_size, filename, qualname, linetable, firstlineno, co_code_adaptive, co_tlbc;
	uint8_t object_size, ob_type;
	uint8_t bytes_size, ob_size, ob_sval;
	uint8_t unicode_size, state, length, ascii_size;
	uint8_t gc_size, collecting, gc_frame;
};

static const struct places versions[] = {
	[13] = { .runtime_size = 3,
		 .interpreters_head = 5,
		 .interp_size = 6,
		 .interp_id = 7,
		 .interp_next = 8,
		 .threads_head = 9,
		 .gc = 10,
		 .ceval_gil = 14,
		 .tstate_size = 19,
		 .tstate_next = 21,
		 .tstate_interp = 22,
		 .current_frame = 23,
		 .thread_id = 24,
		 .native_thread_id = 25,
		 .frame_size = 28,
		 .previous = 29,
		 .executable = 30,
		 .instr_ptr = 31,
		 .owner = 33,
		 .code_size = 34,
		 .filename = 35,
		 .qualname = 37,
		 .linetable = 38,
		 .firstlineno = 39,
		 .co_code_adaptive = 43,
		 .object_size = 44,
		 .ob_type = 45,
		 .bytes_size = 64,
		 .ob_size = 65,
		 .ob_sval = 66,
		 .unicode_size = 67,
		 .state = 68,
		 .length = 69,
		 .ascii_size = 70,
		 .gc_size = 71,
		 .collecting = 72 },
	[14] = { .runtime_size = 3,
		 .interpreters_head = 5,
		 .interp_size = 6,
		 .interp_id = 7,
		 .interp_next = 8,
		 .threads_head = 9,
		 .gc = 11,
		 .ceval_gil = 15,
		 .tstate_size = 22,
		 .tstate_next = 24,
		 .tstate_interp = 25,
		 .current_frame = 26,
		 .thread_id = 27,
		 .native_thread_id = 28,
		 .frame_size = 31,
		 .previous = 32,
		 .executable = 33,
		 .instr_ptr = 34,
		 .owner = 36,
		 .tlbc_index = 38,
		 .code_size = 39,
		 .filename = 40,
		 .qualname = 42,
		 .linetable = 43,
		 .firstlineno = 44,
		 .co_code_adaptive = 48,
		 .co_tlbc = 49,
		 .object_size = 50,
		 .ob_type = 51,
		 .bytes_size = 74,
		 .ob_size = 75,
		 .ob_sval = 76,
		 .unicode_size = 77,
		 .state = 78,
		 .length = 79,
		 .ascii_size = 80,
		 .gc_size = 81,
		 .collecting = 82 },
	[15] = { .runtime_size = 3,
		 .interpreters_head = 5,
		 .interp_size = 6,
		 .interp_id = 7,
		 .interp_next = 8,
		 .threads_head = 9,
		 .gc = 11,
		 .ceval_gil = 15,
		 .tstate_size = 22,
		 .tstate_next = 24,
		 .tstate_interp = 25,
		 .current_frame = 26,
		 .base_frame = 27,
		 .thread_id = 30,
		 .native_thread_id = 31,
		 .holds_gil = 34,
		 .frame_size = 39,
		 .previous = 40,
		 .executable = 41,
		 .instr_ptr = 42,
		 .owner = 44,
		 .tlbc_index = 46,
		 .code_size = 47,
		 .filename = 48,
		 .qualname = 50,
		 .linetable = 51,
		 .firstlineno = 52,
		 .co_code_adaptive = 56,
		 .co_tlbc = 57,
		 .object_size = 58,
		 .ob_type = 59,
		 .bytes_size = 86,
		 .ob_size = 87,
		 .ob_sval = 88,
		 .unicode_size = 89,
		 .state = 90,
		 .length = 91,
		 .ascii_size = 92,
		 .gc_size = 94,
		 .collecting = 95,
		 .gc_frame = 96 },
};
#define N_VERSIONS (sizeof(versions) / sizeof(versions[0]))

struct reading {
	const uint64_t *words;
	bool bad; /* an offset does not fit its structure */
};

/* The offset in word `at`, checked to leave `bytes` up to the end of the structure whose size word
 * `size_at` holds. */
static uint32_t offset(struct reading *reading, uint8_t size_at, uint8_t at, uint32_t bytes)
{
	uint64_t size = reading->words[size_at], value = reading->words[at];

	if (!at)
		return KB_NO_OFFSET;
	if (size > STRUCTURE_BYTES_MAX || value > size || size - value < bytes) {
		reading->bad = true;
		return 0;
	}
	return (uint32_t)value;
}

/* The same for fields of 16 bits. */
static uint16_t small(struct reading *reading, uint8_t size_at, uint8_t at, uint32_t bytes)
{
	uint32_t value = offset(reading, size_at, at, bytes);

	if (at && value >= KB_NO_OFFSET)
		reading->bad = true;
	return (uint16_t)value;
}

static void read_states(struct reading *in, const struct places *p, struct kb_layout *out)
{
	out->runtime_interpreters_head = offset(in, p->runtime_size, p->interpreters_head, 8);
	out->interp_id = offset(in, p->interp_size, p->interp_id, 8);
	out->interp_next = offset(in, p->interp_size, p->interp_next, 8);
	out->interp_threads_head = offset(in, p->interp_size, p->threads_head, 8);
	out->interp_gil = offset(in, p->interp_size, p->ceval_gil, 8);
	out->interp_gc_collecting =
		offset(in, p->interp_size, p->gc, 8) + offset(in, p->gc_size, p->collecting, 4);
	if (p->gc_frame)
		out->interp_gc_frame = offset(in, p->interp_size, p->gc, 8) +
				       offset(in, p->gc_size, p->gc_frame, 8);
	out->tstate_next = small(in, p->tstate_size, p->tstate_next, 8);
	out->tstate_interp = small(in, p->tstate_size, p->tstate_interp, 8);
	out->tstate_frame = small(in, p->tstate_size, p->current_frame, 8);
	if (p->base_frame &&
	    small(in, p->tstate_size, p->base_frame, 8) == out->tstate_frame + sizeof(uint64_t))
		out->flags |= KB_LAYOUT_BASE_FRAME;
	out->tstate_thread_id = small(in, p->tstate_size, p->thread_id, 8);
	out->tstate_native_thread_id = small(in, p->tstate_size, p->native_thread_id, 8);
	out->tstate_holds_gil = small(in, p->tstate_size, p->holds_gil, 4);
	if (out->tstate_thread_id >= RAISED_BEFORE_THREAD_ID) {
		out->tstate_exc_info = out->tstate_thread_id - EXC_INFO_BEFORE_THREAD_ID;
		out->tstate_raised = out->tstate_thread_id - RAISED_BEFORE_THREAD_ID;
	}
}

static void read_objects(struct reading *in, const struct places *p, struct kb_layout *out)
{
	out->frame_previous = small(in, p->frame_size, p->previous, 8);
	out->frame_code = small(in, p->frame_size, p->executable, 8);
	out->frame_instr = small(in, p->frame_size, p->instr_ptr, 8);
	out->frame_owner = small(in, p->frame_size, p->owner, 1);
	out->code_filename = small(in, p->code_size, p->filename, 8);
	out->code_name = small(in, p->code_size, p->qualname, 8);
	out->code_linetable = small(in, p->code_size, p->linetable, 8);
	out->code_firstlineno = small(in, p->code_size, p->firstlineno, 4);
	out->code_instructions = small(in, p->code_size, p->co_code_adaptive, 0);
	out->object_type = small(in, p->object_size, p->ob_type, 8);
	out->bytes_size = small(in, p->bytes_size, p->ob_size, 8);
	out->bytes_data = small(in, p->bytes_size, p->ob_sval, 0);
	out->unicode_length = small(in, p->unicode_size, p->length, 8);
	out->unicode_state = small(in, p->unicode_size, p->state, 4);
	out->unicode_ascii_data = small(in, p->unicode_size, p->ascii_size, 0);
	/* PyCompactUnicodeObject adds utf8_length and utf8; a word of the table holds it only
	 * in 3.15. */
	out->unicode_compact_data = out->unicode_ascii_data + 16;
	if (out->flags & KB_LAYOUT_FREE_THREADED) {
		out->frame_tlbc_index = small(in, p->frame_size, p->tlbc_index, 4);
		out->code_tlbc = small(in, p->code_size, p->co_tlbc, 8);
	}
}

struct kb_error *kb_debug_offsets__parse(const uint64_t words[KB_DEBUG_OFFSETS_WORDS],
					 bool *present, uint32_t *version_hex,
					 struct kb_layout *layout)
{
	struct reading reading = { .words = words };
	struct kb_layout made;
	unsigned int major, minor;

	if (memcmp(&words[WORD_COOKIE], "xdebugpy", 8)) {
		*present = false;
		return NULL;
	}
	major = words[WORD_VERSION] >> 24;
	minor = words[WORD_VERSION] >> 16 & 0xff;
	if (words[WORD_VERSION] > UINT32_MAX || major != 3 || minor >= N_VERSIONS ||
	    !versions[minor].runtime_size)
		return kb_unsupported("Python %u.%u is not supported (3.%u to 3.%u are)", major,
				      minor, KB_PYTHON_MINOR_MIN, KB_PYTHON_MINOR_MAX);
	kb_layout__init(&made, minor);
	if (words[WORD_FREE_THREADED])
		made.flags |= KB_LAYOUT_FREE_THREADED;
	read_states(&reading, &versions[minor], &made);
	read_objects(&reading, &versions[minor], &made);
	if (reading.bad)
		return kb_unsupported("the _Py_DebugOffsets of this Python 3.%u are damaged",
				      minor);
	*present = true;
	*version_hex = (uint32_t)words[WORD_VERSION];
	*layout = made;
	return NULL;
}
