/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_SYSTEM_CONTAINER_H
#define KB_SYSTEM_CONTAINER_H

#include <stddef.h>
#include <sys/types.h>
#include "system/cgroup.h"

#define KB_CONTAINER_NAME_MAX 128

/*
 * The cgroup of a running container by its name, its id or a unique prefix of
 * at least KB_CONTAINER_PREFIX_MIN characters of its id. Every engine names the
 * container's cgroup after its id: runc and crun `ID`, docker `docker-ID.scope` or
 * `docker/ID`, podman `libpod-ID.scope`, containerd `cri-containerd-ID.scope`.
 * Names given by people are looked up in docker's and podman's state.
 * KB_STATUS_USAGE: none, or several; KB_STATUS_UNSUPPORTED: no cgroup v2.
 */
#define KB_CONTAINER_PREFIX_MIN 4
struct kb_error *kb_container__find(const char *name, struct kb_cgroup *cgroup);

/* The id (short, as engines print it) of the container that a process runs in; "" when in none. */
void kb_container__of_pid(pid_t pid, char *name, size_t size);

/* The same from what was noted of a process: its cgroup v2 path, and that it was in a container. */
void kb_container__of_path(const char *path, char *name, size_t size);

#endif
