/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_KERNEL_FEATURES_H
#define KB_KERNEL_FEATURES_H

#include <stddef.h>
#include "keelback/inspect.h"

/*
 * What keelback asks of the machine. One table: what it is, which kernel brought
 * it, what is lost without it, and a probe that tries it. The release in the table is
 * for people; nothing is ever concluded from the version of the running kernel.
 */

/* All rows, probed when first asked for; the table is static. Probing takes some 100 ms and is not
 * thread-safe. */
const struct kb_feature *kb_features__probe(size_t *count);

#endif
