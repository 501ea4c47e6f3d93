// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What a signal's number, code and address say of why it came. Numbers:
 * include/uapi/asm-generic/siginfo.h. */
#include <ctype.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "inspect/faults.h"

#define NULL_SPAN      65536	  /* vm.mmap_min_addr: nothing is mapped below it */
#define OVERFLOW_BELOW (64 << 10) /* a function with large variables jumps over the guard page */
#define OVERFLOW_ABOVE 4096
#define NUMBER_PC      16
#define NUMBER_SP      7

static const struct {
	int number;
	const char *name;
	bool fatal;
	const char *what; /* as faulthandler says it (Modules/faulthandler.c), else as the shell */
} signals[] = {
	{ SIGHUP, "SIGHUP", true, "Hangup" },
	{ SIGINT, "SIGINT", true, "Interrupt" },
	{ SIGQUIT, "SIGQUIT", true, "Quit" },
	{ SIGILL, "SIGILL", true, "Illegal instruction" },
	{ SIGTRAP, "SIGTRAP", true, "Trace/breakpoint trap" },
	{ SIGABRT, "SIGABRT", true, "Aborted" },
	{ SIGBUS, "SIGBUS", true, "Bus error" },
	{ SIGFPE, "SIGFPE", true, "Floating point exception" },
	{ SIGKILL, "SIGKILL", true, "Killed" },
	{ SIGUSR1, "SIGUSR1", true, "User defined signal 1" },
	{ SIGSEGV, "SIGSEGV", true, "Segmentation fault" },
	{ SIGUSR2, "SIGUSR2", true, "User defined signal 2" },
	{ SIGPIPE, "SIGPIPE", true, "Broken pipe" },
	{ SIGALRM, "SIGALRM", true, "Alarm clock" },
	{ SIGTERM, "SIGTERM", true, "Terminated" },
	{ SIGSTKFLT, "SIGSTKFLT", true, "Stack fault" },
	{ SIGCHLD, "SIGCHLD", false, "Child status changed" },
	{ SIGCONT, "SIGCONT", false, "Continued" },
	{ SIGSTOP, "SIGSTOP", false, "Stopped" },
	{ SIGTSTP, "SIGTSTP", false, "Stopped" },
	{ SIGTTIN, "SIGTTIN", false, "Stopped" },
	{ SIGTTOU, "SIGTTOU", false, "Stopped" },
	{ SIGURG, "SIGURG", false, "Urgent I/O condition" },
	{ SIGXCPU, "SIGXCPU", true, "CPU time limit exceeded" },
	{ SIGXFSZ, "SIGXFSZ", true, "File size limit exceeded" },
	{ SIGVTALRM, "SIGVTALRM", true, "Virtual timer expired" },
	{ SIGPROF, "SIGPROF", true, "Profiling timer expired" },
	{ SIGWINCH, "SIGWINCH", false, "Window changed" },
	{ SIGIO, "SIGIO", true, "I/O possible" },
	{ SIGPWR, "SIGPWR", true, "Power failure" },
	{ SIGSYS, "SIGSYS", true, "Bad system call" },
};
#define N_SIGNALS (sizeof(signals) / sizeof(*signals))

const char *kb_signal__name(int number)
{
	for (size_t i = 0; i < N_SIGNALS; i++) {
		if (signals[i].number == number)
			return signals[i].name;
	}
	return "";
}

const char *kb_fault__what(int number)
{
	for (size_t i = 0; i < N_SIGNALS; i++) {
		if (signals[i].number == number)
			return signals[i].what;
	}
	return "Real-time signal";
}

int kb_signal__by_name(const char *text)
{
	char *end;
	long number;

	for (size_t i = 0; i < N_SIGNALS; i++) {
		if (!strcasecmp(text, signals[i].name) || !strcasecmp(text, signals[i].name + 3))
			return signals[i].number;
	}
	if (!isdigit((unsigned char)text[0]) || strlen(text) > 2)
		return 0;
	number = strtol(text, &end, 10);
	return !*end && number >= 1 && number <= KB_SIGNALS ? (int)number : 0;
}

bool kb_signal__is_fatal(int number)
{
	for (size_t i = 0; i < N_SIGNALS; i++) {
		if (signals[i].number == number)
			return signals[i].fatal;
	}
	return number > 0 && number <= KB_SIGNALS; /* real-time ones */
}

static const char *guess_segv(const struct kb_data_fault *record, char *text, size_t size)
{
	uint64_t sp = record->registers[NUMBER_SP], pc = record->registers[NUMBER_PC];
	uint64_t address = record->address;

	if (record->code == SI_KERNEL)
		return "an address that no pointer can have (not canonical)";
	if (address < NULL_SPAN && address == pc)
		return "call through a NULL pointer";
	if (address < NULL_SPAN && address) {
		snprintf(text, size, "NULL dereference, at offset %" PRIu64, address);
		return text;
	}
	if (!address)
		return "NULL dereference";
	if (record->flags & KB_FAULT_UNREADABLE && address + OVERFLOW_BELOW > sp &&
	    address < sp + OVERFLOW_ABOVE)
		return "stack overflow";
	if (address == pc)
		return record->code == SEGV_ACCERR ? "memory that may not be executed"
						   : "jump to where no code is";
	if (record->code == SEGV_ACCERR)
		return record->access == KB_ACCESS_WRITE ? "write to read-only memory"
							 : "memory that may not be accessed";
	return "";
}

static const char *guess_other(const struct kb_data_fault *record)
{
	switch (record->signal) {
	case SIGBUS:
		return record->code == BUS_ADRERR
			       ? "a mapped file that has become shorter, or cannot be read"
		       : record->code == BUS_ADRALN    ? "misaligned address"
		       : record->code >= BUS_MCEERR_AR ? "memory failure (hardware)"
						       : "";
	case SIGFPE:
		return record->code == FPE_INTDIV   ? "integer division by zero, or its overflow"
		       : record->code == FPE_FLTDIV ? "floating-point division by zero"
		       : record->code > 0	    ? "trapped floating-point exception"
						    : "";
	case SIGILL:
		return record->code > 0 ? "no instruction of this processor" : "";
	default:
		return "";
	}
}

void kb_fault__guess(const struct kb_data_fault *record, char *text, size_t size)
{
	const char *guess = "";

	*text = '\0';
	if (record->flags & KB_FAULT_OOM)
		guess = "the OOM killer: the machine or the cgroup is out of memory";
	else if (record->signal == SIGSEGV && record->code > 0)
		guess = guess_segv(record, text, size);
	else if (record->code > 0)
		guess = guess_other(record);
	else if (record->signal == SIGABRT && record->sender == record->tgid)
		guess = "abort()";
	if (guess != text)
		snprintf(text, size, "%s", guess);
}
