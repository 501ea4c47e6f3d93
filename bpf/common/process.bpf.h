/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_COMMON_PROCESS_BPF_H
#define KB_COMMON_PROCESS_BPF_H

#include "common/maps.bpf.h"

/* Does the current process belong to the target? Cheapest test first. */
static __always_inline int kb_filter_passes(kb_u32 tgid)
{
	if (config.filter == KB_FILTER_CGROUP)
		return bpf_get_current_ancestor_cgroup_id(config.cgroup_level) == config.cgroup_id;
	if (config.filter == KB_FILTER_PIDS)
		return bpf_map_lookup_elem(&followed, &tgid) != 0;
	return tgid != config.self_tgid;
}

/* A thread's id in its own PID namespace. */
static __always_inline kb_u32 kb_namespace_id(struct task_struct *task)
{
	struct pid *pid = BPF_CORE_READ(task, thread_pid);
	unsigned int level = BPF_CORE_READ(pid, level);
	int nr = 0;

	/* numbers[] ends the struct and has level + 1 entries; 32 is the kernel's limit on nesting.
	 */
	if (level <= 32) {
		struct upid *entry = (void *)pid + bpf_core_field_offset(pid->numbers) +
				     level * bpf_core_type_size(struct upid);

		bpf_core_read(&nr, sizeof(nr), &entry->nr);
	}
	return nr;
}

/* Is it the same process? User space knows start times only to a clock tick. */
static __always_inline int kb_same_start(kb_u64 known, kb_u64 start)
{
	return start - known < KB_START_SLACK_NS;
}

/* What user space said of an executable: enum kb_exe_state, 0: nothing yet. */
static __always_inline kb_u32 kb_exe_known(struct file *file)
{
	struct kb_exe_key key = {};
	kb_u32 *state;

	if (!file)
		return 0;
	key.inode = BPF_CORE_READ(file, f_inode, i_ino);
	key.device = BPF_CORE_READ(file, f_inode, i_sb, s_dev);
	state = bpf_map_lookup_elem(&known_exes, &key);
	return state ? *state : 0;
}

#endif
