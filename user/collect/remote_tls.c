// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <string.h>
#include "collect/remote_tls.h"
#include "system/memory.h"

void kb_remote_tls__resolve(pid_t pid, const struct kb_tls *tls, uint64_t bias,
			    struct kb_proc_tls *out)
{
	uint64_t pair[2];

	memset(out, 0, sizeof(*out));
	if (tls->kind == KB_TLS_STATIC) {
		out->offset = tls->value;
		out->kind = KB_TLS_STATIC;
	} else if (tls->kind == KB_TLS_GOT && kb_memory__read(pid, tls->value + bias, pair, 8)) {
		out->offset = pair[0] + tls->displacement;
		out->kind = KB_TLS_STATIC;
	} else if (tls->kind == KB_TLS_DYNAMIC &&
		   kb_memory__read(pid, tls->value + bias, pair, sizeof(pair))) {
		out->module = pair[0];
		out->block_offset = pair[1] + tls->displacement;
		out->kind = KB_TLS_DYNAMIC;
	}
}
