/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_MODEL_RECORDING_FORMAT_H
#define KB_MODEL_RECORDING_FORMAT_H

#include <stdint.h>

/* What writer and reader share of the format that docs/RECORDING_FORMAT.md describes. */

/* As in PNG: a byte that is no text, both line ends and Ctrl-Z show what a transfer as text did. */
#define KB_RECORDING_MAGIC_BYTES                                                                   \
	{                                                                                          \
		0x89, 'K', 'B', 'R', '\r', '\n', 0x1a, '\n'                                        \
	}
#define KB_RECORDING_BYTE_ORDER 0x01020304u
#define KB_RECORDING_MAJOR	1
#define KB_RECORDING_MINOR	3

/* Everything little-endian. The header keeps this form in every version. */
struct kb_recording_header {
	uint8_t magic[8];
	uint32_t byte_order;
	uint16_t major, minor;
	uint32_t flags; /* none yet */
	uint32_t reserved[2];
	uint32_t crc; /* of the bytes before it */
};
_Static_assert(sizeof(struct kb_recording_header) == 32, "header of recordings");

struct kb_recording_section {
	uint32_t type;
	uint32_t flags;
	uint64_t packed_size; /* bytes that follow: one zstd frame */
	uint64_t raw_size;
	uint32_t sequence; /* 0, 1, 2 … */
	uint32_t packed_crc;
	uint32_t reserved;
	uint32_t crc; /* of the bytes before it */
};
_Static_assert(sizeof(struct kb_recording_section) == 40, "section header of recordings");

#define KB_SECTION_SKIPPABLE 1u /* readers that do not know the type pass over it */

/* Append only. */
#define KB_SECTION_TABLE(X)                                                                        \
	X(META, 1, meta)                                                                           \
	X(STRINGS, 2, strings)                                                                     \
	X(PROCESSES, 3, processes)                                                                 \
	X(THREADS, 4, threads)                                                                     \
	X(FUNCTIONS, 5, functions)                                                                 \
	X(FRAMES, 6, frames)                                                                       \
	X(NODES, 7, nodes)                                                                         \
	X(SAMPLES, 8, samples)                                                                     \
	X(LEDGER, 9, ledger)                                                                       \
	X(END, 10, end)                                                                            \
	X(MODE, 11, mode)                                                                          \
	X(OPCODE_FRAMES, 12, opcode_frames)                                                        \
	X(THREAD_NAMES, 13, thread_names)                                                          \
	X(MOMENTS, 14, moments)

/* Of recordings of call statistics: numbered together with those above. */
#define KB_CALLS_SECTION_TABLE(X)                                                                  \
	X(CALLS_META, 32, calls_meta)                                                              \
	X(CALLS_FUNCTIONS, 33, calls_functions)                                                    \
	X(CALLS_STATS, 34, calls_stats)                                                            \
	X(CALLS_EDGES, 35, calls_edges)                                                            \
	X(CALLS_THREADS, 36, calls_threads)                                                        \
	X(CALLS_PARTS, 37, calls_parts)                                                            \
	X(CALLS_SPREADS, 38, calls_spreads)                                                        \
	X(CALLS_LEDGER, 39, calls_ledger)                                                          \
	X(CALLS_SOURCES, 40, calls_sources)                                                        \
	X(CALLS_CHOSEN, 41, calls_chosen)

/* Of recordings of allocations, beside those of a profile. */
#define KB_MEMORY_SECTION_TABLE(X)                                                                 \
	X(MEMORY, 64, memory)                                                                      \
	X(MEMORY_PROCESSES, 65, memory_processes)                                                  \
	X(MEMORY_ENTRIES, 66, memory_entries)                                                      \
	X(MEMORY_BLOCKS, 67, memory_blocks)

enum kb_section_type {
#define X(symbol, number, name) KB_SECTION_##symbol = (number),
	KB_SECTION_TABLE(X) KB_CALLS_SECTION_TABLE(X) KB_MEMORY_SECTION_TABLE(X)
#undef X
};

/* Flags in the meta section. */
#define KB_META_JITTER	   1u
#define KB_META_INCOMPLETE 2u /* made from a recording that was incomplete */

/* Flags of call statistics: of their meta data, of edges, of entries of their ledger. */
#define KB_CALLS_META_BUILTINS	 1u
#define KB_CALLS_META_INCOMPLETE 2u
#define KB_CALLS_EDGE_COUNT_ONLY 1u
#define KB_CALLS_LEDGER_REPORTED 1u
#define KB_CALLS_LEDGER_NOTE	 2u

/* Writers begin a new section past the first, readers refuse more than the second before they
 * unpack. */
#define KB_SECTION_RAW_TARGET (1u << 20)
#define KB_SECTION_RAW_MAX    (4u << 20)

#endif
