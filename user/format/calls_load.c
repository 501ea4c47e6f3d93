// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include "base/buf.h"
#include "base/error.h"
#include "base/read_file.h"
#include "format/calls_of_samples.h"
#include "format/pstats_read.h"
#include "model/calls.h"
#include "model/recording.h"

static struct kb_error *read_recording(const struct kb_buf *buf, const char *path, bool partial,
				       struct kb_calls **calls)
{
	struct kb_recorded recorded;
	struct kb_error *err;

	KB_TRY(kb_recording__read_any(buf->data, buf->size, path, partial, &recorded));
	if (recorded.calls) {
		*calls = recorded.calls;
		return NULL;
	}
	err = kb_calls__of_samples(recorded.profile, KB_ROWS_FUNCTIONS, calls);
	kb_profile__destroy(recorded.profile);
	return err;
}

/* As pstats does it: time.ctime() of the file's last change, and its path. */
static struct kb_error *add_source(struct kb_calls *calls, const char *path)
{
	char date[32] = "", *text;
	struct stat st;
	struct tm tm;
	bool added;

	if (!stat(path, &st) && localtime_r(&st.st_mtime, &tm))
		strftime(date, sizeof(date), "%a %b %e %H:%M:%S %Y    ", &tm);
	if (asprintf(&text, "%s%s", date, path) < 0)
		return kb_error__no_memory();
	added = kb_calls__add_source(calls, text);
	free(text);
	return added ? NULL : kb_error__no_memory();
}

struct kb_error *kb_calls__load(const char *path, bool partial, struct kb_calls **calls)
{
	struct kb_calls *fresh = NULL;
	struct kb_error *err;
	struct kb_buf buf;

	kb_buf__init(&buf, KB_RECORDING_BYTES_MAX);
	err = kb_read_file(path, &buf);
	if (!err && kb_recording__is(buf.data, buf.size))
		err = read_recording(&buf, path, partial, &fresh);
	else if (!err)
		err = kb_error__prefix(kb_pstats__read(buf.data, buf.size, &fresh), "%s", path);
	kb_buf__free(&buf);
	if (!err)
		err = add_source(fresh, path);
	if (err) {
		kb_calls__destroy(fresh);
		return err;
	}
	*calls = fresh;
	return NULL;
}
