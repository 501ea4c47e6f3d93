/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_VMLINUX_ARCH_X86_H
#define KB_VMLINUX_ARCH_X86_H

struct thread_struct {
	unsigned long fsbase;
	unsigned long trap_nr, error_code; /* of the last fault in user space */
} KB_CORE;

/* What a page fault wanted (arch/x86/include/asm/trap_pf.h); other faults have other codes. */
#define KB_TRAP_PAGE_FAULT 14
#define KB_FAULT_ACCESS(task)                                                                      \
	(BPF_CORE_READ(task, thread.trap_nr) != KB_TRAP_PAGE_FAULT ? KB_ACCESS_UNKNOWN             \
	 : BPF_CORE_READ(task, thread.error_code) & 16		   ? KB_ACCESS_EXECUTE             \
	 : BPF_CORE_READ(task, thread.error_code) & 2		   ? KB_ACCESS_WRITE               \
								   : KB_ACCESS_READ)

/* The timer interrupt's entry (arch/x86/include/asm/trace/irq_vectors.h); other processors have no
 * such tracepoint. */
#define KB_TICK_SECTION "tp_btf/local_timer_entry"

/* The registers a uprobe is given, and those a thread had when it entered the kernel. */
struct pt_regs {
	unsigned long r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di, ip, sp,
		orig_ax;
} KB_CORE;
#define KB_INSTRUCTION_POINTER(regs) ((regs)->ip)

/* What a program at a perf event is given. */
struct bpf_perf_event_data {
	struct pt_regs regs;
	__u64 sample_period;
	__u64 addr; /* of a breakpoint */
} KB_CORE;

/* By DWARF's number, of those that may hold a variable. */
#define KB_REGISTER(regs, number) ((number) == 6 ? (regs)->bp : KB_NATIVE_REGISTER(regs, number))
/* Of these those that functions leave as they are. */
#define KB_SAVED_REGISTER(regs, number)                                                            \
	((number) == 3	  ? (regs)->bx                                                             \
	 : (number) == 6  ? (regs)->bp                                                             \
	 : (number) == 12 ? (regs)->r12                                                            \
	 : (number) == 13 ? (regs)->r13                                                            \
	 : (number) == 14 ? (regs)->r14                                                            \
	 : (number) == 15 ? (regs)->r15                                                            \
			  : 0)
#define KB_FIRST_ARGUMENT(regs)	 ((regs)->di)
#define KB_SECOND_ARGUMENT(regs) ((regs)->si)
#define KB_THIRD_ARGUMENT(regs)	 ((regs)->dx)
#define KB_FOURTH_ARGUMENT(regs) ((regs)->cx)
#define KB_RESULT(regs)		 ((regs)->ax)
#define KB_STACK_POINTER(regs)	 ((regs)->sp)
#define KB_RETURN_ADDRESS_BYTES	 8 /* on the stack, taken off by the return */

/* In a system call: which one, and its arguments. */
#define KB_SYSCALL_NUMBER(regs) ((regs)->orig_ax)
#define KB_SYSCALL_FIRST(regs)	((regs)->di)
#define KB_SYSCALL_SECOND(regs) ((regs)->si)
#define KB_SYSCALL_FUTEX	202
/* What a uprobe on a five-byte nop becomes from Linux 6.18 on. */
#define KB_SYSCALL_UPROBE 336

/* Native stacks can be unwound on this processor. By DWARF's number of a register (psABI 1.0,
 * figure 3.36) that code may have made a CFA of. */
#define KB_NATIVE_REGISTER(regs, number)                                                           \
	((number) == 0	  ? (regs)->ax                                                             \
	 : (number) == 1  ? (regs)->dx                                                             \
	 : (number) == 2  ? (regs)->cx                                                             \
	 : (number) == 3  ? (regs)->bx                                                             \
	 : (number) == 4  ? (regs)->si                                                             \
	 : (number) == 5  ? (regs)->di                                                             \
	 : (number) == 8  ? (regs)->r8                                                             \
	 : (number) == 9  ? (regs)->r9                                                             \
	 : (number) == 10 ? (regs)->r10                                                            \
	 : (number) == 11 ? (regs)->r11                                                            \
	 : (number) == 12 ? (regs)->r12                                                            \
	 : (number) == 13 ? (regs)->r13                                                            \
	 : (number) == 14 ? (regs)->r14                                                            \
	 : (number) == 15 ? (regs)->r15                                                            \
			  : 0)

/* All of them, by DWARF's numbers; 16 is the program counter. */
#define KB_COPY_REGISTERS(values, regs)                                                            \
	do {                                                                                       \
		(values)[0] = (regs)->ax;                                                          \
		(values)[1] = (regs)->dx;                                                          \
		(values)[2] = (regs)->cx;                                                          \
		(values)[3] = (regs)->bx;                                                          \
		(values)[4] = (regs)->si;                                                          \
		(values)[5] = (regs)->di;                                                          \
		(values)[6] = (regs)->bp;                                                          \
		(values)[7] = (regs)->sp;                                                          \
		(values)[8] = (regs)->r8;                                                          \
		(values)[9] = (regs)->r9;                                                          \
		(values)[10] = (regs)->r10;                                                        \
		(values)[11] = (regs)->r11;                                                        \
		(values)[12] = (regs)->r12;                                                        \
		(values)[13] = (regs)->r13;                                                        \
		(values)[14] = (regs)->r14;                                                        \
		(values)[15] = (regs)->r15;                                                        \
		(values)[16] = (regs)->ip;                                                         \
	} while (0)

/* The same of a uprobe. */
#define KB_PROBED_REGISTERS 17
#define KB_COPY_PROBED	    KB_COPY_REGISTERS

/* Arguments of a C function as it is entered: those in registers, and how far above the stack
 * pointer the others are, behind the return address. */
#define KB_ARGUMENT_REGISTERS 6
#define KB_COPY_ARGUMENTS(values, regs)                                                            \
	do {                                                                                       \
		(values)[0] = (regs)->di;                                                          \
		(values)[1] = (regs)->si;                                                          \
		(values)[2] = (regs)->dx;                                                          \
		(values)[3] = (regs)->cx;                                                          \
		(values)[4] = (regs)->r8;                                                          \
		(values)[5] = (regs)->r9;                                                          \
	} while (0)
#define KB_STACK_POINTER(regs) ((regs)->sp)
#define KB_STACK_ARGUMENTS     8

/* A system call and clone() both store the FS base here at once, so it is right for a running
 * thread. */
#define KB_THREAD_POINTER(task) ((task)->thread.fsbase)
/* Of another task than the current one: what it had when it left its CPU last. */
#define KB_READ_THREAD_POINTER(task) BPF_CORE_READ(task, thread.fsbase)

/* glibc and musl: pthread_self() is the thread pointer itself. */
#define KB_PTHREAD_SELF(tp) (tp)

/*
 * glibc's struct pthread (nptl/descr.h, the same offsets since 2.1 because they
 * are part of the debugging interface): 32 inline pthread_setspecific() slots
 * of {sequence, value}, then pointers to further blocks of 32.
 */
#define KB_PTHREAD_SPECIFIC_INLINE 0x310
#define KB_PTHREAD_SPECIFIC_BLOCKS 0x510

/* The dynamic thread vector's pointer; entries are {value, to_free} in glibc. Static blocks lie
 * below the thread pointer. */
#define KB_DTV_OFFSET	    8
#define KB_DTV_ENTRY_SIZE   16
#define KB_STATIC_TLS_BELOW 1

#endif
