/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_SYMBOLS_EVAL_PROBES_H
#define KB_SYMBOLS_EVAL_PROBES_H

#include "python/image.h"
#include "python/opcode_targets.h"
#include "python/probe_address.h"

/*
 * Where in an interpreter Python calls begin and end: what uprobes see them by, in any build, with
 * symbols or without.
 *
 * Up to 3.10 every Python call enters the function _PyEval_EvalFrameDefault. From 3.11 on a call
 * from Python to Python stays inside it: there the code of the instructions is probed with
 * which every function begins (RESUME) and ends, found by the table of opcode_targets.h.
 * What leaves a frame by an exception is seen where frames are cleared. Probes in the loop cost
 * least: in functions a trap makes the return slow as well.
 *
 * An event is not always one beginning: the caller has to compare frames.
 * - A RESUME of one kind may go on as another (a specialized one that does not fit any more): two
 *   events of different opcodes in a row, of the same frame.
 * - A generator that is resumed by throw() does not begin with RESUME from 3.11 on: when it then
 *   raises, KB_EVAL_RAISE shows its frame.
 * - Up to 3.10 the function is also entered, and left without an exit, by what is the
 *   RecursionError itself.
 * - 3.15: RESUME with (oparg & 7) == 4 follows the creation of a generator, and begins nothing.
 * - A frame may end that never began: the interpreter's own, which __init__() is called from
 *   (3.12 and later), and generators that were never started.
 * - An instruction's specialized code that does not fit goes on as the general one: two C calls of
 *   different opcodes in a row, of the same frame, instruction and callable.
 * - 3.11+: a general instruction whose counter has run out is specialized and executed again,
 *   whatever it has become (`specializes`).
 */
enum kb_eval_role {
	KB_EVAL_ENTRY,	/* a frame begins, or a generator's goes on */
	KB_EVAL_EXIT,	/* a frame ends; up to 3.10 also: a generator's pauses */
	KB_EVAL_YIELD,	/* a generator's frame pauses */
	KB_EVAL_RAISE,	/* an exception passes through a frame, which still runs */
	KB_EVAL_C_CALL, /* something is called that may be a C function */
};

/* Where to find the frame at a point. */
enum kb_eval_frame {
	KB_EVAL_FRAME_CURRENT,	/* it is the thread state's current one */
	KB_EVAL_FRAME_REGISTER, /* `frame_register` has its address */
	KB_EVAL_FRAME_LEFT,	/* the current one is already its caller's */
};

/*
 * Where to find the callable at a KB_EVAL_C_CALL: the word that lies (base + oparg * scale +
 * (oparg & mask)) words below the stack pointer, without its tag bits from 3.14 on; when it is NULL
 * and if_null is not 0, the word at if_null instead of base.
 */
struct kb_eval_callable {
	uint8_t base, scale, mask, if_null;
};

struct kb_eval_probe {
	struct kb_probe_address at;
	enum kb_eval_role role;
	enum kb_eval_frame frame;
	int8_t frame_register; /* DWARF's number */
	int16_t opcode;	       /* whose code it is in; -1: none's */
	struct kb_eval_callable callable;
	bool specializes;  /* at a KB_EVAL_C_CALL: it has a counter, in the unit behind it */
	bool instr_stored; /* at a KB_EVAL_C_CALL the frame has where the call stands; else the
			      register `instr` has */
};

/* 3.15 has 27. */
#define KB_EVAL_PROBES_MAX 64
#define KB_EVAL_RANGES_MAX 8

struct kb_eval_probes {
	struct kb_eval_probe probes[KB_EVAL_PROBES_MAX];
	uint32_t n;
	/* Why exits are missing; NULL: every beginning has an exit or a yield. */
	const char *exits_missing;
	/* Why C calls are; NULL: they are there. */
	const char *c_calls_missing;
	/* At KB_EVAL_C_CALL: the register with the stack pointer of the loop, and the argument of
	 * the instruction (4 bytes; in 3.15 at KB_EVAL_ENTRY too). KB_REGISTER_NONE: not found. */
	int8_t stack_pointer;
	struct kb_code_place oparg;
	/*
	 * 3.11+: the register in which the loop has the current frame where an instruction's code
	 * begins; KB_REGISTER_NONE: not found. At a probe it still has if the probe has not written
	 * it.
	 */
	int8_t frame;
	/* 3.11+: likewise the address of the instruction. */
	int8_t instr;
	bool has_targets; /* the table was needed, or found anyway */
	struct kb_opcode_targets targets;
	/* The instructions' code are functions that call one another (3.14 and later, some
	 * compilers); each is a range of its own then. */
	bool tail_calls;
	/* The code of the loop, as linked. */
	struct {
		uint64_t start, end;
	} ranges[KB_EVAL_RANGES_MAX];
	uint32_t n_ranges;
};

/*
 * For an image that kb_image__read() took for an interpreter. KB_STATUS_UNSUPPORTED, with the
 * reason: beginnings cannot be seen in this build. A weak match of the table (see there) is
 * the caller's to judge; so is image->jit: compiled code passes no RESUME while the JIT is on.
 */
struct kb_error *kb_eval_probes__find(const struct kb_elf_file *elf,
				      const struct kb_image_info *image,
				      struct kb_eval_probes *probes);

/* "entry", "exit"... */
const char *kb_eval_role__name(enum kb_eval_role role);

#endif
