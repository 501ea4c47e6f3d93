// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

/*
 * From a walked stack to what user space needs to name it: the thread's record, the code
 * objects that are new, the words. A stack is known by its hash, so it is sent once
 * and counted often (sample.bpf.c has the samples' counts, offcpu.bpf.c those of waits).
 */
#include "common/process.bpf.h"
#include "python/code.bpf.h"
#include "stack.bpf.h"

#define THREADS_MAX 16384
#define ASK_AGAIN_NS                                                                               \
	100000000ULL /* in case a notice was lost; user space's answer sets its own time */
#define NOT_PYTHON_RECHECK_NS 1000000000ULL /* such a program may still load libpython later */

/* Threads whose record was sent: the process id they were sent for. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, THREADS_MAX);
	__type(key, kb_u32);
	__type(value, kb_u32);
} threads SEC(".maps");

__noinline int kb_ask(kb_u32 tgid)
{
	struct task_struct *task = bpf_get_current_task_btf();
	kb_u64 now = bpf_ktime_get_ns();
	struct kb_notice notice = { .kind = KB_NOTICE_UNKNOWN, .tgid = tgid };
	struct kb_proc *proc = bpf_map_lookup_elem(&procs, &tgid), fresh = {};

	if (!task->mm) /* a kernel thread */
		return 0;
	notice.start_time = task->group_leader->start_boottime;
	if (!proc || !kb_same_start(proc->start_time, notice.start_time)) {
		fresh.start_time = notice.start_time;
		fresh.state = KB_PROC_PENDING;
		if (kb_exe_known(task->mm->exe_file) == KB_EXE_NOT_PYTHON) {
			fresh.state = KB_PROC_NOT_PYTHON;
			fresh.next_check = now + NOT_PYTHON_RECHECK_NS;
		}
		bpf_map_update_elem(&procs, &tgid, &fresh, BPF_ANY);
		proc = bpf_map_lookup_elem(&procs, &tgid);
		if (!proc) {
			kb_count(KB_L_NOT_IDENTIFIED, 1);
			return 0;
		}
	}
	/* Whether these were samples of a target is known with the answer, or when it loads an
	 * interpreter. */
	__sync_fetch_and_add(&proc->pending, 1);
	if (now < proc->next_check)
		return 0;
	proc->next_check = now + ASK_AGAIN_NS;
	proc->checks++;
	kb_notify(&notice);
	return 0;
}

__noinline int kb_request_drain(void)
{
	struct kb_notice notice = { .kind = KB_NOTICE_DATA };

	if (!__sync_lock_test_and_set(&control.drain_requested, 1))
		kb_notify(&notice);
	return 0;
}

__noinline int kb_send_thread(struct kb_proc *proc, kb_u32 tid)
{
	struct kb_data_thread record = { .kind = KB_DATA_THREAD, .tid = tid };
	kb_u32 *sent = bpf_map_lookup_elem(&threads, &tid), id;

	if (!proc)
		return 0;
	id = record.proc = proc->id;
	if (sent && *sent == id)
		return 0;
	record.ns_tid = kb_namespace_id(bpf_get_current_task_btf());
	bpf_get_current_comm(record.comm, sizeof(record.comm));
	if (!bpf_ringbuf_output(&data, &record, sizeof(record), BPF_RB_NO_WAKEUP))
		bpf_map_update_elem(&threads, &tid, &id, BPF_ANY);
	return 0;
}

struct naming {
	struct kb_walk *walk;
	struct kb_proc *proc;
	const struct kb_layout *layout;
	kb_u32 skip; /* words of a section that are no frames */
	int status;  /* the ledger's reason, or KB_L_GOOD */
};

/* How many words of a section come before its frames: all of them, but for the holder's stack and
 * those in which tasks wait. */
static __always_inline kb_u32 section_head(kb_u64 word)
{
	kb_u32 kind = KB_WORD_KIND(word), n = KB_WORD_VALUE(word);

	if (!KB_WORD_COUNTS(kind) || kind == KB_WORD_HOLDER)
		return 0;
	return kind == KB_WORD_TASK && n > KB_TASK_HEAD ? KB_TASK_HEAD : n;
}

/* One frame's code object. What is no frame has none. */
static long name_step(kb_u64 index, struct naming *naming)
{
	kb_u64 word;
	int seen;

	KB_OPAQUE(index);
	if (index >= KB_WORDS_MAX)
		return 1;
	if (naming->skip) {
		naming->skip--;
		return 0;
	}
	word = naming->walk->words[index];
	if (KB_WORD_IS(word)) {
		naming->skip = section_head(word);
		return 0;
	}
	seen = kb_code_seen(naming->proc, naming->layout, KB_FRAME_CODE(word));
	if (seen == KB_CODE_OK)
		return 0;
	naming->status = seen == KB_CODE_NOT_CODE ? KB_L_BAD_FRAME : KB_L_RING_FULL;
	return 1;
}

__noinline int kb_send_stack(struct kb_walk *walk, struct kb_proc *proc,
			     const struct kb_layout *layout, kb_u32 generation)
{
	struct naming naming = {
		.walk = walk, .proc = proc, .layout = layout, .status = KB_L_GOOD
	};
	kb_u64 n, size;

	if (!walk || !proc || !layout)
		return KB_L_NO_SCRATCH;
	n = walk->head.n_words;
	bpf_loop(n, name_step, &naming, 0);
	if (naming.status != KB_L_GOOD)
		return naming.status;
	walk->head.kind = KB_DATA_STACK;
	walk->head.proc = proc->id;
	walk->head.generation = generation;
	KB_OPAQUE(n);
	if (n > KB_WORDS_MAX)
		n = KB_WORDS_MAX;
	size = sizeof(walk->head) + n * 8;
	if (bpf_ringbuf_output(&data, walk, size, BPF_RB_NO_WAKEUP))
		return KB_L_RING_FULL;
	return KB_L_GOOD;
}

/* Looking at the ring costs some 10 ns: one in so many moments does. */
#define LOOK_EVERY 64

__noinline int kb_send_moment(struct kb_data_moment *record)
{
	if (!record)
		return 0;
	record->kind = KB_DATA_MOMENT;
	record->generation = control.generation;
	if (bpf_ringbuf_output(&data, record, sizeof(*record), BPF_RB_NO_WAKEUP)) {
		kb_count(KB_L_LOST_MOMENTS, 1);
		kb_request_drain();
	} else if (!(record->time / 1024 % LOOK_EVERY) &&
		   bpf_ringbuf_query(&data, BPF_RB_AVAIL_DATA) > config.ring_high) {
		kb_request_drain();
	}
	return 0;
}

__noinline int kb_verify_frame(struct kb_walk *walk, struct kb_proc *proc,
			       const struct kb_layout *layout)
{
	kb_u64 index, word;

	if (!walk || !proc || !layout || !walk->n_frames)
		return 1;
	index = walk->checks % walk->n_frames;
	KB_OPAQUE(index);
	word = walk->words[index & (KB_FRAMES_MAX - 1)];
	if (KB_WORD_IS(word) || kb_code_unchanged(proc, layout, KB_FRAME_CODE(word)))
		return 1;
	__sync_fetch_and_add(&proc->epoch, 1);
	/* This stack was hashed in the old epoch. */
	walk->head.hash = ~walk->head.hash ^ (kb_u64)proc->epoch << KB_EPOCH_SHIFT;
	return 0;
}
