/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_SYMBOLS_DISPLAY_NAME_H
#define KB_SYMBOLS_DISPLAY_NAME_H

#include <stdbool.h>
#include <stddef.h>

/* Longer names end in "…". */
#define KB_DISPLAY_NAME_MAX 4096

/*
 * A linkage name as people know the function: without a symbol version ("@@GLIBC_2.2.5") and the
 * suffixes that compilers give to the parts and clones they make of a function (".cold",
 * ".part.0", ".constprop.0", ".lto_priv.0" and so on); C++ and Rust names, if asked for, demangled
 * and without their arguments.
 */
void kb_display_name__make(const char *linkage, bool demangle, char text[KB_DISPLAY_NAME_MAX]);

#endif
