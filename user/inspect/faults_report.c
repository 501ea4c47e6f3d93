// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* From a death's records to the report of it. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/error.h"
#include "inspect/faults.h"
#include "python/remote_code.h"
#include "system/container.h"

/* ---------------------------------------------------------------- code objects */

/* What was not in the thread's memory is in the process's, if it has not gone; and a child that has
 * not touched it yet has it where its parent has it. */
static bool read_code(struct kb_faults *faults, const struct kb_death *death, pid_t pid,
		      uint64_t address)
{
	const struct kb_data_fault *record = &death->record;
	const struct kb_layout *layout =
		kb_identifier__layout(record->layout, faults->session.identifier);
	struct kb_remote_code code;

	if (!layout || !pid ||
	    !kb_remote_code__read(pid, layout, record->runtime_code_type, address, &code))
		return false;
	kb_code_decoder__add_remote(death->decoder, record->proc, address, &code, layout);
	kb_remote_code__free(&code);
	return true;
}

/* Is the parent one that this process was forked from? Then both have the interpreter in one place.
 */
static pid_t twin_of(struct kb_faults *faults, const struct kb_data_fault *record)
{
	struct kb_proc parent;

	return kb_programs__get_proc(faults->session.programs, (pid_t)record->parent_tgid,
				     &parent) &&
			       parent.state == KB_PROC_PYTHON &&
			       parent.code_type == record->runtime_code_type
		       ? (pid_t)record->parent_tgid
		       : 0;
}

static uint32_t code_at(struct kb_faults *faults, struct kb_death *death, uint64_t address)
{
	const struct kb_data_fault *record = &death->record;
	uint32_t code = kb_code_decoder__find(death->decoder, record->proc, address);

	if (code != KB_ID_NONE)
		return code;
	if (read_code(faults, death, (pid_t)record->tgid, address) ||
	    read_code(faults, death, twin_of(faults, record), address))
		code = kb_code_decoder__find(death->decoder, record->proc, address);
	return code;
}

/* ---------------------------------------------------------------- threads */

static void add_frame(struct kb_faults *faults, struct kb_dump *dump, struct kb_death *death,
		      struct kb_dump_frames *stack, kb_u64 word)
{
	uint32_t code = code_at(faults, death, KB_FRAME_CODE(word));
	const struct kb_function_info *function;
	const struct kb_frame_info *frame;
	struct kb_dump_frame_data *data;
	char address[64];

	if (code == KB_CODE_HIDDEN)
		return;
	data = kb_dump_frames__add(stack);
	if (!data)
		return;
	data->info.kind = KB_DUMP_PYTHON;
	data->info.opcode = "";
	frame = kb_profile__frame(
		death->profile, kb_profile__add_frame(death->profile, code, KB_FRAME_LASTI(word)));
	if (code == KB_ID_NONE || !frame) {
		kb_profile__ledger_add(faults->session.profile, KB_L_UNNAMED_FRAMES, 1);
		snprintf(address, sizeof(address), "<code at 0x%llx>",
			 (unsigned long long)KB_FRAME_CODE(word));
		data->info.file = "???";
		data->info.name = data->info.qualname = kb_dump__string(dump, address);
		return;
	}
	function = kb_profile__function(death->profile, frame->function);
	data->info.file = kb_dump__string(dump, function->file);
	data->info.qualname = kb_dump__string(dump, function->name);
	data->info.name = kb_dump__string(dump, kb_dump__bare_name(function->name));
	data->info.line = frame->line;
}

/* The kernel's thread: by pthread_self(), or by what Python 3.11 and later note. */
static const struct kb_data_fault_task *task_of(const struct kb_death *death,
						const struct kb_data_fault_thread *thread)
{
	for (uint32_t i = 0; i < death->n_tasks; i++) {
		if (death->tasks[i].thread_pointer == thread->ident)
			return &death->tasks[i];
	}
	for (uint32_t i = 0; i < death->n_tasks && thread->native_id; i++) {
		if (death->tasks[i].ns_tid == thread->native_id)
			return &death->tasks[i];
	}
	return NULL;
}

static void add_thread(struct kb_faults *faults, struct kb_dump *dump, struct kb_death *death,
		       const struct kb_death_thread *from)
{
	struct kb_dump_process_data *process = &dump->processes[0];
	const struct kb_data_fault_task *task = task_of(death, &from->head);
	struct kb_dump_thread_data *thread = &process->threads[process->n_threads++];

	thread->info = (struct kb_dump_thread){
		.tid = task ? (pid_t)task->tid : 0,
		.ident = from->head.ident,
		.name = "",
		.comm = task ? kb_dump__string(dump, task->comm) : "",
		.interpreter = from->head.interpreter,
		.holds_gil = from->head.flags & KB_FAULT_THREAD_CURRENT,
		.collecting = from->head.flags & KB_FAULT_THREAD_GC,
		.how = KB_DUMP_SAMPLED,
		.error = "",
	};
	for (uint32_t i = 0; i < from->head.n_words; i++) {
		if (!KB_WORD_IS(from->words[i]))
			add_frame(faults, dump, death, &thread->stack, from->words[i]);
	}
	thread->info.n_frames = thread->stack.n;
	thread->info.cut = from->head.flags & (KB_FAULT_THREAD_CUT | KB_FAULT_THREAD_BROKEN);
	if (from->head.flags & KB_FAULT_THREAD_BROKEN)
		kb_profile__ledger_add(faults->session.profile, KB_L_FAULT_STACKS_CUT, 1);
}

/* Arguments, each with its end, as one line. */
static const char *command_of(struct kb_dump *dump, struct kb_data_fault *record)
{
	uint32_t n = record->command_bytes;
	char command[KB_FAULT_COMMAND_MAX + 8];

	if (n > KB_FAULT_COMMAND_MAX)
		n = 0;
	memcpy(command, record->command, n);
	while (n && !command[n - 1])
		n--;
	for (uint32_t i = 0; i < n; i++) {
		if (!command[i])
			command[i] = ' ';
	}
	command[n] = '\0';
	if (record->flags & KB_FAULT_COMMAND_CUT)
		strcat(command, "…");
	return kb_dump__string(dump, n ? command : record->leader_comm);
}

static struct kb_error *make_dump(struct kb_faults *faults, struct kb_death *death,
				  struct kb_dump **result)
{
	const struct kb_image_info *image =
		kb_identifier__image(faults->session.identifier, death->record.image);
	struct kb_dump_process_data *process;
	struct kb_error *err;
	struct kb_dump *dump;

	KB_TRY(kb_dump__create_empty(faults->opts.frames, &dump));
	err = kb_dump__add_empty(dump, death->n_threads);
	if (err) {
		kb_dump__destroy(dump);
		return err;
	}
	process = &dump->processes[0];
	process->info = (struct kb_dump_process){
		.pid = (pid_t)death->record.tgid,
		.ns_pid = (pid_t)death->record.ns_tgid,
		.python = image ? kb_dump__string(dump, image->version) : "",
		.command = command_of(dump, &death->record),
		.error = "",
	};
	for (uint32_t i = 0; i < death->n_threads; i++)
		add_thread(faults, dump, death, &death->threads[i]);
	process->info.n_threads = process->n_threads;
	*result = dump;
	return NULL;
}

/* ---------------------------------------------------------------- what happened */

/* The names are from the innermost on. */
static void cgroup_path(const struct kb_data_fault *record, char *path, size_t size)
{
	uint32_t n =
		record->n_cgroups < KB_FAULT_CGROUPS_MAX ? record->n_cgroups : KB_FAULT_CGROUPS_MAX;
	size_t used;

	used = (size_t)snprintf(path, size, "%s", record->n_cgroups > n ? "/…" : n ? "" : "/");
	while (n-- && used < size)
		used += (size_t)snprintf(path + used, size - used, "/%s", record->cgroups[n]);
}

static void describe(struct kb_faults *faults, const struct kb_death *death,
		     const struct kb_notice *notice, struct kb_fault_data *fault)
{
	static const char *const accesses[] = { "", "read", "write", "execute" };
	const struct kb_data_fault *record = &death->record;
	const struct kb_dump_process *process = &fault->dump->processes[0].info;
	char text[KB_FAULT_CGROUPS_MAX * (KB_FAULT_CGROUP_NAME + 1) + 8];
	char container[KB_CONTAINER_NAME_MAX] = "";
	struct kb_fault *info = &fault->info;
	uint64_t now = kb_now(CLOCK_MONOTONIC);

	*info = (struct kb_fault){
		.size = sizeof(*info),
		.kind = KB_FAULT_DEATH,
		.pid = (pid_t)record->tgid,
		.tid = (pid_t)record->tid,
		.ns_pid = (pid_t)record->ns_tgid,
		.ns_tid = (pid_t)record->ns_tid,
		.time_unix_ns = (int64_t)(kb_now(CLOCK_REALTIME) - (now - record->time)),
		.signal = record->signal,
		.signal_name = kb_signal__name(record->signal),
		.what = kb_fault__what(record->signal),
		.code = record->code,
		/* SI_KERNEL comes without. */
		.has_address =
			record->code > 0 && record->code < SI_KERNEL && record->signal != SIGABRT,
		.address = record->address,
		.access = record->access <= KB_ACCESS_EXECUTE ? accesses[record->access] : "",
		.oom = record->flags & KB_FAULT_OOM,
		.sender = (pid_t)record->sender,
		.sender_name =
			record->flags & KB_FAULT_FROM_KERNEL ? "kernel" : record->sender_comm,
		.comm = record->comm,
		.command = process->command,
		.python = process->python,
		.left_out = KB_FAULT_LEFT_OUT(notice->code),
		.partial = KB_FAULT_LOST(notice->code) || KB_FAULT_LEFT_OUT(notice->code),
		.kernel_ns = notice->start_time,
		.native_end = "",
		.stacks = fault->dump,
	};
	kb_fault__guess(record, text, sizeof(text));
	info->guess = kb_dump__string(fault->dump, text);
	cgroup_path(record, text, sizeof(text));
	info->cgroup = kb_dump__string(fault->dump, text);
	if (record->ns_tgid != record->tgid)
		kb_container__of_path(text, container, sizeof(container));
	info->container = kb_dump__string(fault->dump, container);
}

void kb_faults__report_death(struct kb_faults *faults, struct kb_death *death,
			     const struct kb_notice *notice)
{
	struct kb_profile *ledger = faults->session.profile;
	struct kb_fault_data fault = {};
	struct kb_error *err = make_dump(faults, death, &fault.dump);

	if (err) {
		kb_error__destroy(err);
		kb_profile__ledger_add(ledger, KB_L_LOST_STACK, 1);
		return;
	}
	describe(faults, death, notice, &fault);
	if (faults->native)
		kb_fault_native__walk(faults->native, faults, death, &fault);
	if (faults->holder) {
		fault.info.held = kb_fault_holder__merge(faults->holder, fault.info.pid,
							 fault.info.tid, fault.dump);
		if (!fault.info.held)
			kb_profile__ledger_add(ledger, KB_L_FAULT_NOT_HELD, 1);
	}
	kb_profile__ledger_add(ledger, fault.info.partial ? KB_L_TRUNCATED : KB_L_GOOD, 1);
	if (KB_FAULT_LEFT_OUT(notice->code))
		kb_profile__ledger_add(ledger, KB_L_FAULT_THREADS, KB_FAULT_LEFT_OUT(notice->code));
	faults->opts.report(&fault.info, faults->opts.context);
	free(fault.native);
	kb_dump__destroy(fault.dump);
}

void kb_faults__report_dump(struct kb_faults *faults, const struct kb_fault *info,
			    struct kb_dump *dump)
{
	struct kb_fault_data fault = { .info = *info };

	fault.info.stacks = dump;
	faults->opts.report(&fault.info, faults->opts.context);
}

const struct kb_fault_native *kb_fault__native(const struct kb_fault *fault, size_t index)
{
	const struct kb_fault_data *data = (const struct kb_fault_data *)fault;

	return index < fault->n_native ? &data->native[index] : NULL;
}
