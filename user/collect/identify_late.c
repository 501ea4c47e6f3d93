// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "base/error.h"
#include "collect/identify.h"
#include "system/process.h"

enum kb_identity kb_identifier__identify_late(struct kb_identifier *id,
					      const struct kb_target *target, pid_t pid,
					      uint64_t start_ns)
{
	enum kb_identity identity = kb_identifier__identify(id, pid, start_ns, NULL);
	struct kb_pids pids = {};

	if (identity != KB_IS_PYTHON || (target->filter == KB_FILTER_PIDS && !target->children))
		return identity;
	/* What this one forks from now on is set up by BPF; those that it forked before are not. */
	kb_error__destroy(kb_process__with_descendants(&pid, 1, &pids));
	for (size_t i = 0; i < pids.n; i++)
		if (pids.ids[i] != pid &&
		    (target->children || kb_target__matches(target, pids.ids[i])))
			kb_identifier__identify(id, pids.ids[i], 0, NULL);
	kb_pids__free(&pids);
	return identity;
}
