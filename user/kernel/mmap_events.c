// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <linux/perf_event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include "base/array.h"
#include "base/error.h"
#include "kernel/cpus.h"
#include "kernel/mmap_events.h"

/* A process that starts makes some 40 events of 130 bytes: more than a hundred starts on a CPU
 * between two looks. */
#define RING_BYTES   (1u << 19)
#define PENDING_MAX  (1u << 20) /* in one look */
#define SAMPLE_WORDS 2		/* behind each record: pid and tid, time */

struct ring {
	int fd;
	struct perf_event_mmap_page *page;
};

/* An event that was read, by its copy of the record. */
struct pending {
	uint64_t time;
	struct perf_event_header *record;
};

struct kb_mmap_events {
	struct ring *rings;
	unsigned n;
	int epoll;
	struct pending *pending;
	uint32_t n_pending, capacity;
	uint64_t lost;
};

/* The fixed parts of records, as man perf_event_open(2) has them. */
struct mmap2_record {
	struct perf_event_header header;
	uint32_t pid, tid;
	uint64_t start, bytes, offset;
	uint32_t device_major, device_minor;
	uint64_t inode, generation;
	uint32_t protection, flags;
	char path[];
};

struct task_record {
	struct perf_event_header header;
	uint32_t pid, parent, tid, parent_tid;
	uint64_t time;
};

struct comm_record {
	struct perf_event_header header;
	uint32_t pid, tid;
};

static struct kb_error *open_ring(struct kb_mmap_events *events, int cpu)
{
	struct perf_event_attr attr = { .size = sizeof(attr),
					.type = PERF_TYPE_SOFTWARE,
					.config = PERF_COUNT_SW_DUMMY,
					.sample_type = PERF_SAMPLE_TID | PERF_SAMPLE_TIME,
					.mmap = 1,
					.mmap2 = 1,
					.comm = 1,
					.comm_exec = 1,
					.task = 1,
					.sample_id_all = 1,
					.watermark = 1,
					.wakeup_watermark = RING_BYTES / 2,
					.use_clockid = 1,
					.clockid = CLOCK_MONOTONIC };
	struct ring *ring = &events->rings[events->n];
	struct epoll_event wake = { .events = EPOLLIN };
	void *page;

	ring->fd = (int)syscall(SYS_perf_event_open, &attr, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC);
	if (ring->fd < 0)
		return kb_error__from_errno(errno, KB_STATUS_UNSUPPORTED,
					    "cannot follow what processes map (CAP_PERFMON is "
					    "needed)");
	events->n++;
	page = mmap(NULL, RING_BYTES + (size_t)getpagesize(), PROT_READ | PROT_WRITE, MAP_SHARED,
		    ring->fd, 0);
	if (page == MAP_FAILED)
		return kb_error__from_errno(errno, KB_STATUS_FAILED,
					    "cannot map a ring of mapping events");
	ring->page = page;
	if (epoll_ctl(events->epoll, EPOLL_CTL_ADD, ring->fd, &wake))
		return kb_error__from_errno(errno, KB_STATUS_FAILED, "epoll_ctl");
	return NULL;
}

static struct kb_error *create(struct kb_mmap_events *events)
{
	struct kb_cpus cpus;

	events->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (events->epoll < 0)
		return kb_error__from_errno(errno, KB_STATUS_FAILED, "epoll_create1");
	KB_TRY(kb_cpus__online(&cpus));
	events->rings = calloc(cpus.n, sizeof(*events->rings));
	if (!events->rings)
		return kb_error__no_memory();
	for (int cpu = 0; cpu < KB_CPUS_MAX; cpu++) {
		if (kb_cpus__has(&cpus, cpu) && events->n < cpus.n)
			KB_TRY(open_ring(events, cpu));
	}
	return NULL;
}

struct kb_error *kb_mmap_events__create(struct kb_mmap_events **result)
{
	struct kb_mmap_events *events = calloc(1, sizeof(*events));
	struct kb_error *err;

	if (!events)
		return kb_error__no_memory();
	err = create(events);
	if (err)
		kb_mmap_events__destroy(events);
	else
		*result = events;
	return err;
}

void kb_mmap_events__destroy(struct kb_mmap_events *events)
{
	if (!events)
		return;
	for (unsigned i = 0; i < events->n; i++) {
		if (events->rings[i].page)
			munmap(events->rings[i].page, RING_BYTES + (size_t)getpagesize());
		close(events->rings[i].fd);
	}
	if (events->epoll >= 0)
		close(events->epoll);
	free(events->rings);
	free(events->pending);
	free(events);
}

int kb_mmap_events__fd(const struct kb_mmap_events *events)
{
	return events->epoll;
}

uint64_t kb_mmap_events__lost(const struct kb_mmap_events *events)
{
	return events->lost;
}

/* ---------------------------------------------------------------- reading */

static void copy_out(const struct ring *ring, uint64_t at, void *to, size_t size)
{
	const uint8_t *bytes = (const uint8_t *)ring->page + ring->page->data_offset;
	size_t offset = at & (RING_BYTES - 1), first = RING_BYTES - offset;

	if (first > size)
		first = size;
	memcpy(to, bytes + offset, first);
	memcpy((uint8_t *)to + first, bytes, size - first);
}

static bool keep(struct kb_mmap_events *events, struct perf_event_header *record)
{
	struct pending *grown = kb_array__grow(events->pending, &events->capacity,
					       events->n_pending + 1, sizeof(*grown), PENDING_MAX);
	size_t tail = SAMPLE_WORDS * sizeof(uint64_t);

	if (!grown || record->size < sizeof(*record) + tail)
		return false;
	events->pending = grown;
	grown[events->n_pending].record = record;
	memcpy(&grown[events->n_pending].time, (uint8_t *)record + record->size - sizeof(uint64_t),
	       sizeof(uint64_t));
	events->n_pending++;
	return true;
}

static void take_record(struct kb_mmap_events *events, const struct ring *ring, uint64_t at,
			const struct perf_event_header *header)
{
	struct perf_event_header *record;

	if (header->type == PERF_RECORD_LOST) {
		struct {
			struct perf_event_header header;
			uint64_t id, lost;
		} loss;

		copy_out(ring, at, &loss, sizeof(loss));
		events->lost += loss.lost;
		return;
	}
	record = malloc(header->size);
	if (record) {
		copy_out(ring, at, record, header->size);
		if (keep(events, record))
			return;
	}
	free(record);
	events->lost++;
}

static void take_ring(struct kb_mmap_events *events, struct ring *ring)
{
	uint64_t head = __atomic_load_n(&ring->page->data_head, __ATOMIC_ACQUIRE);
	uint64_t at = ring->page->data_tail;
	struct perf_event_header header;

	while (at < head) {
		copy_out(ring, at, &header, sizeof(header));
		if (header.size < sizeof(header))
			break; /* the kernel makes no such thing */
		take_record(events, ring, at, &header);
		at += header.size;
	}
	__atomic_store_n(&ring->page->data_tail, head, __ATOMIC_RELEASE);
}

static int by_time(const void *a, const void *b)
{
	const struct pending *x = a, *y = b;

	return x->time < y->time ? -1 : x->time > y->time;
}

/* False: not of a kind that matters. */
static bool decode(const struct pending *pending, struct kb_mmap_event *event)
{
	const struct perf_event_header *header = pending->record;
	const struct mmap2_record *map = (const void *)header;
	const struct task_record *task = (const void *)header;
	const struct comm_record *comm = (const void *)header;

	*event = (struct kb_mmap_event){ .time = pending->time, .path = "" };
	switch (header->type) {
	case PERF_RECORD_MMAP2:
		event->kind = KB_MMAP_MAP;
		event->pid = (pid_t)map->pid;
		event->start = map->start;
		event->end = map->start + map->bytes;
		event->offset = map->offset;
		event->inode = map->inode;
		event->device_major = map->device_major;
		event->device_minor = map->device_minor;
		event->path = map->path;
		return (pid_t)map->pid > 0;
	case PERF_RECORD_COMM:
		event->kind = KB_MMAP_EXEC;
		event->pid = (pid_t)comm->pid;
		return header->misc & PERF_RECORD_MISC_COMM_EXEC;
	case PERF_RECORD_FORK:
	case PERF_RECORD_EXIT:
		event->kind = header->type == PERF_RECORD_FORK ? KB_MMAP_FORK : KB_MMAP_EXIT;
		event->pid = (pid_t)task->pid;
		event->parent = (pid_t)task->parent;
		/* Threads come and go within a process. */
		return event->kind == KB_MMAP_FORK ? task->pid != task->parent
						   : task->pid == task->tid;
	default:
		return false;
	}
}

void kb_mmap_events__read(struct kb_mmap_events *events, kb_mmap_event_fn fn, void *context)
{
	struct kb_mmap_event event;

	for (unsigned i = 0; i < events->n; i++)
		take_ring(events, &events->rings[i]);
	qsort(events->pending, events->n_pending, sizeof(*events->pending), by_time);
	for (uint32_t i = 0; i < events->n_pending; i++) {
		if (decode(&events->pending[i], &event))
			fn(&event, context);
		free(events->pending[i].record);
	}
	events->n_pending = 0;
}
