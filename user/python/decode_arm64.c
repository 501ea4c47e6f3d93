// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#if defined(__aarch64__)

#include "python/decode.h"

/*
 * Not decoded yet: what needs it is found by symbols where the file has them.
 * Without, thread states are found by the key of PyGILState or by the list of threads.
 */
bool kb_decode__result(const struct kb_elf_file *file, uint64_t function,
		       struct kb_decode_value *value)
{
	return false;
}

bool kb_decode__argument(const struct kb_elf_file *file, uint64_t function,
			 struct kb_decode_value *value)
{
	return false;
}

size_t kb_decode__addresses(const struct kb_elf_file *file, uint64_t function, uint64_t size,
			    uint64_t *addresses, size_t max)
{
	return 0;
}

#endif
