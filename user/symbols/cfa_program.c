// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <dwarf.h>
#include <string.h>
#include "base/error.h"
#include "symbols/cfa_program.h"

/* Compilers remember one state at a time. */
#define REMEMBERED_MAX 16

struct machine {
	const struct kb_cfa_common *common;
	struct kb_cfa_code code;
	struct kb_cfa_state state;
	struct kb_cfa_state initial; /* after the CIE's instructions */
	struct kb_cfa_state remembered[REMEMBERED_MAX];
	int n_remembered;
	bool in_initial;
	uint64_t advance; /* set by an instruction that moves on */
};

/* ---------------------------------------------------------------- numbers */

bool kb_cfa__uleb(struct kb_cfa_code *code, uint64_t *value)
{
	*value = 0;
	for (unsigned int shift = 0; code->at < code->end && shift < 64; shift += 7) {
		uint8_t byte = *code->at++;

		*value |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			return true;
	}
	return false;
}

bool kb_cfa__sleb(struct kb_cfa_code *code, int64_t *value)
{
	uint64_t bits = 0;

	for (unsigned int shift = 0; code->at < code->end && shift < 64; shift += 7) {
		uint8_t byte = *code->at++;

		bits |= (uint64_t)(byte & 0x7f) << shift;
		if (byte & 0x80)
			continue;
		if ((byte & 0x40) && shift + 7 < 64)
			bits |= UINT64_MAX << (shift + 7);
		*value = (int64_t)bits;
		return true;
	}
	return false;
}

static bool fixed(struct machine *m, size_t size, uint64_t *value)
{
	*value = 0;
	if (size > (size_t)(m->code.end - m->code.at))
		return false;
	memcpy(value, m->code.at, size);
	m->code.at += size;
	return true;
}

static int64_t factored(const struct machine *m, uint64_t offset)
{
	return (int64_t)(offset * (uint64_t)m->common->data_alignment);
}

/* A number without a sign, or with one, times the data alignment. */
static bool offset_operand(struct machine *m, bool is_signed, int64_t *offset)
{
	uint64_t value = 0;
	int64_t with_sign = 0;

	if (is_signed ? !kb_cfa__sleb(&m->code, &with_sign) : !kb_cfa__uleb(&m->code, &value))
		return false;
	*offset = factored(m, is_signed ? (uint64_t)with_sign : value);
	return true;
}

static bool block(struct machine *m, struct kb_cfa_place *place)
{
	uint64_t size;

	if (!kb_cfa__uleb(&m->code, &size) || size > (uint64_t)(m->code.end - m->code.at))
		return false;
	*place = (struct kb_cfa_place){ .kind = KB_CFA_EXPRESSION,
					.expression = { m->code.at, m->code.at + size } };
	m->code.at += size;
	return true;
}

/* ---------------------------------------------------------------- instructions */

static void set_place(struct machine *m, uint64_t number, struct kb_cfa_place place)
{
	if (number == m->common->fp)
		m->state.fp = place;
	else if (number == m->common->ra)
		m->state.ra = place;
}

static bool restore_place(struct machine *m, uint64_t number)
{
	set_place(m, number, number == m->common->ra ? m->initial.ra : m->initial.fp);
	return !m->in_initial;
}

static bool set_offset(struct machine *m, uint64_t number, int64_t offset)
{
	set_place(m, number, (struct kb_cfa_place){ .kind = KB_CFA_OFFSET, .offset = offset });
	return true;
}

static bool set_cfa(struct machine *m, uint64_t number, int64_t offset)
{
	if (number > UINT32_MAX)
		return false;
	m->state.cfa = (struct kb_cfa_place){ .kind = KB_CFA_OFFSET,
					      .number = (uint32_t)number,
					      .offset = offset };
	return true;
}

/* The instructions that define the CFA. */
static bool cfa_instruction(struct machine *m, uint8_t opcode)
{
	struct kb_cfa_place *cfa = &m->state.cfa;
	uint64_t number = cfa->number, value = (uint64_t)cfa->offset;
	int64_t offset = cfa->offset;
	bool ok;

	switch (opcode) {
	case DW_CFA_def_cfa:
		ok = kb_cfa__uleb(&m->code, &number) && kb_cfa__uleb(&m->code, &value);
		return ok && set_cfa(m, number, (int64_t)value);
	case DW_CFA_def_cfa_sf:
		ok = kb_cfa__uleb(&m->code, &number) && offset_operand(m, true, &offset);
		return ok && set_cfa(m, number, offset);
	case DW_CFA_def_cfa_register:
		ok = cfa->kind == KB_CFA_OFFSET && kb_cfa__uleb(&m->code, &number);
		return ok && set_cfa(m, number, offset);
	case DW_CFA_def_cfa_offset:
		ok = cfa->kind == KB_CFA_OFFSET && kb_cfa__uleb(&m->code, &value);
		return ok && set_cfa(m, number, (int64_t)value);
	case DW_CFA_def_cfa_offset_sf:
		ok = cfa->kind == KB_CFA_OFFSET && offset_operand(m, true, &offset);
		return ok && set_cfa(m, number, offset);
	case DW_CFA_def_cfa_expression:
		return block(m, cfa);
	}
	return false;
}

/* The instructions that say where a register is; the number of the register comes first. */
static bool register_instruction(struct machine *m, uint8_t opcode)
{
	struct kb_cfa_place place = { .kind = KB_CFA_OTHER };
	uint64_t number, value;
	int64_t offset;

	if (!kb_cfa__uleb(&m->code, &number))
		return false;
	switch (opcode) {
	case DW_CFA_offset_extended:
	case DW_CFA_offset_extended_sf:
		return offset_operand(m, opcode == DW_CFA_offset_extended_sf, &offset) &&
		       set_offset(m, number, offset);
	case DW_CFA_GNU_negative_offset_extended:
		return kb_cfa__uleb(&m->code, &value) &&
		       set_offset(m, number, factored(m, 0 - value));
	case DW_CFA_restore_extended:
		return restore_place(m, number);
	case DW_CFA_undefined:
		place.kind = KB_CFA_UNDEFINED;
		break;
	case DW_CFA_same_value:
		place.kind = KB_CFA_UNCHANGED;
		break;
	case DW_CFA_register:
		if (!kb_cfa__uleb(&m->code, &value))
			return false;
		break;
	case DW_CFA_val_offset:
	case DW_CFA_val_offset_sf:
		if (!offset_operand(m, opcode == DW_CFA_val_offset_sf, &offset))
			return false;
		break;
	case DW_CFA_expression:
	case DW_CFA_val_expression:
		if (!block(m, &place))
			return false;
		if (opcode == DW_CFA_val_expression)
			place.kind = KB_CFA_OTHER;
		break;
	default:
		return false;
	}
	set_place(m, number, place);
	return true;
}

static bool remember(struct machine *m)
{
	if (m->n_remembered == REMEMBERED_MAX)
		return false;
	m->remembered[m->n_remembered++] = m->state;
	return true;
}

static bool recall(struct machine *m)
{
	if (!m->n_remembered)
		return false;
	m->state = m->remembered[--m->n_remembered];
	return true;
}

/* False: it is not understood. DW_CFA_set_loc is not: nobody writes it into an .eh_frame. */
static bool other_instruction(struct machine *m, uint8_t opcode)
{
	uint64_t value;

	switch (opcode) {
	case DW_CFA_nop:
		return true;
	case DW_CFA_advance_loc1:
		return fixed(m, 1, &m->advance);
	case DW_CFA_advance_loc2:
		return fixed(m, 2, &m->advance);
	case DW_CFA_advance_loc4:
		return fixed(m, 4, &m->advance);
	case DW_CFA_remember_state:
		return remember(m);
	case DW_CFA_restore_state:
		return recall(m);
	case DW_CFA_GNU_args_size: /* for unwinding by exceptions: what a callee pops */
		return kb_cfa__uleb(&m->code, &value);
	case DW_CFA_GNU_window_save: /* on arm64: return addresses are signed from here on */
		return true;
	}
	return cfa_instruction(m, opcode) || register_instruction(m, opcode);
}

static bool instruction(struct machine *m)
{
	uint8_t opcode = *m->code.at++, operand = opcode & 0x3f;
	int64_t offset;

	m->advance = 0;
	switch (opcode & 0xc0) {
	case DW_CFA_advance_loc:
		m->advance = operand;
		return true;
	case DW_CFA_offset:
		return offset_operand(m, false, &offset) && set_offset(m, operand, offset);
	case DW_CFA_restore:
		return restore_place(m, operand);
	}
	return other_instruction(m, opcode);
}

/* ---------------------------------------------------------------- running */

static bool run_initial(struct machine *m)
{
	m->in_initial = true;
	m->code = m->common->initial;
	while (m->code.at < m->code.end)
		if (!instruction(m) || m->advance)
			return false;
	m->in_initial = false;
	m->n_remembered = 0;
	m->initial = m->state;
	return true;
}

struct kb_error *kb_cfa_program__run(const struct kb_cfa_common *common, struct kb_cfa_code code,
				     uint64_t start, uint64_t end, kb_cfa_row_fn row, void *context)
{
	struct machine m = { .common = common, .state = { .signal = common->signal } };
	bool ok = run_initial(&m);

	m.code = code;
	while (ok && start < end && m.code.at < m.code.end) {
		/* One that moves on leaves the state as it is. */
		ok = instruction(&m);
		if (!ok || !m.advance)
			continue;
		if (__builtin_mul_overflow(m.advance, common->code_alignment, &m.advance) ||
		    m.advance > end - start)
			m.advance = end - start;
		KB_TRY(row(start, start + m.advance, &m.state, context));
		start += m.advance;
	}
	return start < end ? row(start, end, ok ? &m.state : NULL, context) : NULL;
}
