/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_SHARED_PROCESS_H
#define KB_SHARED_PROCESS_H

#include "types.h"

/*
 * An image is an ELF file with an interpreter in it; a process runs one image
 * at one load bias. What is known of an image holds for every process that
 * runs it, so a process that starts while we observe is set up in the kernel,
 * when it enters one of the image's initialization functions, without waiting
 * for user space.
 */
#define KB_IMAGES_MAX 256 /* distinct interpreters on one machine; 4 kB hold 12 of them */

#define KB_IMAGE_INIT_MAX 8 /* power of two: an index from a cookie is masked with it */

/* Where the thread-local pointer to the current thread state lives. */
enum kb_tls_kind {
	KB_TLS_NONE = 0,   /* the version has none (up to 3.11) or it was not found */
	KB_TLS_STATIC = 1, /* value: offset from the thread pointer, executables and initial-exec */
	KB_TLS_DYNAMIC =
		2,	/* value: link-time address of a GOT pair {module id, offset in block} */
	KB_TLS_GOT = 3, /* value: link-time address of a GOT word that holds the static offset */
};

struct kb_tls {
	kb_s64 value;
	kb_u32 kind; /* enum kb_tls_kind */
	/*
	 * Added to the offset that the GOT gives. Libraries built with LTO reach their variables
	 * through one pair of offset 0 and a displacement (TLS model local-dynamic).
	 */
	kb_s32 displacement;
};

/* Addresses are link-time ones: add the bias. 0: not there. */
struct kb_image {
	kb_u64 runtime;	       /* _PyRuntime, 3.7+ */
	kb_u64 code_type;      /* PyCode_Type */
	kb_u64 interp_head;    /* of the pointer to the first interpreter: in _PyRuntime, in 3.6 a
				  static */
	kb_u64 tstate_current; /* up to 3.11: of the global current thread state */
	kb_u64 tss_key;	       /* of the pthread key itself (an int), up to 3.14 */
	kb_u64 none;	       /* _Py_NoneStruct */
	kb_u64 gil;	       /* up to 3.11: of the GIL struct, in 3.6 of the first of its parts */
	kb_u64 gil_holder;     /* up to 3.11: of the GIL's last_holder */
	kb_u64 gc_collecting;  /* up to 3.8: of the flag that a collection is running */
	struct kb_tls tstate_tls;   /* _Py_tss_tstate, 3.12+ */
	struct kb_tls gilstate_tls; /* _Py_tss_gilstate, 3.15+ */
	/* Addresses of the functions that every start of the interpreter enters; user space sets
	 * them. */
	kb_u64 init[KB_IMAGE_INIT_MAX];
	kb_u32 layout; /* index into the map of layouts */
	kb_u32 id;     /* this image's index, also the uprobes' cookie (low half) */
};
KB_ASSERT_SIZE(struct kb_image, 176);

/*
 * A thread-local pointer as one process has it. What the GOT says is read when it is first needed:
 * while a process starts the dynamic linker has not written it yet.
 */
struct kb_proc_tls {
	kb_s64 offset;	     /* static: from the thread pointer */
	kb_u32 kind;	     /* enum kb_tls_kind; static once that is known */
	kb_s32 displacement; /* as in struct kb_tls */
	kb_u64 module;	     /* dynamic: dtv index, 0: not read yet … */
	kb_u64 block_offset; /* … and offset in the module's block */
	kb_u64 got;	     /* address of the GOT's word or pair */
};

#define KB_PROC_PYTHON	    1u
#define KB_PROC_NOT_PYTHON  2u /* looked at; asked again later: it may load an interpreter yet */
#define KB_PROC_UNSUPPORTED 3u /* an interpreter, refused by user space */
#define KB_PROC_PENDING	    4u /* user space has been asked */

/* An executable by its file, and what user space found in it. */
struct kb_exe_key {
	kb_u64 inode;
	kb_u32 device; /* the kernel's dev_t */
	kb_u32 reserved;
};
enum kb_exe_state {
	KB_EXE_PYTHON = 1,     /* its image's initialization functions are probed */
	KB_EXE_NOT_PYTHON = 2, /* holds no interpreter and needs no libpython */
};

#define KB_START_SLACK_NS 10000000ULL /* a clock tick of /proc/PID/stat */

/*
 * What BPF knows of one process, by thread group id. What every sample needs comes first, so that
 * it lies in two lines of the processor's cache, which are cold then.
 */
struct kb_proc {
	kb_u64 start_time; /* of the group leader, ns since boot: a reused PID has another */
	kb_u32 layout;
	kb_u32 id;	      /* unique in this run: keys stacks and code objects */
	kb_u32 state;	      /* KB_PROC_* */
	kb_u32 epoch;	      /* moves on when a code object was replaced */
	kb_u64 gc_collecting; /* as in struct kb_image */
	kb_u64 main_interp;   /* once a sample has met it */
	struct kb_proc_tls tstate_tls;
	struct kb_proc_tls gilstate_tls;
	kb_u64 runtime;
	kb_u64 code_type;
	kb_u64 interp_head;    /* address of the pointer to the first interpreter */
	kb_u64 tstate_current; /* address of the global current thread state, or 0 */
	kb_u64 tss_key;	       /* address of the pthread key (int), or 0 */
	kb_u64 none;	       /* these three as in struct kb_image */
	kb_u64 gil;
	kb_u64 gil_holder;
	kb_u64 next_check; /* ns: when an unidentified process may be asked about again */
	kb_u32 checks;	   /* how often user space was asked */
	kb_u32 image;
	kb_u32 pending; /* samples taken while unidentified */
	kb_u32 dying;	/* a thread of it has begun to tell what it died of */
};
KB_ASSERT_SIZE(struct kb_proc, 208);

/*
 * Setting a process up from its image: the same in the kernel, when it starts while
 * observed, and in user space, when it runs already.
 */
static inline kb_u64 kb_proc__rebase(kb_u64 address, kb_u64 bias)
{
	return address ? address + bias : 0;
}

static inline void kb_proc__set_tls(struct kb_proc_tls *out, const struct kb_tls *tls, kb_u64 bias)
{
	out->offset = tls->value;
	out->got = tls->value + bias;
	out->module = 0;
	out->block_offset = 0;
	out->kind = tls->kind;
	out->displacement = tls->displacement;
}

static inline void kb_proc__set_image(struct kb_proc *proc, const struct kb_image *image,
				      kb_u32 index, kb_u64 bias)
{
	proc->runtime = kb_proc__rebase(image->runtime, bias);
	proc->code_type = kb_proc__rebase(image->code_type, bias);
	proc->interp_head = kb_proc__rebase(image->interp_head, bias);
	proc->tstate_current = kb_proc__rebase(image->tstate_current, bias);
	proc->tss_key = kb_proc__rebase(image->tss_key, bias);
	proc->none = kb_proc__rebase(image->none, bias);
	proc->gil = kb_proc__rebase(image->gil, bias);
	proc->gil_holder = kb_proc__rebase(image->gil_holder, bias);
	proc->gc_collecting = kb_proc__rebase(image->gc_collecting, bias);
	kb_proc__set_tls(&proc->tstate_tls, &image->tstate_tls, bias);
	kb_proc__set_tls(&proc->gilstate_tls, &image->gilstate_tls, bias);
	proc->layout = index;
	proc->image = index;
	proc->state = KB_PROC_PYTHON;
}

#endif
