/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_PYTHON_PROBE_ADDRESS_H
#define KB_PYTHON_PROBE_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>
#include "keelback/error.h"
#include "python/code_map.h"
#include "system/elf_file.h"

/*
 * Where in a function a uprobe costs least.
 *
 * The kernel puts a breakpoint on the probed instruction and has to have the effect of the
 * instruction itself afterwards. A few it emulates; every other one it has the processor execute
 * in a copy elsewhere, with a second trap behind it, which costs some 20 times as much (10
 * against 0.5 microseconds on a virtual machine). x86: arch/x86/kernel/uprobes.c,
 * branch_setup_xol_ops() and push_setup_xol_ops(). Functions begin with endbr64 in builds with
 * control-flow protection, which is not emulated: so the probe goes onto the first
 * instruction behind a function's start that is.
 */
enum kb_probe_kind {
	KB_PROBE_STEPPED,     /* not emulated: slow */
	KB_PROBE_NOP,	      /* one-byte, perhaps with prefixes */
	KB_PROBE_LONG_NOP,    /* emulated by Linux 6.18, stepped by older ones */
	KB_PROBE_PUSH,	      /* of a register */
	KB_PROBE_JUMP,	      /* relative */
	KB_PROBE_CONDITIONAL, /* jump, relative */
	KB_PROBE_CALL,	      /* relative */
};

struct kb_probe_address {
	uint64_t address; /* as linked */
	uint64_t offset;  /* in the file: what uprobes are attached by */
	enum kb_probe_kind kind;
	/* Registers that are not as they were at the start (code_map.h). */
	kb_register_set written;
	/* Where the program goes on when the kernel has emulated the instruction; 0: nowhere else.
	 */
	uint64_t next[2];
};

/*
 * The first instruction from `start` on that is emulated, reached from there without a jump on the
 * way, while the registers of `intact` are still as at the start, and where no jump leads
 * that does not come by the start (as far as `map` knows; its code must have been added). Where
 * there is none, the start itself, KB_PROBE_STEPPED. False: not in the file's code, or no
 * decoder for this processor.
 */
bool kb_probe_address__search(const struct kb_elf_file *elf, const struct kb_code_map *map,
			      uint64_t start, kb_register_set intact,
			      struct kb_probe_address *probe);

/*
 * The same for a function; end 0: as its symbol says, or not known: then only jumps from its first
 * KB_PROBE_FUNCTION_BYTES are. What has to be intact: kb_registers__arguments(n), and
 * KB_REGISTER_STACK for return probes, which take the return address off the stack.
 */
#define KB_PROBE_FUNCTION_BYTES 4096
struct kb_error *kb_probe_address__find(const struct kb_elf_file *elf, uint64_t start, uint64_t end,
					kb_register_set intact, struct kb_probe_address *probe);

#endif
