// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <string.h>
#include "python/opcode.h"
#include "symbols/eval_finder.h"

enum call_form { FORM_CALL, FORM_METHOD, FORM_KEYWORDS, FORM_EX, N_FORMS };

/*
 * The instructions that call what may be a C function, of all versions (Python/ceval.c and, from
 * 3.12 on, Python/bytecodes.c). A method's call goes through one of these too. The code of one
 * goes on in that of another which is before it here, never behind it.
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
void kb_eval_finder__find_registers(struct kb_eval_finder *finder)
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
void kb_eval_finder__find_frame(struct kb_eval_finder *finder)
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

#define STORE_BYTES_MAX 256 /* from the store to the probe: both before the call */

/* The frame has where its call stands: up to 3.10 always, else when the code before the probe has
 * stored it. */
static bool is_instr_stored(const struct kb_eval_finder *finder, const struct kb_eval_probe *probe)
{
	struct kb_code_store store;

	if (finder->minor < 11)
		return true;
	store = kb_code__store_at(finder->elf, finder->out->targets.target[probe->opcode],
				  finder->frame_instr);
	return store.base != KB_REGISTER_NONE && store.base == finder->out->frame &&
	       store.address < probe->at.address &&
	       probe->at.address - store.address < STORE_BYTES_MAX;
}

/* One that knows where the call stands, from the frame or from the register. */
static struct kb_eval_probe *add_c_call(struct kb_eval_finder *finder, const char *name,
					kb_register_set intact)
{
	struct kb_eval_probes *out = finder->out;
	uint32_t before = out->n;
	struct kb_eval_probe *probe =
		kb_eval_finder__add_handler(finder, KB_EVAL_C_CALL, name, intact);
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
	return instr ? kb_eval_finder__add_handler(finder, KB_EVAL_C_CALL, name, intact | instr)
		     : NULL;
}

#define CHECKS_MAX 16

/*
 * From 3.12 on the code of a specialized instruction that does not fit goes on as the general one,
 * which first looks at its counter. Those that call Python are not probed, so the general one is
 * probed there, wherever it is come from. All of them have stored where they stand.
 */
static const char *add_checks(struct kb_eval_finder *finder, const char *from, int opcode,
			      kb_register_set intact)
{
	uint64_t start = finder->out->targets.target[kb_opcode__number(finder->minor, from)];
	uint64_t addresses[CHECKS_MAX];
	size_t n;

	if (!kb_code__counter_checks(finder->elf, start, intact, addresses, CHECKS_MAX, &n))
		return "where its instructions look at their counters was not found";
	for (size_t i = 0; i < n; i++) {
		struct kb_eval_probe *probe;
		struct kb_probe_address at;

		if (!kb_probe_address__search(finder->elf, &finder->map, addresses[i], 0, &at))
			return "a check of a counter has no place for a probe";
		/* What a register has depends on where it is come from. */
		at.written = ~(kb_register_set)0;
		probe = kb_eval_finder__add(finder, KB_EVAL_C_CALL, &at);
		if (!probe)
			return "too many checks of counters";
		probe->opcode = (int16_t)opcode;
		probe->instr_stored = true;
		probe->specializes = true;
	}
	return NULL;
}

/* Is it probed itself? */
static bool calls_c(const char *name)
{
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		if (!strcmp(calls[i].name, name))
			return true;
	return false;
}

/* A general instruction: all places at which it looks at its counter. */
static void add_general(struct kb_eval_finder *finder, const char *general,
			const struct kb_eval_callable *callable, kb_register_set intact)
{
	struct kb_eval_probes *out = finder->out;
	int opcode = kb_opcode__number(finder->minor, general);
	uint32_t before = out->n;
	const char *missing = add_checks(finder, general, opcode, intact);

	if (!missing && out->n == before)
		missing = "where its instructions look at their counters was not found";
	for (unsigned int i = 0; i < KB_OPCODES && !missing; i++) {
		const char *name = kb_opcode__name(finder->minor, i);

		if (name && !calls_c(name) && kb_eval_finder__has_handler(finder, name) &&
		    !strcmp(kb_opcode__base(finder->minor, i), general))
			missing = add_checks(finder, name, opcode, intact);
	}
	for (uint32_t i = before; i < out->n; i++)
		out->probes[i].callable = *callable;
	if (missing)
		out->c_calls_missing = missing;
}

void kb_eval_finder__add_c_calls(struct kb_eval_finder *finder)
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
		const char *name = calls[i].name;
		bool specializes = calls[i].specializes && finder->minor >= calls[i].specializes;
		struct kb_eval_probe *probe;

		if (specializes && finder->minor >= 12) {
			if (kb_eval_finder__has_handler(finder, name))
				add_general(finder, name, &of[calls[i].form], intact);
			continue;
		}
		probe = add_c_call(finder, name, intact);
		if (!probe) {
			if (kb_eval_finder__has_handler(finder, name))
				out->c_calls_missing = "one of its instructions that call has "
						       "no place for a probe";
			continue;
		}
		probe->callable = of[calls[i].form];
		probe->specializes = specializes;
	}
}
