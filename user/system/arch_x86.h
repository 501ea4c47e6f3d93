/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_SYSTEM_ARCH_X86_H
#define KB_SYSTEM_ARCH_X86_H

/* The kernel has a tracepoint in the timer interrupt (arch/x86/include/asm/trace/irq_vectors.h). */
#define KB_ARCH_HAS_TICK 1
/* bpf/native/unwind.bpf.c and symbols/unwind_rule.h know the processor. */
#define KB_ARCH_HAS_UNWIND 1

#define KB_ARCH_NAME	   "x86-64"
#define KB_MULTIARCH	   "x86_64-linux-gnu" /* Debian's name for library directories */
#define KB_ARCH_ELF	   EM_X86_64
#define KB_ARCH_R_RELATIVE R_X86_64_RELATIVE
#define KB_ARCH_R_ABSOLUTE R_X86_64_64
#define KB_ARCH_R_GLOB_DAT R_X86_64_GLOB_DAT
#define KB_ARCH_R_JUMP	   R_X86_64_JUMP_SLOT
#define KB_ARCH_R_DTPMOD   R_X86_64_DTPMOD64
#define KB_ARCH_R_TPOFF	   R_X86_64_TPOFF64

/*
 * The executable's TLS block ends at the thread pointer ("variant II" of the ELF
 * TLS specification): offset from the thread pointer of a variable in it.
 */
static inline int64_t kb_arch__tls_offset(uint64_t symbol, uint64_t block_size, uint64_t align)
{
	uint64_t mask = align > 1 ? align - 1 : 0;

	return (int64_t)(symbol - ((block_size + mask) & ~mask));
}

#endif
