// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <limits.h>
#include <stdlib.h>
#include <zlib.h>
#include "format/gzip.h"

#define OUT_BYTES   (64u << 10)
#define WINDOW_BITS 15
#define GZIP_HEADER 16 /* added to the window bits: gzip, not zlib */
#define MEMORY	    8

struct kb_gzip {
	FILE *stream;
	z_stream z;
	unsigned char out[OUT_BYTES];
};

struct kb_error *kb_gzip__create(FILE *stream, struct kb_gzip **result)
{
	struct kb_gzip *gzip = calloc(1, sizeof(*gzip));

	if (!gzip)
		return kb_error__no_memory();
	gzip->stream = stream;
	if (deflateInit2(&gzip->z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, WINDOW_BITS + GZIP_HEADER,
			 MEMORY, Z_DEFAULT_STRATEGY) != Z_OK) {
		free(gzip);
		return kb_error__no_memory();
	}
	*result = gzip;
	return NULL;
}

/* Until the input is used up or, with Z_FINISH, the member is complete: then output has room left.
 */
static void run(struct kb_gzip *gzip, int flush)
{
	do {
		gzip->z.next_out = gzip->out;
		gzip->z.avail_out = OUT_BYTES;
		deflate(&gzip->z, flush);
		fwrite(gzip->out, 1, OUT_BYTES - gzip->z.avail_out, gzip->stream);
	} while (!gzip->z.avail_out && !ferror(gzip->stream));
}

void kb_gzip__write(struct kb_gzip *gzip, const void *bytes, size_t size)
{
	const unsigned char *at = bytes;

	while (size && !ferror(gzip->stream)) {
		uInt part = size < UINT_MAX ? (uInt)size : UINT_MAX;

		gzip->z.next_in = (unsigned char *)at;
		gzip->z.avail_in = part;
		run(gzip, Z_NO_FLUSH);
		at += part;
		size -= part;
	}
}

void kb_gzip__finish(struct kb_gzip *gzip)
{
	gzip->z.avail_in = 0;
	run(gzip, Z_FINISH);
	deflateEnd(&gzip->z);
	free(gzip);
}
