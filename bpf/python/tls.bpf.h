/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_PYTHON_TLS_BPF_H
#define KB_PYTHON_TLS_BPF_H

#include "common/env.bpf.h"
#include "shared/process.h"

/*
 * Thread-local variables from outside. An executable's lie at an offset from the
 * thread pointer that is fixed at link time; a library's are found through a GOT
 * pair {module, offset} that the dynamic linker fills in before any code of the library runs,
 * but after the process may have been found.
 * For libraries loaded at start the block lies in the static area, so that the
 * offset is the same in every thread and needs to be found only once.
 */

/* glibc marks a block that this thread has not allocated yet with -1, musl with 0. */
static __always_inline int tls_block_missing(kb_u64 block)
{
	return !block || block == ~0ULL;
}

/* Reads the GOT, if that has not been done. False: not now, the dynamic linker may not have written
 * it. */
static __always_inline int kb_tls_resolve(struct kb_proc_tls *tls)
{
	kb_u64 got[2] = {};

	if (tls->kind == KB_TLS_STATIC || tls->module)
		return 1;
	if (tls->kind == KB_TLS_GOT && !kb_read_user(got, 8, tls->got) && got[0]) {
		tls->offset = got[0] + tls->displacement;
		tls->kind = KB_TLS_STATIC;
		return 1;
	}
	if (tls->kind != KB_TLS_DYNAMIC || kb_read_user(got, 16, tls->got))
		return 0;
	tls->block_offset = got[1] + tls->displacement;
	tls->module = got[0];
	return got[0] != 0;
}

/* Static blocks of all modules together: glibc reserves 1,664 bytes beyond the initial ones;
 * programs stay far below this. */
#define KB_STATIC_TLS_SPAN 65536

/* Address of the variable in the thread of tp; 0: its block is not allocated. Remembers a static
 * offset. */
static __always_inline kb_u64 kb_tls_address(struct kb_proc_tls *tls, kb_u64 tp)
{
	kb_u64 dtv = 0, block = 0, distance;

	if (!kb_tls_resolve(tls))
		return 0;
	if (tls->kind == KB_TLS_STATIC)
		return tp + tls->offset;
	if (kb_read_user(&dtv, 8, tp + KB_DTV_OFFSET))
		return 0;
	if (kb_read_user(&block, 8, dtv + tls->module * KB_DTV_ENTRY_SIZE) ||
	    tls_block_missing(block))
		return 0;
	distance = KB_STATIC_TLS_BELOW ? tp - block : block - tp;
	if (distance < KB_STATIC_TLS_SPAN) {
		tls->offset = block + tls->block_offset - tp;
		tls->kind = KB_TLS_STATIC;
	}
	return block + tls->block_offset;
}

#endif
