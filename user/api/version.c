// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "keelback/inspect.h"

const char *kb_version(void)
{
	return KB_VERSION;
}
