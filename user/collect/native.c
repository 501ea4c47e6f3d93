// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/array.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/id_map.h"
#include "base/log.h"
#include "collect/mappings.h"
#include "collect/native.h"
#include "collect/native_table.h"
#include "symbols/eval_loop.h"
#include "symbols/symbolizer.h"
#include "symbols/unwind_store.h"

#define PROCS_MAX	 (1u << 20) /* as in ingest.c */
#define FRAMES_CACHE_MAX (1u << 20)
#define WARNINGS_MAX	 3
#define BATCH_MAX	 64
/* Giving a process's mappings takes some 10 ms (kernel/native_maps.h). Of many most are idle, so
 * they are read when they are sampled. */
#define AHEAD_MAX 16
/* Tables that are built before they are asked for: of files with this much .eh_frame (some ms
 * each, less from the cache), for so long at a time. */
#define SMALL_BYTES (512 << 10)
#define LIKELY_NS   (200 * KB_NS_PER_MS)
/* All tables in the kernel: those of a dozen interpreters with large libraries. */
#define TABLES_BYTES_MAX (64ull << 20)
#define UNKNOWN_CODE	 "[unknown]"
#define EVAL_LOOP	 (KB_ID_NONE - 1) /* in the cache of frames: no frame of its own */

enum table_state { TABLE_UNKNOWN, TABLE_WANTED, TABLE_DONE };

/* What is known of a module, by its index. */
struct image {
	enum table_state table;
	struct kb_eval_loop eval;
};

struct kb_native {
	struct kb_profile *profile;
	struct kb_native_maps maps;
	struct kb_modules *modules;
	struct kb_mappings *mappings;
	struct kb_unwind_store *tables;
	struct kb_symbolizer *symbolizer;
	struct image images[KB_NATIVE_IMAGES_MAX];
	uint32_t wanted[KB_NATIVE_IMAGES_MAX]; /* indices, to be built from the first on */
	uint32_t n_wanted;
	uint64_t table_bytes;
	uint8_t *minors; /* by process id */
	uint32_t n_minors, minors_capacity;
	struct kb_id_map frames; /* (relative address, 1 + module) → frame or EVAL_LOOP */
	struct kb_id_map kernel; /* (address, 0) → frame */
	unsigned warnings;
	unsigned n_ahead; /* processes whose mappings were read before they were sampled */
};

static struct kb_error *create(struct kb_native *n, struct kb_programs *programs)
{
	struct kb_unwind_store_opts store = { .size = sizeof(store) };
	struct kb_symbolizer_opts symbolizer = { .size = sizeof(symbolizer) };

	kb_programs__native_maps(programs, &n->maps);
	KB_TRY(kb_modules__create(&n->modules));
	KB_TRY(kb_mappings__create(programs, n->modules, &n->mappings));
	KB_TRY(kb_unwind_store__create(&store, &n->tables));
	symbolizer.store = n->tables;
	return kb_symbolizer__create(&symbolizer, &n->symbolizer);
}

struct kb_error *kb_native__create(struct kb_programs *programs, struct kb_profile *profile,
				   struct kb_native **result)
{
	struct kb_native *n = calloc(1, sizeof(*n));
	struct kb_error *err;

	if (!n)
		return kb_error__no_memory();
	n->profile = profile;
	kb_id_map__init(&n->frames, FRAMES_CACHE_MAX);
	kb_id_map__init(&n->kernel, FRAMES_CACHE_MAX);
	err = create(n, programs);
	if (err)
		kb_native__destroy(n);
	else
		*result = n;
	return err;
}

void kb_native__destroy(struct kb_native *n)
{
	if (!n)
		return;
	kb_symbolizer__destroy(n->symbolizer);
	kb_unwind_store__destroy(n->tables);
	kb_mappings__destroy(n->mappings);
	kb_modules__destroy(n->modules);
	kb_id_map__free(&n->frames);
	kb_id_map__free(&n->kernel);
	free(n->minors);
	free(n);
}

/* Sampling goes on with what there is. */
static void warn(struct kb_native *n, struct kb_error *err)
{
	if (err && n->warnings++ < WARNINGS_MAX)
		kb_warn("%s", kb_error__text(err));
	kb_error__destroy(err);
}

/* ---- tables */

static struct kb_error *make_table(struct kb_native *n, const struct kb_unwind_table *table,
				   int *fd)
{
	struct kb_native_table packed;
	struct kb_error *err;
	uint64_t bytes;

	KB_TRY(kb_native_table__pack(table, &packed));
	bytes = packed.n * sizeof(*packed.elements);
	if (n->table_bytes + bytes > TABLES_BYTES_MAX)
		err = kb_failed("no room for more unwind tables than %llu MB",
				TABLES_BYTES_MAX >> 20);
	else
		err = kb_native_maps__make_table(packed.elements, packed.n, fd);
	if (!err)
		n->table_bytes += bytes;
	kb_native_table__free(&packed);
	return err;
}

/* Stacks that end there are counted as NATIVE_NO_TABLE. */
static struct kb_error *make_none(int *fd)
{
	union kb_native_element none = { .head = { .n_blocks = 0 } };

	return kb_native_maps__make_table(&none, 1, fd);
}

/* Tables that are ready to be put in their places. */
struct batch {
	uint32_t images[BATCH_MAX];
	int fds[BATCH_MAX];
	uint32_t n;
};

static void publish(struct kb_native *n, struct batch *batch)
{
	if (batch->n)
		warn(n, kb_native_maps__set_tables(&n->maps, batch->images, batch->fds, batch->n));
	while (batch->n)
		close(batch->fds[--batch->n]);
}

static void build_table(struct kb_native *n, uint32_t index, struct batch *batch)
{
	const struct kb_module *module = kb_modules__at(n->modules, index);
	const struct kb_unwind_table *table;
	struct kb_error *err;
	int fd;

	n->images[index].table = TABLE_DONE;
	err = kb_unwind_store__get(n->tables, module, &table);
	if (err) {
		kb_debug("%s: no unwind table: %s", kb_module__path(module), kb_error__text(err));
		kb_error__destroy(err);
		err = make_none(&fd);
	} else {
		kb_eval_loop__find(module, table, &n->images[index].eval);
		err = make_table(n, table, &fd);
		kb_unwind_store__put(n->tables, module);
	}
	if (!err) {
		batch->images[batch->n] = index;
		batch->fds[batch->n++] = fd;
		if (batch->n == BATCH_MAX)
			publish(n, batch);
	}
	warn(n, err);
}

static void want_table(struct kb_native *n, uint64_t index)
{
	if (index >= KB_NATIVE_IMAGES_MAX || index >= kb_modules__count(n->modules) ||
	    n->images[index].table != TABLE_UNKNOWN)
		return;
	n->images[index].table = TABLE_WANTED;
	n->wanted[n->n_wanted++] = index;
}

bool kb_native__work(struct kb_native *n)
{
	struct batch batch = {};

	if (!n->n_wanted)
		return false;
	build_table(n, n->wanted[0], &batch);
	publish(n, &batch);
	memmove(n->wanted, n->wanted + 1, --n->n_wanted * sizeof(*n->wanted));
	return n->n_wanted > 0;
}

/* Is it worth a table before a stack is seen that needs it? */
static bool is_likely(const struct kb_module *module)
{
	static const char *const names[] = { "python", "libpython", "libc.so", "libc-", "ld-musl" };
	struct kb_elf_section frames;

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (!strncmp(kb_module__name(module), names[i], strlen(names[i])))
			return true;
	return kb_elf_file__section(kb_module__elf(module), ".eh_frame", &frames) &&
	       frames.size <= SMALL_BYTES;
}

static void build_if_likely(struct kb_native *n, const struct kb_module *module,
			    struct batch *batch)
{
	uint32_t index = module ? kb_module__index(module) : KB_MODULE_NONE;

	if (index < KB_NATIVE_IMAGES_MAX && n->images[index].table == TABLE_UNKNOWN &&
	    is_likely(module))
		build_table(n, index, batch);
}

/* Of what the process has and is not known yet: the rest is waited for. */
static void build_likely(struct kb_native *n, uint32_t proc)
{
	uint64_t end = kb_now(CLOCK_MONOTONIC) + LIKELY_NS;
	const struct kb_mapping *mapping;
	struct batch batch = {};

	for (uint32_t i = 0; (mapping = kb_mappings__at(n->mappings, proc, i)); i++)
		if (kb_now(CLOCK_MONOTONIC) < end)
			build_if_likely(n, mapping->module, &batch);
	publish(n, &batch);
}

/* The system's libraries that this program has, too: so has whatever it starts. */
static void expect_own(struct kb_native *n, struct batch *batch)
{
	static const char *const names[] = { "/libc.so", "/libc-", "/ld-", "/libm.so", "/libz.so" };
	const struct kb_module *module;
	struct kb_maps maps = {};
	struct kb_error *err;

	err = kb_maps__read(getpid(), &maps);
	for (size_t i = 0; !err && i < maps.count; i++) {
		bool wanted = false;

		for (size_t j = 0; j < sizeof(names) / sizeof(*names); j++)
			wanted |= strstr(maps.entries[i].path, names[j]) != NULL;
		if (!wanted || !maps.entries[i].executable)
			continue;
		err = kb_modules__of_mapping(n->modules, getpid(), &maps.entries[i], &module);
		if (!err)
			build_if_likely(n, module, batch);
	}
	kb_maps__free(&maps);
	kb_error__destroy(err);
}

void kb_native__expect(struct kb_native *n, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	const struct kb_module *module;
	struct batch batch = {};
	struct kb_error *err;

	if (fd < 0)
		return;
	expect_own(n, &batch);
	err = kb_modules__of_file(n->modules, fd, path, &module);
	if (!err)
		build_if_likely(n, module, &batch);
	kb_error__destroy(err);
	close(fd);
	publish(n, &batch);
}

/* ---- processes */

static void set_minor(struct kb_native *n, uint32_t proc, int minor)
{
	uint8_t *minors = kb_array__grow(n->minors, &n->minors_capacity, proc + 1, 1, PROCS_MAX);

	if (!minors)
		return;
	n->minors = minors;
	while (n->n_minors <= proc)
		minors[n->n_minors++] = 0;
	minors[proc] = minor;
}

void kb_native__add_process(struct kb_native *n, uint32_t proc, pid_t pid, int minor)
{
	set_minor(n, proc, minor);
	if (n->n_ahead >= AHEAD_MAX)
		return;
	n->n_ahead++;
	warn(n, kb_mappings__read(n->mappings, proc, pid));
	build_likely(n, proc);
}

void kb_native__new_process(struct kb_native *n, uint32_t proc, uint32_t parent, pid_t pid,
			    int minor)
{
	set_minor(n, proc, minor);
	kb_mappings__forked(n->mappings, parent, proc, pid);
}

void kb_native__notice(struct kb_native *n, const struct kb_notice *notice)
{
	if (notice->kind == KB_NOTICE_MAPS) {
		warn(n, kb_mappings__read(n->mappings, notice->proc, notice->tgid));
		build_likely(n, notice->proc);
	} else if (notice->kind == KB_NOTICE_TABLE) {
		want_table(n, notice->image);
	}
}

void kb_native__end_generation(struct kb_native *n)
{
	kb_symbolizer__forget_ended(n->symbolizer);
}

bool kb_native__one_by_one(const struct kb_native *n, uint32_t proc)
{
	return proc < n->n_minors && n->minors[proc] && n->minors[proc] <= 10;
}

/* ---- frames */

static uint32_t add_frame(struct kb_native *n, enum kb_frame_kind kind,
			  const struct kb_symbol *symbol)
{
	struct kb_code_info info = { .kind = kind, .file = symbol->file, .name = symbol->name };

	return kb_profile__add_frame(n->profile, kb_profile__add_code(n->profile, &info), 0);
}

static uint32_t module_frame(struct kb_native *n, const struct kb_module *module, uint64_t relative)
{
	uint32_t index = kb_module__index(module), frame;
	struct kb_symbol symbol;

	frame = kb_id_map__get(&n->frames, relative, index + 1);
	if (frame != KB_ID_NONE)
		return frame;
	if (index < KB_NATIVE_IMAGES_MAX &&
	    kb_eval_loop__contains(&n->images[index].eval, relative)) {
		frame = EVAL_LOOP;
	} else {
		kb_symbolizer__module(n->symbolizer, module, relative, &symbol);
		frame = add_frame(n, KB_FRAME_NATIVE, &symbol);
	}
	kb_id_map__set(&n->frames, relative, index + 1, frame);
	return frame;
}

static uint32_t user_frame(struct kb_native *n, uint32_t proc, uint64_t address)
{
	const struct kb_mapping *mapping = kb_mappings__find(n->mappings, proc, address);
	struct kb_symbol symbol;

	if (mapping && mapping->module)
		return module_frame(n, mapping->module,
				    mapping->relative + (address - mapping->start));
	kb_symbolizer__process(n->symbolizer, kb_mappings__pid(n->mappings, proc), address,
			       mapping ? mapping->label : UNKNOWN_CODE, &symbol);
	if (symbol.source != KB_SYMBOL_NONE)
		return add_frame(n, KB_FRAME_NATIVE, &symbol);
	/* All of a run-time compiler's code is one frame: its addresses say nothing. */
	symbol.name = mapping ? mapping->label : UNKNOWN_CODE;
	return add_frame(n, KB_FRAME_MARKER, &symbol);
}

void kb_native__frames(struct kb_native *n, uint32_t proc, const kb_u64 *addresses, uint32_t count,
		       uint32_t *frames, bool *eval)
{
	for (uint32_t i = 0; i < count; i++) {
		frames[i] = user_frame(n, proc, addresses[i] - 1);
		eval[i] = frames[i] == EVAL_LOOP;
	}
}

/*
 * The kernel's own way from an interrupt to our program is on top of what it interrupted: down to
 * the entry of that interrupt, in arch/x86/entry/entry_64.S and include/asm/idtentry.h.
 */
static bool is_interrupt(const char *name)
{
	return !strncmp(name, "asm_sysvec_", 11) || !strcmp(name, "asm_exc_nmi") ||
	       !strcmp(name, "asm_common_interrupt");
}

/* What a tracepoint calls is on top of what it is in: the last is its own function. */
static bool is_tracepoint(const char *name)
{
	return !strncmp(name, "__traceiter_", 12);
}

uint32_t kb_native__kernel_frames(struct kb_native *n, const kb_u64 *addresses, uint32_t count,
				  uint32_t *frames)
{
	uint32_t kept = 0;
	bool stripped = false;

	for (uint32_t i = 0; i < count; i++) {
		uint32_t frame = kb_id_map__get(&n->kernel, addresses[i], 0);
		struct kb_symbol symbol;

		kb_symbolizer__kernel(n->symbolizer, addresses[i] - 1, &symbol);
		if (!stripped && (is_interrupt(symbol.name) || is_tracepoint(symbol.name))) {
			kept = 0;
			stripped = is_interrupt(symbol.name);
			continue;
		}
		if (frame == KB_ID_NONE) {
			frame = add_frame(n, KB_FRAME_KERNEL, &symbol);
			kb_id_map__set(&n->kernel, addresses[i], 0, frame);
		}
		frames[kept++] = frame;
	}
	return kept;
}
