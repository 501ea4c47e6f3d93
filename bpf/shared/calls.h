/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_SHARED_CALLS_H
#define KB_SHARED_CALLS_H

#include "types.h"

/*
 * Exact call statistics (bpf/calls.bpf.c): what both sides know of the probes, of the shadow
 * stacks and of the counts.
 */

/* What happens where a probe is: the low byte of its cookie. */
enum kb_call_point {
	KB_POINT_ENTER = 1,   /* 3.11+: the current frame begins to run, or runs on after a yield */
	KB_POINT_ENTER_1 = 2, /* up to 3.8: likewise, the frame is the first argument */
	KB_POINT_ENTER_2 = 3, /* 3.9 and 3.10: it is the second */
	KB_POINT_LEAVE = 4,   /* the current frame ends */
	KB_POINT_LEAVE_1 = 5, /* the frame that is the first argument ends */
	KB_POINT_LEAVE_2 = 6, /* likewise the second */
	KB_POINT_LEAVE_TOP = 7,	  /* the call that began last ends */
	KB_POINT_YIELD = 8,	  /* the current frame is suspended */
	KB_POINT_RAISE = 9,	  /* 3.11+: an exception passes through the current frame */
	KB_POINT_C = 10,	  /* the current frame calls something that may be C */
	KB_POINT_CODE_FREED = 11, /* a code object is freed */
};
/* The second byte tells probes with the same meaning apart; the third is enum kb_call_shape. */
#define KB_POINT_COOKIE(point, variant, shape)                                                     \
	((kb_u64)(shape) << 16 | (kb_u64)(variant) << 8 | (point))
#define KB_POINT_SPECIALIZES	     (1ull << 32) /* the instruction, when its counter has run out */
#define KB_POINT_IN_REGISTER(number) ((kb_u64)((number) + 1) << 24)
/*
 * At KB_POINT_C the third byte says where the callable lies: (base + oparg * scale + (oparg &
 * mask)) words below the loop's stack pointer; when that is NULL, at if_null instead of base.
 */
#define KB_CALLABLE_BASE    7u
#define KB_CALLABLE_SCALE   8u
#define KB_CALLABLE_MASK    16u
#define KB_CALLABLE_IF_NULL 32u /* if_null is 1 then, else there is none */
#define KB_CALLABLE_INSTR                                                                          \
	64u /* the instruction is in a register, the frame does not have it yet                    \
	     */
#define KB_CALLABLE_PRECALL	 128u /* 3.11: a PRECALL, which the CALL lies behind */
#define KB_POINT_OF(cookie)	 ((kb_u32)(cookie)&0xff)
#define KB_POINT_VARIANT(cookie) ((kb_u32)((cookie) >> 8) & 0xff)
#define KB_POINT_SHAPE(cookie)	 ((kb_u32)((cookie) >> 16) & 0xff)
#define KB_POINT_REGISTER(cookie)                                                                  \
	((kb_u32)((cookie) >> 24) &                                                                \
	 0xff) /* 1 + DWARF's number of the one that has the frame; 0: none */

#define KB_OPCODE_SET_WORDS 4 /* one bit for each opcode */

/* What of an image only calls need, by the image's index. */
struct kb_call_image {
	kb_u64 thrown[KB_OPCODE_SET_WORDS]; /* a frame that an exception is thrown into stands at
					       one of these opcodes */
	kb_u64 code_type;		    /* as linked: gives a process's bias */
	kb_u16 identity;       /* offset in a code object of what tells it from another one … */
	kb_u16 identity_bytes; /* … a multiple of 8, at most KB_IDENTITY_MAX */
	kb_u16 skip_resume;    /* 3.15: a RESUME with (oparg & 7) == this is no entry; 0: none */
	kb_u8 oparg_memory;    /* the instruction's argument is in memory, at oparg_at behind … */
	kb_u8 init_check; /* 3.12+: opcode that a frame stands at which is between a class and its
			     __init__ and stands for no function; 0: there are none */
	kb_s32 oparg_at;
	kb_u8 oparg_base;    /* … 1 + DWARF's number of the register that has it; 0: not known */
	kb_u8 stack_pointer; /* likewise the loop's, … */
	kb_u8 instr;	     /* … and the address of the instruction */
	kb_u8 sees_freed;    /* there is a probe for KB_POINT_CODE_FREED */
	/* Only when C functions are counted. Types as linked, 0: the version has none, or does not
	 * count it. */
	kb_u64 function_type;	 /* PyCFunction_Type */
	kb_u64 method_type;	 /* PyCMethod_Type, 3.9+ */
	kb_u64 descr_type;	 /* PyMethodDescr_Type, 3.7+ */
	kb_u64 bound_type;	 /* PyMethod_Type, 3.14+: what it is bound to is called */
	kb_u64 type_type;	 /* PyType_Type */
	kb_u32 counter_out;	 /* 3.11+: below this a counter has run out … */
	kb_u32 counter_is_reset; /* … 3.12+: and is set again when an instruction is specialized */
};
KB_ASSERT_SIZE(struct kb_call_image, 104);
#define KB_IDENTITY_MAX 96

/* Where samples are set aside, as linked: the place of a probe, and where it returns to. */
struct kb_call_place {
	kb_u64 address;
	kb_u32 image;
	kb_u32 reserved;
};
KB_ASSERT_SIZE(struct kb_call_place, 16);
#define KB_CALL_PLACES_MAX 8192 /* three for each of some 30 probes, of 90 images */

/* A live call on a shadow stack. */
#define KB_CALL_FRAME_C 1u
struct kb_call_frame {
	kb_u64 frame;	 /* the interpreter's frame; KB_CALL_FRAME_C: a C function that it has
			    called */
	kb_u32 edge;	 /* 0: not known */
	kb_u32 function; /* likewise */
	kb_u64 start;	 /* only when calls are clocked, ns: since when, … */
	kb_u64 children; /* … how long in what it called, … */
	kb_u64 overhead; /* … and what of all that were probes */
	kb_u64 instr;	 /* of a C function: where its caller stood */
	kb_u64 owner;	 /* 3.11+: of the frame */
};
KB_ASSERT_SIZE(struct kb_call_frame, 56);

#define KB_CALL_CHUNK_FRAMES 128
/* Chunks of one thread: 65,536 calls deep. Python's default limit is 1,000. */
#define KB_CALL_THREAD_CHUNKS 512
#define KB_CALL_CHUNKS_MAX    4096 /* of all threads: half a million live calls, 29 MB */
struct kb_call_chunk {
	struct kb_call_frame frames[KB_CALL_CHUNK_FRAMES];
};
KB_ASSERT_SIZE(struct kb_call_chunk, 7168);

/* A caller and what it called, in one thread at a time: nobody else writes to it. */
struct kb_call_edge {
	kb_u32 function; /* of the callee: as in struct kb_data_call_function */
	kb_u32 caller;	 /* 0: none, the call is a thread's first */
	kb_u32 level;	 /* place in the table of levels */
	kb_u32 live;	 /* calls by this edge that have not ended */
	kb_u64 calls;
	kb_u64 recursive;      /* of these, while the function was running already */
	kb_u64 edge_recursive; /* likewise, called from the same caller */
	kb_u64 own_ns;	       /* from here on only when calls are clocked */
	kb_u64 total_ns;       /* of calls that were no recursion of the function */
	kb_u64 edge_total_ns;  /* of calls that were no recursion of the edge */
};
KB_ASSERT_SIZE(struct kb_call_edge, 64);

#define KB_CALL_EDGES_MAX     (256u << 10) /* 16 MB */
#define KB_CALL_LEVELS_MAX    (512u << 10) /* functions of threads: 2 MB */
#define KB_CALL_FUNCTIONS_MAX (128u << 10)
#define KB_CALL_SLOTS_MAX     8192 /* threads at the same time */

/* Shared with user space while running. */
struct kb_call_control {
	kb_u32 epoch;	    /* of the window: a thread that comes from another one starts anew */
	kb_u32 n_edges;	    /* used so far, 0 is none */
	kb_u32 n_functions; /* likewise */
	kb_u32 n_levels;
	kb_u32 n_chunks;
	kb_u32 n_slots;
	kb_u32 closed;	/* no window is open: attaching and detaching take their time */
	kb_u32 n_freed; /* code objects, in all processes: what is known of one holds until then */
	kb_u64 trap_ns; /* measured: what a probe costs beside its program */
};
KB_ASSERT_SIZE(struct kb_call_control, 40);

#endif
