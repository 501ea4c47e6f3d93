// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "system/debug_file.h"

struct search {
	const struct kb_elf_file *file;
	kb_debug_file_fn look;
	void *context;
};

static bool same_build(const struct kb_elf_file *a, const struct kb_elf_file *b)
{
	uint8_t x[20], y[20];
	size_t n = kb_elf_file__build_id(a, x);

	return n && n == kb_elf_file__build_id(b, y) && !memcmp(x, y, n);
}

static bool try_path(const struct search *search, const char *path)
{
	struct kb_elf_file *debug = NULL;
	bool taken = false;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return false;
	kb_error__destroy(kb_elf_file__open(fd, &debug));
	if (debug && same_build(search->file, debug))
		taken = search->look(debug, search->context);
	kb_elf_file__close(debug);
	close(fd);
	return taken;
}

static bool by_build_id(const struct search *search, const char *root)
{
	char path[PATH_MAX], hex[41];
	uint8_t id[20];
	size_t n = kb_elf_file__build_id(search->file, id);
	int length;

	if (n < 2)
		return false;
	for (size_t i = 0; i < n; i++)
		snprintf(hex + 2 * i, 3, "%02x", id[i]);
	length = snprintf(path, sizeof(path), "%s/.build-id/%.2s/%s.debug", root, hex, hex + 2);
	return length > 0 && (size_t)length < sizeof(path) && try_path(search, path);
}

static bool by_link(const struct search *search, const char *path, const char *root)
{
	const char *link = kb_elf_file__debug_link(search->file);
	const char *slash = strrchr(path, '/');
	int directory;

	if (!link || !slash || strchr(link, '/'))
		return false;
	directory = (int)(slash - path);
	for (int place = 0; place < 3; place++) {
		char candidate[PATH_MAX];
		int n = snprintf(candidate, sizeof(candidate), "%s%.*s%s/%s",
				 place == 2 ? root : "", directory, path,
				 place == 1 ? "/.debug" : "", link);

		if (n > 0 && (size_t)n < sizeof(candidate) && try_path(search, candidate))
			return true;
	}
	return false;
}

bool kb_debug_file__find(const struct kb_elf_file *file, const char *path, const char *root,
			 kb_debug_file_fn look, void *context)
{
	struct search search = { file, look, context };

	return by_build_id(&search, root) || by_link(&search, path, root);
}
