/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_SYMBOLS_SYMBOLIZER_H
#define KB_SYMBOLS_SYMBOLIZER_H

#include "symbols/module.h"
#include "symbols/unwind_store.h"

/*
 * Names of native code. For a module, in this order: its .symtab; that of its separate debug file
 * (by build id or .gnu_debuglink below /usr/lib/debug and beside the file; nothing from the
 * network); its .gnu_debugdata; its .dynsym. A symbol names an address when it contains it. In a
 * stripped file, where static functions have no symbol, the ranges of functions in .eh_frame say
 * which addresses the symbol before them does not reach; a part that the compiler moved away goes
 * by its function's name; and functions that implement something of Python by what that is called.
 *
 * All strings live as long as the symbolizer. They are the file's own bytes (demangled): text from
 * an untrusted source, to be written with kb_text__write() and the like.
 */
struct kb_symbolizer;

enum kb_symbol_source {
	KB_SYMBOL_NONE,	    /* name is "0x1234 in libfoo.so": no function is known there */
	KB_SYMBOL_RANGE,    /* name is "libfoo.so+0x1234", of the start of a function without symbol
			     */
	KB_SYMBOL_ELF,	    /* .symtab or .dynsym */
	KB_SYMBOL_DEBUG,    /* separate debug file or .gnu_debugdata */
	KB_SYMBOL_METHOD,   /* name is Python's, of a function without symbol: "zlib.compress" */
	KB_SYMBOL_PERF_MAP, /* what a run-time compiler wrote to /tmp/perf-PID.map */
	KB_SYMBOL_KERNEL,
};

struct kb_symbol {
	const char
		*name; /* for people: demangled, without the compiler's suffixes (.cold, .part.0) */
	const char *linkage; /* as in the symbol table; NULL where there is no symbol */
	const char *file;    /* path of the module; "" for none (kernel, run-time compiled) */
	uint64_t start;	     /* of the function: relative in a module, else an address */
	enum kb_symbol_source source;
};

struct kb_symbolizer_opts {
	size_t size; /* of this struct */
	/* Has the ranges of functions, and must outlive the symbolizer; NULL: they are not known.
	 */
	struct kb_unwind_store *store;
	const char *debug_root; /* NULL: /usr/lib/debug */
	bool no_debug_files;	/* only what the modules themselves hold */
	bool no_demangle;
};

struct kb_error *kb_symbolizer__create(const struct kb_symbolizer_opts *opts,
				       struct kb_symbolizer **symbolizer);
void kb_symbolizer__destroy(struct kb_symbolizer *symbolizer);

/*
 * Names the code at a relative address of a module (module.h). Always gives a name; a module's
 * symbols are read when it is first asked about. Look up return addresses less 1.
 */
void kb_symbolizer__module(struct kb_symbolizer *symbolizer, const struct kb_module *module,
			   uint64_t relative, struct kb_symbol *symbol);

/*
 * The relative address of a function by its linkage name. False: there is no such symbol. Suffixed
 * parts are symbols of their own ("_PyEval_EvalFrameDefault.cold").
 */
bool kb_symbolizer__find(struct kb_symbolizer *symbolizer, const struct kb_module *module,
			 const char *linkage, uint64_t *start, uint64_t *size);

/*
 * Names an address of a process that lies in no file: from its /tmp/perf-PID.map (PID and /tmp as
 * the process sees them), if that is the process's own. Else "0x1234 in LABEL"; label: the
 * mapping's name ("[heap]", "[anonymous]"). Maps grow: one is read again, at most once a second,
 * while addresses are asked for that it does not have.
 */
void kb_symbolizer__process(struct kb_symbolizer *symbolizer, pid_t pid, uint64_t address,
			    const char *label, struct kb_symbol *symbol);
/* Gives back the maps of processes that have ended since (a reused PID is another process). */
void kb_symbolizer__forget_ended(struct kb_symbolizer *symbolizer);

/* Names a kernel address, from /proc/kallsyms; "0xffff… in [kernel]" when that shows none (it
 * needs CAP_SYSLOG, and kernel.kptr_restrict below 2). */
void kb_symbolizer__kernel(struct kb_symbolizer *symbolizer, uint64_t address,
			   struct kb_symbol *symbol);

#endif
