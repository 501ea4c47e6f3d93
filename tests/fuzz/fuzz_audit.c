// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Records of audit events with any bytes: whatever is made of them can be written in each form. */
#include <stdio.h>
#include <stdlib.h>
#include "bpf/shared/events.h"
#include "collect/audit_decode.h"

#define RECORD_MAX (sizeof(struct kb_data_audit) + KB_AUDIT_BODY_MAX + KB_AUDIT_STRING_MAX + 8)

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static struct kb_audit_decoder *decoder;
	static FILE *sink;
	struct kb_process_info process = { .comm = "c", .command = "", .python = "3.12" };
	struct kb_audit_event event = { .size = sizeof(event),
					.process = &process,
					.thread = "",
					.container = "",
					.node = KB_ID_NONE };

	if (!decoder) {
		decoder = kb_audit_decoder__create();
		sink = fopen("/dev/null", "w");
	}
	if (!decoder || !sink)
		abort();
	if (size > RECORD_MAX ||
	    !kb_audit_decoder__decode(decoder, (const struct kb_data_audit *)bytes, size, &event))
		return 0;
	kb_audit_event__write_text(&event, sink);
	kb_audit_event__write_json(&event, sink);
	return 0;
}
