/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_SHARED_EVENTS_H
#define KB_SHARED_EVENTS_H

#include "types.h"

/*
 * Records that BPF sends to user space. Two rings: `data` carries what the
 * profile is made of, in order (a process before its code objects, a code
 * object before the stacks that hold it), and is read in bulk; `notices` wakes
 * the reader at once for what it must act on.
 */

/*
 * A frame in a stack: the code object's address / 8 in the high 44 bits, the
 * code unit (2 bytes) being executed in the low 20. 47-bit addresses and the
 * 8-byte alignment of every version's allocator make that exact.
 */
#define KB_LASTI_BITS	     20
#define KB_LASTI_MASK	     0xfffffu
#define KB_LASTI_UNKNOWN     0xfffffu /* beyond the range: line unknown */
#define KB_LASTI_START	     0xffffeu /* before the first instruction: line is the first line */
#define KB_FRAME_CODE(word)  (((word) >> KB_LASTI_BITS) << 3)
#define KB_FRAME_LASTI(word) ((kb_u32)((word)&KB_LASTI_MASK))

/*
 * Words without a code object. Some stand between frames, the others follow the
 * root frame: first what the leaf was doing, then further stacks, each a word
 * that says how many words are in it. 12 bits of value, and the kind above them.
 * A frame without a code object has KB_LASTI_UNKNOWN, so that it is none of them.
 */
enum kb_word_kind {
	KB_WORD_NATIVE_MARK = 1, /* between frames: C code called the interpreter here */
	KB_WORD_OPCODE = 2,	 /* value: the leaf's instruction, as it stands in memory */
	KB_WORD_GC = 3, /* a collection is running: between frames where it began, or in the tail
			   when that is not known */
	KB_WORD_INTERPRETER = 4, /* value: id of the sub-interpreter, when not the main one */
	KB_WORD_HOLDER = 5,	 /* value: n; the GIL holder's n frames follow, leaf first */
	KB_WORD_NATIVE = 6, /* value: n; n user-space addresses follow, leaf first: return addresses
			       (the first too), and 0 where the stack goes on unseen */
	KB_WORD_KERNEL = 7, /* value: n; n kernel addresses follow, leaf first */
	KB_WORD_TASK = 8,   /* value: n; an asyncio task in n words, see shared/tasks.h: the running
			       one, and behind it those that wait */
};
#define KB_WORD(kind, value) ((kb_u64)(kind) << 12 | (value))
#define KB_WORD_IS(word)     (!((word) >> KB_LASTI_BITS) && (word) != KB_LASTI_UNKNOWN)
#define KB_WORD_KIND(word)   ((kb_u32)((word) >> 12) & 0xff)
#define KB_WORD_VALUE(word)  ((kb_u32)(word)&0xfff)
/* Does its value count words that follow? */
#define KB_WORD_COUNTS(kind) ((kind) >= KB_WORD_HOLDER && (kind) <= KB_WORD_TASK)

#define KB_FRAMES_MAX                                                                              \
	2048 /* Python's default recursion limit is 1,000; a per-CPU value ends at 32 kB */
/*
 * Words behind the root frame: 127 kernel addresses (perf's own limit), native addresses and a
 * holder's stack of some depth. A stack whose frames take all of their room still has its tail.
 */
#define KB_TAIL_MAX  512
#define KB_WORDS_MAX (KB_FRAMES_MAX + KB_TAIL_MAX)
#define KB_FILENAME_MAX                                                                            \
	1024 /* bytes as stored in the target; PATH_MAX names are cut, and marked                  \
	      */
#define KB_QUALNAME_MAX 512
#define KB_LINES_CHUNK	8192 /* bytes of a line table in one record */
#define KB_LINES_CHUNKS                                                                            \
	64	       /* 512 kB of line table: the largest of the standard library has 60 kB      \
			*/
#define KB_COMM_MAX 16 /* TASK_COMM_LEN */

enum kb_data_kind {
	KB_DATA_PROC = 1,
	KB_DATA_CODE = 2,
	KB_DATA_LINES = 3,
	KB_DATA_STACK = 4,
	KB_DATA_THREAD = 5,
	KB_DATA_MOMENT = 6,
	KB_DATA_TASK = 7,
	KB_DATA_CALL_FUNCTION = 16,
	/* Of a process that dies: shared/faults.h. */
	KB_DATA_FAULT = 30,
	KB_DATA_FAULT_STACK = 31,
	KB_DATA_FAULT_TASK = 32,
	KB_DATA_FAULT_THREAD = 33,
	KB_DATA_AUDIT = 40, /* shared/audit.h */
};

/* A process that BPF set up itself (started or forked while observed). */
struct kb_data_proc {
	kb_u32 kind;
	kb_u32 proc; /* id */
	kb_u64 start_time;
	kb_u32 tgid;
	kb_u32 parent_tgid;
	kb_u32 ns_tgid; /* in its own PID namespace */
	kb_u32 image;
	kb_u64 cgroup;
	char comm[KB_COMM_MAX];
	kb_u32 forked_from; /* id of the parent whose memory it began with, 0: executed by itself */
	kb_u32 reserved;
};
KB_ASSERT_SIZE(struct kb_data_proc, 64);

struct kb_data_thread {
	kb_u32 kind;
	kb_u32 proc;
	kb_u32 tid;
	kb_u32 ns_tid;
	char comm[KB_COMM_MAX];
};
KB_ASSERT_SIZE(struct kb_data_thread, 32);

#define KB_CODE_FILENAME_CUT	   1u
#define KB_CODE_NAME_CUT	   2u
#define KB_CODE_INCOMPLETE	   4u /* a part was not readable from interrupt context */
#define KB_CODE_KIND(flags, shift) (((flags) >> (shift)) & 0xf)
#define KB_CODE_FILENAME_KIND                                                                      \
	8 /* 4 bits from here: bytes per character, 1, 2 or 4; 0: not read                         \
	   */
#define KB_CODE_NAME_KIND      12
#define KB_CODE_FILENAME_ASCII 0x10000u
#define KB_CODE_NAME_ASCII     0x20000u

/* A code object when first seen, or when another one is found at its address. */
struct kb_data_code {
	kb_u32 kind;
	kb_u32 proc;
	kb_u64 address;
	kb_u64 fingerprint;
	kb_u32 flags;
	kb_s32 first_line;
	kb_u32 filename_bytes; /* as sent */
	kb_u32 name_bytes;
	kb_u32 lines_bytes; /* whole line table; its bytes follow in kb_data_lines records */
	kb_u32 layout;
	/* filename, then name, in the target's own encoding (see flags) */
};
KB_ASSERT_SIZE(struct kb_data_code, 48);

struct kb_data_lines {
	kb_u32 kind;
	kb_u32 proc;
	kb_u64 address;
	kb_u64 fingerprint;
	kb_u32 offset;
	kb_u32 bytes;
};
KB_ASSERT_SIZE(struct kb_data_lines, 32);

/* What a function is, 0: Python's. */
enum kb_c_function {
	KB_C_METHOD = 1,  /* of a type, which is the owner */
	KB_C_BOUND = 2,	  /* bound to an object, such as its module: the owner, if it is named */
	KB_C_UNBOUND = 3, /* bound to nothing */
};

#define KB_CALL_NAME_MAX 128 /* bytes of a C function's names, with their NULs */

/* A function that calls are counted of, after the record of its code object. */
struct kb_data_call_function {
	kb_u32 kind;
	kb_u32 proc;
	kb_u32 function; /* number, from 1 */
	kb_u32 is_c;	 /* enum kb_c_function */
	kb_u64 address;	 /* of the code object; of C functions: of the class `type` */
	/* Of a C function: its name, and its module's or its type's; "": none. */
	char name[KB_CALL_NAME_MAX];
	char owner[KB_CALL_NAME_MAX];
};
KB_ASSERT_SIZE(struct kb_data_call_function, 280);

/* The name of asyncio tasks, before the first stack with its key. */
struct kb_data_task {
	kb_u32 kind;
	kb_u32 bytes; /* of the name, 0: it is Task-`number` */
	kb_u64 key;
	kb_u64 number;
	kb_u32 width; /* bytes per character: 1, 2 or 4; 0: UTF-8, of user space */
	kb_u32 cut;
	/* the name, in the target's own encoding */
};
KB_ASSERT_SIZE(struct kb_data_task, 32);

/* What a thread was doing: KB_MOMENT_* of keelback/profile.h, which BPF does not see. */
#define KB_STATE_GIL	   1u
#define KB_STATE_GC	   2u
#define KB_STATE_EXCEPTION 4u
#define KB_STATE_OFF_CPU   8u
#define KB_STATES	   15u

/* One sample, for timelines: arrives after the stack that it names. */
struct kb_data_moment {
	kb_u32 kind;
	kb_u32 proc;
	kb_u64 hash;
	kb_u64 time; /* CLOCK_MONOTONIC, ns */
	kb_u64 count;
	kb_u32 tid;
	kb_u16 generation; /* the low bits */
	kb_u16 flags;	   /* KB_STATE_* */
};
KB_ASSERT_SIZE(struct kb_data_moment, 40);

#define KB_STACK_TRUNCATED 1u
#define KB_STACK_RUNNING   4u /* of tasks: the innermost runs, and has more frames than are known */
#define KB_STACK_WAIT	   2u /* of a wait: user space keeps it for good, see shared/wait.h */

/* The words of a stack that is new in its generation: frames, leaf first, and the tail. */
struct kb_data_stack {
	kb_u32 kind;
	kb_u32 proc;
	kb_u64 hash;
	kb_u32 generation;
	kb_u32 flags;
	kb_u32 n_words;
	kb_u32 reserved;
	/* kb_u64 words[n_words] */
};
KB_ASSERT_SIZE(struct kb_data_stack, 32);

/* Key of the sample counts of one generation. */
struct kb_stack_key {
	kb_u64 hash;
	kb_u32 proc;
	kb_u32 tid;
};
KB_ASSERT_SIZE(struct kb_stack_key, 16);

enum kb_notice_kind {
	KB_NOTICE_EXEC = 1, /* an observed process executes a file that user space does not know */
	KB_NOTICE_UNKNOWN = 2,	/* a sample hit a process that is not identified */
	KB_NOTICE_EXIT = 3,	/* a followed process ended */
	KB_NOTICE_DATA = 4,	/* the data ring or a table fills: drain now */
	KB_NOTICE_CODE = 5,	/* a code object that is not in memory, and wants to be read soon */
	KB_NOTICE_MAPS = 6,	/* native code in no mapping that user space has told of */
	KB_NOTICE_TABLE = 7,	/* a stack ended in an image without its table */
	KB_NOTICE_TASKS = 8,	/* a process whose dict of running tasks is not known */
	KB_NOTICE_FAULT = 30,	/* all records of a process that dies are in the data ring */
	KB_NOTICE_SIGNAL = 31,	/* a signal that is watched was sent to an observed process */
	KB_NOTICE_HELD = 32,	/* a thread that dies is held: seize it, and let go */
	KB_NOTICE_PROCESS = 20, /* the data ring has a new process (KB_WANT_PROCESSES) */
};

struct kb_notice {
	kb_u32 kind;
	kb_u32 tgid;
	kb_u64 start_time;
	union {
		kb_u64 exe_inode; /* exec */
		kb_u64 code;	  /* code: its address */
		kb_u64 image;	  /* table: its place among the tables */
	};
	union {
		kb_u32 exe_device; /* exec: kernel's dev_t */
		kb_u32 proc;	   /* code, maps, tasks: process id */
	};
	kb_u32 reserved;
};
KB_ASSERT_SIZE(struct kb_notice, 32);

#endif
