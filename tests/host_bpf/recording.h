/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_HOST_BPF_RECORDING_H
#define KB_HOST_BPF_RECORDING_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include "bpf/shared/layout.h"
#include "bpf/shared/process.h"
#include "keelback/error.h"

/*
 * A moment of an interpreter: the memory that a walk of its threads touches, and
 * what the interpreter itself said of their stacks. Files (*.kbmem.zst) are
 * made by scripts/record_memory.py; one zstd frame with, in this order:
 *
 *   keelback-memory 1
 *   interpreter NAME VERSION
 *   layout FIELD VALUE           fields of struct kb_layout, decimal
 *   proc FIELD VALUE             fields of struct kb_proc, hexadecimal
 *   thread NAME TID TP           thread pointer, hexadecimal
 *   frame FUNCTION|FILE|LINE     of this thread, leaf first
 *   outer FUNCTION|FILE|LINE     of the same thread in the interpreter that called this one
 *   pages N
 *
 * and then N pages by rising address: an address in 8 bytes, low byte first, and
 * the page's 4,096 bytes. A field that is not named stays unknown (layout) or
 * 0 (proc), so recordings outlive new fields.
 */
#define RECORDING_PAGE	       4096
#define RECORDING_PAGES_MAX    4096	  /* 16 MB: a process has some hundred */
#define RECORDING_BYTES_MAX    (20 << 20) /* uncompressed */
#define RECORDING_THREADS_MAX  16
#define RECORDING_FRAMES_MAX   256
#define RECORDING_FRAME_LENGTH 256

struct recorded_page {
	uint64_t address;
	bool missing; /* for tests: as if it were not in memory */
	uint8_t bytes[RECORDING_PAGE];
};

typedef char recorded_frame[RECORDING_FRAME_LENGTH];

struct recorded_thread {
	char name[32];
	uint32_t tid;
	uint64_t tp;
	unsigned n_frames, n_outer;
	recorded_frame frames[RECORDING_FRAMES_MAX], outer[RECORDING_FRAMES_MAX];
};

struct recording {
	char interpreter[64], version[64];
	struct kb_layout layout;
	struct kb_proc proc;
	unsigned n_threads, n_pages;
	unsigned room; /* pages that are allocated */
	struct recorded_thread threads[RECORDING_THREADS_MAX];
	struct recorded_page *pages;
};

/* An empty one. */
void recording__init(struct recording *recording);
void recording__free(struct recording *recording);

struct kb_error *recording__load(const char *path, struct recording *recording);
/* All recordings of a directory, by name; the caller frees each and the array. */
struct kb_error *recording__load_all(const char *directory, struct recording **recordings,
				     unsigned *n);
struct kb_error *recording__save(const char *path, const struct recording *recording);

/* Takes a line of the header: for the parts that the target prints itself. */
struct kb_error *recording__take_line(struct recording *recording, char *line);

/* The page that holds the address, or NULL. */
struct recorded_page *recording__page(const struct recording *recording, uint64_t address);

/* Appends a page of zeros, keeping the order. The pages may move. NULL: too many. */
struct recorded_page *recording__add_page(struct recording *recording, uint64_t address);

/* For kb_host.read; context is the recording. */
bool recording__read(unsigned long long address, void *to, unsigned long long size, void *context);

#endif
