// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "tui/state.h"

static void move(struct kb_list *list, int64_t by)
{
	int64_t to = (int64_t)list->cursor + by, last = (int64_t)list->n - 1;

	list->cursor = to < 0 || last < 0 ? 0 : to > last ? last : to;
}

bool kb_list__key(struct kb_list *list, int key)
{
	int64_t page = list->page > 1 ? list->page - 1 : 1;

	switch (key) {
	case KB_KEY_UP:
	case 'k':
		move(list, -1);
		return true;
	case KB_KEY_DOWN:
	case 'j':
		move(list, 1);
		return true;
	case KB_KEY_PAGE_UP:
		move(list, -page);
		return true;
	case KB_KEY_PAGE_DOWN:
		move(list, page);
		return true;
	case KB_KEY_HOME:
	case 'g':
		move(list, -(int64_t)list->n);
		return true;
	case KB_KEY_END:
	case 'G':
		move(list, list->n);
		return true;
	default:
		return false;
	}
}

void kb_list__fit(struct kb_list *list, uint32_t n, uint32_t page)
{
	list->n = n;
	list->page = page;
	if (list->cursor >= n)
		list->cursor = n ? n - 1 : 0;
	if (list->cursor < list->top)
		list->top = list->cursor;
	if (page && list->cursor >= list->top + page)
		list->top = list->cursor - page + 1;
	/* No empty lines below the last one while there are some above. */
	if (list->top + page > n)
		list->top = n > page ? n - page : 0;
}
