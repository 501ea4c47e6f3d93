// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <string.h>
#include "format/label.h"

int kb_label__compare(const struct kb_label *a, const struct kb_label *b)
{
	int diff = strcmp(a->name, b->name);

	if (!diff)
		diff = strcmp(a->file, b->file);
	if (!diff)
		diff = (int)a->kind - (int)b->kind;
	if (!diff)
		diff = (a->number > b->number) - (a->number < b->number);
	if (!diff && a->opcode != b->opcode)
		diff = strcmp(a->opcode ? a->opcode : "", b->opcode ? b->opcode : "");
	return diff;
}

const char *kb_label__group(const struct kb_label *label)
{
	if (label->kind == KB_LABEL_PROCESS)
		return "process ";
	return label->kind == KB_LABEL_THREAD ? "thread " : NULL;
}

const char *kb_label__place(const struct kb_label *label)
{
	if (label->kind == KB_LABEL_KERNEL)
		return "kernel";
	if (label->kind != KB_LABEL_FRAME && label->kind != KB_LABEL_NATIVE)
		return NULL;
	return *label->file ? label->file : "?";
}

struct kb_label kb_label__of_process(const struct kb_process_info *process)
{
	return (struct kb_label){ KB_LABEL_PROCESS, process->pid, process->comm, "" };
}

struct kb_label kb_label__of_thread(const struct kb_thread_info *thread)
{
	const char *name = *thread->python_name ? thread->python_name : thread->name;

	return (struct kb_label){ KB_LABEL_THREAD, thread->tid, name, "" };
}

struct kb_label kb_label__of_place(const struct kb_profile *profile, uint32_t function,
				   int32_t line)
{
	const struct kb_function_info *info = kb_profile__function(profile, function);

	switch (info->kind) {
	case KB_FRAME_MARKER:
		return (struct kb_label){ KB_LABEL_MARKER, 0, info->name, "" };
	case KB_FRAME_KERNEL:
		return (struct kb_label){ KB_LABEL_KERNEL, 0, info->name, "" };
	case KB_FRAME_NATIVE:
		return (struct kb_label){ KB_LABEL_NATIVE, line, info->name, info->file };
	default:
		return (struct kb_label){ KB_LABEL_FRAME, line, info->name, info->file };
	}
}
