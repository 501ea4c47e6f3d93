/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_PYTHON_DECODE_H
#define KB_PYTHON_DECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "system/elf_file.h"

/*
 * What short functions of an interpreter do with the addresses they use, by
 * decoding their machine code: stripped builds keep exported functions that
 * return a variable whose own name is gone. One implementation per processor,
 * decode_x86.c and so on; where there is none, the functions find nothing.
 */

/* A place. */
enum kb_decode_where {
	KB_DECODE_UNKNOWN,
	KB_DECODE_ADDRESS,    /* the link-time address, or plain number, `displacement` */
	KB_DECODE_THREAD,     /* thread pointer + displacement */
	KB_DECODE_THREAD_GOT, /* thread pointer + the GOT word at `base` + displacement */
	KB_DECODE_TLS_PAIR,   /* __tls_get_addr(the GOT pair at `base`) + displacement */
};

struct kb_decode_value {
	enum kb_decode_where where;
	bool contents; /* what is stored at the place, not the place itself */
	uint8_t width; /* bytes that were loaded, of contents */
	uint64_t base;
	int64_t displacement;
};

/* What the function returns on its straight path: conditional branches are taken as not taken. */
bool kb_decode__result(const struct kb_elf_file *file, uint64_t function,
		       struct kb_decode_value *value);

/* The first argument of the first call, or tail jump, for which it can be told. */
bool kb_decode__argument(const struct kb_elf_file *file, uint64_t function,
			 struct kb_decode_value *value);

/* Addresses in the file's segments that the function's instructions form, in order; the number
 * found, at most max. */
size_t kb_decode__addresses(const struct kb_elf_file *file, uint64_t function, uint64_t size,
			    uint64_t *addresses, size_t max);

#endif
