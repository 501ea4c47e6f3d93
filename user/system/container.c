// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <ctype.h>
#include <errno.h>
#include <fts.h>
#include <json-c/json.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/error.h"
#include "system/container.h"

#define ID_SHORT    12 /* characters of an id that engines show */
#define ID_HEX	    64
#define ENTRIES_MAX 100000 /* cgroup directories looked at */

/* docker: a directory for each container, with its name in a JSON file. */
static const char docker_state[] = "/var/lib/docker/containers";
/* podman: one JSON array, `names` and `id`. */
static const char podman_state[] = "/var/lib/containers/storage/overlay-containers/containers.json";

/* The id within a cgroup directory's name: between the engine's prefix and ".scope". */
static void id_of_directory(const char *directory, char *id, size_t size)
{
	static const char *const prefixes[] = { "docker-",	   "libpod-conmon-", "libpod-",
						"cri-containerd-", "crio-",	     "nerdctl-" };
	const char *start = directory, *suffix = strstr(directory, ".scope");
	size_t length;

	for (size_t i = 0; i < sizeof(prefixes) / sizeof(*prefixes); i++) {
		if (!strncmp(directory, prefixes[i], strlen(prefixes[i]))) {
			start = directory + strlen(prefixes[i]);
			break;
		}
	}
	length = suffix ? (size_t)(suffix - start) : strlen(start);
	snprintf(id, size, "%.*s", (int)length, start);
}

static bool is_hex_id(const char *id)
{
	size_t n = 0;

	while (isxdigit((unsigned char)id[n]))
		n++;
	return n == ID_HEX && !id[n];
}

/* The id of the container that docker knows by this name; false when it knows none. */
static bool docker_id(const char *name, char *id, size_t size)
{
	char *paths[] = { (char *)docker_state, NULL };
	bool found = false;
	FTSENT *entry;
	FTS *tree;

	tree = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	while (tree && !found && (entry = fts_read(tree))) {
		char path[PATH_MAX];
		struct json_object *state, *field;

		if (entry->fts_level != 1 || entry->fts_info != FTS_D)
			continue;
		fts_set(tree, entry, FTS_SKIP);
		snprintf(path, sizeof(path), "%s/config.v2.json", entry->fts_path);
		state = json_object_from_file(path);
		if (json_object_object_get_ex(state, "Name", &field)) {
			const char *given = json_object_get_string(field);

			found = given && !strcmp(given[0] == '/' ? given + 1 : given, name);
		}
		if (found)
			snprintf(id, size, "%s", entry->fts_name);
		json_object_put(state);
	}
	if (tree)
		fts_close(tree);
	return found;
}

static bool podman_id(const char *name, char *id, size_t size)
{
	struct json_object *all = json_object_from_file(podman_state), *names, *field;
	bool found = false;

	if (!json_object_is_type(all, json_type_array))
		goto out;
	for (size_t i = 0; i < json_object_array_length(all) && !found; i++) {
		struct json_object *one = json_object_array_get_idx(all, i);

		if (!json_object_object_get_ex(one, "names", &names) ||
		    !json_object_is_type(names, json_type_array) ||
		    !json_object_object_get_ex(one, "id", &field))
			continue;
		for (size_t j = 0; j < json_object_array_length(names) && !found; j++) {
			const char *given =
				json_object_get_string(json_object_array_get_idx(names, j));

			found = given && !strcmp(given, name);
		}
		if (found)
			snprintf(id, size, "%s", json_object_get_string(field));
	}
out:
	json_object_put(all);
	return found;
}

/* Searches the cgroup tree for a directory named after the id. */
static struct kb_error *find_directory(const char *id, const char *mount, char *path, size_t size)
{
	char *paths[] = { (char *)mount, NULL }, found[KB_CONTAINER_NAME_MAX];
	size_t length = strlen(id), n = 0, seen = 0;
	bool exact = false;
	FTSENT *entry;
	FTS *tree;

	tree = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR | FTS_NOSTAT, NULL);
	if (!tree)
		return kb_error__from_errno(errno, KB_STATUS_FAILED, "cannot read %s", mount);
	while (!exact && (entry = fts_read(tree)) && seen++ < ENTRIES_MAX) {
		if (entry->fts_info != FTS_D || !entry->fts_level ||
		    !strncmp(entry->fts_name, "libpod-conmon-", 14))
			continue;
		id_of_directory(entry->fts_name, found, sizeof(found));
		exact = !strcmp(found, id);
		if (exact || (length >= KB_CONTAINER_PREFIX_MIN && is_hex_id(found) &&
			      !strncmp(found, id, length))) {
			snprintf(path, size, "%s", entry->fts_path);
			n = exact ? 1 : n + 1;
			fts_set(tree, entry, FTS_SKIP);
		}
	}
	fts_close(tree);
	if (n > 1)
		return kb_usage("container '%s' is ambiguous: give more of its id", id);
	if (!n)
		return kb_usage(
			"no running container '%s': no cgroup v2 below %s is named after it", id,
			mount);
	return NULL;
}

struct kb_error *kb_container__find(const char *name, struct kb_cgroup *cgroup)
{
	char mount[PATH_MAX], path[PATH_MAX], id[KB_CONTAINER_NAME_MAX];

	if (!*name || strchr(name, '/') || strlen(name) >= sizeof(id))
		return kb_usage("'%s' is no container name or id", name);
	KB_TRY(kb_cgroup__mount(mount, sizeof(mount)));
	if (!docker_id(name, id, sizeof(id)) && !podman_id(name, id, sizeof(id)))
		snprintf(id, sizeof(id), "%s", name);
	KB_TRY(find_directory(id, mount, path, sizeof(path)));
	return kb_cgroup__find(path, cgroup);
}

/* Processes of the machine itself share the mount namespace of PID 1; ours, where that may not be
 * looked at. */
static bool in_own_namespace(pid_t pid)
{
	char path[64], own[64] = "", init[64] = "";
	ssize_t a, b;

	snprintf(path, sizeof(path), "/proc/%d/ns/mnt", pid);
	a = readlink(path, own, sizeof(own) - 1);
	b = readlink("/proc/1/ns/mnt", init, sizeof(init) - 1);
	if (b < 0)
		b = readlink("/proc/self/ns/mnt", init, sizeof(init) - 1);
	return a > 0 && b > 0 && strcmp(own, init);
}

void kb_container__of_path(const char *cgroup, char *name, size_t size)
{
	char path[KB_CGROUP_PATH_MAX], id[KB_CONTAINER_NAME_MAX], *part, *save = NULL;

	*name = '\0';
	snprintf(path, sizeof(path), "%s", cgroup);
	/* The outermost part that names a container; without one the last part, as runc and crun
	 * do. */
	for (part = strtok_r(path, "/", &save); part; part = strtok_r(NULL, "/", &save)) {
		/* systemd itself, and what it left there, on the host or in a container. */
		if (!strcmp(part, "init.scope"))
			continue;
		id_of_directory(part, id, sizeof(id));
		snprintf(name, size, "%.*s", is_hex_id(id) ? ID_SHORT : (int)sizeof(id), id);
		if (is_hex_id(id))
			return;
	}
}

void kb_container__of_pid(pid_t pid, char *name, size_t size)
{
	char path[KB_CGROUP_PATH_MAX];

	*name = '\0';
	if (in_own_namespace(pid) && kb_cgroup__of_pid(pid, path, sizeof(path)))
		kb_container__of_path(path, name, size);
}
