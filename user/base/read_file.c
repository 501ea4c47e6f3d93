// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/error.h"
#include "base/read_file.h"

#define READ_BYTES (1u << 20)

static struct kb_error *read_all(int fd, const char *path, struct kb_buf *buf)
{
	struct stat st;
	ssize_t got = 0;

	if (!fstat(fd, &st) && S_ISREG(st.st_mode))
		kb_buf__reserve(buf, (size_t)st.st_size + 1);
	do {
		buf->size += (size_t)got;
		if (!kb_buf__reserve(buf, 1) ||
		    (buf->size == buf->capacity && !kb_buf__reserve(buf, READ_BYTES)))
			return kb_failed("%s: larger than %zu bytes or than the memory", path,
					 buf->max);
		got = read(fd, buf->data + buf->size, buf->capacity - buf->size);
	} while (got > 0 || (got < 0 && errno == EINTR && !(got = 0)));
	if (got < 0)
		return kb_error__from_errno(errno, KB_STATUS_FAILED, "cannot read %s", path);
	return NULL;
}

struct kb_error *kb_read_file(const char *path, struct kb_buf *buf)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct kb_error *err;

	if (fd < 0)
		return kb_error__from_errno(errno, KB_STATUS_FAILED, "cannot open %s", path);
	err = read_all(fd, path, buf);
	close(fd);
	return err;
}
