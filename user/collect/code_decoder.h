/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_COLLECT_CODE_DECODER_H
#define KB_COLLECT_CODE_DECODER_H

#include "bpf/shared/events.h"
#include "bpf/shared/layout.h"
#include "model/profile.h"
#include "python/remote_code.h"

/*
 * Code objects as they arrive from the kernel, in one record and the chunks of
 * their line table, and by the address under which stacks name them. A newer
 * object at the same address takes the place of the older one.
 */
struct kb_code_decoder;

struct kb_error *kb_code_decoder__create(struct kb_profile *profile,
					 struct kb_code_decoder **decoder);
void kb_code_decoder__destroy(struct kb_code_decoder *decoder);

void kb_code_decoder__code(struct kb_code_decoder *decoder, const struct kb_data_code *record,
			   size_t size, const struct kb_layout *layout);
void kb_code_decoder__lines(struct kb_code_decoder *decoder, const struct kb_data_lines *record,
			    size_t size);

/* A code object that was read from the process itself, decoded or as it was read. */
void kb_code_decoder__add(struct kb_code_decoder *decoder, uint32_t proc, uint64_t address,
			  const struct kb_code_info *info);

void kb_code_decoder__add_remote(struct kb_code_decoder *decoder, uint32_t proc, uint64_t address,
				 const struct kb_remote_code *code, const struct kb_layout *layout);

#define KB_CODE_HIDDEN (UINT32_MAX - 1)

/*
 * The profile's code id, KB_ID_NONE when no record of it arrived, or KB_CODE_HIDDEN
 * for what the interpreter puts between frames and shows to nobody.
 */
uint32_t kb_code_decoder__find(struct kb_code_decoder *decoder, uint32_t proc, uint64_t address);

#endif
