// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <string.h>
#include "base/options.h"

struct kb_error *kb_options__copy(void *known, size_t known_size, const void *given)
{
	size_t size;

	memset(known, 0, known_size);
	memcpy(&size, given, sizeof(size));
	if (size < sizeof(size))
		return kb_usage("an options struct without its size: set .size = sizeof(opts)");
	for (size_t i = known_size; i < size; i++) {
		if (((const char *)given)[i])
			return kb_usage(
				"an option that this libkeelback does not know: it is older "
				"than the headers");
	}
	memcpy(known, given, size < known_size ? size : known_size);
	return NULL;
}
