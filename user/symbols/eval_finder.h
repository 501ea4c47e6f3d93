/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_SYMBOLS_EVAL_FINDER_H
#define KB_SYMBOLS_EVAL_FINDER_H

#include "symbols/eh_frame.h"
#include "symbols/eval_probes.h"

/* What kb_eval_probes__find() is made of: of eval_probes.c and eval_c_calls.c alone. */

struct kb_eval_finder {
	const struct kb_elf_file *elf;
	unsigned int minor;
	uint16_t tstate_frame; /* offset in a thread state */
	uint16_t frame_instr;  /* and in a frame */
	struct kb_eh_frame *frames;
	struct kb_code_map map; /* of the loop */
	uint64_t code_bytes;	/* in it */
	struct kb_eval_probes *out;
};

/* Does the build have code for an instruction? */
bool kb_eval_finder__has_handler(const struct kb_eval_finder *finder, const char *name);

/* A point; one that is there already stays one. NULL: no room. */
struct kb_eval_probe *kb_eval_finder__add(struct kb_eval_finder *finder, enum kb_eval_role role,
					  const struct kb_probe_address *at);

/*
 * A point in the code of an instruction, before which the registers `intact` are not written. NULL:
 * there is no such code, or no place in it.
 */
struct kb_eval_probe *kb_eval_finder__add_handler(struct kb_eval_finder *finder,
						  enum kb_eval_role role, const char *name,
						  kb_register_set intact);

/* Where the loop has its stack pointer and the instruction's argument; in 3.11 and later also the
 * frame and the instruction. Left as they are when they are not found for certain. */
void kb_eval_finder__find_registers(struct kb_eval_finder *finder);
void kb_eval_finder__find_frame(struct kb_eval_finder *finder);

/* The points where C functions are called. */
void kb_eval_finder__add_c_calls(struct kb_eval_finder *finder);

#endif
