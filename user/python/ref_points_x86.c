// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#if defined(__x86_64__)
/*
 * Questions for a tracer, in machine code:
 *
 *     mov tracer_func, %rax        or, in libraries, mov offset(%runtime), %rax
 *     …                            whatever the compiler has moved in between
 *     test %rax, %rax
 *     jne ask                      the probe: the kernel emulates conditional jumps
 *     …
 * ask:
 *     mov %rbx, %rdi               the object
 *     xor %esi, %esi               the event
 *     call *%rax                   perhaps behind a guess whose tracer it is (PGO)
 *
 * Up to 3.12 the same is asked of tracemalloc by each copy of _Py_NewReference(), in 4 bytes, and
 * the function that is called is known.
 *
 * From the load on, every path is followed until the jump is found; from there, on the side where
 * there is a tracer, to the call, keeping track of what each register then was at the jump.
 */
#include <stdlib.h>
#include <string.h>
#include "base/array.h"
#include "base/error.h"
#include "bpf/shared/refs.h"
#include "python/ref_points.h"
#include "python/x86_code.h"

#define CODE_BYTES_MAX (64u << 20) /* of a segment; Debian's 3.15 has 4 MB */
#define SETTER_STEPS   24
#define STEPS_MAX      64	  /* from the load to the jump, and from there to the call */
#define FORKS_MAX      6	  /* other conditional jumps on the way */
#define RUNTIME_BYTES  (1u << 20) /* _PyRuntime has some 350 kB */
#define SITE_JUMPS_MAX 4	  /* of one load: paths on which it is asked about */
#define SAVED_MAX      8
#define RSP	       7
#define RDI	       5
#define RSI	       4
#define REGISTERS      16
#define EVENT_CREATE   0 /* Include/cpython/object.h, PyRefTracerEvent */
#define EVENT_DESTROY  1

/* ---------------------------------------------------------------- the variable */

struct variable {
	uint64_t address; /* of tracer_func, or of whether tracemalloc traces */
	int64_t offset;	  /* in _PyRuntime */
	uint32_t bytes;
	uint64_t callee; /* 0: what the variable has is called */
};

/* PyRefTracer_SetTracer(func, data) stores func, and data behind it: the lower address. */
static bool find_tracer(const struct kb_elf_file *elf, uint64_t runtime, struct variable *tracer)
{
	struct kb_elf_symbol setter;
	struct x86_code code;
	uint64_t at, target, lowest = UINT64_MAX;

	if (!runtime || !kb_elf_file__symbol(elf, "PyRefTracer_SetTracer", &setter) ||
	    !x86_code__open(&code, elf, true))
		return false;
	at = setter.address;
	for (int i = 0; i < SETTER_STEPS && x86_code__fetch(&code, at); i++) {
		const cs_insn *insn = code.insn;
		const cs_x86_op *op = insn->detail->x86.operands;
		uint64_t address = 0;

		at += insn->size;
		if (insn->id == X86_INS_RET)
			break;
		if (insn->id == X86_INS_JMP && x86_code__target(insn, &target))
			at = target;
		if (insn->id != X86_INS_MOV || op[0].type != X86_OP_MEM || op[0].size != 8)
			continue;
		if (op[0].mem.base == X86_REG_RIP)
			address = at + (uint64_t)op[0].mem.disp;
		else if (op[0].mem.base != X86_REG_RSP && op[0].mem.base != X86_REG_RBP)
			address = runtime + (uint64_t)op[0].mem.disp;
		if (address - runtime < RUNTIME_BYTES && address < lowest)
			lowest = address;
	}
	x86_code__close(&code);
	*tracer = (struct variable){ .address = lowest,
				     .offset = (int64_t)(lowest - runtime),
				     .bytes = 8 };
	return lowest != UINT64_MAX;
}

struct site {
	struct x86_code code;
	bool shared; /* a library: it has the address of _PyRuntime in a register */
	int tracer;  /* the register; KB_REGISTER_NONE: it was compared in memory */
	const struct variable *variable;
	uint64_t *calls; /* of the callee, that a jump leads to */
	uint32_t n_calls, calls_capacity;
	struct {
		uint64_t jump, ask; /* where it goes on when there is a tracer */
	} at[SITE_JUMPS_MAX];
	uint32_t n;
	bool full;
};

/* ---------------------------------------------------------------- from the jump to the call */

/* What a register, or a word of the stack, was when the jump came. */
struct origin {
	bool known, memory, constant;
	int number;
	int64_t displacement; /* or the constant */
};

struct state {
	struct origin registers[REGISTERS];
	struct {
		int number;
		int64_t displacement;
		struct origin value;
	} saved[SAVED_MAX];
	uint32_t n_saved;
};

static void state_begin(struct state *state)
{
	memset(state, 0, sizeof(*state));
	for (int i = 0; i < REGISTERS; i++)
		state->registers[i] = (struct origin){ .known = true, .number = i };
}

/* Where memory is, by what the registers were. */
static bool locate(const struct state *state, const cs_x86_op *op, struct origin *place)
{
	int base = x86_register__number(op->mem.base);

	if (op->type != X86_OP_MEM || base < 0 || op->mem.index != X86_REG_INVALID ||
	    op->mem.segment != X86_REG_INVALID)
		return false;
	*place = state->registers[base];
	place->displacement += op->mem.disp;
	return place->known && !place->memory && !place->constant;
}

static struct origin read_memory(const struct state *state, const cs_x86_op *op)
{
	struct origin place;

	if (!locate(state, op, &place) || op->size != 8)
		return (struct origin){ 0 };
	for (uint32_t i = state->n_saved; i-- > 0;)
		if (state->saved[i].number == place.number &&
		    state->saved[i].displacement == place.displacement)
			return state->saved[i].value;
	place.memory = true;
	return place;
}

static struct origin value_of(const struct state *state, const cs_x86_op *op)
{
	int number;

	if (op->type == X86_OP_IMM)
		return (struct origin){ .known = true, .constant = true, .displacement = op->imm };
	if (op->type == X86_OP_MEM)
		return read_memory(state, op);
	number = x86_register__number(op->reg);
	return number < 0 || op->size < 4 ? (struct origin){ 0 } : state->registers[number];
}

static void save(struct state *state, const cs_x86_op *to, struct origin value)
{
	struct origin place;

	if (!locate(state, to, &place) || state->n_saved == SAVED_MAX)
		return;
	state->saved[state->n_saved].number = place.number;
	state->saved[state->n_saved].displacement = place.displacement;
	state->saved[state->n_saved++].value = value;
}

/* What an instruction leaves in its destination, where that is told; else nothing is known of it.
 */
static struct origin result_of(const struct state *state, const cs_insn *insn)
{
	const cs_x86_op *op = insn->detail->x86.operands;
	struct origin value = { 0 };

	switch (insn->id) {
	case X86_INS_MOV:
	case X86_INS_MOVABS:
		return value_of(state, &op[1]);
	case X86_INS_XOR:
		if (op[1].type == X86_OP_REG && op[0].reg == op[1].reg)
			return (struct origin){ .known = true, .constant = true };
		return value;
	case X86_INS_LEA:
		if (op[1].mem.base == X86_REG_RIP)
			return (struct origin){ .known = true, .constant = true };
		return locate(state, &op[1], &value) ? value : (struct origin){ 0 };
	case X86_INS_ADD:
	case X86_INS_SUB:
		if (op[1].type != X86_OP_IMM)
			return value;
		value = value_of(state, &op[0]);
		value.displacement += insn->id == X86_INS_ADD ? op[1].imm : -op[1].imm;
		if (value.memory)
			value.known = false;
		return value;
	default:
		return value;
	}
}

static void execute(struct state *state, const struct x86_code *code)
{
	const cs_insn *insn = code->insn;
	const cs_x86 *x86 = &insn->detail->x86;
	const cs_x86_op *op = x86->operands;
	kb_register_set written = x86_code__written(code);
	struct origin result = { 0 };
	int number = KB_REGISTER_NONE;

	if (insn->id == X86_INS_PUSH) {
		state->registers[RSP].displacement -= 8;
		return;
	}
	if (x86->op_count && op[0].type == X86_OP_MEM && insn->id == X86_INS_MOV) {
		save(state, &op[0], op[0].size == 8 ? value_of(state, &op[1]) : result);
		return;
	}
	if (x86->op_count && op[0].type == X86_OP_REG && op[0].size >= 4) {
		number = x86_register__number(op[0].reg);
		result = result_of(state, insn);
		/* The upper half is gone, of all that is no small constant. */
		if (op[0].size == 4 && !result.constant)
			result.known = false;
	}
	for (int i = 0; i < REGISTERS; i++)
		if (written & KB_REGISTER_BIT(i))
			state->registers[i] = i == number ? result : (struct origin){ 0 };
}

static bool is_tracer(const struct state *state, int tracer, const cs_x86_op *op)
{
	struct origin value = value_of(state, op);

	return op->type == X86_OP_REG && value.known && !value.memory && !value.constant &&
	       value.number == tracer && !value.displacement;
}

#define NOTHING_TO_PROBE 0 /* no cookie is */

/* Objects that have a fixed address are immortal (since 3.12) or types and singletons, so that they
 * are neither created nor destroyed. */
static bool read_object(const struct state *state, int64_t event, uint64_t *cookie)
{
	struct origin object = state->registers[RDI];

	*cookie = NOTHING_TO_PROBE;
	if (!object.known ||
	    (!object.constant && object.displacement != (int32_t)object.displacement))
		return false;
	if (!object.constant)
		*cookie = KB_REF_COOKIE(event == EVENT_DESTROY, object.memory, object.number,
					object.displacement);
	return true;
}

/* The call of the tracer: what it is told. Events beyond the two are of the tracer itself (3.15,
 * PyRefTracer_TRACKER_REMOVED). */
static bool read_call(const struct state *state, uint64_t *cookie)
{
	struct origin event = state->registers[RSI];

	*cookie = NOTHING_TO_PROBE;
	if (!event.known || !event.constant)
		return false;
	if (event.displacement != EVENT_CREATE && event.displacement != EVENT_DESTROY)
		return true;
	return read_object(state, event.displacement, cookie);
}

/* From the jump to the call; *call: where that is. */
static bool follow_call(struct site *site, struct state *state, uint64_t at, int forks,
			uint64_t *cookie, uint64_t *call)
{
	struct x86_code *code = &site->code;
	uint64_t target, callee = site->variable->callee;
	bool compared = false; /* with a tracer that it may be */

	for (int i = 0; i < STEPS_MAX && x86_code__fetch(code, at); i++) {
		const cs_insn *insn = code->insn;
		const cs_x86_op *op = insn->detail->x86.operands;
		bool jumps = x86_code__target(insn, &target);

		*call = at;
		at += insn->size;
		if (insn->id == X86_INS_RET)
			return false;
		if (callee && jumps && kb_code__destination(code->elf, target) == callee) {
			return read_object(state, EVENT_CREATE, cookie);
		}
		if (insn->id == X86_INS_CALL || (insn->id == X86_INS_JMP && !jumps))
			return !callee && !jumps && is_tracer(state, site->tracer, &op[0]) &&
			       read_call(state, cookie);
		if (insn->id == X86_INS_JMP) {
			at = target;
		} else if (jumps && compared && insn->id == X86_INS_JNE) {
			at = target;
		} else if (jumps && !(compared && insn->id == X86_INS_JE)) {
			struct state other = *state;

			if (forks && follow_call(site, &other, target, forks - 1, cookie, call))
				return true;
		} else if (!jumps) {
			compared =
				insn->id == X86_INS_CMP && is_tracer(state, site->tracer, &op[0]);
			execute(state, code);
		}
	}
	return false;
}

/* ---------------------------------------------------------------- from the load to the jump */

static void add_jump(struct site *site, uint64_t jump, uint64_t ask)
{
	for (uint32_t i = 0; i < site->n; i++)
		if (site->at[i].jump == jump)
			return;
	site->full |= site->n == SITE_JUMPS_MAX;
	if (site->full)
		return;
	site->at[site->n].jump = jump;
	site->at[site->n++].ask = ask;
}

static bool tests(const cs_insn *insn, const struct site *site)
{
	const cs_x86_op *op = insn->detail->x86.operands;

	return insn->id == X86_INS_TEST && op[0].type == X86_OP_REG && op[1].type == X86_OP_REG &&
	       op[0].size == site->variable->bytes &&
	       x86_register__number(op[0].reg) == site->tracer && op[0].reg == op[1].reg;
}

#define FLAG_ZERO                                                                                  \
	(X86_EFLAGS_MODIFY_ZF | X86_EFLAGS_SET_ZF | X86_EFLAGS_RESET_ZF | X86_EFLAGS_UNDEFINED_ZF)

static void follow_load(struct site *site, uint64_t at, bool tested, int forks)
{
	struct x86_code *code = &site->code;
	uint64_t target;

	for (int i = 0; i < STEPS_MAX && x86_code__fetch(code, at); i++) {
		const cs_insn *insn = code->insn;
		bool jumps = x86_code__target(insn, &target), equal = insn->id == X86_INS_JE;
		uint64_t address = at;

		at += insn->size;
		if (insn->id == X86_INS_RET || insn->id == X86_INS_CALL ||
		    (insn->id == X86_INS_JMP && !jumps))
			return;
		if (insn->id == X86_INS_JMP) {
			at = target;
		} else if (jumps && tested && (equal || insn->id == X86_INS_JNE)) {
			add_jump(site, address, equal ? at : target);
			return;
		} else if (jumps) {
			if (forks)
				follow_load(site, target, false, forks - 1);
		} else if (tests(insn, site)) {
			tested = true;
		} else {
			if (insn->detail->x86.eflags & FLAG_ZERO)
				tested = false;
			if (site->tracer == KB_REGISTER_NONE
				    ? !tested
				    : x86_code__written(code) & KB_REGISTER_BIT(site->tracer))
				return;
		}
	}
}

static struct kb_error *add_call(struct site *site, uint64_t call)
{
	uint64_t *calls = kb_array__grow(site->calls, &site->calls_capacity, site->n_calls + 1,
					 sizeof(*calls), KB_REF_POINTS_MAX);

	if (!calls)
		return kb_error__no_memory();
	site->calls = calls;
	calls[site->n_calls++] = call;
	return NULL;
}

/* `certain`: what it leads to is a call, or was not understood. */
static struct kb_error *take_jumps(struct site *site, bool certain, struct kb_ref_points *points)
{
	points->not_understood += site->full && certain;
	for (uint32_t i = 0; i < site->n; i++) {
		uint64_t cookie, call;
		struct state state;

		state_begin(&state);
		if (!follow_call(site, &state, site->at[i].ask, FORKS_MAX, &cookie, &call)) {
			points->not_understood += certain;
			continue;
		}
		if (cookie != NOTHING_TO_PROBE)
			KB_TRY(kb_ref_points__add(points, site->code.elf, site->at[i].jump,
						  cookie));
		if (site->variable->callee)
			KB_TRY(add_call(site, call));
	}
	return NULL;
}

static struct kb_error *look_at(struct site *site, uint64_t load, struct kb_ref_points *points)
{
	const cs_x86_op *op;
	bool compares, certain;

	site->n = 0;
	site->full = false;
	if (!x86_code__fetch(&site->code, load))
		return NULL;
	op = site->code.insn->detail->x86.operands;
	compares = site->code.insn->id == X86_INS_CMP && op[0].type == X86_OP_MEM;
	if (!compares && (site->code.insn->id != X86_INS_MOV || op[0].type != X86_OP_REG))
		return NULL;
	site->tracer = compares ? KB_REGISTER_NONE : x86_register__number(op[0].reg);
	/* tracemalloc itself asks, too; which calls were not found is known afterwards. */
	certain = !site->variable->callee && (site->shared || op[1].mem.base == X86_REG_RIP);
	follow_load(site, load + site->code.insn->size, compares, FORKS_MAX);
	return take_jumps(site, certain, points);
}

/* ---------------------------------------------------------------- all loads */

#define LOAD_BYTES 8 /* at most, of what is looked at */

static int32_t distance_at(const uint8_t *bytes)
{
	int32_t distance;

	memcpy(&distance, bytes, sizeof(distance));
	return distance;
}

static bool leads_to(const struct variable *variable, uint64_t next, const uint8_t *distance)
{
	return next + (uint64_t)(int64_t)distance_at(distance) == variable->address;
}

/* Is it a load of the variable, or a comparison with 0? Through a register it may be something else
 * at this offset. */
static bool loads(const uint8_t *bytes, uint64_t address, const struct variable *variable)
{
	/* cmpl $0,distance(%rip) */
	if (variable->bytes == 4 && bytes[0] == 0x83 && bytes[1] == 0x3d && !bytes[6])
		return leads_to(variable, address + 7, bytes + 2);
	/* mov distance(%rip),%r32, of the lower registers */
	if (variable->bytes == 4 && bytes[0] == 0x8b && (bytes[1] & 0xc7) == 5)
		return leads_to(variable, address + 6, bytes + 2);
	if (bytes[1] != 0x8b || (bytes[0] & 0xf8) != (variable->bytes == 4 ? 0x40 : 0x48))
		return false;
	if ((bytes[2] & 0xc7) == 5)
		return leads_to(variable, address + 7, bytes + 3);
	return variable->bytes == 8 && (bytes[2] & 0xc0) == 0x80 && (bytes[2] & 7) != 4 &&
	       distance_at(bytes + 3) == variable->offset;
}

static struct kb_error *look_in(struct site *site, const struct kb_elf_segment *segment,
				struct kb_ref_points *points)
{
	struct kb_error *err = NULL;
	uint8_t *bytes;

	if (segment->size > CODE_BYTES_MAX || segment->size < LOAD_BYTES)
		return NULL;
	bytes = malloc(segment->size);
	if (!bytes)
		return kb_error__no_memory();
	if (kb_elf_file__read(site->code.elf, segment->address, bytes, segment->size))
		for (uint64_t i = 0; !err && i + LOAD_BYTES <= segment->size; i++)
			if (loads(bytes + i, segment->address + i, site->variable))
				err = look_at(site, segment->address + i, points);
	free(bytes);
	return err;
}

static struct kb_error *look_everywhere(struct site *site, const struct kb_elf_file *elf,
					struct kb_ref_points *points)
{
	struct kb_elf_segment segment;
	struct kb_error *err = NULL;

	if (!x86_code__open(&site->code, elf, true))
		return kb_error__no_memory();
	for (size_t i = 0; !err && kb_elf_file__segment_at(elf, i, &segment); i++)
		if (segment.executable)
			err = look_in(site, &segment, points);
	x86_code__close(&site->code);
	return err;
}

struct kb_error *kb_ref_points__tracer(const struct kb_elf_file *elf,
				       const struct kb_image_info *info,
				       struct kb_ref_points *points)
{
	struct variable tracer;
	struct site site = { .shared = info->shared, .variable = &tracer };

	if (!find_tracer(elf, info->image.runtime, &tracer))
		return NULL;
	return look_everywhere(&site, elf, points);
}

/* ---------------------------------------------------------------- tracemalloc */

/* What _Py_NewReference() asks first, and what it calls then. */
static bool find_tracemalloc(const struct kb_elf_file *elf, struct variable *variable)
{
	struct site site = { .variable = variable };
	struct kb_elf_symbol function;
	uint64_t at;

	*variable = (struct variable){ .bytes = 4 };
	if (!kb_elf_file__symbol(elf, "_Py_NewReference", &function) ||
	    !x86_code__open(&site.code, elf, true))
		return false;
	at = function.address;
	for (int i = 0; i < SETTER_STEPS && !variable->address && x86_code__fetch(&site.code, at);
	     i++) {
		const cs_insn *insn = site.code.insn;
		const cs_x86_op *op = insn->detail->x86.operands;
		bool compares = insn->id == X86_INS_CMP;

		at += insn->size;
		if ((compares || insn->id == X86_INS_MOV) && op[!compares].type == X86_OP_MEM &&
		    op[!compares].size == 4 && op[!compares].mem.base == X86_REG_RIP) {
			variable->address = at + (uint64_t)op[!compares].mem.disp;
			site.tracer = compares ? KB_REGISTER_NONE : x86_register__number(op[0].reg);
			follow_load(&site, at, compares, 0);
		}
	}
	x86_code__close(&site.code);
	variable->callee = site.n == 1 ? kb_code__first_call(elf, site.at[0].ask, NULL) : 0;
	return variable->callee;
}

struct kb_error *kb_ref_points__tracemalloc(const struct kb_elf_file *elf,
					    struct kb_ref_points *points)
{
	struct variable variable;
	struct site site = { .variable = &variable };
	struct kb_error *err;

	if (!find_tracemalloc(elf, &variable))
		return NULL;
	err = look_everywhere(&site, elf, points);
	if (!err)
		err = kb_ref_points__check_calls(points, elf, variable.callee, site.calls,
						 site.n_calls);
	free(site.calls);
	return err;
}
#endif
