/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_SHARED_NATIVE_H
#define KB_SHARED_NATIVE_H

#include "types.h"

/*
 * How to find a native caller, for every address of an ELF file: what the CFA
 * programs of its .eh_frame say (DWARF 5, section 6.4; x86-64 psABI 1.0, section 3.7),
 * reduced to what compilers emit in practice, one table per build id.
 *
 * The CFA (canonical frame address) is the value of rsp in the caller, after the call. The return
 * address lies at CFA - 8 in every row that has a rule; the caller's rsp is the CFA. Of the
 * other registers only rbp is followed, as CFAs are made of rsp and rbp.
 *
 * Look-up: the last row with row.pc <= pc, where pc is relative to the lowest PT_LOAD address
 * of the file. A table's first row has pc 0, its last one is KB_UNWIND_NONE, so that an address
 * behind the end finds that. A return address belongs to the call before it: look up
 * return address - 1. The interrupted address itself, and the one that a signal trampoline gives
 * back, are looked up as they are.
 */
struct kb_unwind_row {
	kb_u32 pc;   /* from here up to the next row's pc */
	kb_u32 rule; /* see below */
};
KB_ASSERT_SIZE(struct kb_unwind_row, 8);

/*
 * Bits of a rule:
 *    0-1   what the CFA is counted from
 *    2-17  RSP, RBP: CFA offset, signed, in units of 8 bytes
 *          NO_RULE: enum kb_unwind_end
 *          SPECIAL: 2-4 enum kb_unwind_special, 5-8 operand, 9-17 offset, signed, in units of 8
 *   18-31  where the caller's rbp was saved: offset from the CFA, signed, in units of 8;
 *          0: it was not, rbp has its value; KB_UNWIND_FP_AT_FP: at the address in rbp
 */
enum kb_unwind_base {
	KB_UNWIND_NO_RULE = 0,
	KB_UNWIND_RSP = 1, /* CFA = rsp + offset */
	KB_UNWIND_RBP = 2, /* CFA = rbp + offset */
	KB_UNWIND_SPECIAL = 3,
};

enum kb_unwind_end {
	/* No function here that the file describes, or one whose rule does not fit in a row. */
	KB_UNWIND_NONE = 0,
	/* The return address is undefined: the stack's root (_start, a thread's first function). */
	KB_UNWIND_END = 1,
};

enum kb_unwind_special {
	/*
	 * A stub of the PLT: CFA = rsp + 8, and 8 more in its second half, after the push of
	 * the index: pc % 16 >= 11. Linkers describe .plt with this one expression.
	 */
	KB_UNWIND_PLT = 0,
	/* Return from a signal handler: KB_UNWIND_SIGNAL_* say where the registers are, from rsp.
	 */
	KB_UNWIND_SIGNAL = 1,
	/* CFA = value at (rsp + offset), + 8 * operand: hand-written code that aligns its stack. */
	KB_UNWIND_DEREF_RSP = 2,
	/* CFA = value at (rbp + offset), + 8 * operand: compiled code that aligns its stack. */
	KB_UNWIND_DEREF_RBP = 3,
	/* CFA = register + offset; operand: its DWARF number (enum kb_unwind_register). Known for
	 * the interrupted function alone. */
	KB_UNWIND_REGISTER = 4,
};

/* DWARF's numbers of x86-64 registers (psABI 1.0, figure 3.36). */
enum kb_unwind_register {
	KB_UNWIND_REG_RAX = 0,
	KB_UNWIND_REG_RDX = 1,
	KB_UNWIND_REG_RCX = 2,
	KB_UNWIND_REG_RBX = 3,
	KB_UNWIND_REG_RSI = 4,
	KB_UNWIND_REG_RDI = 5,
	KB_UNWIND_REG_RBP = 6,
	KB_UNWIND_REG_RSP = 7,
	KB_UNWIND_REG_R8 = 8,
	KB_UNWIND_REG_R15 = 15,
	KB_UNWIND_REG_RIP = 16,
};

/*
 * The kernel's signal frame on x86-64, seen from the trampoline, where rsp points to the ucontext:
 * uc_mcontext at 40 (arch/x86/include/uapi/asm/sigcontext.h, struct sigcontext_64).
 */
#define KB_UNWIND_SIGNAL_RBP 120
#define KB_UNWIND_SIGNAL_RSP 160
#define KB_UNWIND_SIGNAL_RIP 168

#define KB_UNWIND_FP_AT_FP (-8192 * 8)

#define KB_UNWIND_RULE(base, value, fp)                                                            \
	((kb_u32)(base) | ((kb_u32)(value)&0xffff) << 2 | ((kb_u32)(fp)&0x3fff) << 18)
#define KB_UNWIND_VALUE(special, operand, offset)                                                  \
	((kb_u32)(special) | ((kb_u32)(operand)&0xf) << 3 | ((kb_u32)(offset)&0x1ff) << 7)

static inline kb_u32 kb_unwind__base(kb_u32 rule)
{
	return rule & 3;
}

/* RSP and RBP: bytes from the register to the CFA. */
static inline kb_s32 kb_unwind__cfa_offset(kb_u32 rule)
{
	return ((kb_s32)(rule << 14) >> 16) * 8;
}

/* NO_RULE: enum kb_unwind_end. */
static inline kb_u32 kb_unwind__end(kb_u32 rule)
{
	return rule >> 2 & 0xffff;
}

/* SPECIAL: enum kb_unwind_special, its operand, and its offset in bytes. */
static inline kb_u32 kb_unwind__special(kb_u32 rule)
{
	return rule >> 2 & 7;
}

static inline kb_u32 kb_unwind__operand(kb_u32 rule)
{
	return rule >> 5 & 0xf;
}

static inline kb_s32 kb_unwind__special_offset(kb_u32 rule)
{
	return ((kb_s32)(rule << 14) >> 23) * 8;
}

/* Bytes from the CFA to the saved rbp; 0: not saved; KB_UNWIND_FP_AT_FP. */
static inline kb_s32 kb_unwind__fp_offset(kb_u32 rule)
{
	return ((kb_s32)rule >> 18) * 8;
}

#endif
