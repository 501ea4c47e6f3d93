// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

/*
 * Where instructions of 3.11 and later look at their counters of specialization.
 *
 * A counter is 16 bits in the bytecode, so the code reads as many from memory and branches by them.
 * Compilers make copies of the check, one for each way on which they know more, and let the code of
 * specialized instructions that do not fit join behind what it has done already. So all ways from
 * the start of an instruction's code are followed.
 */
#if defined(__x86_64__)
#include "python/x86_code.h"

#define STEPS_MAX 4096 /* of all ways: ten times what instructions have before their first call */
#define WAYS_MAX  256

struct way {
	uint64_t at;
	kb_register_set written;
	kb_register_set narrow; /* registers that have what was read */
	bool decides;		/* the flags are of it */
};

struct ways {
	struct x86_code code;
	struct way left[WAYS_MAX];
	size_t n_left;
	uint64_t seen[STEPS_MAX];
	size_t n_seen;
	uint64_t *addresses;
	size_t n, max;
};

static bool is_seen(struct ways *ways, uint64_t at)
{
	for (size_t i = 0; i < ways->n_seen; i++)
		if (ways->seen[i] == at)
			return true;
	if (ways->n_seen < STEPS_MAX)
		ways->seen[ways->n_seen++] = at;
	return false;
}

static bool is_narrow(const struct way *way, const cs_x86_op *op)
{
	int number;

	if (op->type == X86_OP_MEM)
		return op->size == 2;
	number = op->type == X86_OP_REG ? x86_register__number(op->reg) : KB_REGISTER_NONE;
	return number != KB_REGISTER_NONE && way->narrow & KB_REGISTER_BIT(number);
}

/* What becomes of a way by an instruction that is no jump. */
static void step(const struct x86_code *code, struct way *way)
{
	const cs_x86 *x86 = &code->insn->detail->x86;
	kb_register_set written = x86_code__written(code);
	unsigned int id = code->insn->id;
	bool moves = id == X86_INS_MOV || id == X86_INS_MOVZX;
	bool narrow = x86->op_count == 2 && is_narrow(way, &x86->operands[moves ? 1 : 0]);

	if (!moves && x86->eflags)
		way->decides = narrow;
	way->written |= written;
	way->narrow &= ~written;
	if (narrow && (moves || x86->operands[0].type == X86_OP_REG))
		way->narrow |= written;
	way->at += code->insn->size;
}

/* Follows one way to its end; the branches on it are left for later. False: too much. */
static bool follow(struct ways *ways, struct way way, kb_register_set intact)
{
	while (!(way.written & intact) && x86_code__fetch(&ways->code, way.at)) {
		const cs_insn *insn = ways->code.insn;
		struct x86_operation op = x86_operation__of(insn);
		bool conditional = x86_operation__is_conditional(&op);
		uint64_t target;

		if (is_seen(ways, way.at))
			return true;
		if (op.opcode == 0xe8 || op.opcode == 0xc3 || op.opcode == 0xff)
			return true;
		if (!x86_code__target(insn, &target)) {
			step(&ways->code, &way);
			continue;
		}
		if (conditional && way.decides) {
			if (ways->n == ways->max)
				return false;
			ways->addresses[ways->n++] = way.at;
			return true;
		}
		if (conditional) {
			if (ways->n_left == WAYS_MAX)
				return false;
			ways->left[ways->n_left] = way;
			ways->left[ways->n_left++].at = way.at + insn->size;
		}
		way.at = target;
	}
	return ways->n_seen < STEPS_MAX;
}

bool kb_code__counter_checks(const struct kb_elf_file *elf, uint64_t start, kb_register_set intact,
			     uint64_t *addresses, size_t max, size_t *n)
{
	struct ways ways = { .addresses = addresses, .max = max };
	bool all = true;

	*n = 0;
	if (!x86_code__open(&ways.code, elf, true))
		return false;
	ways.left[ways.n_left++] = (struct way){ .at = start };
	while (all && ways.n_left)
		all = follow(&ways, ways.left[--ways.n_left], intact);
	x86_code__close(&ways.code);
	*n = ways.n;
	return all;
}

#endif
