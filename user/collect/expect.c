// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include "base/error.h"
#include "base/log.h"
#include "collect/command_path.h"
#include "collect/expect.h"

/* Of each place: the others' processes need room, too. */
#define INSTALLED_MAX (KB_IMAGES_MAX / 4)

static void note(const char *path, struct kb_error *err)
{
	if (err)
		kb_debug("%s: %s", path, kb_error__text(err));
	kb_error__destroy(err);
}

struct kb_error *kb_expect__command(struct kb_identifier *id, const char *command)
{
	char executable[PATH_MAX];
	uint32_t image;
	struct kb_error *err;

	if (!kb_command_path__executable(command, executable))
		return NULL;
	err = kb_identifier__expect_file(id, executable, true, &image);
	if (kb_error__status(err) == KB_STATUS_UNSUPPORTED)
		return kb_error__prefix(err, "%s", command);
	note(executable, err);
	return NULL;
}

void kb_expect__installed(struct kb_identifier *id)
{
	static const char *const places[] = {
		"/usr/bin/python3.*",
		"/usr/local/bin/python3.*",
		"/usr/lib/*/libpython3.*.so.*",
		"/usr/local/lib/libpython3.*.so.*",
	};
	uint32_t image;
	glob_t found;

	for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
		if (glob(places[i], GLOB_NOSORT, NULL, &found))
			continue;
		for (size_t j = 0; j < found.gl_pathc && j < INSTALLED_MAX; j++)
			note(found.gl_pathv[j],
			     kb_identifier__expect_file(id, found.gl_pathv[j], false, &image));
		globfree(&found);
	}
}

/* Its libpython is found as ours would be; where that is not the one, it is seen when it is mapped.
 */
uint32_t kb_expect__executed(struct kb_identifier *id, const struct kb_notice *notice)
{
	char path[64];
	uint32_t image;

	snprintf(path, sizeof(path), "/proc/%u/exe", notice->tgid);
	note(path, kb_identifier__expect_file(id, path, true, &image));
	if (image != KB_ID_NONE)
		kb_identifier__look_later(id, notice);
	return image;
}
