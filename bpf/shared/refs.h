/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_SHARED_REFS_H
#define KB_SHARED_REFS_H

#include "types.h"

/*
 * Objects that are created and destroyed (bpf/refs.bpf.c): counted for each type and stack.
 *
 * A probe's cookie: what happens there, and where the object is then: in a register or in memory
 * at one, + displacement.
 */
#define KB_REF_COOKIE(destroys, memory, number, displacement)                                      \
	((kb_u64)(destroys) | (kb_u64)(memory) << 1 | 4 | (kb_u64)(number) << 8 |                  \
	 (kb_u64)(kb_u32)(displacement) << 32)
/* Added: only if this register has the object's type. */
#define KB_REF_COOKIE_OF_TYPE(number)	  ((kb_u64)((number) + 1) << 16)
#define KB_REF_COOKIE_TYPE_NUMBER(cookie) (((kb_u32)((cookie) >> 16) & 63) - 1) /* ~0: none */
/* Added: only if it is an int, for what is freed there may be anything. */
#define KB_REF_COOKIE_INTS		   8
#define KB_REF_COOKIE_DESTROYS(cookie)	   ((kb_u32)(cookie)&1)
#define KB_REF_COOKIE_MEMORY(cookie)	   ((kb_u32)((cookie) >> 1) & 1)
#define KB_REF_COOKIE_NUMBER(cookie)	   ((kb_u32)((cookie) >> 8) & 31)
#define KB_REF_COOKIE_DISPLACEMENT(cookie) ((kb_s32)(kb_u32)((cookie) >> 32))

/* What an image's types look like. */
struct kb_ref_image {
	kb_u16 type_name;  /* tp_name */
	kb_u16 type_flags; /* tp_flags */
	kb_u32 reserved;
};
KB_ASSERT_SIZE(struct kb_ref_image, 8);

#define KB_REF_TYPE_NAME_MAX 88

struct kb_ref_type_key {
	kb_u64 address;
	kb_u32 proc;
	kb_u32 reserved;
};
KB_ASSERT_SIZE(struct kb_ref_type_key, 16);

/* By number, from 1 on. */
struct kb_ref_type {
	kb_u64 address;
	kb_u64 flags; /* tp_flags */
	kb_u32 proc;
	kb_u32 gone;			 /* the type itself was destroyed */
	char name[KB_REF_TYPE_NAME_MAX]; /* tp_name, cut; "": it could not be read */
};
KB_ASSERT_SIZE(struct kb_ref_type, 112);

/* Types 0: it could not be read, or there was no room for it. Stacks: as in shared/memory.h. */
struct kb_ref_key {
	kb_u32 proc;
	kb_u32 type;
	kb_u32 stack;
	kb_u32 reserved;
};
KB_ASSERT_SIZE(struct kb_ref_key, 16);

struct kb_ref_count {
	kb_u64 created, destroyed; /* here */
	kb_u64 alive;		   /* created here, while observed, and not destroyed */
};
KB_ASSERT_SIZE(struct kb_ref_count, 24);

/* An object that is alive. */
struct kb_ref_object_key {
	kb_u64 address;
	kb_u32 proc;
	kb_u32 reserved;
};
KB_ASSERT_SIZE(struct kb_ref_object_key, 16);

struct kb_ref_object {
	kb_u32 type, stack;
};
KB_ASSERT_SIZE(struct kb_ref_object, 8);

struct kb_ref_process {
	kb_u64 created, destroyed;
	kb_u64 before;	   /* destroyed, and not seen being created */
	kb_u64 replaced;   /* alive when another was created at their address */
	kb_u64 lost;	   /* events that no count has: table full */
	kb_u64 not_alive;  /* created, and no room to follow them */
	kb_u64 unreadable; /* without their type */
	kb_u64 no_stack;
};
KB_ASSERT_SIZE(struct kb_ref_process, 64);

/* Shared with user space while running. */
struct kb_ref_control {
	kb_u32 on;
	kb_u32 n_types; /* numbers that were given */
};
KB_ASSERT_SIZE(struct kb_ref_control, 8);

#endif
