/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_VMLINUX_ARCH_ARM64_H
#define KB_VMLINUX_ARCH_ARM64_H

/* The kernel's anonymous struct `uw` holds TPIDR_EL0 as tp_value. */
struct thread_struct {
	struct {
		unsigned long tp_value;
	} uw;
} KB_CORE;

/* The registers a uprobe is given: the part of pt_regs that is user-space ABI. */
struct user_pt_regs {
	__u64 regs[31];
	__u64 sp;
	__u64 pc;
	__u64 pstate;
} KB_CORE;
#define KB_INSTRUCTION_POINTER(ctx) (((struct user_pt_regs *)(ctx))->pc)

/* What a program at a perf event is given. */
struct bpf_perf_event_data {
	struct user_pt_regs regs;
	__u64 sample_period;
	__u64 addr; /* of a breakpoint */
} KB_CORE;

#define KB_REGISTER(ctx, number)       (((struct user_pt_regs *)(ctx))->regs[(number)&15])
#define KB_SAVED_REGISTER(ctx, number) (0)
#define KB_FIRST_ARGUMENT(ctx)	       (((struct user_pt_regs *)(ctx))->regs[0])
#define KB_SECOND_ARGUMENT(ctx)	       (((struct user_pt_regs *)(ctx))->regs[1])
#define KB_THIRD_ARGUMENT(ctx)	       (((struct user_pt_regs *)(ctx))->regs[2])
#define KB_FOURTH_ARGUMENT(ctx)	       (((struct user_pt_regs *)(ctx))->regs[3])
#define KB_RESULT(ctx)		       (((struct user_pt_regs *)(ctx))->regs[0])
#define KB_STACK_POINTER(ctx)	       (((struct user_pt_regs *)(ctx))->sp)
#define KB_RETURN_ADDRESS_BYTES	       0 /* it is in a register */

/* By DWARF's numbers: x0 to x30 and sp. */
#define KB_PROBED_REGISTERS 32
#define KB_COPY_PROBED(values, ctx)                                                                \
	do {                                                                                       \
		_Pragma("unroll") for (int i_ = 0; i_ < 31; i_++)(values)[i_] =                    \
			((struct user_pt_regs *)(ctx))->regs[i_];                                  \
		(values)[31] = ((struct user_pt_regs *)(ctx))->sp;                                 \
	} while (0)

/* Arguments of a C function as it is entered: those in registers, and how far above the stack
 * pointer the others are. */
#define KB_ARGUMENT_REGISTERS 8
#define KB_COPY_ARGUMENTS(values, ctx)                                                             \
	do {                                                                                       \
		_Pragma("unroll") for (int i_ = 0; i_ < 8; i_++)(values)[i_] =                     \
			((struct user_pt_regs *)(ctx))->regs[i_];                                  \
	} while (0)
#define KB_STACK_POINTER(ctx) (((struct user_pt_regs *)(ctx))->sp)
#define KB_STACK_ARGUMENTS    0

/* In a system call: which one, and its arguments; x0 holds the result by and by. */
struct pt_regs {
	__u64 regs[31];
	__u64 orig_x0;
	__s32 syscallno;
} KB_CORE;
#define KB_SYSCALL_NUMBER(ctx) ((ctx)->syscallno)
#define KB_SYSCALL_FIRST(ctx)  ((ctx)->orig_x0)
#define KB_SYSCALL_SECOND(ctx) ((ctx)->regs[1])
#define KB_SYSCALL_FUTEX       98

#define KB_THREAD_POINTER(task)	     ((task)->thread.uw.tp_value)
#define KB_READ_THREAD_POINTER(task) BPF_CORE_READ(task, thread.uw.tp_value)
#define KB_FAULT_ACCESS(task)	     KB_ACCESS_UNKNOWN

/*
 * glibc places struct pthread (0x7c0 bytes in 2.36) right below the thread
 * pointer. Compiled, not yet run: see docs/SUPPORT_MATRIX.md.
 */
#define KB_PTHREAD_SIZE		   0x7c0
#define KB_PTHREAD_SELF(tp)	   ((tp)-KB_PTHREAD_SIZE)
#define KB_PTHREAD_SPECIFIC_INLINE (0x310 - KB_PTHREAD_SIZE)
#define KB_PTHREAD_SPECIFIC_BLOCKS (0x510 - KB_PTHREAD_SIZE)

/* Variant 1: the thread pointer points at the dtv's pointer, static blocks lie above. */
#define KB_DTV_OFFSET	    0
#define KB_DTV_ENTRY_SIZE   16
#define KB_STATIC_TLS_BELOW 0

#endif
