/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_SHARED_LEDGER_H
#define KB_SHARED_LEDGER_H

/*
 * The ledger of a sampling run: every sample taken on a thread of a target ends
 * in exactly one of these counters, so
 *
 *     attempted = good + truncated + every failure
 *
 * holds in every output (`attempted` is their sum and is not counted apart).
 * One table, from which BPF, user space, the recording and every writer take
 * the names. Append only: recordings store the short names.
 *
 *   X(symbol, short name, class, what it means to a user)
 *
 * Classes: GOOD is reported in full, PARTIAL is reported with a mark, FAILED is
 * not in the profile, NOTE counts something beside the samples and is not part of the sum.
 */
#define KB_LEDGER_TABLE(X)                                                                         \
	X(GOOD, "good", GOOD, "complete stacks")                                                   \
	X(TRUNCATED, "truncated", PARTIAL, "stacks deeper than the limit, without their roots")    \
	X(NO_FRAME, "no_frame", FAILED, "thread runs no Python code (starting or finalizing)")     \
	X(NOT_PYTHON_THREAD, "not_python_thread", FAILED,                                          \
	  "native thread without a Python thread state")                                           \
	X(NOT_IDENTIFIED, "not_identified", FAILED,                                                \
	  "interpreter not identified yet, or not Python")                                         \
	X(UNSUPPORTED, "unsupported", FAILED, "interpreter that keelback refuses")                 \
	X(TSTATE_UNREADABLE, "tstate_unreadable", FAILED, "thread state could not be read")        \
	X(FRAME_UNREADABLE, "frame_unreadable", FAILED, "frame memory could not be read")          \
	X(BAD_FRAME, "bad_frame", FAILED, "frame that holds no code object")                       \
	X(STACKS_FULL, "stacks_full", FAILED, "table of stacks full: use a lower rate")            \
	X(RING_FULL, "ring_full", FAILED, "ring buffer full: the reader was too slow")             \
	X(NO_SCRATCH, "no_scratch", FAILED, "sample taken inside another sample")                  \
	X(LOST_STACK, "lost_stack", FAILED, "stack counted but its frames did not arrive")         \
	X(UNNAMED_FRAMES, "unnamed_frames", NOTE, "frames shown by address: name not readable")    \
	X(LOST_EVENTS, "lost_events", NOTE, "process events that did not fit the ring")            \
	X(OTHER_STATE, "other_state", NOTE, "samples in another state than the mode's")            \
	X(NATIVE_NOT_READY, "native_not_ready", NOTE,                                              \
	  "native stacks cut short: mappings or tables were not read yet")                         \
	X(NATIVE_NO_TABLE, "native_no_table", NOTE,                                                \
	  "native stacks cut short: code without unwind information")                              \
	X(NATIVE_UNREADABLE, "native_unreadable", NOTE,                                            \
	  "native stacks cut short: what lies on the stack is no caller")                          \
	X(NATIVE_TRUNCATED, "native_truncated", NOTE, "native stacks deeper than the limit")       \
	X(NATIVE_UNMATCHED, "native_unmatched", NOTE,                                              \
	  "stacks whose native and Python frames do not go together: native ones are on top")      \
	X(SHORT_WAITS, "short_waits", NOTE, "waits shorter than --min-wait")                       \
	X(WAITS_NOT_WALKED, "waits_not_walked", NOTE,                                              \
	  "waits whose stack was not taken, to bound the cost: <waits not walked>")                \
	X(WAITS_NOT_KEPT, "waits_not_kept", NOTE, "waits of more threads than the table holds")    \
	X(LOST_WAIT_NS, "lost_wait_ns", NOTE, "nanoseconds of waits that are not in the profile")  \
	X(HOLDER_UNKNOWN, "holder_unknown", NOTE,                                                  \
	  "waits for the GIL whose holder's stack could not be read while it ran")                 \
	X(LOST_MOMENTS, "lost_moments", NOTE, "samples that are not in the timeline")              \
	X(STATE_GIL, "state_gil", NOTE, "samples of threads that held the GIL")                    \
	X(STATE_EXCEPTION, "state_exception", NOTE,                                                \
	  "samples of threads that were raising or handling an exception")                         \
	X(SET_ASIDE, "set_aside", NOTE, "samples inside probes: they are the observer's time")     \
	X(CALLS_SEEN, "calls_seen", NOTE, "calls that probes saw")                                 \
	X(CALLS_NOT_IDENTIFIED, "calls_not_identified", NOTE,                                      \
	  "calls not counted: interpreter not identified yet")                                     \
	X(CALLS_UNREADABLE, "calls_unreadable", NOTE,                                              \
	  "calls not counted: thread state, frame or code object could not be read")               \
	X(CALLS_FULL, "calls_full", NOTE, "calls not counted: a table of calls is full")           \
	X(CALLS_REPEATED, "calls_repeated", NOTE,                                                  \
	  "entries that the interpreter ran through twice")                                        \
	X(CALLS_THROWN, "calls_thrown", NOTE, "calls that began with an exception thrown in")      \
	X(CALLS_RESYNCED, "calls_resynced", NOTE,                                                  \
	  "stacks of calls that were taken anew from the interpreter's frames")                    \
	X(CALLS_TOO_DEEP, "calls_too_deep", NOTE,                                                  \
	  "calls deeper than the shadow stack: whether they are recursion is not known")           \
	X(TASKS_NOT_FOUND, "tasks_not_found", NOTE,                                                \
	  "samples before asyncio was found in their process: without their task")                 \
	X(TASK_NAMES_FULL, "task_names_full", NOTE,                                                \
	  "samples of tasks beyond those that are told apart: <other tasks>")                      \
	X(TASK_CHANGED, "task_changed", FAILED, "task that ran on while it was read")              \
	X(TASKS_CUT, "tasks_cut", NOTE, "looks that did not reach all tasks")                      \
	X(LOOKS_SKIPPED, "looks_skipped", NOTE,                                                    \
	  "looks at tasks left out, to bound the cost: use a lower rate")                          \
	X(FAULT_THREADS, "fault_threads", NOTE, "threads of dying processes beyond the limit")     \
	X(FAULT_STACKS_CUT, "fault_stacks_cut", NOTE,                                              \
	  "threads of dying processes whose frames could not all be read")                         \
	X(FAULT_NATIVE_CUT, "fault_native_cut", NOTE, "C stacks that end before their root")       \
	X(FAULT_NO_MAPS, "fault_no_maps", NOTE,                                                    \
	  "C stacks that are missing: the process's mappings are not known")                       \
	X(FAULT_NOT_HELD, "fault_not_held", NOTE,                                                  \
	  "dying processes whose values were not read: they could not be held")                    \
	X(FAULT_DUMPS, "fault_dumps", NOTE, "dumps of running processes that were asked for")      \
	X(FAULT_DUMPS_FAILED, "fault_dumps_failed", NOTE,                                          \
	  "dumps of running processes that could not be taken")                                    \
	X(CHOSEN_OTHER_READS, "chosen_other_reads", NOTE,                                          \
	  "hits of breakpoints that were no execution: reads by other code, replacements")         \
	X(CHOSEN_NO_EXIT, "chosen_no_exit", NOTE,                                                  \
	  "timed calls that ended without a return that was seen: exceptions")                     \
	X(CHOSEN_NO_ENTRY, "chosen_no_entry", NOTE, "returns of calls that had begun before")      \
	X(CHOSEN_LATE, "chosen_late", NOTE,                                                        \
	  "functions that were found after their process had started: calls before are not "       \
	  "counted")                                                                               \
	X(CHOSEN_JIT, "chosen_jit", NOTE,                                                          \
	  "processes with Python's JIT switched on: what compiled code calls is not seen")         \
	X(BLOCKS_FULL, "blocks_full", NOTE,                                                        \
	  "blocks that only the totals have: table of live blocks full (see --live-max)")          \
	X(FREED_BEFORE, "freed_before", NOTE,                                                      \
	  "frees of blocks that were not followed, from before observation for instance: in no "   \
	  "figure")                                                                                \
	X(ALLOC_UNFINISHED, "alloc_unfinished", NOTE, "allocations whose end was not seen")        \
	X(PAUSED_MS, "paused_ms", NOTE,                                                            \
	  "milliseconds in which allocations were not observed: what was allocated then is "       \
	  "missing, and what was freed then counts as far as it was not found (freed_unseen)")     \
	X(AUDIT_RATE, "rate_limited", FAILED, "events beyond the rate that was asked for")         \
	X(AUDIT_COUNTS, "counts_full", FAILED,                                                     \
	  "events of more names and processes than a summary holds")                               \
	X(AUDIT_UNNAMED, "unnamed_events", FAILED, "events whose name could not be read")          \
	X(AUDIT_CUT, "cut_events", NOTE, "events with arguments that were cut at a limit")         \
	X(AUDIT_NO_STACK, "no_stack", NOTE, "events whose stack could not be read")                \
	X(CALLS_BUSY, "calls_busy", NOTE,                                                          \
	  "calls not counted: threads that were preempted held the processor's scratch memory")    \
	X(REFS_LOST, "refs_lost", NOTE, "objects that no row has: table of types and stacks full") \
	X(REFS_UNTYPED, "refs_untyped", NOTE,                                                      \
	  "objects whose type could not be read, or had no room: <unknown type>")                  \
	X(REFS_NOT_FOLLOWED, "refs_not_followed", NOTE,                                            \
	  "objects that were created and do not count as alive: table full (see --live-max)")      \
	X(REFS_BEFORE, "refs_before", NOTE,                                                        \
	  "objects that were destroyed and had been created before observation")                   \
	X(REFS_MOVED, "refs_moved", NOTE,                                                          \
	  "objects that counted as alive until another was created at their address")              \
	X(FREED_UNSEEN, "freed_unseen", NOTE,                                                      \
	  "blocks that were freed while allocations were not observed, by what lies in the "       \
	  "process's memory: they do not count as alive")

enum kb_ledger_class { KB_LEDGER_GOOD, KB_LEDGER_PARTIAL, KB_LEDGER_FAILED, KB_LEDGER_NOTE };

enum kb_ledger_reason {
#define X(symbol, name, class, text) KB_L_##symbol,
	KB_LEDGER_TABLE(X)
#undef X
		KB_L_COUNT
};

#endif
