/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_PYTHON_OBJECT_LAYOUT_H
#define KB_PYTHON_OBJECT_LAYOUT_H

#include "bpf/shared/layout.h"

/*
 * How to read the objects of one build of the interpreter: byte offsets, KB_NO_OFFSET where
 * the version has no such field. Only user space needs them. The public structures do not
 * change within a minor version; what does (PyInterpreterState) comes from _Py_DebugOffsets
 * where there are such, and is checked where it is used.
 */
struct kb_object_layout {
	uint32_t interp_id;
	uint32_t interp_modules; /* PyObject *: sys.modules */

	uint32_t var_size; /* ob_size of every PyVarObject */
	uint32_t type_name, type_basicsize, type_itemsize, type_flags, type_dictoffset;
	uint32_t type_dict; /* of heap types; from 3.12 the interpreter may have that of others */
	uint32_t type_base;
	uint32_t type_cached_keys, type_qualname; /* heap types only */

	uint32_t frame_localsplus, frame_locals, frame_globals;
	uint32_t frame_valuestack; /* up to 3.10 */
	/*
	 * Up to 3.9 the address of the stack's end, 0 while running; 3.10 its depth, -1 while
	 * running; 3.11 to 3.13 an int counted from localsplus; 3.14 and later the address.
	 */
	uint32_t frame_stacktop;

	uint32_t code_bare_name, code_flags, code_nlocals;
	uint32_t code_varnames, code_cellvars, code_freevars, code_code; /* up to 3.10 */
	uint32_t code_consts;
	uint32_t code_localsplusnames, code_localspluskinds; /* 3.11+ */

	uint32_t cell_ref;
	uint32_t long_tag; /* 3.12+; before, var_size has sign and number of digits */
	uint32_t long_digits;
	uint32_t float_value, complex_value;
	uint32_t tuple_items, list_items, list_allocated;
	uint32_t set_used, set_mask, set_table, set_smalltable;
	uint32_t dict_used, dict_keys, dict_values;
	uint32_t keys_log2_size, keys_log2_index_bytes, keys_kind; /* 3.11+ */
	uint32_t keys_size;					   /* up to 3.10: dk_size */
	uint32_t keys_nentries, keys_indices;
	uint32_t values_items; /* 0 up to 3.11: the values themselves */
	uint32_t function_code, function_qualname, method_function, method_self;
	uint32_t builtin_definition, exception_args, weakref_object, bytearray_start;
	uint32_t bytearray_alloc, bytearray_bytes;
	uint32_t generator_frame; /* PyFrameObject *; 3.11+: where the frame itself begins */
	uint32_t generator_state, generator_qualname;
	uint32_t gc_head; /* size of PyGC_Head, which lies before objects with Py_TPFLAGS_HAVE_GC */
};

/*
 * From the built-in table, of builds for 64 bits, adapted to the size of the object header that
 * `walk` (finished) has: free-threaded builds have a larger one.
 */
void kb_object_layout__init(struct kb_object_layout *objects, const struct kb_layout *walk);

#endif
