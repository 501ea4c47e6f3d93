// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "python/layout.h"

/* Fields that a version does not have are 0 here: only kb_layout__copy_fields() knows which. */
static const struct kb_layout table[] = {
#include "python/layout_table.inc.h"
};

bool kb_layout__from_table(unsigned int minor, struct kb_layout *layout)
{
	if (minor >= sizeof(table) / sizeof(table[0]) || !table[minor].bytes_data)
		return false;
	kb_layout__init(layout, minor);
	kb_layout__copy_fields(layout, &table[minor]);
	return true;
}
