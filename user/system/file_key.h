/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_SYSTEM_FILE_KEY_H
#define KB_SYSTEM_FILE_KEY_H

#include <stdbool.h>
#include <stdint.h>

/* Which file it was: replacing or changing it changes one of these. Without padding: a hash key. */
struct kb_file_key {
	uint64_t device, inode, size;
	int64_t changed_s, changed_ns;
};

/* False when it is no regular file. */
bool kb_file_key__read(int fd, struct kb_file_key *key);

#endif
