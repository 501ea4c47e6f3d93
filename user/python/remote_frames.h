/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_PYTHON_REMOTE_FRAMES_H
#define KB_PYTHON_REMOTE_FRAMES_H

#include "python/remote.h"
#include "python/remote_threads.h"
#include "system/thread_look.h"

/* Frames of one thread; deeper stacks are cut. Python's default recursion limit is 1,000. */
#define KB_REMOTE_FRAMES_MAX 131072

struct kb_remote_frame {
	uint64_t address; /* of the frame itself, for its locals */
	uint64_t code;	  /* of its code object */
	uint32_t lasti; /* code unit, as in bpf/shared/events.h: KB_LASTI_START, KB_LASTI_UNKNOWN */
	uint64_t instruction; /* its address; 0: none is known */
	bool entry; /* C code called the interpreter to run it; up to 3.10 that is so for all */
};

/* Leaf first. Empty it with = {} before its first use; it may be used again and again. */
struct kb_remote_stack {
	struct kb_remote_frame *frames;
	uint32_t n, capacity;
	bool cut; /* deeper than KB_REMOTE_FRAMES_MAX: the roots are missing */
};
void kb_remote_stack__free(struct kb_remote_stack *stack);

enum kb_remote_walk {
	KB_REMOTE_OK = 0,
	KB_REMOTE_NO_FRAME,   /* runs no Python code: starting, ending, or between two calls */
	KB_REMOTE_RUNNING,    /* the thread ran meanwhile: what was read is worth nothing */
	KB_REMOTE_UNREADABLE, /* memory could not be read */
	KB_REMOTE_BAD_FRAME,  /* a frame holds no code object */
	KB_REMOTE_GONE,	      /* the thread has ended */
	KB_REMOTE_WALKS
};
/* For people: "its stack could not be read: it ran meanwhile" … */
const char *kb_remote_walk__text(enum kb_remote_walk walk);

/*
 * Walks the frames of a thread state as they are in memory, once. Only when the
 * thread does not run is the result a stack that it had: see below.
 */
enum kb_remote_walk kb_remote_frames__walk(struct kb_remote *remote, uint64_t tstate,
					   struct kb_remote_stack *stack);

/* The number of the instruction that a frame is at, behind its prefixes; -1: not known. */
int kb_remote_frames__opcode(struct kb_remote *remote, const struct kb_remote_frame *frame);

/* Appends the frame at an address to a stack; false: there is no frame of Python code. */
bool kb_remote_frames__add(struct kb_remote *remote, uint64_t address,
			   struct kb_remote_stack *stack);

/*
 * The stack of a thread that sleeps: walked twice with one result, and the thread
 * has not run from before to after (system/thread_look.h). Never stops it. look (NULL:
 * not wanted) is the thread as it was. inside (or NULL) is called after the first
 * walk, perhaps in several tries, also when there is no frame: what it reads of this thread's stack
 * is of the same instant when KB_REMOTE_OK comes back, and to be thrown away otherwise.
 */
typedef void (*kb_remote_inside_fn)(struct kb_remote *remote, const struct kb_remote_stack *stack,
				    void *context);
enum kb_remote_walk kb_remote_frames__asleep(struct kb_remote *remote,
					     const struct kb_remote_thread *thread,
					     struct kb_remote_stack *stack,
					     struct kb_thread_look *look,
					     kb_remote_inside_fn inside, void *context);

#endif
