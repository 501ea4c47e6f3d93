// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Demangling is libiberty's, as in GCC's and binutils' own tools: it knows Rust's two schemes as
 * well as C++. The input is untrusted, and a short name can unfold to gigabytes, so the
 * functions with a callback are used: they allocate nothing, hand out their text in pieces, and are
 * left with a jump when enough has come.
 */
#include <libiberty/demangle.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>
#include "base/text.h"
#include "symbols/display_name.h"

/* Longer names are shown as they are: what is demangled recursively grows with the name. */
#define MANGLED_MAX 2048

static const char ELLIPSIS[] = "\xe2\x80\xa6";

struct output {
	char *text;
	size_t length, room; /* room: without the end of the text */
	jmp_buf full;
};

/* A cut may not leave half a character. */
static void end_cut(char *text, size_t length)
{
	while (length && ((unsigned char)text[length] & 0xc0) == 0x80)
		length--;
	memcpy(text + length, ELLIPSIS, sizeof(ELLIPSIS));
}

static void take(const char *piece, size_t size, void *opaque)
{
	struct output *out = opaque;

	if (size > out->room - out->length) {
		end_cut(out->text, out->length);
		longjmp(out->full, 1);
	}
	memcpy(out->text + out->length, piece, size);
	out->length += size;
	out->text[out->length] = '\0';
}

static bool demangle(const char *name, char *text)
{
	struct output out = { .text = text, .room = KB_DISPLAY_NAME_MAX - sizeof(ELLIPSIS) };

	if (strncmp(name, "_Z", 2) && strncmp(name, "_R", 2))
		return false;
	if (setjmp(out.full))
		return true;
	if (rust_demangle_callback(name, DMGL_NO_OPTS, take, &out))
		return true;
	out.length = 0;
	return name[1] == 'Z' && cplus_demangle_v3_callback(name, DMGL_ANSI, take, &out) &&
	       out.length;
}

/* Length of one suffix at `at`, with its numbers (".part.0"), or 0. */
static size_t suffix_length(const char *at)
{
	static const char *const words[] = { "cold",	 "part",       "constprop", "isra",
					     "lto_priv", "localalias", "llvm",	    "clone",
					     "__uniq",	 "ipa_ra",     "warm",	    "exit" };

	if (*at != '.')
		return 0;
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		size_t n = strlen(words[i]) + 1, digits;

		if (strncmp(at + 1, words[i], n - 1) || (at[n] && at[n] != '.'))
			continue;
		while (at[n] == '.' && (digits = strspn(at + n + 1, "0123456789")))
			n += 1 + digits;
		return n;
	}
	return 0;
}

/* Length of the name without what compilers and linkers put behind it. */
static size_t plain_length(const char *name)
{
	size_t length = strcspn(name, "@");
	const char *dot = name;

	if (!length)
		return strlen(name);
	while ((dot = strchr(dot + 1, '.')) && dot < name + length) {
		const char *at = dot;
		size_t n;

		while ((n = suffix_length(at)))
			at += n;
		if (at > dot && at == name + length)
			return (size_t)(dot - name);
	}
	return length;
}

void kb_display_name__make(const char *linkage, bool wanted, char text[KB_DISPLAY_NAME_MAX])
{
	size_t length = *linkage ? plain_length(linkage) : 0;
	char plain[MANGLED_MAX + 1];

	if (wanted && length <= MANGLED_MAX) {
		memcpy(plain, linkage, length);
		plain[length] = '\0';
		if (demangle(plain, text))
			return;
	}
	if (length > KB_DISPLAY_NAME_MAX - sizeof(ELLIPSIS)) {
		length = KB_DISPLAY_NAME_MAX - sizeof(ELLIPSIS);
		memcpy(text, linkage, length + 1);
		end_cut(text, length);
		return;
	}
	memcpy(text, linkage, length);
	text[length] = '\0';
}
