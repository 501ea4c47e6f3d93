// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Deaths as they arrive from the kernel, a record at a time (bpf/shared/faults.h). */
#include <stdlib.h>
#include <string.h>
#include "base/array.h"
#include "base/error.h"
#include "inspect/faults.h"

#define TASKS_MAX   4096
#define THREADS_MAX (KB_FAULT_THREADS_MAX * 2)

void kb_death__clear(struct kb_death *death)
{
	for (uint32_t i = 0; i < death->n_threads; i++)
		free(death->threads[i].words);
	free(death->threads);
	free(death->tasks);
	free(death->stack);
	kb_code_decoder__destroy(death->decoder);
	kb_profile__destroy(death->profile);
	memset(death, 0, sizeof(*death));
}

struct kb_death *kb_deaths__find(struct kb_faults *faults, uint32_t id)
{
	for (int i = 0; i < KB_DEATHS_MAX; i++) {
		if (id && faults->deaths[i].id == id)
			return &faults->deaths[i];
	}
	return NULL;
}

/* A free place, or that of a death whose end was never told. */
static struct kb_death *take_place(struct kb_faults *faults)
{
	struct kb_death *oldest = &faults->deaths[0];

	for (int i = 0; i < KB_DEATHS_MAX; i++) {
		if (!faults->deaths[i].id)
			return &faults->deaths[i];
		if (faults->deaths[i].age < oldest->age)
			oldest = &faults->deaths[i];
	}
	kb_profile__ledger_add(faults->session.profile, KB_L_LOST_STACK, 1);
	kb_death__clear(oldest);
	return oldest;
}

static void begin(struct kb_faults *faults, const struct kb_data_fault *record)
{
	struct kb_profile_meta meta = {
		.size = sizeof(meta), .target = "", .host = "", .kernel = "", .version = ""
	};
	struct kb_death *death = take_place(faults);
	struct kb_error *err = kb_profile__create(&meta, &death->profile);

	if (!err)
		err = kb_code_decoder__create(death->profile, &death->decoder);
	if (err) {
		kb_error__destroy(err);
		kb_death__clear(death);
		return;
	}
	death->id = record->proc;
	death->age = ++faults->now;
	death->record = *record;
	/* What is text must have an end. */
	death->record.comm[KB_COMM_MAX - 1] = death->record.leader_comm[KB_COMM_MAX - 1] =
		death->record.sender_comm[KB_COMM_MAX - 1] = '\0';
	for (int i = 0; i < KB_FAULT_CGROUPS_MAX; i++)
		death->record.cgroups[i][KB_FAULT_CGROUP_NAME - 1] = '\0';
}

static void add_task(struct kb_death *death, const struct kb_data_fault_task *record)
{
	struct kb_data_fault_task *grown =
		kb_array__grow(death->tasks, &death->tasks_capacity, death->n_tasks + 1,
			       sizeof(*grown), TASKS_MAX);

	if (!grown)
		return;
	death->tasks = grown;
	grown[death->n_tasks] = *record;
	grown[death->n_tasks++].comm[KB_COMM_MAX - 1] = '\0';
}

static void add_thread(struct kb_death *death, const struct kb_data_fault_thread *record,
		       size_t size)
{
	size_t bytes = (size_t)record->n_words * sizeof(kb_u64);
	struct kb_death_thread *grown;

	if (size < sizeof(*record) + bytes)
		return;
	grown = kb_array__grow(death->threads, &death->threads_capacity, death->n_threads + 1,
			       sizeof(*grown), THREADS_MAX);
	if (!grown)
		return;
	death->threads = grown;
	grown[death->n_threads].head = *record;
	grown[death->n_threads].words = malloc(bytes + 1);
	if (!grown[death->n_threads].words)
		return;
	memcpy(grown[death->n_threads].words, record + 1, bytes);
	death->n_threads++;
}

static void add_stack(struct kb_death *death, const struct kb_data_fault_stack *record)
{
	if (!death->stack)
		death->stack = malloc(sizeof(*record));
	if (death->stack)
		memcpy(death->stack, record, sizeof(*record));
}

void kb_deaths__record(struct kb_faults *faults, const void *record, size_t size)
{
	const struct kb_data_fault *fault = record;
	const struct kb_data_code *code = record;
	struct kb_death *death;

	if (size >= sizeof(*fault) && fault->kind == KB_DATA_FAULT) {
		begin(faults, fault);
		return;
	}
	/* All begin with kind and id. */
	death = size >= 2 * sizeof(kb_u32) ? kb_deaths__find(faults, code->proc) : NULL;
	if (!death)
		return;
	if (code->kind == KB_DATA_CODE && size >= sizeof(*code))
		kb_code_decoder__code(
			death->decoder, code, size,
			kb_identifier__layout(code->layout, faults->session.identifier));
	else if (code->kind == KB_DATA_LINES && size >= sizeof(struct kb_data_lines))
		kb_code_decoder__lines(death->decoder, record, size);
	else if (code->kind == KB_DATA_FAULT_TASK && size >= sizeof(struct kb_data_fault_task))
		add_task(death, record);
	else if (code->kind == KB_DATA_FAULT_THREAD && size >= sizeof(struct kb_data_fault_thread))
		add_thread(death, record, size);
	else if (code->kind == KB_DATA_FAULT_STACK && size >= sizeof(struct kb_data_fault_stack))
		add_stack(death, record);
}
