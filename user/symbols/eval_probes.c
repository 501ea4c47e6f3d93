// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <string.h>
#include "base/error.h"
#include "python/opcode.h"
#include "symbols/eh_frame.h"
#include "symbols/eval_finder.h"
#include "symbols/unwind_rule.h"
#include "symbols/unwind_table.h"
#include "system/usdt_note.h"

#define EVAL "_PyEval_EvalFrameDefault"
/* An eval loop has five exits of one kind at most. */
#define PLACES_MAX 32
/* A loop lies in one or two ranges; where every handler is a function there are 230. */
#define TAIL_CALL_RANGES_MIN 64

/* ---------------------------------------------------------------- the code */

/* What .eh_frame describes as one around an address. */
static const struct kb_eh_range *range_of(const struct kb_eval_finder *finder, uint64_t address)
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
static struct kb_error *add_range(struct kb_eval_finder *finder, uint64_t address,
				  uint32_t *n_ranges)
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

static struct kb_error *read_code(struct kb_eval_finder *finder)
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

struct kb_eval_probe *kb_eval_finder__add(struct kb_eval_finder *finder, enum kb_eval_role role,
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

bool kb_eval_finder__has_handler(const struct kb_eval_finder *finder, const char *name)
{
	const struct kb_opcode_targets *targets = &finder->out->targets;
	int opcode = kb_opcode__number(finder->minor, name);

	return opcode >= 0 && targets->target[opcode] != targets->unknown;
}

struct kb_eval_probe *kb_eval_finder__add_handler(struct kb_eval_finder *finder,
						  enum kb_eval_role role, const char *name,
						  kb_register_set intact)
{
	const struct kb_opcode_targets *targets = &finder->out->targets;
	int opcode = kb_opcode__number(finder->minor, name);
	struct kb_eval_probe *probe;
	struct kb_probe_address at;

	if (!kb_eval_finder__has_handler(finder, name) ||
	    !kb_probe_address__search(finder->elf, &finder->map, targets->target[opcode], intact,
				      &at))
		return NULL;
	probe = kb_eval_finder__add(finder, role, &at);
	if (probe && probe->opcode < 0)
		probe->opcode = (int16_t)opcode;
	return probe;
}

/* At the beginning of a function, whose index-th argument is the frame. */
static struct kb_error *add_function(struct kb_eval_finder *finder, enum kb_eval_role role,
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
	probe = kb_eval_finder__add(finder, role, &at);
	if (probe && number != KB_REGISTER_NONE) {
		probe->frame = KB_EVAL_FRAME_REGISTER;
		probe->frame_register = (int8_t)number;
	}
	return NULL;
}

/* ---------------------------------------------------------------- up to 3.10 */

static void add_return(struct kb_eval_finder *finder, uint64_t address)
{
	struct kb_eval_probe *probe;
	struct kb_probe_address at;

	if (!kb_probe_address__search(finder->elf, &finder->map, address, 0, &at))
		return;
	probe = kb_eval_finder__add(finder, KB_EVAL_EXIT, &at);
	if (probe)
		probe->frame = KB_EVAL_FRAME_LEFT;
}

/*
 * Python/ceval.c ends with `tstate->frame = f->f_back; return _Py_CheckFunctionResult(...)`: a call
 * before the epilogue, or a jump behind it. Where it was inlined, its check of the result lies
 * between the store and the epilogue.
 */
static void add_returns(struct kb_eval_finder *finder)
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
static uint64_t behind_check(const struct kb_eval_finder *finder, const char *name,
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
static bool add_unwinding(struct kb_eval_finder *finder)
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
			kb_eval_finder__add(finder, KB_EVAL_EXIT, &at);
	}
	return out->n > before;
}

/* The function that clears a frame, when RETURN_VALUE calls it and the loop does elsewhere too. */
static uint64_t clearing_function(const struct kb_eval_finder *finder, const char *name)
{
	const struct kb_eval_probes *out = finder->out;
	int opcode = kb_opcode__number(finder->minor, "RETURN_VALUE");
	struct kb_elf_symbol symbol;
	uint64_t places[PLACES_MAX], callee;
	size_t n = 0;

	if (kb_elf_file__symbol(finder->elf, name, &symbol))
		return symbol.address;
	callee = opcode < 0 ? 0
			    : kb_code__first_call(finder->elf, out->targets.target[opcode], NULL);
	for (uint32_t i = 0; callee && i < out->n_ranges; i++)
		n += kb_code__calls(finder->elf, out->ranges[i].start, out->ranges[i].end, callee,
				    places, PLACES_MAX);
	return n >= 2 ? callee : 0;
}

/* Where the code of an instruction calls a function first; 0: it does not, or the build has no such
 * instruction. */
static uint64_t call_in(const struct kb_eval_finder *finder, const char *name, uint64_t callee)
{
	uint64_t call, start;

	if (!kb_eval_finder__has_handler(finder, name))
		return 0;
	start = finder->out->targets.target[kb_opcode__number(finder->minor, name)];
	return kb_code__first_call(finder->elf, start, &call) == callee ? call : 0;
}

/* The code of an instruction that returns. False: there is no place where a probe costs less than
 * in the function that it calls. */
static bool add_return_code(struct kb_eval_finder *finder, const char *name)
{
	const struct kb_eval_probe *probe =
		kb_eval_finder__add_handler(finder, KB_EVAL_EXIT, name, 0);

	return probe && probe->at.kind != KB_PROBE_CALL && probe->at.kind != KB_PROBE_STEPPED;
}

/* A call of the function, at the instruction that calls it. */
static void add_call(struct kb_eval_finder *finder, uint64_t call)
{
	struct kb_eval_probe *probe;
	struct kb_probe_address at;

	if (!kb_probe_address__search(finder->elf, &finder->map, call, 0, &at))
		return;
	probe = kb_eval_finder__add(finder, KB_EVAL_EXIT, &at);
	if (!probe)
		return;
	probe->frame = KB_EVAL_FRAME_REGISTER;
	probe->frame_register = (int8_t)kb_register__argument(1);
}

/*
 * A trap in a function leaves the processor without the place that it returns to, which costs 200
 * ns more than the trap does in the loop itself. So where each of the instructions that return, and
 * do nothing else, has a call of its own of the function that clears frames, they are probed, and
 * of the other calls (an exception leaves the frame; tools of sys.monitoring are told first) the
 * instructions that call. False: a call is shared, as far as their number tells, or nothing is won.
 */
static bool add_clearing_calls(struct kb_eval_finder *finder, uint64_t clear)
{
	static const char *const returns[] = { "RETURN_VALUE", "RETURN_CONST" };
	static const char *const others[] = { "INSTRUMENTED_RETURN_VALUE",
					      "INSTRUMENTED_RETURN_CONST" };
	struct kb_eval_probes *out = finder->out;
	uint64_t calls[PLACES_MAX], own[2];
	size_t n = 0, expected = 1;
	uint32_t before = out->n;
	bool good = true;

	for (uint32_t i = 0; i < out->n_ranges; i++)
		n += kb_code__calls(finder->elf, out->ranges[i].start, out->ranges[i].end, clear,
				    calls + n, PLACES_MAX - n);
	for (size_t i = 0; i < 2; i++) {
		own[i] = call_in(finder, returns[i], clear);
		expected += own[i] != 0;
		expected += kb_eval_finder__has_handler(finder, others[i]);
		if (kb_eval_finder__has_handler(finder, returns[i]))
			good = good && own[i] && add_return_code(finder, returns[i]);
	}
	if (!good || n < expected || n == PLACES_MAX || own[0] == own[1]) {
		out->n = before;
		return false;
	}
	for (size_t i = 0; i < n; i++)
		if (calls[i] != own[0] && calls[i] != own[1])
			add_call(finder, calls[i]);
	return true;
}

static struct kb_error *add_exits(struct kb_eval_finder *finder)
{
	const char *name = finder->minor == 11	 ? "_PyFrame_Clear"
			   : finder->minor == 12 ? "_PyEvalFrameClearAndPop"
						 : "_PyEval_FrameClearAndPop";
	uint64_t semaphore, clear;

	if (finder->minor == 11 && semaphore_of(finder->elf, "function__return", &semaphore)) {
		kb_eval_finder__add_handler(finder, KB_EVAL_EXIT, "RETURN_VALUE", 0);
		if (!add_unwinding(finder))
			finder->out->exits_missing = "where exceptions leave a frame was not found "
						     "in the eval loop";
		return NULL;
	}
	clear = clearing_function(finder, name);
	if (clear && finder->minor >= 12 && add_clearing_calls(finder, clear))
		return NULL;
	if (clear)
		return add_function(finder, KB_EVAL_EXIT, clear, finder->minor == 11 ? 0 : 1);
	kb_eval_finder__add_handler(finder, KB_EVAL_EXIT, "RETURN_VALUE", 0);
	kb_eval_finder__add_handler(finder, KB_EVAL_EXIT, "RETURN_CONST", 0);
	finder->out->exits_missing = "the function that clears frames was not found";
	return NULL;
}

static struct kb_error *add_instructions(struct kb_eval_finder *finder)
{
	static const char *const resumes[] = { "RESUME", "RESUME_QUICK", "RESUME_CHECK",
					       "RESUME_CHECK_JIT", "INSTRUMENTED_RESUME" };
	struct kb_elf_symbol raise;
	kb_register_set intact = 0;

	/* In 3.15 it is for the caller to look at what is resumed. */
	if (finder->minor >= 15 && finder->out->oparg.number != KB_REGISTER_NONE)
		intact = KB_REGISTER_BIT(finder->out->oparg.number);
	for (size_t i = 0; i < sizeof(resumes) / sizeof(resumes[0]); i++)
		kb_eval_finder__add_handler(finder, KB_EVAL_ENTRY, resumes[i], intact);
	if (!finder->out->n)
		return kb_unsupported("its eval loop has no code for RESUME");
	KB_TRY(add_exits(finder));
	kb_eval_finder__add_handler(finder, KB_EVAL_YIELD, "YIELD_VALUE", 0);
	kb_eval_finder__add_handler(finder, KB_EVAL_YIELD, "INSTRUMENTED_YIELD_VALUE", 0);
	if (kb_elf_file__symbol(finder->elf, "PyTraceBack_Here", &raise))
		return add_function(finder, KB_EVAL_RAISE, raise.address, -1);
	return NULL;
}

/* ---------------------------------------------------------------- all */

static struct kb_error *find(struct kb_eval_finder *finder, const struct kb_image_info *image)
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
		kb_eval_finder__find_registers(finder);
	if (finder->minor >= 11) {
		KB_TRY(add_instructions(finder));
		kb_eval_finder__find_frame(finder);
	} else {
		kb_elf_file__symbol(finder->elf, EVAL, &eval);
		KB_TRY(add_function(finder, KB_EVAL_ENTRY, eval.address,
				    finder->minor >= 9 ? 1 : 0));
		add_returns(finder);
	}
	kb_eval_finder__add_c_calls(finder);
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
	struct kb_eval_finder finder = { .elf = elf,
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
