// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#if defined(__x86_64__)

#include <dwarf.h>
#include <string.h>
#include "symbols/unwind_rule.h"

/* The fields of a rule, in units of 8 bytes. */
#define OFFSET_MIN	   (-32768)
#define OFFSET_MAX	   32767
#define SPECIAL_OFFSET_MIN (-256)
#define SPECIAL_OFFSET_MAX 255
#define OPERAND_MAX	   15
#define FP_MIN		   (-8191) /* one below is KB_UNWIND_FP_AT_FP */
#define FP_MAX		   8191

#define RETURN_ADDRESS KB_UNWIND_REG_RIP

struct expression {
	Dwarf_Op *ops;
	size_t n;
};

static uint32_t no_rule(enum kb_unwind_end end)
{
	return KB_UNWIND_RULE(KB_UNWIND_NO_RULE, end, 0);
}

/* In units of 8, when it is a multiple of 8 and within the range. */
static bool in_words(int64_t bytes, int min, int max, int *words)
{
	if (bytes % 8 || bytes / 8 < min || bytes / 8 > max)
		return false;
	*words = (int)(bytes / 8);
	return true;
}

/* DW_OP_bregN: register and offset. */
static bool is_register_plus(const Dwarf_Op *op, int *number, int64_t *offset)
{
	if (op->atom >= DW_OP_breg0 && op->atom <= DW_OP_breg31) {
		*number = op->atom - DW_OP_breg0;
		*offset = (int64_t)op->number;
		return true;
	}
	if (op->atom != DW_OP_bregx || op->number > RETURN_ADDRESS)
		return false;
	*number = (int)op->number;
	*offset = (int64_t)op->number2;
	return true;
}

/* ---------------------------------------------------------------- registers' places */

enum place { UNCHANGED, UNDEFINED, FROM_CFA, FROM_REGISTER, ELSEWHERE };

/* Where the caller's value of a register is: CFA + *offset, or the register *number + *offset. */
static enum place place_of(Dwarf_Frame *frame, int regno, int *number, int64_t *offset)
{
	Dwarf_Op memory[3];
	struct expression e;

	if (dwarf_frame_register(frame, regno, memory, &e.ops, &e.n))
		return ELSEWHERE;
	if (!e.n)
		return e.ops ? UNDEFINED : UNCHANGED;
	if (e.ops[0].atom != DW_OP_call_frame_cfa || e.n > 2)
		return ELSEWHERE;
	*offset = e.n == 2 ? (int64_t)e.ops[1].number : 0;
	if (e.n == 1 || e.ops[1].atom == DW_OP_plus_uconst)
		return FROM_CFA;
	return is_register_plus(&e.ops[1], number, offset) ? FROM_REGISTER : ELSEWHERE;
}

static bool is_at_rsp(Dwarf_Frame *frame, int regno, int64_t expected)
{
	int64_t offset;
	int number;

	return place_of(frame, regno, &number, &offset) == FROM_REGISTER &&
	       number == KB_UNWIND_REG_RSP && offset == expected;
}

/* The fp field. */
static bool fp_place(Dwarf_Frame *frame, int *fp)
{
	int64_t offset;
	int number;

	switch (place_of(frame, KB_UNWIND_REG_RBP, &number, &offset)) {
	case UNCHANGED:
	case UNDEFINED: /* not mentioned: it is the callee's to preserve */
		*fp = 0;
		return true;
	case FROM_CFA:
		return offset && in_words(offset, FP_MIN, FP_MAX, fp);
	case FROM_REGISTER:
		*fp = KB_UNWIND_FP_AT_FP / 8;
		return number == KB_UNWIND_REG_RBP && !offset;
	case ELSEWHERE:
		break;
	}
	return false;
}

/* ---------------------------------------------------------------- the CFA */

/* rsp + 8 + ((rip & 15) >= 11) * 8, which GNU ld, gold and lld all write for .plt. */
static bool is_plt(struct expression e)
{
	static const struct {
		uint8_t atom;
		uint8_t number;
	} stub[] = {
		{ DW_OP_breg0 + KB_UNWIND_REG_RSP, 8 },
		{ DW_OP_breg0 + KB_UNWIND_REG_RIP, 0 },
		{ DW_OP_lit15, 0 },
		{ DW_OP_and, 0 },
		{ DW_OP_lit11, 0 },
		{ DW_OP_ge, 0 },
		{ DW_OP_lit3, 0 },
		{ DW_OP_shl, 0 },
		{ DW_OP_plus, 0 },
	};

	if (e.n != sizeof(stub) / sizeof(*stub))
		return false;
	for (size_t i = 0; i < e.n; i++)
		if (e.ops[i].atom != stub[i].atom || (i < 2 && e.ops[i].number != stub[i].number))
			return false;
	return true;
}

/* The value at register + offset, plus a constant. */
static bool dereferenced(struct expression e, int fp, uint32_t *rule)
{
	int number, words, operand = 0;
	int64_t offset;

	if (e.n < 2 || e.n > 3 || e.ops[1].atom != DW_OP_deref ||
	    !is_register_plus(&e.ops[0], &number, &offset) ||
	    (number != KB_UNWIND_REG_RSP && number != KB_UNWIND_REG_RBP) ||
	    !in_words(offset, SPECIAL_OFFSET_MIN, SPECIAL_OFFSET_MAX, &words))
		return false;
	if (e.n == 3 && (e.ops[2].atom != DW_OP_plus_uconst || e.ops[2].number > INT32_MAX ||
			 !in_words((int64_t)e.ops[2].number, 0, OPERAND_MAX, &operand)))
		return false;
	*rule = KB_UNWIND_RULE(KB_UNWIND_SPECIAL,
			       KB_UNWIND_VALUE(number == KB_UNWIND_REG_RSP ? KB_UNWIND_DEREF_RSP
									   : KB_UNWIND_DEREF_RBP,
					       operand, words),
			       fp);
	return true;
}

static bool register_plus(struct expression e, int fp, uint32_t *rule)
{
	int number, words;
	int64_t offset;

	if (e.n != 1 || !is_register_plus(&e.ops[0], &number, &offset))
		return false;
	if (number == KB_UNWIND_REG_RSP || number == KB_UNWIND_REG_RBP) {
		if (!in_words(offset, OFFSET_MIN, OFFSET_MAX, &words))
			return false;
		*rule = KB_UNWIND_RULE(number == KB_UNWIND_REG_RSP ? KB_UNWIND_RSP : KB_UNWIND_RBP,
				       words, fp);
		return true;
	}
	if (number > KB_UNWIND_REG_R15 ||
	    !in_words(offset, SPECIAL_OFFSET_MIN, SPECIAL_OFFSET_MAX, &words))
		return false;
	*rule = KB_UNWIND_RULE(KB_UNWIND_SPECIAL,
			       KB_UNWIND_VALUE(KB_UNWIND_REGISTER, number, words), fp);
	return true;
}

/* ---------------------------------------------------------------- a row */

static bool is_signal_trampoline(Dwarf_Frame *frame, struct expression cfa)
{
	int64_t offset;
	bool signal;
	int number;

	return dwarf_frame_info(frame, NULL, NULL, &signal) >= 0 && signal && cfa.n == 2 &&
	       is_register_plus(&cfa.ops[0], &number, &offset) && number == KB_UNWIND_REG_RSP &&
	       offset == KB_UNWIND_SIGNAL_RSP && cfa.ops[1].atom == DW_OP_deref &&
	       is_at_rsp(frame, KB_UNWIND_REG_RBP, KB_UNWIND_SIGNAL_RBP) &&
	       is_at_rsp(frame, RETURN_ADDRESS, KB_UNWIND_SIGNAL_RIP);
}

bool kb_unwind_rule__supported(void)
{
	return true;
}

bool kb_unwind_rule__of_frame(Dwarf_Frame *frame, uint32_t *rule)
{
	struct expression cfa;
	int64_t offset = 0;
	int number, fp;
	enum place place;

	*rule = no_rule(KB_UNWIND_NONE);
	place = place_of(frame, RETURN_ADDRESS, &number, &offset);
	if (place == UNDEFINED) {
		*rule = no_rule(KB_UNWIND_END);
		return true;
	}
	if (dwarf_frame_cfa(frame, &cfa.ops, &cfa.n) || !cfa.n)
		return false;
	if (is_signal_trampoline(frame, cfa)) {
		*rule = KB_UNWIND_RULE(KB_UNWIND_SPECIAL, KB_UNWIND_VALUE(KB_UNWIND_SIGNAL, 0, 0),
				       0);
		return true;
	}
	if (place != FROM_CFA || offset != -8 || !fp_place(frame, &fp))
		return false;
	if (is_plt(cfa)) {
		*rule = KB_UNWIND_RULE(KB_UNWIND_SPECIAL, KB_UNWIND_VALUE(KB_UNWIND_PLT, 0, 0), fp);
		return true;
	}
	return register_plus(cfa, fp, rule) || dereferenced(cfa, fp, rule);
}

#endif
