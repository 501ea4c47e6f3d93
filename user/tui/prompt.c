// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "base/text.h"
#include "keelback/format.h"
#include "tui/state.h"

enum { CONTROL_U = 21, CONTROL_W = 23 };

void kb_prompt__open(struct kb_top *top, enum kb_prompt_kind kind)
{
	struct kb_prompt *prompt = &top->prompt;

	prompt->kind = kind;
	prompt->error[0] = 0;
	if (kind == KB_PROMPT_FILTER) {
		strcpy(prompt->text, top->order.pattern);
		strcpy(prompt->before, top->order.pattern);
	} else if (kind == KB_PROMPT_SAVE) {
		prompt->text[0] = 0;
	}
}

static size_t max_size(const struct kb_prompt *prompt)
{
	return prompt->kind == KB_PROMPT_FILTER ? KB_PATTERN_MAX : sizeof(prompt->text) - 1;
}

/* A character at the end, if it is one. */
static bool type(struct kb_prompt *prompt, int key)
{
	size_t size = strlen(prompt->text);
	char bytes[4];
	int n;

	if (key < 0 || key >= KB_KEY_UP || !kb_text__is_printable(key))
		return false;
	n = kb_text__encode(key, bytes);
	if (size + n > max_size(prompt))
		return false;
	memcpy(prompt->text + size, bytes, n);
	prompt->text[size + n] = 0;
	return true;
}

static void erase_character(struct kb_prompt *prompt)
{
	size_t size = strlen(prompt->text);

	while (size && (prompt->text[size - 1] & 0xc0) == 0x80)
		size--;
	prompt->text[size ? size - 1 : 0] = 0;
}

static void erase_word(struct kb_prompt *prompt)
{
	size_t size = strlen(prompt->text);

	while (size && isspace((unsigned char)prompt->text[size - 1]))
		size--;
	while (size && !isspace((unsigned char)prompt->text[size - 1]) &&
	       prompt->text[size - 1] != '/')
		size--;
	if (size && prompt->text[size - 1] == '/' && strlen(prompt->text) == size)
		size--;
	prompt->text[size] = 0;
}

/* Keys that change the text. */
static bool edit(struct kb_prompt *prompt, int key)
{
	switch (key) {
	case KB_KEY_BACKSPACE:
	case KB_KEY_DELETE:
		erase_character(prompt);
		return true;
	case CONTROL_U:
		prompt->text[0] = 0;
		return true;
	case CONTROL_W:
		erase_word(prompt);
		return true;
	default:
		return type(prompt, key);
	}
}

/* Keeps an error as the text beside the prompt. */
static void complain(struct kb_prompt *prompt, struct kb_error *err)
{
	snprintf(prompt->error, sizeof(prompt->error), "%s", err ? kb_error__text(err) : "");
	kb_error__destroy(err);
}

/* The filter works while it is typed; a pattern that is none (yet) leaves the last one at work. */
static struct kb_error *filter_key(struct kb_top *top, int key)
{
	struct kb_prompt *prompt = &top->prompt;

	if (key == KB_KEY_ESCAPE) {
		prompt->kind = KB_PROMPT_NONE;
		kb_error__destroy(kb_row_order__filter(&top->order, prompt->before));
		return kb_top__order(top);
	}
	if (key == KB_KEY_ENTER && !*prompt->error)
		prompt->kind = KB_PROMPT_NONE;
	if (!edit(prompt, key))
		return NULL;
	complain(prompt, kb_row_order__filter(&top->order, prompt->text));
	return kb_top__order(top);
}

static void save(struct kb_top *top)
{
	struct kb_prompt *prompt = &top->prompt;
	struct kb_error *err = top->opts->save(prompt->text, top->profile, top->opts->context);

	prompt->kind = KB_PROMPT_NONE;
	if (err)
		kb_top__say(top, true, "%s", kb_error__text(err));
	else
		kb_top__say(top, false, "saved as %s", prompt->text);
	kb_error__destroy(err);
}

static void save_key(struct kb_top *top, int key)
{
	struct kb_prompt *prompt = &top->prompt;

	if (key == KB_KEY_ESCAPE || (key == KB_KEY_ENTER && !*prompt->text)) {
		prompt->kind = KB_PROMPT_NONE;
	} else if (key == KB_KEY_ENTER) {
		if (!kb_format__by_path(prompt->text))
			snprintf(prompt->error, sizeof(prompt->error),
				 "its ending chooses no format: .html .kb .folded .pstats ...");
		else if (access(prompt->text, F_OK))
			save(top);
		else
			kb_prompt__open(top, KB_PROMPT_OVERWRITE);
	} else if (edit(prompt, key)) {
		prompt->error[0] = 0;
	}
}

struct kb_error *kb_prompt__key(struct kb_top *top, int key)
{
	struct kb_prompt *prompt = &top->prompt;

	switch (prompt->kind) {
	case KB_PROMPT_FILTER:
		return filter_key(top, key);
	case KB_PROMPT_SAVE:
		save_key(top, key);
		break;
	case KB_PROMPT_OVERWRITE:
		if (key == 'y' || key == 'Y')
			save(top);
		else
			prompt->kind = KB_PROMPT_NONE;
		break;
	case KB_PROMPT_QUIT:
		top->quit = key == 'q' || key == 'Q' || key == 'w' || key == 'W';
		top->end_command = key == 'q' || key == 'Q';
		prompt->kind = KB_PROMPT_NONE;
		break;
	default:
		break;
	}
	return NULL;
}
