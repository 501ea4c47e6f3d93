/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_CLI_BROWSER_H
#define KB_CLI_BROWSER_H

/*
 * Opens a file in the user's browser with xdg-open, as the user who called sudo
 * where that was how we became root. Says on stderr when that is not possible:
 * the file is there all the same, so it is no error.
 */
void kb_browser__open(const char *path);

#endif
