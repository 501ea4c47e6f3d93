/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_PYTHON_CODE_MAP_H
#define KB_PYTHON_CODE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "keelback/error.h"
#include "system/elf_file.h"

/*
 * Machine code as far as choosing places in it needs: where direct jumps land, where calls go.
 * Decoding is done by one implementation per processor, code_map_x86.c and so on.
 */

/* A set of registers: bit n is the one with DWARF's number n. */
typedef uint32_t kb_register_set;
#define KB_REGISTER_NONE   (-1)
#define KB_REGISTER_BIT(n) ((kb_register_set)1 << (n))

#if defined(__x86_64__)
#define KB_REGISTER_STACK KB_REGISTER_BIT(7)
#else
#define KB_REGISTER_STACK KB_REGISTER_BIT(31)
#endif

/* DWARF's number of the register that has a function's index-th argument, from 0; KB_REGISTER_NONE
 * beyond those in registers. */
int kb_register__argument(unsigned int index);
/* The first n. */
kb_register_set kb_registers__arguments(unsigned int n);
/* "rdi"; "?" of none. */
const char *kb_register__name(int number);

/* Where jumps land, in the code that was added. */
struct kb_code_map {
	uint64_t *landings; /* ascending, once kb_code_map__finish() was called */
	uint32_t n, capacity;
};

/* Much more than any function's code. */
#define KB_CODE_BYTES_MAX (4u << 20)

struct kb_error *kb_code_map__add_code(struct kb_code_map *map, const struct kb_elf_file *elf,
				       uint64_t start, uint64_t end);
/* A place that indirect jumps go to. */
struct kb_error *kb_code_map__add_landing(struct kb_code_map *map, uint64_t address);
void kb_code_map__finish(struct kb_code_map *map);
void kb_code_map__free(struct kb_code_map *map);
/* Whether anything lands in [first, last]. */
bool kb_code_map__lands(const struct kb_code_map *map, uint64_t first, uint64_t last);

/* Where a direct call or jump goes: through a stub of the procedure linkage table, to the function
 * behind it where this file defines it. */
uint64_t kb_code__destination(const struct kb_elf_file *elf, uint64_t target);

/* Calls, and jumps to other functions, in [start, end) that go to `callee`: the instructions'
 * addresses in ascending order; the number found, at most max. */
size_t kb_code__calls(const struct kb_elf_file *elf, uint64_t start, uint64_t end, uint64_t callee,
		      uint64_t *addresses, size_t max);
/* Calls and jumps in [start, end) through memory `slot` bytes behind what a register has: through a
 * slot of a type, if it has one. The number found, at most max. */
struct kb_code_slot_call {
	uint64_t address;
	int number; /* of the register */
};
size_t kb_code__slot_calls(const struct kb_elf_file *elf, uint64_t start, uint64_t end,
			   uint8_t slot, struct kb_code_slot_call *calls, size_t max);
/* Whether nothing but cleaning up comes between such a call or jump and the function's return. */
bool kb_code__returns(const struct kb_elf_file *elf, uint64_t call);
/*
 * The conditional jumps in [start, end) that are the first between a register's being stored in
 * memory at a register + `displacement` and, without a call in between, the function's return.
 */
size_t kb_code__last_branches(const struct kb_elf_file *elf, uint64_t start, uint64_t end,
			      int32_t displacement, uint64_t *addresses, size_t max);
/* The function that is called first on the straight path from an address; 0: none is. call, unless
 * it is NULL: where that is. */
uint64_t kb_code__first_call(const struct kb_elf_file *elf, uint64_t address, uint64_t *call);

/* Compares the 16 bits at `variable` to 0, and the conditional jump behind it, in [start, end). */
struct kb_code_check {
	uint64_t jump;	    /* the conditional jump's address */
	uint64_t when_zero; /* where the code continues when the variable is 0 */
};
size_t kb_code__checks(const struct kb_elf_file *elf, uint64_t start, uint64_t end,
		       uint64_t variable, struct kb_code_check *checks, size_t max);

/*
 * The conditional jumps that decide by 16 bits which were read from memory, on all ways from
 * `start` that pass no call and no indirect jump, as long as none of `intact` is written: so
 * instructions look at their counters of specialization. False: too many ways, or more than max.
 */
bool kb_code__counter_checks(const struct kb_elf_file *elf, uint64_t start, kb_register_set intact,
			     uint64_t *addresses, size_t max, size_t *n);

/* Where the code from an address on finds a value of its caller's. */
struct kb_code_place {
	int8_t number; /* of a register; KB_REGISTER_NONE: not found */
	bool memory;   /* in memory, at what the register has + displacement */
	int32_t displacement;
};

/* The first 8 bytes that are read from memory at a register - 8: the register. */
int kb_code__reads_below(const struct kb_elf_file *elf, uint64_t address);
/* Where the code from an address on writes 8 bytes to memory. */
struct kb_code_store {
	uint64_t address; /* of the instruction */
	int8_t base;	  /* the register that has where; KB_REGISTER_NONE: nothing is written */
	int8_t value; /* the register that is written; KB_REGISTER_NONE: none that still is as at
			 the start */
};
/* The first ones that go to a register + displacement, other than the stack pointer. */
struct kb_code_store kb_code__store_at(const struct kb_elf_file *elf, uint64_t address,
				       int64_t displacement);
/* The first 4 bytes that are sign-extended to 8. */
struct kb_code_place kb_code__extends(const struct kb_elf_file *elf, uint64_t address);

#endif
