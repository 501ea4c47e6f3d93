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

__noinline int kb_walk_tail(struct kb_walk *walk, struct kb_proc *proc,
			    const struct kb_layout *layout, kb_u32 state)
{
	if (!walk || !proc || !layout)
		return 0;
	if (config.want & KB_WANT_GC && state & KB_STATE_GC && walk->gc_frame != KB_GC_PLACED)
		kb_walk_append(walk, KB_WORD(KB_WORD_GC, 0));
	append_interpreter(walk, proc, layout);
	return 0;
}
