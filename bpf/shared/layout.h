/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_SHARED_LAYOUT_H
#define KB_SHARED_LAYOUT_H

#include "types.h"

/*
 * How to walk one build of the interpreter, as data: byte offsets and traits.
 * It comes from the target's own _Py_DebugOffsets (3.13+), from DWARF, or from
 * the built-in table of its minor version; python/layout.h in user space makes
 * and validates it, BPF only reads it. An offset that a version does not have
 * is KB_NO_OFFSET.
 */
#define KB_NO_OFFSET 0xffff

/* What the instruction field of a frame holds. */
enum kb_lasti_kind {
	KB_LASTI_POINTER = 0, /* 3.11+: pointer into the code object's instructions */
	KB_LASTI_BYTES = 1,   /* 3.6 to 3.9: int f_lasti, a byte offset */
	KB_LASTI_UNITS = 2,   /* 3.10: int f_lasti, counted in 2-byte code units */
};

/* Format of co_lnotab or co_linetable. */
enum kb_linetable_kind {
	KB_LINETABLE_LNOTAB = 0,   /* 3.6 to 3.9: co_lnotab */
	KB_LINETABLE_RANGES = 1,   /* 3.10: PEP 626 */
	KB_LINETABLE_LOCATION = 2, /* 3.11+: PEP 657 locations */
};

/* In the GIL struct: Include/internal/pycore_gil.h, 3.7 to 3.15 (builds that have a GIL). */
#define KB_GIL_LAST_HOLDER 8
#define KB_GIL_LOCKED	   16

#define KB_LAYOUT_FREE_THREADED                                                                    \
	1u /* Py_GIL_DISABLED build: other object header, no GIL to hold                           \
	    */
#define KB_LAYOUT_BASE_FRAME                                                                       \
	2u /* 3.15+: base_frame, the chain's last and empty frame, follows current_frame */

struct kb_layout {
	/* Global state. Up to 3.6 there is no _PyRuntime and these two are unused. */
	kb_u32 runtime_interpreters_head;
	kb_u32 runtime_tstate_current; /* up to 3.11: gilstate.tstate_current; else KB_NO_OFFSET */
	kb_u32 runtime_tss_key;	       /* gilstate.autoTSSkey, else KB_NO_OFFSET */
	kb_u32 interp_next;
	kb_u32 interp_threads_head;

	kb_u16 tstate_next;
	kb_u16 tstate_interp;
	kb_u16 tstate_thread_id;	/* unsigned long, what pthread_self() gave */
	kb_u16 tstate_native_thread_id; /* 3.11+ */
	kb_u16 tstate_frame;		/* current_frame, or cframe in 3.11 and 3.12, or frame */
	kb_u16 cframe_current_frame;	/* 3.11 and 3.12 only */

	kb_u16 frame_previous;
	kb_u16 frame_code; /* f_code, f_executable: tag bits in the low 3 bits are masked */
	kb_u16 frame_instr;
	kb_u16 frame_owner; /* 3.11+ */
	kb_u16 frame_size;  /* bytes from the frame's start that cover the fields above */

	kb_u16 code_instructions; /* co_code_adaptive, 3.11+ */
	kb_u16 code_filename;
	kb_u16 code_name; /* co_qualname from 3.11, co_name before */
	kb_u16 code_firstlineno;
	kb_u16 code_linetable;
	kb_u16 code_size; /* bytes of the fixed part: at least up to the last field above */

	kb_u16 object_type; /* ob_type in PyObject */
	kb_u16 unicode_length;
	kb_u16 unicode_state;
	kb_u16 unicode_ascii_data;   /* sizeof(PyASCIIObject) */
	kb_u16 unicode_compact_data; /* sizeof(PyCompactUnicodeObject) */
	kb_u16 bytes_size;	     /* ob_size in PyBytesObject */
	kb_u16 bytes_data;	     /* ob_sval */

	kb_u8 unicode_kind_shift; /* of the 3 bits `kind` in the state word; compact and ascii
				     follow */
	kb_u8 lasti_kind;	  /* enum kb_lasti_kind */
	kb_u8 linetable_kind;	  /* enum kb_linetable_kind */
	kb_u8 skip_owner;	  /* frames with owner >= this are no Python frames; 0: none */
	kb_u8 version_minor;	  /* the x of 3.x */
	kb_u8 flags;		  /* KB_LAYOUT_* */

	/* Only for a thread's state beside the walk (bpf/python/state.bpf.c); all may be
	 * KB_NO_OFFSET. */
	kb_u16 tstate_exc_info;	 /* pointer to the innermost handled exception; 3.6: exc_type */
	kb_u16 tstate_raised;	 /* current_exception, up to 3.11 curexc_type: not handled yet */
	kb_u16 tstate_holds_gil; /* 3.15+ */
	kb_u16 gil_bytes;	 /* of the GIL struct, its mutexes and conditions included */
	kb_u32 runtime_gil;	 /* 3.7 to 3.11: of the GIL struct itself */
	kb_u32 interp_gil;	 /* 3.12+: of the pointer to the GIL struct */
	kb_u32 runtime_gc_collecting; /* 3.7 and 3.8 */
	kb_u32 interp_gc_collecting;  /* 3.9+ */
	kb_u16 frame_tlbc_index;      /* free-threaded 3.14+: which copy of the bytecode runs */
	kb_u16 code_tlbc;	      /* free-threaded 3.14+: _PyCodeArray * */
	kb_u32 interp_id;	      /* 3.7+ */
	kb_u32 interp_gc_frame;	      /* 3.15+: of the frame in which the collection began */
	kb_u16 frame_is_entry; /* 3.11: bool, C code called the interpreter with this frame */
	kb_u16 code_bytes;     /* up to 3.10: co_code, a bytes object */
	kb_u8 extended_arg;    /* opcode of EXTENDED_ARG */
	kb_u8 reserved[3];
};
KB_ASSERT_SIZE(struct kb_layout, 120);

#endif
