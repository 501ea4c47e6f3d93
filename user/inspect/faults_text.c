// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Reports as text and as JSON lines; the stacks are as kb_dump__write_text() has them. */
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include "base/clock.h"
#include "base/error.h"
#include "base/json_out.h"
#include "base/text.h"
#include "inspect/faults.h"

static void write_time(int64_t unix_ns, const char *separator, char *text, size_t size)
{
	time_t seconds = unix_ns / (int64_t)KB_NS_PER_SECOND;
	struct tm utc;
	char date[32], clock[32];

	gmtime_r(&seconds, &utc);
	strftime(date, sizeof(date), "%Y-%m-%d", &utc);
	strftime(clock, sizeof(clock), "%H:%M:%S", &utc);
	snprintf(text, size, "%s%s%s.%06d", date, separator, clock,
		 (int)(unix_ns % (int64_t)KB_NS_PER_SECOND / 1000));
}

static void field(FILE *stream, const char *name, const char *text)
{
	if (!text[0])
		return;
	fprintf(stream, "  %-10s ", name);
	kb_text__write(stream, text);
	fputc('\n', stream);
}

/* Of the thread that it is about. */
static const char *thread_name(const struct kb_fault *fault)
{
	const struct kb_dump_thread *thread;

	for (size_t i = 0; (thread = kb_dump__thread(fault->stacks, 0, i)); i++) {
		if (thread->tid == fault->tid)
			return thread->name[0] ? thread->name : thread->comm;
	}
	return "";
}

static void write_title(const struct kb_fault *fault, FILE *stream)
{
	fprintf(stream, "Process %d (", fault->pid);
	kb_text__write(stream, fault->comm);
	fputs("): ", stream);
	switch (fault->kind) {
	case KB_FAULT_DEATH:
		fprintf(stream, "%s (%s)\n", fault->what,
			fault->signal_name[0] ? fault->signal_name : "a real-time signal");
		break;
	case KB_FAULT_SIGNAL:
		fprintf(stream, "%s was sent to it\n",
			fault->signal_name[0] ? fault->signal_name : "a real-time signal");
		break;
	case KB_FAULT_LATER:
		fprintf(stream, "Timeout (%g s)!\n", fault->seconds);
		break;
	case KB_FAULT_HANG:
		fprintf(stream, "thread %d [", fault->tid);
		kb_text__write(stream, thread_name(fault));
		fprintf(stream, "] has not moved for %.1f s\n", fault->seconds);
	}
}

static void write_fault(const struct kb_fault *fault, FILE *stream)
{
	char text[512], address[64] = "";

	if (fault->has_address)
		snprintf(address, sizeof(address), "%s%s0x%016" PRIx64, fault->access,
			 fault->access[0] ? " at " : "at ", fault->address);
	snprintf(text, sizeof(text), "%s%s%s", address, address[0] && fault->guess[0] ? ": " : "",
		 fault->guess);
	field(stream, "fault", text);
	if (fault->sender_name[0] && fault->sender != fault->pid) {
		snprintf(text, sizeof(text), fault->sender ? "%s (PID %d)" : "the %s",
			 fault->sender_name, fault->sender);
		field(stream, "sent by", text);
	}
}

static void write_head(const struct kb_fault *fault, FILE *stream)
{
	char text[512];

	write_title(fault, stream);
	field(stream, "command", fault->command);
	field(stream, "python", fault->python);
	write_time(fault->time_unix_ns, " ", text, sizeof(text));
	fprintf(stream, "  %-10s %s UTC\n", "time", text);
	if (fault->kind == KB_FAULT_DEATH)
		fprintf(stream, "  %-10s %d\n", "thread", fault->tid);
	if (fault->container[0]) {
		snprintf(text, sizeof(text), "%s, PID %d there", fault->container, fault->ns_pid);
		field(stream, "container", text);
	}
	field(stream, "cgroup", fault->cgroup);
	write_fault(fault, stream);
	if (fault->left_out)
		fprintf(stream, "  %-10s %u threads, which are more than are shown\n", "left out",
			fault->left_out);
	else if (fault->partial)
		fprintf(stream, "  %-10s parts of this report were lost: the reader was too slow\n",
			"partial");
}

/* As _Py_DumpStack() of 3.14 has it (Python/traceback.c). */
static void write_native(const struct kb_fault *fault, FILE *stream)
{
	fputs("\nCurrent thread's C stack trace (most recent call first):\n", stream);
	for (size_t i = 0; i < fault->n_native; i++) {
		const struct kb_fault_native *frame = kb_fault__native(fault, i);

		fputs("  Binary file \"", stream);
		kb_text__write(stream, frame->file[0] ? frame->file : "<unknown>");
		fputs("\", at ", stream);
		kb_text__write(stream, frame->name);
		fprintf(stream, "+0x%" PRIx64 " [0x%" PRIx64 "]\n", frame->offset, frame->address);
	}
	if (fault->native_end[0])
		fprintf(stream, "  <%s>\n", fault->native_end);
}

struct kb_error *kb_fault__write_text(const struct kb_fault *fault, FILE *stream)
{
	write_head(fault, stream);
	fputc('\n', stream);
	if (fault->kind == KB_FAULT_DEATH)
		fprintf(stream, "Fatal Python error: %s\n\n", fault->what);
	if (!kb_dump__thread(fault->stacks, 0, 0))
		fputs("<no Python thread: the interpreter was starting or ending>\n", stream);
	KB_TRY(kb_dump__write_text(fault->stacks, stream));
	if (fault->n_native || fault->native_end[0])
		write_native(fault, stream);
	return ferror(stream) ? kb_failed("cannot write the report") : NULL;
}

/* ---------------------------------------------------------------- JSON */

static void json_locals(struct kb_json_out *out, const struct kb_fault *fault, size_t thread,
			size_t index, const struct kb_dump_frame *frame)
{
	if (!frame->n_locals)
		return;
	kb_json_out__open(out, "locals", '[');
	for (size_t i = 0; i < frame->n_locals; i++) {
		const struct kb_dump_local *local =
			kb_dump__local(fault->stacks, 0, thread, index, i);

		kb_json_out__open(out, NULL, '{');
		kb_json_out__text(out, "name", local->name);
		kb_json_out__text(out, "value", local->value);
		kb_json_out__close(out, '}');
	}
	kb_json_out__close(out, ']');
}

static void json_thread(struct kb_json_out *out, const struct kb_fault *fault, size_t index)
{
	const struct kb_dump_thread *thread = kb_dump__thread(fault->stacks, 0, index);

	kb_json_out__open(out, NULL, '{');
	kb_json_out__textf(out, "ident", "0x%016" PRIx64, thread->ident);
	kb_json_out__int(out, "tid", thread->tid);
	kb_json_out__text(out, "name", thread->name[0] ? thread->name : thread->comm);
	kb_json_out__int(out, "interpreter", thread->interpreter);
	kb_json_out__bool(out, "current", thread->holds_gil);
	kb_json_out__bool(out, "collecting", thread->collecting);
	kb_json_out__bool(out, "cut", thread->cut);
	kb_json_out__open(out, "frames", '[');
	for (size_t i = 0; i < thread->n_frames; i++) {
		const struct kb_dump_frame *frame = kb_dump__frame(fault->stacks, 0, index, i);

		kb_json_out__open(out, NULL, '{');
		kb_json_out__text(out, "kind", frame->kind == KB_DUMP_NATIVE ? "native" : "python");
		kb_json_out__text(out, "file", frame->file);
		if (frame->line)
			kb_json_out__int(out, "line", frame->line);
		else
			kb_json_out__null(out, "line");
		kb_json_out__text(out, "name", frame->name);
		kb_json_out__text(out, "qualname", frame->qualname);
		json_locals(out, fault, index, i, frame);
		kb_json_out__close(out, '}');
	}
	kb_json_out__close(out, ']');
	kb_json_out__close(out, '}');
}

static void json_native(struct kb_json_out *out, const struct kb_fault *fault)
{
	if (!fault->n_native && !fault->native_end[0])
		return;
	kb_json_out__open(out, "c_stack", '[');
	for (size_t i = 0; i < fault->n_native; i++) {
		const struct kb_fault_native *frame = kb_fault__native(fault, i);

		kb_json_out__open(out, NULL, '{');
		kb_json_out__textf(out, "address", "0x%" PRIx64, frame->address);
		kb_json_out__text(out, "file", frame->file);
		kb_json_out__text(out, "name", frame->name);
		kb_json_out__uint(out, "offset", frame->offset);
		kb_json_out__close(out, '}');
	}
	kb_json_out__close(out, ']');
	kb_json_out__text(out, "c_stack_end", fault->native_end);
}

static void json_head(struct kb_json_out *out, const struct kb_fault *fault)
{
	static const char *const kinds[] = { "death", "signal", "later", "hang" };
	char time[64];

	write_time(fault->time_unix_ns, "T", time, sizeof(time));
	kb_json_out__text(out, "kind", kinds[fault->kind]);
	kb_json_out__textf(out, "time", "%sZ", time);
	kb_json_out__int(out, "pid", fault->pid);
	kb_json_out__int(out, "tid", fault->tid);
	kb_json_out__int(out, "ns_pid", fault->ns_pid);
	kb_json_out__int(out, "ns_tid", fault->ns_tid);
	kb_json_out__text(out, "comm", fault->comm);
	kb_json_out__text(out, "command", fault->command);
	kb_json_out__text(out, "python", fault->python);
	kb_json_out__text(out, "container", fault->container);
	kb_json_out__text(out, "cgroup", fault->cgroup);
	kb_json_out__int(out, "signal", fault->signal);
	kb_json_out__text(out, "signal_name", fault->signal_name);
	kb_json_out__text(out, "what", fault->what);
	kb_json_out__int(out, "code", fault->code);
	if (fault->has_address)
		kb_json_out__textf(out, "address", "0x%016" PRIx64, fault->address);
	else
		kb_json_out__null(out, "address");
	kb_json_out__text(out, "access", fault->access);
	kb_json_out__text(out, "guess", fault->guess);
	kb_json_out__bool(out, "oom", fault->oom);
	kb_json_out__int(out, "sender", fault->sender);
	kb_json_out__text(out, "sender_name", fault->sender_name);
	kb_json_out__real(out, "seconds", fault->seconds);
	kb_json_out__uint(out, "left_out", fault->left_out);
	kb_json_out__bool(out, "partial", fault->partial);
	kb_json_out__bool(out, "held", fault->held);
	kb_json_out__uint(out, "kernel_ns", fault->kernel_ns);
}

struct kb_error *kb_fault__write_json(const struct kb_fault *fault, FILE *stream)
{
	const struct kb_dump_process *process = kb_dump__process(fault->stacks, 0);
	struct kb_json_out out = { .stream = stream };

	kb_json_out__open(&out, NULL, '{');
	json_head(&out, fault);
	kb_json_out__open(&out, "threads", '[');
	for (size_t i = 0; process && i < process->n_threads; i++)
		json_thread(&out, fault, i);
	kb_json_out__close(&out, ']');
	json_native(&out, fault);
	kb_json_out__close(&out, '}');
	kb_json_out__line(&out);
	return ferror(stream) ? kb_failed("cannot write the report") : NULL;
}
