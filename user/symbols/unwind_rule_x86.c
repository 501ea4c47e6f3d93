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

/* ---------------------------------------------------------------- expressions */

/* DW_OP_bregN, at the start of an expression: register and offset. */
static bool register_plus(struct kb_cfa_code *code, uint32_t *number, int64_t *offset)
{
	if (code->at >= code->end || *code->at < DW_OP_breg0 ||
	    *code->at > DW_OP_breg0 + RETURN_ADDRESS)
		return false;
	*number = *code->at++ - DW_OP_breg0;
	return kb_cfa__sleb(code, offset);
}

/* A place that is the value of a register, plus a constant. */
static bool is_register_plus(const struct kb_cfa_place *place, uint32_t number, int64_t offset)
{
	struct kb_cfa_code code = place->expression;
	uint32_t own_number;
	int64_t own_offset;

	return place->kind == KB_CFA_EXPRESSION && register_plus(&code, &own_number, &own_offset) &&
	       own_number == number && own_offset == offset && code.at == code.end;
}

/* The value at register + *offset, plus a constant. */
static bool is_dereferenced(const struct kb_cfa_place *cfa, uint32_t *number, int64_t *offset,
			    uint64_t *more)
{
	struct kb_cfa_code code = cfa->expression;

	*more = 0;
	if (cfa->kind != KB_CFA_EXPRESSION || !register_plus(&code, number, offset) ||
	    code.at == code.end || *code.at++ != DW_OP_deref)
		return false;
	if (code.at == code.end)
		return true;
	return *code.at++ == DW_OP_plus_uconst && kb_cfa__uleb(&code, more) && code.at == code.end;
}

/* rsp + 8 + ((rip & 15) >= 11) * 8, which GNU ld, gold and lld all write for .plt. */
static bool is_plt(const struct kb_cfa_place *cfa)
{
	static const uint8_t stub[] = { DW_OP_breg0 + KB_UNWIND_REG_RSP,
					8,
					DW_OP_breg0 + KB_UNWIND_REG_RIP,
					0,
					DW_OP_lit15,
					DW_OP_and,
					DW_OP_lit11,
					DW_OP_ge,
					DW_OP_lit3,
					DW_OP_shl,
					DW_OP_plus };

	return cfa->kind == KB_CFA_EXPRESSION &&
	       cfa->expression.end - cfa->expression.at == sizeof(stub) &&
	       !memcmp(cfa->expression.at, stub, sizeof(stub));
}

/* ---------------------------------------------------------------- a row */

/* The fp field. */
static bool fp_field(const struct kb_cfa_place *place, int *fp)
{
	*fp = 0;
	switch (place->kind) {
	case KB_CFA_UNCHANGED:
	case KB_CFA_UNDEFINED:
		return true;
	case KB_CFA_OFFSET:
		return place->offset && in_words(place->offset, FP_MIN, FP_MAX, fp);
	case KB_CFA_EXPRESSION:
		*fp = KB_UNWIND_FP_AT_FP / 8;
		return is_register_plus(place, KB_UNWIND_REG_RBP, 0);
	case KB_CFA_OTHER:
		break;
	}
	return false;
}

static uint32_t special(enum kb_unwind_special kind, uint32_t operand, int offset, int fp)
{
	return KB_UNWIND_RULE(KB_UNWIND_SPECIAL, KB_UNWIND_VALUE(kind, operand, offset), fp);
}

/* The CFA is the value of a register, plus a constant. */
static bool rule_of_register(const struct kb_cfa_place *cfa, int fp, uint32_t *rule)
{
	bool is_rsp = cfa->number == KB_UNWIND_REG_RSP, is_rbp = cfa->number == KB_UNWIND_REG_RBP;
	int words;

	if (is_rsp || is_rbp) {
		if (!in_words(cfa->offset, OFFSET_MIN, OFFSET_MAX, &words))
			return false;
		*rule = KB_UNWIND_RULE(is_rsp ? KB_UNWIND_RSP : KB_UNWIND_RBP, words, fp);
		return true;
	}
	if (cfa->number > KB_UNWIND_REG_R15 ||
	    !in_words(cfa->offset, SPECIAL_OFFSET_MIN, SPECIAL_OFFSET_MAX, &words))
		return false;
	*rule = special(KB_UNWIND_REGISTER, cfa->number, words, fp);
	return true;
}

static bool rule_of_value(const struct kb_cfa_place *cfa, int fp, uint32_t *rule)
{
	uint32_t number;
	int64_t offset;
	uint64_t more;
	int words;

	if (!is_dereferenced(cfa, &number, &offset, &more) || more % 8 || more / 8 > OPERAND_MAX ||
	    (number != KB_UNWIND_REG_RSP && number != KB_UNWIND_REG_RBP) ||
	    !in_words(offset, SPECIAL_OFFSET_MIN, SPECIAL_OFFSET_MAX, &words))
		return false;
	*rule = special(number == KB_UNWIND_REG_RSP ? KB_UNWIND_DEREF_RSP : KB_UNWIND_DEREF_RBP,
			(uint32_t)(more / 8), words, fp);
	return true;
}

static bool is_signal_trampoline(const struct kb_cfa_state *state)
{
	uint32_t number;
	int64_t offset;
	uint64_t more;

	return state->signal && is_dereferenced(&state->cfa, &number, &offset, &more) &&
	       number == KB_UNWIND_REG_RSP && offset == KB_UNWIND_SIGNAL_RSP && !more &&
	       is_register_plus(&state->fp, KB_UNWIND_REG_RSP, KB_UNWIND_SIGNAL_RBP) &&
	       is_register_plus(&state->ra, KB_UNWIND_REG_RSP, KB_UNWIND_SIGNAL_RIP);
}

bool kb_unwind_rule__supported(uint32_t *fp)
{
	*fp = KB_UNWIND_REG_RBP;
	return true;
}

bool kb_unwind_rule__of_state(const struct kb_cfa_state *state, uint32_t *rule)
{
	int fp;

	*rule = no_rule(KB_UNWIND_NONE);
	if (state->ra.kind == KB_CFA_UNDEFINED) {
		*rule = no_rule(KB_UNWIND_END);
		return true;
	}
	if (is_signal_trampoline(state)) {
		*rule = special(KB_UNWIND_SIGNAL, 0, 0, 0);
		return true;
	}
	if (state->ra.kind != KB_CFA_OFFSET || state->ra.offset != -8 || !fp_field(&state->fp, &fp))
		return false;
	if (state->cfa.kind == KB_CFA_OFFSET)
		return rule_of_register(&state->cfa, fp, rule);
	if (is_plt(&state->cfa)) {
		*rule = special(KB_UNWIND_PLT, 0, 0, fp);
		return true;
	}
	return rule_of_value(&state->cfa, fp, rule);
}

#endif
