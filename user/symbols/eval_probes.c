// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <string.h>
#include "base/error.h"
#include "python/opcode.h"
#include "symbols/eh_frame.h"
#include "symbols/eval_probes.h"
#include "symbols/unwind_rule.h"
#include "symbols/unwind_table.h"
#include "system/usdt_note.h"

#define EVAL "_PyEval_EvalFrameDefault"
/* An eval loop has five exits of one kind at most. */
#define PLACES_MAX 32
/* A loop lies in one or two ranges; where every handler is a function there are 230. */
#define TAIL_CALL_RANGES_MIN 64

struct finder {
	const struct kb_elf_file *elf;
	unsigned int minor;
	uint16_t tstate_frame; /* offset in a thread state */
	uint16_t frame_instr;  /* and in a frame */
	struct kb_eh_frame *frames;
	struct kb_code_map map; /* of the loop */
	uint64_t code_bytes;	/* in it */
	struct kb_eval_probes *out;
};

/* ---------------------------------------------------------------- the code */

/* What .eh_frame describes as one around an address. */
static const struct kb_eh_range *range_of(const struct finder *finder, uint64_t address)
{
	uint32_t low = 0, high = kb_eh_frame__count(finder->frames);

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (address >= kb_eh_frame__at(finder->frames, middle)->end)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == kb_eh_frame__count(finder->frames) ||
	    address < kb_eh_frame__at(finder->frames, low)->start)
		return NULL;
	return kb_eh_frame__at(finder->frames, low);
}

/* Adds the code around an address to the loop's, unless it is there. */
static struct kb_error *add_range(struct finder *finder, uint64_t address, uint32_t *n_ranges)
{
	struct kb_eval_probes *out = finder->out;
	const struct kb_eh_range *range = range_of(finder, address);

	if (!range)
		return NULL;
	for (uint32_t i = 0; i < out->n_ranges; i++)
		if (out->ranges[i].start == range->start)
			return NULL;
	(*n_ranges)++;
	finder->code_bytes += range->end - range->start;
	if (finder->code_bytes > KB_CODE_BYTES_MAX)
		return kb_unsupported("more code than the eval loop of an interpreter has");
	if (out->n_ranges < KB_EVAL_RANGES_MAX) {
		out->ranges[out->n_ranges].start = range->start;
		out->ranges[out->n_ranges++].end = range->end;
	}
	return kb_code_map__add_code(&finder->map, finder->elf, range->start, range->end);
}

static struct kb_error *read_code(struct finder *finder)
{
	struct kb_eval_probes *out = finder->out;
	struct kb_elf_symbol symbol;
	uint32_t n_ranges = 0;

	if (!kb_elf_file__symbol(finder->elf, EVAL, &symbol))
		return kb_unsupported("the interpreter does not export " EVAL);
	KB_TRY(add_range(finder, symbol.address, &n_ranges));
	for (unsigned int i = 0; out->has_targets && i < KB_OPCODES; i++) {
		KB_TRY(kb_code_map__add_landing(&finder->map, out->targets.target[i]));
		KB_TRY(add_range(finder, out->targets.target[i], &n_ranges));
	}
	kb_code_map__finish(&finder->map);
	out->tail_calls = n_ranges >= TAIL_CALL_RANGES_MIN;
	if (n_ranges > KB_EVAL_RANGES_MAX)
		out->n_ranges = 0;
	return NULL;
}

/* ---------------------------------------------------------------- points */

static struct kb_eval_probe *add(struct finder *finder, enum kb_eval_role role,
				 const struct kb_probe_address *at)
{
	struct kb_eval_probes *out = finder->out;
	struct kb_eval_probe *probe;

	/* Handlers that are alike may have been made one. */
	for (uint32_t i = 0; i < out->n; i++)
		if (out->probes[i].at.address == at->address && out->probes[i].role == role)
			return &out->probes[i];
	if (out->n == KB_EVAL_PROBES_MAX)
		return NULL;
	probe = &out->probes[out->n++];
	*probe = (struct kb_eval_probe){
		.at = *at, .role = role, .frame_register = KB_REGISTER_NONE, .opcode = -1
	};
	return probe;
}

/* In the code of an instruction. NULL: the version has no such instruction. */
static struct kb_eval_probe *add_handler(struct finder *finder, enum kb_eval_role role,
					 const char *name, kb_register_set intact)
{
	const struct kb_opcode_targets *targets = &finder->out->targets;
	int opcode = kb_opcode__number(finder->minor, name);
	struct kb_eval_probe *probe;
	struct kb_probe_address at;

	if (opcode < 0 || targets->target[opcode] == targets->unknown ||
	    !kb_probe_address__search(finder->elf, &finder->map, targets->target[opcode], intact,
				      &at))
		return NULL;
	probe = add(finder, role, &at);
	if (probe && probe->opcode < 0)
		probe->opcode = (int16_t)opcode;
	return probe;
}

/* At the beginning of a function, whose index-th argument is the frame. */
static struct kb_error *add_function(struct finder *finder, enum kb_eval_role role,
				     uint64_t function, int argument)
{
	const struct kb_eh_range *range = range_of(finder, function);
	int number =
		argument < 0 ? KB_REGISTER_NONE : kb_register__argument((unsigned int)argument);
	struct kb_eval_probe *probe;
	struct kb_probe_address at;

	KB_TRY(kb_probe_address__find(finder->elf, function, range ? range->end : 0,
				      number == KB_REGISTER_NONE ? 0 : KB_REGISTER_BIT(number),
				      &at));
	probe = add(finder, role, &at);
	if (probe && number != KB_REGISTER_NONE) {
		probe->frame = KB_EVAL_FRAME_REGISTER;
		probe->frame_register = (int8_t)number;
	}
	return NULL;
}

/* ---------------------------------------------------------------- up to 3.10 */

static void add_return(struct finder *finder, uint64_t address)
{
	struct kb_eval_probe *probe;
	struct kb_probe_address at;

	if (!kb_probe_address__search(finder->elf, &finder->map, address, 0, &at))
		return;
	probe = add(finder, KB_EVAL_EXIT, &at);
	if (probe)
		probe->frame = KB_EVAL_FRAME_LEFT;
}

/*
 * Python/ceval.c ends with `tstate->frame = f->f_back; return _Py_CheckFunctionResult(...)`: a call
 * before the epilogue, or a jump behind it. Where it was inlined, its check of the result lies
 * between the store and the epilogue.
 */
static void add_returns(struct finder *finder)
{
	struct kb_eval_probes *out = finder->out;
	uint64_t places[PLACES_MAX];
	struct kb_elf_symbol check;
	uint32_t before = out->n;

	for (uint32_t i = 0; i < out->n_ranges; i++) {
		uint64_t start = out->ranges[i].start, end = out->ranges[i].end;
		size_t n = 0;

		if (kb_elf_file__symbol(finder->elf, "_Py_CheckFunctionResult", &check))
			n = kb_code__calls(finder->elf, start, end, check.address, places,
					   PLACES_MAX);
		for (size_t j = 0; j < n; j++)
			if (kb_code__returns(finder->elf, places[j]))
				add_return(finder, places[j]);
	}
	for (uint32_t i = 0; i < out->n_ranges && out->n == before; i++) {
		size_t n = kb_code__last_branches(finder->elf, out->ranges[i].start,
						  out->ranges[i].end, finder->tstate_frame, places,
						  PLACES_MAX);

		for (size_t j = 0; j < n; j++)
			add_return(finder, places[j]);
	}
	if (out->n == before)
		out->exits_missing = "where the eval loop's function returns was not found in it";
}

/* ---------------------------------------------------------------- from 3.11 on */

/* Bytes from a handler's start to where it looks whether a static probe is watched. */
#define HANDLER_BYTES_MAX 256

static bool semaphore_of(const struct kb_elf_file *elf, const char *name, uint64_t *semaphore)
{
	struct kb_usdt_note note;

	for (size_t at = 0; kb_usdt_note__next(elf, &at, &note);)
		if (!strcmp(note.provider, "python") && !strcmp(note.name, name) &&
		    note.semaphore) {
			*semaphore = note.semaphore;
			return true;
		}
	return false;
}

/* Where an instruction's code goes on behind its check; 0: it has none. */
static uint64_t behind_check(const struct finder *finder, const char *name,
			     const struct kb_code_check *checks, size_t n)
{
	int opcode = kb_opcode__number(finder->minor, name);
	uint64_t start = opcode < 0 ? 0 : finder->out->targets.target[opcode];

	for (size_t i = 0; i < n; i++)
		if (checks[i].jump - start < HANDLER_BYTES_MAX)
			return checks[i].when_zero;
	return 0;
}

/*
 * 3.11, clearing frames within the loop: returns are seen in RETURN_VALUE. The loop looks for
 * watchers of function__return there, in YIELD_VALUE, and where an exception leaves the frame
 * (exit_unwind in Python/ceval.c): what is none of the first two is that. A second check, behind
 * calling a trace function, goes on where the first does.
 */
static bool add_unwinding(struct finder *finder)
{
	struct kb_eval_probes *out = finder->out;
	struct kb_code_check checks[PLACES_MAX];
	uint64_t semaphore, returning, yielding;
	uint32_t before = out->n;
	size_t n = 0;

	if (!semaphore_of(finder->elf, "function__return", &semaphore))
		return false;
	for (uint32_t i = 0; i < out->n_ranges; i++)
		n += kb_code__checks(finder->elf, out->ranges[i].start, out->ranges[i].end,
				     semaphore, checks + n, PLACES_MAX - n);
	returning = behind_check(finder, "RETURN_VALUE", checks, n);
	yielding = behind_check(finder, "YIELD_VALUE", checks, n);
	for (size_t i = 0; returning && yielding && i < n; i++) {
		struct kb_probe_address at;

		if (checks[i].when_zero != returning && checks[i].when_zero != yielding &&
		    kb_probe_address__search(finder->elf, &finder->map, checks[i].jump, 0, &at))
			add(finder, KB_EVAL_EXIT, &at);
	}
	return out->n > before;
}

/* The function that clears a frame, when RETURN_VALUE calls it and the loop does elsewhere too. */
static uint64_t clearing_function(const struct finder *finder, const char *name)
{
	const struct kb_eval_probes *out = finder->out;
	int opcode = kb_opcode__number(finder->minor, "RETURN_VALUE");
	struct kb_elf_symbol symbol;
	uint64_t places[PLACES_MAX], callee;
	size_t n = 0;

	if (kb_elf_file__symbol(finder->elf, name, &symbol))
		return symbol.address;
	callee = opcode < 0 ? 0 : kb_code__first_call(finder->elf, out->targets.target[opcode]);
	for (uint32_t i = 0; callee && i < out->n_ranges; i++)
		n += kb_code__calls(finder->elf, out->ranges[i].start, out->ranges[i].end, callee,
				    places, PLACES_MAX);
	return n >= 2 ? callee : 0;
}

static struct kb_error *add_exits(struct finder *finder)
{
	const char *name = finder->minor == 11	 ? "_PyFrame_Clear"
			   : finder->minor == 12 ? "_PyEvalFrameClearAndPop"
						 : "_PyEval_FrameClearAndPop";
	uint64_t semaphore, clear;

	if (finder->minor == 11 && semaphore_of(finder->elf, "function__return", &semaphore)) {
		add_handler(finder, KB_EVAL_EXIT, "RETURN_VALUE", 0);
		if (!add_unwinding(finder))
			finder->out->exits_missing = "where exceptions leave a frame was not found "
						     "in the eval loop";
		return NULL;
	}
	clear = clearing_function(finder, name);
	if (clear)
		return add_function(finder, KB_EVAL_EXIT, clear, finder->minor == 11 ? 0 : 1);
	add_handler(finder, KB_EVAL_EXIT, "RETURN_VALUE", 0);
	add_handler(finder, KB_EVAL_EXIT, "RETURN_CONST", 0);
	finder->out->exits_missing = "the function that clears frames was not found";
	return NULL;
}

static struct kb_error *add_instructions(struct finder *finder)
{
	static const char *const resumes[] = { "RESUME", "RESUME_QUICK", "RESUME_CHECK",
					       "RESUME_CHECK_JIT", "INSTRUMENTED_RESUME" };
	struct kb_elf_symbol raise;
	kb_register_set intact = 0;

	/* In 3.15 it is for the caller to look at what is resumed. */
	if (finder->minor >= 15 && finder->out->oparg.number != KB_REGISTER_NONE)
		intact = KB_REGISTER_BIT(finder->out->oparg.number);
	for (size_t i = 0; i < sizeof(resumes) / sizeof(resumes[0]); i++)
		add_handler(finder, KB_EVAL_ENTRY, resumes[i], intact);
	if (!finder->out->n)
		return kb_unsupported("its eval loop has no code for RESUME");
	KB_TRY(add_exits(finder));
	add_handler(finder, KB_EVAL_YIELD, "YIELD_VALUE", 0);
	add_handler(finder, KB_EVAL_YIELD, "INSTRUMENTED_YIELD_VALUE", 0);
	if (kb_elf_file__symbol(finder->elf, "PyTraceBack_Here", &raise))
		return add_function(finder, KB_EVAL_RAISE, raise.address, -1);
	return NULL;
}

/* ---------------------------------------------------------------- calls of C functions */

enum call_form { FORM_CALL, FORM_METHOD, FORM_KEYWORDS, FORM_EX, N_FORMS };

/*
 * The instructions that call what may be a C function, of all versions (Python/ceval.c and, from
 * 3.12 on, Python/bytecodes.c). A method's call goes through one of these too.
 */
static const struct {
	const char *name;
	enum call_form form;
	unsigned int specializes; /* itself, from this version on */
} calls[] = {
	{ "CALL_FUNCTION", FORM_CALL },
	{ "CALL_METHOD", FORM_METHOD },
	{ "CALL_FUNCTION_KW", FORM_KEYWORDS },
	{ "CALL_FUNCTION_EX", FORM_EX, 15 },
	{ "INSTRUMENTED_CALL_FUNCTION_EX", FORM_EX },
	{ "CALL_EX_NON_PY_GENERAL", FORM_EX },
	{ "CALL", FORM_CALL, 12 },
	{ "CALL_ADAPTIVE", FORM_CALL, 11 },
	{ "INSTRUMENTED_CALL", FORM_CALL },
	{ "CALL_NON_PY_GENERAL", FORM_CALL },
	{ "CALL_KW", FORM_KEYWORDS, 14 },
	{ "CALL_KW_NON_PY", FORM_KEYWORDS },
	{ "INSTRUMENTED_CALL_KW", FORM_KEYWORDS },
	{ "PRECALL_NO_KW_BUILTIN_O", FORM_CALL },
	{ "PRECALL_NO_KW_BUILTIN_FAST", FORM_CALL },
	{ "PRECALL_BUILTIN_FAST_WITH_KEYWORDS", FORM_CALL },
	{ "PRECALL_NO_KW_LEN", FORM_CALL },
	{ "PRECALL_NO_KW_ISINSTANCE", FORM_CALL },
	{ "PRECALL_NO_KW_LIST_APPEND", FORM_CALL },
	{ "PRECALL_NO_KW_METHOD_DESCRIPTOR_O", FORM_CALL },
	{ "PRECALL_METHOD_DESCRIPTOR_FAST_WITH_KEYWORDS", FORM_CALL },
	{ "PRECALL_NO_KW_METHOD_DESCRIPTOR_NOARGS", FORM_CALL },
	{ "PRECALL_NO_KW_METHOD_DESCRIPTOR_FAST", FORM_CALL },
	{ "CALL_NO_KW_BUILTIN_O", FORM_CALL },
	{ "CALL_NO_KW_BUILTIN_FAST", FORM_CALL },
	{ "CALL_NO_KW_LEN", FORM_CALL },
	{ "CALL_NO_KW_ISINSTANCE", FORM_CALL },
	{ "CALL_NO_KW_LIST_APPEND", FORM_CALL },
	{ "CALL_NO_KW_METHOD_DESCRIPTOR_O", FORM_CALL },
	{ "CALL_NO_KW_METHOD_DESCRIPTOR_NOARGS", FORM_CALL },
	{ "CALL_NO_KW_METHOD_DESCRIPTOR_FAST", FORM_CALL },
	{ "CALL_BUILTIN_O", FORM_CALL },
	{ "CALL_BUILTIN_FAST", FORM_CALL },
	{ "CALL_BUILTIN_FAST_WITH_KEYWORDS", FORM_CALL },
	{ "CALL_LEN", FORM_CALL },
	{ "CALL_ISINSTANCE", FORM_CALL },
	{ "CALL_LIST_APPEND", FORM_CALL },
	{ "CALL_METHOD_DESCRIPTOR_O", FORM_CALL },
	{ "CALL_METHOD_DESCRIPTOR_FAST", FORM_CALL },
	{ "CALL_METHOD_DESCRIPTOR_FAST_WITH_KEYWORDS", FORM_CALL },
	{ "CALL_METHOD_DESCRIPTOR_NOARGS", FORM_CALL },
};

/* Where a callable lies below the stack pointer, in the versions from `first` on. */
static const struct {
	unsigned int first;
	struct kb_eval_callable of[N_FORMS];
} stacks[] = {
	/* callable, arguments; a method or NULL and the callable, arguments; names of keywords
	 * behind the arguments; callable, tuple and, with bit 0 of oparg, dict. */
	{ 6, { { 1, 1, 0, 0 }, { 2, 1, 0, 1 }, { 2, 1, 0, 0 }, { 2, 0, 1, 0 } } },
	/* A method and self, or NULL and the callable. */
	{ 11, { { 2, 1, 0, 1 }, { 0 }, { 0 }, { 2, 0, 1, 0 } } },
	/* The callable, and self or NULL. */
	{ 13, { { 2, 1, 0, 0 }, { 0 }, { 3, 1, 0, 0 }, { 3, 0, 1, 0 } } },
	/* CALL_FUNCTION_EX always has a dict or NULL. */
	{ 14, { { 2, 1, 0, 0 }, { 0 }, { 3, 1, 0, 0 }, { 4, 0, 0, 0 } } },
};

/* Two handlers that find it in the same register are right about all of them: jumps go from
 * each to each. */
static void find_registers(struct finder *finder)
{
	struct kb_eval_probes *out = finder->out;
	const uint64_t *target = out->targets.target;
	unsigned int minor = finder->minor;
	struct kb_code_place load, store;
	int pop, fast;

	pop = kb_code__reads_below(finder->elf, target[kb_opcode__number(minor, "POP_TOP")]);
	fast = kb_code__reads_below(finder->elf, target[kb_opcode__number(minor, "STORE_FAST")]);
	load = kb_code__extends(finder->elf, target[kb_opcode__number(minor, "LOAD_FAST")]);
	store = kb_code__extends(finder->elf, target[kb_opcode__number(minor, "STORE_FAST")]);
	if (pop == KB_REGISTER_NONE || pop != fast || load.number == KB_REGISTER_NONE ||
	    load.number != store.number || load.memory != store.memory ||
	    load.displacement != store.displacement)
		return;
	out->stack_pointer = (int8_t)pop;
	out->oparg = load;
}

#define VOTES_MIN 16 /* of some 230 instructions */

struct votes {
	unsigned int of[16], all;
};

static void vote(struct votes *votes, int number)
{
	if (number < 0 || number >= 16)
		return;
	votes->of[number]++;
	votes->all++;
}

/* The register that nearly all are for. */
static int8_t elected(const struct votes *votes)
{
	int best = 0;

	for (int i = 1; i < 16; i++)
		if (votes->of[i] > votes->of[best])
			best = i;
	return votes->of[best] >= VOTES_MIN && votes->of[best] * 8 >= votes->all * 7
		       ? (int8_t)best
		       : KB_REGISTER_NONE;
}

/*
 * Every jump to an instruction's code may come from every other, so the loop has its variables in
 * the same places wherever such code begins. Many of them first store where they are in the
 * frame: the register that they do it by has the frame, and the one that they store has where they
 * are. Other stores at that offset are few.
 */
static void find_frame(struct finder *finder)
{
	struct kb_eval_probes *out = finder->out;
	struct votes frames = {}, instrs = {};

	for (unsigned int i = 0; i < KB_OPCODES; i++) {
		struct kb_code_store store;

		if (out->targets.target[i] == out->targets.unknown)
			continue;
		store = kb_code__store_at(finder->elf, out->targets.target[i], finder->frame_instr);
		vote(&frames, store.base);
		vote(&instrs, store.value);
	}
	out->frame = elected(&frames);
	out->instr = elected(&instrs);
}

/* The frame has where its call stands: up to 3.10 always, else when the code before the probe has
 * stored it. */
static bool is_instr_stored(const struct finder *finder, const struct kb_eval_probe *probe)
{
	struct kb_code_store store;

	if (finder->minor < 11)
		return true;
	store = kb_code__store_at(finder->elf, finder->out->targets.target[probe->opcode],
				  finder->frame_instr);
	return store.base != KB_REGISTER_NONE && store.base == finder->out->frame &&
	       store.address < probe->at.address &&
	       probe->at.address - store.address < HANDLER_BYTES_MAX;
}

/* One that knows where the call stands, from the frame or from the register. */
static struct kb_eval_probe *add_c_call(struct finder *finder, const char *name,
					kb_register_set intact)
{
	struct kb_eval_probes *out = finder->out;
	uint32_t before = out->n;
	struct kb_eval_probe *probe = add_handler(finder, KB_EVAL_C_CALL, name, intact);
	kb_register_set instr;

	if (!probe || is_instr_stored(finder, probe)) {
		if (probe)
			probe->instr_stored = true;
		return probe;
	}
	instr = out->instr == KB_REGISTER_NONE ? 0 : KB_REGISTER_BIT(out->instr);
	if (instr && !(probe->at.written & instr))
		return probe;
	out->n = before;
	if (!instr)
		out->c_calls_missing = "where its instructions stand was not found";
	return instr ? add_handler(finder, KB_EVAL_C_CALL, name, intact | instr) : NULL;
}

static void add_c_calls(struct finder *finder)
{
	const struct kb_eval_callable *of = NULL;
	struct kb_eval_probes *out = finder->out;
	kb_register_set intact;

	if (out->c_calls_missing)
		return;
	if (out->stack_pointer == KB_REGISTER_NONE) {
		out->c_calls_missing = "the registers of the eval loop were not found";
		return;
	}
	intact = KB_REGISTER_BIT(out->stack_pointer) | KB_REGISTER_BIT(out->oparg.number);
	for (size_t i = 0; i < sizeof(stacks) / sizeof(stacks[0]); i++)
		if (finder->minor >= stacks[i].first)
			of = stacks[i].of;
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		struct kb_eval_probe *probe = add_c_call(finder, calls[i].name, intact);

		if (!probe)
			continue;
		probe->callable = of[calls[i].form];
		probe->specializes = calls[i].specializes && finder->minor >= calls[i].specializes;
	}
}

/* ---------------------------------------------------------------- all */

static struct kb_error *find(struct finder *finder, const struct kb_image_info *image)
{
	struct kb_eval_probes *out = finder->out;
	struct kb_elf_symbol eval;
	struct kb_error *err;

	err = kb_opcode_targets__find(finder->elf, finder->minor, &out->targets);
	out->has_targets = !err;
	if (err && finder->minor >= 11)
		return err;
	if (err)
		out->c_calls_missing = "the table of the instructions was not found";
	kb_error__destroy(err);
	KB_TRY(read_code(finder));
	if (out->has_targets)
		find_registers(finder);
	if (finder->minor >= 11) {
		KB_TRY(add_instructions(finder));
		find_frame(finder);
	} else {
		kb_elf_file__symbol(finder->elf, EVAL, &eval);
		KB_TRY(add_function(finder, KB_EVAL_ENTRY, eval.address,
				    finder->minor >= 9 ? 1 : 0));
		add_returns(finder);
	}
	add_c_calls(finder);
	return NULL;
}

struct kb_error *kb_eval_probes__find(const struct kb_elf_file *elf,
				      const struct kb_image_info *image,
				      struct kb_eval_probes *probes)
{
	struct kb_eval_probes out = { .stack_pointer = KB_REGISTER_NONE,
				      .oparg.number = KB_REGISTER_NONE,
				      .frame = KB_REGISTER_NONE,
				      .instr = KB_REGISTER_NONE };
	struct finder finder = { .elf = elf,
				 .minor = image->version_hex >> 16 & 0xff,
				 .tstate_frame = image->layout.tstate_frame,
				 .frame_instr = image->layout.frame_instr,
				 .out = &out };
	struct kb_error *err;
	uint32_t fp;

	if (!kb_unwind_rule__supported(&fp))
		return kb_unsupported("no decoder for the code of this processor");
	err = kb_eh_frame__open(elf, fp, KB_UNWIND_FUNCTIONS_MAX, &finder.frames);
	if (!err)
		err = find(&finder, image);
	kb_code_map__free(&finder.map);
	kb_eh_frame__close(finder.frames);
	if (err)
		return err;
	*probes = out;
	return NULL;
}

const char *kb_eval_role__name(enum kb_eval_role role)
{
	static const char *const names[] = { "entry", "exit", "yield", "raise", "C call" };

	return names[role];
}
