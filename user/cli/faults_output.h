/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_CLI_FAULTS_OUTPUT_H
#define KB_CLI_FAULTS_OUTPUT_H

#include <stdbool.h>
#include <stdint.h>
#include "keelback/faults.h"

/*
 * Where reports of `keelback faults` go: behind one another into a file or to stdout, each at
 * once; or each into a file of its own in a directory, where the oldest make room for the
 * newest, so that a service can run for ever.
 */
struct kb_faults_output_opts {
	const char *path;      /* NULL or "-": stdout; what the file has already stays */
	const char *directory; /* NULL: path */
	bool json;
	uint64_t max_files, max_bytes; /* in the directory */
};

struct kb_faults_output;

/* What cannot be written is found here. */
struct kb_error *kb_faults_output__open(const struct kb_faults_output_opts *opts,
					struct kb_faults_output **output);
/* KB_STATUS_FAILED without a text: stdout's reader has gone. */
struct kb_error *kb_faults_output__write(struct kb_faults_output *output,
					 const struct kb_fault *fault);
/* Reports that made room so far. */
uint64_t kb_faults_output__removed(const struct kb_faults_output *output);
void kb_faults_output__destroy(struct kb_faults_output *output);

#endif
