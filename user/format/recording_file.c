// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The recording itself is written by model/recording.h; this makes it a row of the table of
 * formats. */
#include "base/error.h"
#include "format/writers.h"
#include "model/recording.h"

struct kb_error *kb_recording_file__write(const struct kb_profile *profile,
					  const struct kb_format_opts *opts, FILE *stream)
{
	struct kb_recording_writer *writer;
	struct kb_error *err;

	KB_TRY(kb_recording_writer__create(stream, &writer));
	err = kb_recording_writer__finish(writer, profile);
	kb_recording_writer__destroy(writer);
	return err;
}
