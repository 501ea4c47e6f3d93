/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_SYSTEM_ARCH_ARM64_H
#define KB_SYSTEM_ARCH_ARM64_H

/* No tracepoint in the timer interrupt. */
#define KB_ARCH_HAS_TICK 0
/* bpf/native/unwind.bpf.c and symbols/unwind_rule.h know the processor. */
#define KB_ARCH_HAS_UNWIND 0

#define KB_ARCH_NAME	   "arm64"
#define KB_MULTIARCH	   "aarch64-linux-gnu" /* Debian's name for library directories */
#define KB_ARCH_ELF	   EM_AARCH64
#define KB_ARCH_R_RELATIVE R_AARCH64_RELATIVE
#define KB_ARCH_R_ABSOLUTE R_AARCH64_ABS64
#define KB_ARCH_R_GLOB_DAT R_AARCH64_GLOB_DAT
#define KB_ARCH_R_JUMP	   R_AARCH64_JUMP_SLOT
#define KB_ARCH_R_DTPMOD   R_AARCH64_TLS_DTPMOD
#define KB_ARCH_R_TPOFF	   R_AARCH64_TLS_TPREL

/*
 * The executable's TLS block follows the two words that the thread pointer
 * points to, aligned ("variant I" of the ELF TLS specification).
 */
static inline int64_t kb_arch__tls_offset(uint64_t symbol, uint64_t block_size, uint64_t align)
{
	uint64_t mask = align > 1 ? align - 1 : 0;

	return (int64_t)(symbol + ((16 + mask) & ~mask));
}

#endif
