/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_TESTS_RECORDING_UTIL_H
#define KB_TESTS_RECORDING_UTIL_H

/* Shared by the tests of recordings. After cmocka.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "model/profile.h"
#include "model/recording.h"

struct recording {
	char *bytes;
	size_t size;
	FILE *stream;
	struct kb_recording_writer *writer;
};

static inline void assert_ok(struct kb_error *err)
{
	if (err)
		fail_msg("%s", kb_error__text(err));
}

static inline void assert_error(struct kb_error *err, const char *text)
{
	if (!err)
		fail_msg("no error, expected: %s", text);
	if (!strstr(kb_error__text(err), text))
		fail_msg("`%s` is not in `%s`", text, kb_error__text(err));
	assert_int_equal(kb_error__status(err), KB_STATUS_FAILED);
	assert_null(strchr(kb_error__text(err), '\n'));
	kb_error__destroy(err);
}

static inline struct kb_profile *make_profile(void)
{
	struct kb_profile_meta meta = { sizeof(meta), KB_CLOCK_TICK,   987.5,	 true,
					-5,	      123456789012345, "pid 12", "host\xc3\xa9",
					"Linux 6.1",  "0.1.0",	       false };
	struct kb_profile *profile;

	assert_ok(kb_profile__create(&meta, &profile));
	return profile;
}

static inline void start(struct recording *recording)
{
	*recording = (struct recording){ 0 };
	recording->stream = open_memstream(&recording->bytes, &recording->size);
	assert_ok(kb_recording_writer__create(recording->stream, &recording->writer));
}

static inline void stop(struct recording *recording)
{
	kb_recording_writer__destroy(recording->writer);
	fclose(recording->stream);
	free(recording->bytes);
}

static inline struct kb_error *read_bytes(const char *bytes, size_t size, bool partial,
					  struct kb_profile **profile)
{
	/* Exactly as large, so that the address checker sees a byte too many. */
	char *copy = malloc(size ? size : 1);
	struct kb_error *err;

	memcpy(copy, bytes, size);
	err = kb_recording__read(copy, size, "x.kb", partial, profile);
	free(copy);
	return err;
}

static inline void assert_refused(const struct recording *recording, const char *text)
{
	struct kb_profile *profile = NULL;

	assert_error(read_bytes(recording->bytes, recording->size, false, &profile), text);
	assert_null(profile);
}

#endif
