/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_CLI_INTERRUPT_H
#define KB_CLI_INTERRUPT_H

#include <stdbool.h>

/*
 * The first SIGINT, SIGTERM or SIGHUP is noted, a second one ends the program at once
 * with 128 + its number. SIGPIPE does nothing: writes fail instead. All are
 * handlers, not SIG_IGN, so a command that is started has none of it.
 */
void kb_interrupt__install(void);

/* What a second signal still does before it ends the program; callable from a handler. */
void kb_interrupt__on_abandon(void (*fn)(void));

/* The signal that came, or 0. *from_terminal: everything in the foreground got it, not only we. */
int kb_interrupt__received(bool *from_terminal);

#endif
