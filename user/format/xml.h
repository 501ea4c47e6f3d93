/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_FORMAT_XML_H
#define KB_FORMAT_XML_H

#include <stdio.h>

/*
 * Text of any origin in XML 1.0, for content and for values of attributes in double quotes. What
 * XML has no character for (controls, half surrogates) becomes U+FFFD.
 */
void kb_xml__write(FILE *stream, const char *text);
/*  name="text" */
void kb_xml__attribute(FILE *stream, const char *name, const char *text);

#endif
