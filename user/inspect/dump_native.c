// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Native frames of threads that sleep: their registers come from the kernel, which
 * saved them when they entered it, their callers from the unwind tables of the files that they
 * run. Where the interpreter's eval loop is among them, Python's frames take its place
 * (collect/interleave.h), as in a sample.
 */
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "base/log.h"
#include "collect/interleave.h"
#include "inspect/dump.h"
#include "kernel/registers.h"
#include "symbols/eval_loop.h"
#include "symbols/symbolizer.h"

struct eval_loop {
	bool looked;
	struct kb_eval_loop loop;
};

struct kb_dump_native {
	struct kb_register_reader *registers;
	struct kb_modules *modules;
	struct kb_unwind_store *tables;
	struct kb_symbolizer *symbolizer;
	struct eval_loop *loops; /* by the module's index */
};

static struct kb_error *create(struct kb_dump_native *native)
{
	struct kb_unwind_store_opts store = { .size = sizeof(store) };
	struct kb_symbolizer_opts symbolizer = { .size = sizeof(symbolizer) };

	KB_TRY(kb_register_reader__create(&native->registers));
	KB_TRY(kb_modules__create(&native->modules));
	KB_TRY(kb_unwind_store__create(&store, &native->tables));
	symbolizer.store = native->tables;
	KB_TRY(kb_symbolizer__create(&symbolizer, &native->symbolizer));
	native->loops = calloc(KB_MODULES_MAX, sizeof(*native->loops));
	return native->loops ? NULL : kb_error__no_memory();
}

struct kb_error *kb_dump_native__create(struct kb_dump *dump)
{
	struct kb_dump_native *native = calloc(1, sizeof(*native));
	struct kb_error *err;

	if (!native)
		return kb_error__no_memory();
	err = create(native);
	if (err)
		kb_dump_native__destroy(native);
	else
		dump->native = native;
	return err;
}

void kb_dump_native__destroy(struct kb_dump_native *native)
{
	if (!native)
		return;
	kb_register_reader__destroy(native->registers);
	kb_symbolizer__destroy(native->symbolizer);
	kb_unwind_store__destroy(native->tables);
	kb_modules__destroy(native->modules);
	free(native->loops);
	free(native);
}

void kb_dump_native__add_process(struct kb_dump *dump, struct kb_dump_process_data *process)
{
	struct kb_error *err =
		kb_code_map__create(dump->native->modules, process->info.pid, &process->code);

	/* Python's frames are there anyway. */
	if (err)
		kb_warn("process %d: no native frames: %s", process->info.pid, kb_error__text(err));
	kb_error__destroy(err);
}

void kb_dump_native__walk(struct kb_dump *dump, struct kb_dump_process_data *process,
			  struct kb_dump_thread_data *thread)
{
	struct kb_registers registers;

	thread->n_native = 0;
	if (!thread->native)
		thread->native = calloc(KB_NATIVE_STACK_MAX, sizeof(*thread->native));
	if (!process->code || !thread->native ||
	    !kb_register_reader__read(dump->native->registers, process->info.pid,
				      thread->remote.tid, &registers))
		return;
	thread->native_cut = kb_native_stack__walk(process->remote.pages, process->code,
						   dump->native->tables, &registers, thread->native,
						   &thread->n_native) != KB_NATIVE_ROOT;
}

/* ---------------------------------------------------------------- putting together */

static bool is_eval_loop(struct kb_dump_native *native, const struct kb_native_place *place)
{
	const struct kb_unwind_table *table;
	struct eval_loop *known;
	struct kb_error *err;
	uint32_t index;

	if (!place->module)
		return false;
	index = kb_module__index(place->module);
	if (index >= KB_MODULES_MAX)
		return false;
	known = &native->loops[index];
	if (!known->looked) {
		known->looked = true;
		err = kb_unwind_store__get(native->tables, place->module, &table);
		if (!err)
			kb_eval_loop__find(place->module, table, &known->loop);
		kb_error__destroy(err);
	}
	return kb_eval_loop__contains(&known->loop, place->relative);
}

static void name_native(struct kb_dump *dump, const struct kb_dump_process_data *process,
			const struct kb_native_place *place, struct kb_dump_frame_data *frame)
{
	struct kb_symbol symbol;

	if (place->module)
		kb_symbolizer__module(dump->native->symbolizer, place->module, place->relative,
				      &symbol);
	else
		kb_symbolizer__process(dump->native->symbolizer, process->info.pid, place->address,
				       place->label ? place->label : "[unknown]", &symbol);
	frame->info.kind = KB_DUMP_NATIVE;
	frame->info.opcode = "";
	frame->info.file = kb_dump__string(dump, symbol.file);
	frame->info.name = frame->info.qualname = kb_dump__string(dump, symbol.name);
}

/* What kb_interleave__order() works on and writes. */
struct merging {
	kb_u64 *words;	    /* Python's frames, and a mark behind each that C called */
	uint32_t *frame_of; /* of each word: index of the frame */
	bool *eval;	    /* of each native frame */
	struct kb_interleaved *order;
	uint32_t n_words, n_order;
};

static bool prepare(struct kb_dump *dump, const struct kb_dump_thread_data *thread,
		    struct merging *m)
{
	uint32_t most = thread->stack.n * 2;

	m->words = calloc(most + 1, sizeof(*m->words));
	m->frame_of = calloc(most + 1, sizeof(*m->frame_of));
	m->eval = calloc(thread->n_native + 1, sizeof(*m->eval));
	m->order = calloc(most + thread->n_native + 1, sizeof(*m->order));
	if (!m->words || !m->frame_of || !m->eval || !m->order)
		return false;
	for (uint32_t i = 0; i < thread->stack.n; i++) {
		m->frame_of[m->n_words] = i;
		/* Any word of a frame will do: it is not looked into. */
		m->words[m->n_words++] = (kb_u64)(i + 1) << KB_LASTI_BITS;
		if (thread->stack.frames[i].entry)
			m->words[m->n_words++] = KB_WORD(KB_WORD_NATIVE_MARK, 0);
	}
	for (uint32_t i = 0; i < thread->n_native; i++)
		m->eval[i] = is_eval_loop(dump->native, &thread->native[i]);
	return true;
}

/* The frames in the order found, which is from the root. False: no memory, and nothing is changed.
 */
static bool rebuild(struct kb_dump *dump, const struct kb_dump_process_data *process,
		    struct kb_dump_thread_data *thread, const struct merging *m)
{
	struct kb_dump_frames merged = { .cut = thread->stack.cut };

	for (uint32_t i = m->n_order; i-- > 0;) {
		struct kb_dump_frame_data *frame = kb_dump_frames__add(&merged);

		if (!frame) {
			free(merged.frames);
			return false;
		}
		if (m->order[i].native)
			name_native(dump, process, &thread->native[m->order[i].index], frame);
		else
			*frame = thread->stack.frames[m->frame_of[m->order[i].index]];
	}
	free(thread->stack.frames);
	thread->stack = merged;
	return true;
}

void kb_dump_native__merge(struct kb_dump *dump, struct kb_dump_process_data *process,
			   struct kb_dump_thread_data *thread)
{
	struct merging m = {};
	struct kb_interleave in;
	uint32_t python_leaf;
	bool matched;

	if (thread->n_native && prepare(dump, thread, &m)) {
		in = (struct kb_interleave){
			.python = m.words,
			.n_python = m.n_words,
			.eval = m.eval,
			.n_native = thread->n_native,
			.python_cut = thread->stack.cut,
			.native_cut = thread->native_cut,
			.one_by_one = process->remote.layout->version_minor <= 10,
		};
		m.n_order = kb_interleave__order(&in, m.order, &python_leaf, &matched);
		rebuild(dump, process, thread, &m);
	}
	kb_dump_frames__trim(&thread->stack);
	free(m.words);
	free(m.frame_of);
	free(m.eval);
	free(m.order);
	free(thread->native);
	thread->native = NULL;
}
