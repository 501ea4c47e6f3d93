// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdlib.h>
#include <string.h>
#include "base/hash.h"
#include "base/id_map.h"
#include "collect/task_records.h"
#include "system/process.h"
#include "system/thread_look.h"

/* As many code objects as a profile can hold, and threads. */
#define CODES_MAX   KB_PROFILE_CODES_MAX
#define THREADS_MAX KB_PROFILE_THREADS_MAX

struct kb_task_records {
	struct kb_ingest *ingest;
	struct kb_profile *profile;
	struct kb_id_map names;	  /* (key of a name) that were handed over */
	uint32_t numbered;	  /* of them, those that asyncio made up */
	struct kb_id_map threads; /* (process, tid) that were handed over */
	struct kb_id_map codes;	  /* (process, address) → what it was when it was read */
	struct {
		struct kb_data_stack head;
		uint64_t words[KB_WORDS_MAX];
	} stack;
	struct {
		struct kb_data_task head;
		char name[KB_TASK_NAME_MAX];
	} task;
};

struct kb_task_records *kb_task_records__create(struct kb_ingest *ingest,
						struct kb_profile *profile)
{
	struct kb_task_records *records = calloc(1, sizeof(*records));

	if (!records)
		return NULL;
	records->ingest = ingest;
	records->profile = profile;
	kb_id_map__init(&records->names, KB_TASK_NAMES_MAX);
	kb_id_map__init(&records->threads, THREADS_MAX);
	kb_id_map__init(&records->codes, CODES_MAX);
	return records;
}

void kb_task_records__destroy(struct kb_task_records *records)
{
	if (!records)
		return;
	kb_id_map__free(&records->names);
	kb_id_map__free(&records->threads);
	kb_id_map__free(&records->codes);
	free(records);
}

/* ---- names */

static bool is_made_up(const char *name)
{
	return !strncmp(name, "Task-", 5) && name[5] && !name[5 + strspn(name + 5, "0123456789")];
}

/* Hands the name over when it is new; the limits are those that the kernel has. */
static uint64_t key_of(struct kb_task_records *records, const char *name)
{
	bool made_up = is_made_up(name);
	size_t n = strlen(name);
	uint64_t key;

	if (!n)
		return KB_TASK_NAMELESS;
	key = kb_hash__bytes(name, n);
	if (key < KB_TASK_KEYS)
		key += KB_TASK_KEYS;
	if (kb_id_map__get(&records->names, key, 0) != KB_ID_MAP_NONE)
		return key;
	if ((made_up && records->numbered >= KB_TASK_NUMBERS_MAX) ||
	    !kb_id_map__set(&records->names, key, 0, 0)) {
		kb_profile__ledger_add(records->profile, KB_L_TASK_NAMES_FULL, 1);
		return KB_TASK_OTHER;
	}
	records->numbered += made_up;
	n = n < KB_TASK_NAME_MAX ? n : KB_TASK_NAME_MAX;
	memcpy(records->task.name, name, n);
	records->task.head = (struct kb_data_task){
		.kind = KB_DATA_TASK,
		.bytes = n,
		.key = key,
		.width = KB_TASK_UTF8,
	};
	kb_ingest__record(records->ingest, &records->task, sizeof(records->task.head) + n);
	return key;
}

/* ---- threads */

/* The host's id of the thread that runs the task's loop; where there is none, the process's. */
static pid_t thread_of(struct kb_task_records *records, const struct kb_task_process *process,
		       const struct kb_remote_task *task)
{
	struct kb_data_thread record = {
		.kind = KB_DATA_THREAD,
		.proc = process->proc,
		.tid = process->remote->pid,
	};
	struct kb_thread_look look;

	for (uint32_t i = 0; i < process->threads->n && task->loop_ident; i++) {
		const struct kb_remote_thread *thread = &process->threads->threads[i];

		if (thread->ident == task->loop_ident && thread->tid) {
			record.tid = thread->tid;
			break;
		}
	}
	if (kb_id_map__get(&records->threads, process->proc, record.tid) != KB_ID_MAP_NONE)
		return record.tid;
	kb_id_map__set(&records->threads, process->proc, record.tid, 0);
	kb_thread_look__take(process->remote->pid, record.tid, &look);
	memcpy(record.comm, look.name, sizeof(record.comm));
	record.ns_tid = kb_process__ns_pid(record.tid);
	kb_ingest__record(records->ingest, &record, sizeof(record));
	return record.tid;
}

/* ---- code objects */

/*
 * What tells a code object from another that took its address: where its names and lines are, and
 * where it begins.
 */
static uint32_t fingerprint(struct kb_remote *remote, uint64_t address)
{
	const struct kb_layout *layout = remote->layout;
	uint64_t parts[4] = {};

	kb_pages__read_u64(remote->pages, address + layout->code_filename, &parts[0]);
	kb_pages__read_u64(remote->pages, address + layout->code_name, &parts[1]);
	kb_pages__read_u64(remote->pages, address + layout->code_linetable, &parts[2]);
	kb_pages__read(remote->pages, address + layout->code_firstlineno, &parts[3], 4);
	return (uint32_t)kb_hash__bytes(parts, sizeof(parts)) >> 1; /* never KB_ID_MAP_NONE */
}

static void know_code(struct kb_task_records *records, const struct kb_task_process *process,
		      uint64_t address)
{
	uint32_t print = fingerprint(process->remote, address);

	if (kb_id_map__get(&records->codes, process->proc, address) == print)
		return;
	kb_id_map__set(&records->codes, process->proc, address, print);
	kb_ingest__fetch_code(records->ingest, process->proc, process->remote->pid, address);
}

/* ---- stacks */

static uint64_t frame_word(const struct kb_remote_frame *frame)
{
	return frame->code >> 3 << KB_LASTI_BITS | (frame->lasti & KB_LASTI_MASK);
}

/* The section of a task, from the word at n on; returns where it ends. What does not fit of its
 * frames are the outermost. */
static uint32_t add_section(struct kb_task_records *records, const struct kb_task_process *process,
			    const struct kb_remote_task *task, uint32_t n)
{
	uint64_t *words = records->stack.words + n;
	uint32_t frames = task->coroutines.n, room = KB_WORDS_MAX - n - 1 - KB_TASK_HEAD;

	if (frames > room || task->coroutines.cut) {
		frames = frames < room ? frames : room;
		records->stack.head.flags |= KB_STACK_TRUNCATED;
	}
	words[0] = KB_WORD(KB_WORD_TASK, KB_TASK_HEAD + frames);
	words[1] = key_of(records, task->name);
	words[2] = KB_TASK_INFO(0, task->n_awaited_by);
	for (uint32_t i = 0; i < frames; i++) {
		const struct kb_remote_frame *frame = &task->coroutines.frames[frames - 1 - i];

		know_code(records, process, frame->code);
		words[1 + KB_TASK_HEAD + i] = frame_word(frame);
	}
	return n + 1 + KB_TASK_HEAD + frames;
}

static void add_moment(struct kb_task_records *records, const struct kb_task_process *process,
		       const struct kb_stack_key *key)
{
	struct kb_data_moment record = {
		.kind = KB_DATA_MOMENT,
		.proc = key->proc,
		.hash = key->hash,
		.time = process->time,
		.count = 1,
		.tid = key->tid,
		.generation = (kb_u16)process->generation,
	};

	if (process->moments)
		kb_ingest__record(records->ingest, &record, sizeof(record));
}

void kb_task_records__add(struct kb_task_records *records, const struct kb_task_process *process,
			  const struct kb_remote_task *const *chain, uint32_t n, bool cut)
{
	struct kb_data_stack *head = &records->stack.head;
	struct kb_stack_key key = { .proc = process->proc };
	uint32_t words = 0, i;

	*head = (struct kb_data_stack){ .kind = KB_DATA_STACK,
					.proc = process->proc,
					.generation = process->generation };
	if (chain[0]->running)
		head->flags |= KB_STACK_RUNNING;
	for (i = 0; i < n && i < KB_TASKS_MAX && words + 1 + KB_TASK_HEAD < KB_WORDS_MAX; i++)
		words = add_section(records, process, chain[i], words);
	if (i < n || cut)
		head->flags |= KB_STACK_TRUNCATED;
	key.tid = thread_of(records, process, chain[0]);
	key.hash = kb_hash__bytes(records->stack.words, words * sizeof(uint64_t)) ^ head->flags;
	head->hash = key.hash;
	head->n_words = words;
	kb_ingest__record(records->ingest, head, sizeof(*head) + words * sizeof(uint64_t));
	kb_ingest__count(records->ingest, process->generation & 1, &key, 1);
	add_moment(records, process, &key);
}
