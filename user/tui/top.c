// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

/*
 * The live view's loop: waits for samples, keys, the command's output and signals
 * in one place (kb_sampler__poll), refreshes the numbers when it is time, and
 * draws when anything has changed.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/clock.h"
#include "tui/state.h"

#define MESSAGE_NS   (5 * KB_NS_PER_SECOND)
#define MESSAGES_MAX 50	  /* warnings kept for after the view */
#define KEYS_MAX     1000 /* handled before the screen is drawn: what is pasted has an end, too */

/* ---------------------------------------------------------------- messages */

static struct {
	struct {
		int level;
		char *line;
	} kept[MESSAGES_MAX];
	size_t n;
	struct kb_top *top; /* while there is a view */
} messages;

void kb_top__say(struct kb_top *top, bool error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(top->message, sizeof(top->message), format, args);
	va_end(args);
	top->message_is_error = error;
	top->message_until = kb_now(CLOCK_MONOTONIC) + MESSAGE_NS;
}

void kb_top__log(int level, const char *line, void *context)
{
	if (messages.n < MESSAGES_MAX) {
		messages.kept[messages.n].level = level;
		messages.kept[messages.n].line = strdup(line);
		messages.n += messages.kept[messages.n].line != NULL;
	}
	if (messages.top && !level)
		kb_top__say(messages.top, true, "%s", line);
}

void kb_top__replay(void (*say)(int level, const char *line, void *context), void *context)
{
	for (size_t i = 0; i < messages.n; i++) {
		say(messages.kept[i].level, messages.kept[i].line, context);
		free(messages.kept[i].line);
	}
	messages.n = 0;
}

/* ---------------------------------------------------------------- the loop */

static struct kb_error *handle_keys(struct kb_top *top, bool *any)
{
	int key;

	for (int i = 0; i < KEYS_MAX && !top->quit && (key = kb_screen__key()) != KB_KEY_NONE;
	     i++) {
		*any = true;
		if (key == KB_KEY_END_OF_INPUT)
			top->quit = true;
		else
			KB_TRY(kb_top__key(top, key));
	}
	return NULL;
}

static struct kb_error *run(struct kb_top *top)
{
	uint64_t next;

	KB_TRY(kb_sampler__wake_on(top->sampler, STDIN_FILENO));
	if (top->opts->console && top->opts->console->master >= 0)
		KB_TRY(kb_sampler__wake_on(top->sampler, top->opts->console->master));
	kb_top__learn(top);
	kb_top__draw(top);
	next = top->started_ns + (uint64_t)(top->delay * KB_NS_PER_SECOND);
	while (!top->quit) {
		bool refreshed = false, keys = false;
		double delay = top->delay;

		KB_TRY(kb_top__await(top, &next, &refreshed));
		if (top->opts->interrupted(top->opts->context))
			break;
		KB_TRY(handle_keys(top, &keys));
		if (delay != top->delay)
			next = kb_now(CLOCK_MONOTONIC);
		if (refreshed || keys || top->panel == KB_PANEL_OUTPUT)
			kb_top__draw(top);
	}
	return NULL;
}

struct kb_error *kb_top__run(const struct kb_top_opts *opts, struct kb_top_result *result)
{
	struct kb_top top = {};
	struct kb_error *err = kb_top__create(&top, opts);

	if (!err)
		err = kb_screen__open(opts->color, &top.screen);
	if (!err) {
		messages.top = &top;
		err = kb_top__start(&top);
		if (!err)
			err = run(&top);
		messages.top = NULL;
		kb_screen__close();
	}
	err = kb_error__first(err, kb_sampler__stop(opts->sampler));
	result->end_command = top.end_command;
	kb_top__destroy(&top);
	return err;
}
