// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * faulthandler's text, to the letter (Python/traceback.c, _Py_DumpTracebackThreads()), with these
 * differences: each thread has a name, as 3.14 and later have it, and that is Python's own; what
 * is left out behind 100 frames is marked in all versions; threads beyond the
 * hundredth are not left out.
 */
#include <inttypes.h>
#include "base/error.h"
#include "base/text.h"
#include "inspect/dump.h"

#define STRING_MAX 500 /* characters of a name: MAX_STRING_LENGTH in Python/traceback.c */

/* What is not printable ASCII is escaped: _Py_DumpASCII(). */
static void write_ascii(FILE *stream, const char *text)
{
	uint32_t c;

	for (int n = 0; (c = kb_text__next(&text)); n++) {
		if (n == STRING_MAX) {
			fputs("...", stream);
			return;
		}
		if (c >= ' ' && c <= 126)
			fputc((int)c, stream);
		else
			fprintf(stream,
				c <= 0xff     ? "\\x%02x"
				: c <= 0xffff ? "\\u%04x"
					      : "\\U%08x",
				c);
	}
}

static void write_header(FILE *stream, const struct kb_dump_thread *thread)
{
	const char *name = thread->name[0] ? thread->name : thread->comm;

	fprintf(stream, "%s 0x%016" PRIx64, thread->holds_gil ? "Current thread" : "Thread",
		thread->ident);
	if (name[0]) {
		fputs(" [", stream);
		kb_text__write(stream, name);
		fputs("]", stream);
	}
	if (thread->interpreter)
		fprintf(stream, " in interpreter %" PRId64, thread->interpreter);
	fputs(" (most recent call first):\n", stream);
	if (thread->collecting)
		fputs("  Garbage-collecting\n", stream);
}

/* As 3.14 writes the C stack of a crash. */
static void write_native(const struct kb_dump_frame *frame, const char *indent, FILE *stream)
{
	fprintf(stream, "%sBinary file \"", indent);
	write_ascii(stream, frame->file);
	fputs("\", at ", stream);
	write_ascii(stream, frame->name);
	fputs("\n", stream);
}

void kb_dump_frame__write(const struct kb_dump_frame_data *frame, const char *indent, FILE *stream)
{
	if (frame->info.kind == KB_DUMP_NATIVE) {
		write_native(&frame->info, indent, stream);
		return;
	}
	fprintf(stream, "%sFile \"", indent);
	write_ascii(stream, frame->info.file);
	fputs("\", line ", stream);
	if (frame->info.line)
		fprintf(stream, "%d", frame->info.line);
	else
		fputs("???", stream);
	fputs(" in ", stream);
	write_ascii(stream, frame->info.name);
	if (frame->info.opcode[0])
		fprintf(stream, " at %s", frame->info.opcode);
	fputs("\n", stream);
	for (size_t i = 0; i < frame->info.n_locals; i++) {
		fprintf(stream, "%s  ", indent);
		kb_text__write(stream, frame->locals[i].name);
		fputs(" = ", stream);
		kb_text__write(stream, frame->locals[i].value);
		fputs("\n", stream);
	}
}

static void write_thread(FILE *stream, const struct kb_dump_thread_data *thread)
{
	write_header(stream, &thread->info);
	for (uint32_t i = 0; i < thread->stack.n; i++)
		kb_dump_frame__write(&thread->stack.frames[i], "  ", stream);
	if (thread->info.how == KB_DUMP_UNREAD)
		fprintf(stream, "  <could not be read: %s>\n", thread->info.error);
	else if (!thread->stack.n)
		fputs("  <no Python frame>\n", stream);
	if (thread->info.cut)
		fputs("  ...\n", stream);
}

struct kb_error *kb_dump__write_text(const struct kb_dump *dump, FILE *stream)
{
	for (uint32_t i = 0; i < dump->n; i++) {
		const struct kb_dump_process_data *process = &dump->processes[i];

		if (process->info.error[0])
			continue;
		if (dump->n > 1) {
			fprintf(stream, "%sProcess %d, Python %s: ", i ? "\n" : "",
				process->info.pid, process->info.python);
			kb_text__write(stream, process->info.command);
			fputs("\n\n", stream);
		}
		for (uint32_t j = 0; j < process->n_threads; j++) {
			if (j)
				fputs("\n", stream);
			write_thread(stream, &process->threads[j]);
		}
		kb_dump__write_tasks(process, stream);
	}
	return ferror(stream) ? kb_failed("cannot write the dump") : NULL;
}
