/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_FORMAT_PAGE_H
#define KB_FORMAT_PAGE_H

#include <stdio.h>
#include "base/error.h"
#include "keelback/profile.h"

/*
 * What the HTML pages have in common. A page is one file without any reference to
 * another: a template, styles and scripts that are embedded in the program, and
 * data as JSON between them. Page.css and page.js come before the page's own.
 */
struct kb_page {
	/* Has the marks <!--css-->, <!--data--> and <!--js-->, in this order. The scripts are the
	 * body of one function. */
	const char *template;
	const char *const *styles, *const *scripts; /* NULL behind the last */
	/* Writes what stands for <!--data-->. */
	struct kb_error *(*write_data)(void *context, FILE *stream);
	void *context;
};

struct kb_error *kb_page__write(const struct kb_page *page, FILE *stream);

/* {"meta":{…},"ledger":[…]: how the profile was taken, and what became of its samples. The
 * object is left open. title NULL: the profile's target. */
void kb_page__begin_profile(const struct kb_profile *profile, const char *title, FILE *stream);

/* ,"name":"text" */
void kb_page__write_member(const char *name, const char *text, FILE *stream);

#endif
