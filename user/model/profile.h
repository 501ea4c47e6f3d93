/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_MODEL_PROFILE_H
#define KB_MODEL_PROFILE_H

#include "bpf/shared/ledger.h"
#include "keelback/profile.h"

/*
 * Building a profile. The collector and the reader of recordings call these;
 * everything else reads through keelback/profile.h. All strings are copied and
 * interned; adding the same thing twice gives the same id. Bounded by
 * KB_PROFILE_NODES_MAX and friends: past a limit the functions return
 * KB_ID_NONE and the caller counts the sample as lost (STACKS_FULL).
 */
#define KB_PROFILE_NODES_MAX   (1u << 24) /* 16 M stack nodes: 8 bytes and a hash entry each */
#define KB_PROFILE_CODES_MAX   (1u << 20)
#define KB_PROFILE_THREADS_MAX (1u << 20)
#define KB_PROFILE_SAMPLES_MAX (1u << 24)
#define KB_PROFILE_MOMENTS_MAX (1u << 24) /* 32 bytes each: 4 hours of one thread at 1 kHz */

struct kb_error *kb_profile__create(const struct kb_profile_meta *meta,
				    struct kb_profile **profile);
/* Replaces the meta data (strings are copied), for what is known only at the end. */
struct kb_error *kb_profile__set_meta(struct kb_profile *profile,
				      const struct kb_profile_meta *meta);

/* By (pid, start_ns); the first one wins except that empty strings are filled in. */
uint32_t kb_profile__add_process(struct kb_profile *profile, const struct kb_process_info *info);
uint32_t kb_profile__add_thread(struct kb_profile *profile, const struct kb_thread_info *info);

/* A code object by content: file, name, first line and line table. The bytes are copied. */
struct kb_code_info {
	enum kb_frame_kind kind;
	const char *file;
	const char *name;
	int32_t first_line;
	uint8_t linetable_kind;	  /* enum kb_linetable_kind */
	const uint8_t *linetable; /* may be NULL: lines unknown */
	uint32_t linetable_bytes;
};
uint32_t kb_profile__add_code(struct kb_profile *profile, const struct kb_code_info *info);

/* The frame of a code id at a code unit (KB_LASTI_*), its line looked up once. lasti is 0 for
 * non-Python kinds. */
uint32_t kb_profile__add_frame(struct kb_profile *profile, uint32_t code, uint32_t lasti);
/* The same place with the instruction that was executing; frame as it is when opcode is "". */
uint32_t kb_profile__add_opcode(struct kb_profile *profile, uint32_t frame, const char *opcode);
/* A frame by function and line, as recordings store it. */
uint32_t kb_profile__add_place(struct kb_profile *profile, const struct kb_function_info *function,
			       int32_t line);
uint32_t kb_profile__add_node(struct kb_profile *profile, uint32_t parent, uint32_t frame);
/* False when a limit was reached or memory ran out. */
bool kb_profile__add_samples(struct kb_profile *profile, uint32_t thread, uint32_t node,
			     uint64_t count);

/* flags: KB_MOMENT_*. False when a limit was reached or memory ran out. */
bool kb_profile__add_moment(struct kb_profile *profile, const struct kb_moment *moment);

uint64_t kb_profile__ledger_get(const struct kb_profile *profile, enum kb_ledger_reason reason);
void kb_profile__ledger_add(struct kb_profile *profile, enum kb_ledger_reason reason,
			    uint64_t count);
/* Where it is not a sum of what was told, but what is so now. */
void kb_profile__ledger_set(struct kb_profile *profile, enum kb_ledger_reason reason,
			    uint64_t count);

#endif
