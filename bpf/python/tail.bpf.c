// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "python/tail.bpf.h"

#define INTERPRETER_ID_MAX 0xfffULL /* what a word has room for; larger ones are shown as it */

/*
 * Ids are not in the thread state, but interpreters stay where they are: reading the main one's
 * once is enough.
 */
static __always_inline void append_interpreter(struct kb_walk *walk, struct kb_proc *proc,
					       const struct kb_layout *layout)
{
	kb_u64 interp = kb_tstate_field(walk, layout->tstate_interp), id = 0;

	if (interp == proc->main_interp || layout->interp_id == KB_NO_OFFSET ||
	    kb_read_user(&id, sizeof(id), interp + layout->interp_id))
		return;
	if (!id) {
		proc->main_interp = interp;
		return;
	}
	if (id > INTERPRETER_ID_MAX)
		id = INTERPRETER_ID_MAX;
	kb_walk_append(walk, KB_WORD(KB_WORD_INTERPRETER, id));
}

/* Address of the instruction that a frame is at; 0: not known. */
static __always_inline kb_u64 instruction_of(struct kb_walk *walk, const struct kb_layout *layout,
					     kb_u64 word)
{
	kb_u64 at = 0;

	/* Each thread runs its own copy of the bytecode (3.14+), which the frame points into. */
	if (layout->flags & KB_LAYOUT_FREE_THREADED) {
		kb_read_user(&at, sizeof(at), walk->frame + layout->frame_instr);
		return at;
	}
	if (KB_FRAME_LASTI(word) >= KB_LASTI_START)
		return 0;
	if (layout->lasti_kind == KB_LASTI_POINTER)
		at = KB_FRAME_CODE(word) + layout->code_instructions;
	else if (!kb_read_user(&at, sizeof(at), KB_FRAME_CODE(word) + layout->code_bytes))
		at += layout->bytes_data;
	return at ? at + 2 * (kb_u64)KB_FRAME_LASTI(word) : 0;
}

#define EXTENDED_ARGS_MAX 3 /* prefixes of one instruction: its argument has 32 bits */

/*
 * The instruction of the innermost Python frame: a mark or a collection may stand before it. Up to
 * 3.12 an instruction is known by its first prefix.
 */
static __always_inline void append_opcode(struct kb_walk *walk, const struct kb_layout *layout)
{
	kb_u64 n = walk->n_frames, word = walk->words[0], at;
	kb_u8 unit[2] = {}; /* opcode, argument */

	if (n > 1 && KB_WORD_IS(word))
		word = walk->words[1];
	if (!n || KB_WORD_IS(word))
		return;
	at = instruction_of(walk, layout, word);
	if (!at)
		return;
#pragma unroll
	for (int i = 0; i <= EXTENDED_ARGS_MAX; i++) {
		if (kb_read_user(unit, sizeof(unit), at + 2 * i))
			return;
		if (unit[0] != layout->extended_arg)
			break;
	}
	kb_walk_append(walk, KB_WORD(KB_WORD_OPCODE, unit[0]));
}

__noinline int kb_walk_tail(struct kb_walk *walk, struct kb_proc *proc,
			    const struct kb_layout *layout, kb_u32 state)
{
	if (!walk || !proc || !layout || !walk->tstate_at)
		return 0;
	if (config.want & KB_WANT_GC && state & KB_STATE_GC && walk->gc_frame != KB_GC_PLACED)
		kb_walk_append(walk, KB_WORD(KB_WORD_GC, 0));
	append_interpreter(walk, proc, layout);
	if (config.want & KB_WANT_OPCODE)
		append_opcode(walk, layout);
	return 0;
}
