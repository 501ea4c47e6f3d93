/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_SHARED_AUDIT_H
#define KB_SHARED_AUDIT_H

#include "types.h"

/*
 * Audit events (PEP 578). The objects that an event is raised with may be gone a moment later, so
 * what is told of them is written down in the kernel while the thread stands in the probe: as a
 * list of values, each a header of 8 bytes and its bytes, padded to 8. Containers are a header,
 * what is in them, and KB_AUDIT_END; a record that was cut ends without some of these.
 */
#define KB_AUDIT_NAME_MAX   64	 /* bytes; CPython's longest event name has 32 */
#define KB_AUDIT_STRING_MAX 1024 /* bytes of one string, as it is stored: paths of usual length */
#define KB_AUDIT_DIGITS_MAX 16	 /* of 30 bits: an int of 144 decimal digits */
#define KB_AUDIT_ITEMS_MAX  64	 /* of one container: an environment, a command line */
#define KB_AUDIT_DEPTH_MAX  3	 /* containers in containers, the event's own tuple not counted */
#define KB_AUDIT_BODY_MAX                                                                          \
	8192 /* bytes of an event's values: what one slot of the scratch holds                     \
	      */
#define KB_AUDIT_STEPS_MAX                                                                         \
	1024		       /* values looked at for one event, free entries of dicts included   \
				*/
#define KB_AUDIT_TYPE_MAX   64 /* bytes of a type's name */
#define KB_AUDIT_RULES_MAX  64 /* names and prefixes that can be asked for; 0.2 us for all */
#define KB_AUDIT_COUNTS_MAX 16384 /* (event, process) pairs of a summary; 1.4 MB */
#define KB_AUDIT_SLOTS                                                                             \
	64 /* threads that can be in a probe at the same time, page faults included */

enum kb_audit_tag {
	KB_AUDIT_NULL = 0, /* a NULL pointer where an object should be */
	KB_AUDIT_NONE = 1,
	KB_AUDIT_BOOL = 2,   /* length: 0 or 1 */
	KB_AUDIT_INT = 3,    /* length: digits that it has; bytes: those sent, each a kb_u32 */
	KB_AUDIT_NUMBER = 4, /* an integer of C: kb_s64 */
	KB_AUDIT_FLOAT = 5,  /* double */
	KB_AUDIT_STR = 6,    /* length: characters; bytes: as stored, flags & 7 bytes each */
	KB_AUDIT_TEXT = 7, /* a string of C in UTF-8; length: bytes that it has, if that is known */
	KB_AUDIT_BYTES = 8, /* length: bytes */
	KB_AUDIT_TUPLE = 9, /* length: items */
	KB_AUDIT_LIST = 10,
	KB_AUDIT_DICT = 11, /* keys and values by turns; length: pairs */
	KB_AUDIT_END = 12,
	KB_AUDIT_CODE =
		13, /* a code object; length: first line; a STR each for name and file follow */
	KB_AUDIT_PATH = 14,	   /* an os.PathLike; a STR with its path follows */
	KB_AUDIT_OBJECT = 15,	   /* any other; bytes: address, name of its type */
	KB_AUDIT_UNREADABLE = 16,  /* memory that could not be read */
	KB_AUDIT_UNAVAILABLE = 17, /* a format unit that a probe cannot follow: a C double */
};

#define KB_AUDIT_CUT	  0x80u /* in flags: there is more of it than was sent */
#define KB_AUDIT_NEGATIVE 1u	/* in the flags of INT */
#define KB_AUDIT_UNSIGNED 1u	/* of NUMBER */
#define KB_AUDIT_TO_ZERO  8u	/* of STR: ends at its first character 0, if it has one */
#define KB_AUDIT_UNCOUNTED                                                                         \
	1u /* of containers that a format string made: their length is what is in them */

#define KB_AUDIT_HEADER(tag, flags, bytes, length)                                                 \
	((kb_u64)(tag) | (kb_u64)(flags) << 8 | (kb_u64)(bytes) << 16 | (kb_u64)(length) << 32)
#define KB_AUDIT_TAG(header)	((kb_u32)(header)&0xff)
#define KB_AUDIT_FLAGS(header)	((kb_u32)((header) >> 8) & 0xff)
#define KB_AUDIT_SIZE(header)	((kb_u32)((header) >> 16) & 0xffff)
#define KB_AUDIT_LENGTH(header) ((kb_u32)((header) >> 32))

#define KB_AUDIT_RECORD_CUT   1u /* something in it was cut */
#define KB_AUDIT_RECORD_STACK 2u /* has a stack */

/* One event. */
struct kb_data_audit {
	kb_u32 kind;
	kb_u32 proc;
	kb_u64 time;   /* CLOCK_MONOTONIC, ns */
	kb_u64 cgroup; /* v2 id */
	kb_u64 hash;   /* of its stack, a record of which came before */
	kb_u32 generation;
	kb_u32 tid;
	kb_u32 n_args;
	kb_u16 flags;	  /* KB_AUDIT_RECORD_* */
	kb_u8 name_bytes; /* padded to 8 in the record */
	kb_u8 name_kind;  /* 0: UTF-8, else characters of so many bytes */
			  /* the name, then the values */
};
KB_ASSERT_SIZE(struct kb_data_audit, 48);

/* ---- where the probes are: the cookie of each */

enum kb_audit_point_kind {
	KB_AUDIT_AT_USDT = 0,	 /* python:audit(event, tuple) */
	KB_AUDIT_AT_VARARGS = 1, /* int PySys_Audit(const char *event, const char *format, ...) */
	KB_AUDIT_AT_TSTATE = 2,	 /* the same behind a PyThreadState *: _PySys_Audit */
	KB_AUDIT_AT_SYS = 3,	 /* sys.audit: (module, args, number of args) */
};

/* An argument of a static probe: what its note says. */
enum kb_audit_operand {
	KB_AUDIT_REGISTER = 0, /* by DWARF's number */
	KB_AUDIT_MEMORY = 1,   /* 8 bytes at the register + displacement */
};
#define KB_AUDIT_OPERAND(how, reg, displacement)                                                   \
	((kb_u64)(how) | (kb_u64)(reg) << 3 | (kb_u64)(kb_u16)(displacement) << 8)
#define KB_AUDIT_OPERAND_BITS 24

/* image: its id; detail: two operands, or bytes that the stack pointer is below where it was when
 * the function was entered. */
#define KB_AUDIT_COOKIE(image, point, detail)                                                      \
	((kb_u64)(image) | (kb_u64)(point) << 8 | (kb_u64)(detail) << 16)
#define KB_AUDIT_COOKIE_IMAGE(cookie)  ((kb_u32)(cookie)&0xff)
#define KB_AUDIT_COOKIE_POINT(cookie)  ((kb_u32)((cookie) >> 8) & 0xff)
#define KB_AUDIT_COOKIE_DETAIL(cookie) ((cookie) >> 16)

/* ---- what a run is asked for: constant, set before loading */

struct kb_audit_config {
	kb_u32 n_rules;
	kb_u32 others;	  /* are events reported that no rule names? */
	kb_u32 max_rate;  /* records per second, machine-wide; 0: no limit */
	kb_u32 summary;	  /* count, write no records */
	kb_u32 stack;	  /* with Python stacks */
	kb_u32 sleepable; /* the programs may wait for pages that are not in memory */
};
KB_ASSERT_SIZE(struct kb_audit_config, 24);

/* A name or the beginning of one: the first rule whose bytes under the mask are an event's decides.
 */
struct kb_audit_rule {
	kb_u64 value[KB_AUDIT_NAME_MAX / 8];
	kb_u64 mask[KB_AUDIT_NAME_MAX / 8];
	kb_u32 take; /* else it is left out */
	kb_u32 reserved;
};
KB_ASSERT_SIZE(struct kb_audit_rule, 136);

/* Objects of one image. Addresses as linked; offsets in bytes, KB_NO_OFFSET: the version has none.
 */
struct kb_audit_layout {
	kb_u64 code_type; /* as in struct kb_image: tells the load bias of a process */
	kb_u64 none, true_object, false_object, float_type;
	kb_u16 object_type, var_size;
	kb_u16 type_name, type_flags, type_base;
	kb_u16 long_tag, long_digits, float_value;
	kb_u16 tuple_items, list_items;
	kb_u16 dict_used, dict_keys, dict_values;
	kb_u16 keys_log2_index_bytes, keys_kind; /* 3.11+ */
	kb_u16 keys_size;			 /* up to 3.10 */
	kb_u16 keys_nentries, keys_indices, values_items;
	kb_u16 path_text;  /* PurePath._str */
	kb_u16 entry_path; /* os.DirEntry.path */
	kb_u16 reserved[3];
};
KB_ASSERT_SIZE(struct kb_audit_layout, 88);

/* ---- summaries */

struct kb_audit_tally_key {
	char name[KB_AUDIT_NAME_MAX];
	kb_u32 proc;
	kb_u32 name_kind;
};
KB_ASSERT_SIZE(struct kb_audit_tally_key, 72);

struct kb_audit_tally {
	kb_u64 n;
	kb_u64 cgroup; /* that it was first seen in */
};
KB_ASSERT_SIZE(struct kb_audit_tally, 16);

#endif
