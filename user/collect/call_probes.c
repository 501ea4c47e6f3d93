// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/array.h"
#include "base/error.h"
#include "base/log.h"
#include "collect/call_probes.h"
#include "python/opcode.h"
#include "symbols/eval_probes.h"
#include "system/process.h"

#define FILES_MAX    4096  /* as the identifier's */
#define ATTACHED_MAX 16384 /* processes, each with one file nearly always */

/* A file with an interpreter, open so that it can be probed again whatever became of its name. */
struct file {
	int fd;
	uint32_t image;
	uint32_t n;
	uint64_t offsets[1 + KB_EVAL_PROBES_MAX];
	uint64_t cookies[1 + KB_EVAL_PROBES_MAX];
};

/* A process that executes the same file again keeps its probes. */
struct attached {
	pid_t pid;
	uint32_t file;
};

struct kb_call_probes {
	struct kb_programs *programs;
	struct kb_call_programs *calls;
	struct kb_call_probes_opts opts;
	struct file *files;
	uint32_t n_files, capacity;
	struct attached *attached;
	uint32_t n_attached, attached_capacity;
	bool on, everywhere;
};

struct kb_error *kb_call_probes__create(struct kb_programs *programs,
					struct kb_call_programs *calls,
					const struct kb_call_probes_opts *opts,
					struct kb_call_probes **result)
{
	struct kb_call_probes *probes = calloc(1, sizeof(*probes));

	if (!probes)
		return kb_error__no_memory();
	probes->programs = programs;
	probes->calls = calls;
	probes->opts = *opts;
	*result = probes;
	return NULL;
}

void kb_call_probes__destroy(struct kb_call_probes *probes)
{
	if (!probes)
		return;
	for (uint32_t i = 0; i < probes->n_files; i++)
		close(probes->files[i].fd);
	free(probes->files);
	free(probes->attached);
	free(probes);
}

/* ---------------------------------------------------------------- what is probed */

#define DWARF_FIRST_ARGUMENT  5 /* rdi, rsi: psABI, figure 3.36 */
#define DWARF_SECOND_ARGUMENT 4

static uint64_t shape_of(const struct kb_eval_probe *probe, unsigned minor)
{
	const struct kb_eval_callable *callable = &probe->callable;
	const char *opcode = kb_opcode__name(minor, (unsigned)probe->opcode);

	return callable->base | (callable->scale ? KB_CALLABLE_SCALE : 0) |
	       (callable->mask ? KB_CALLABLE_MASK : 0) |
	       (callable->if_null ? KB_CALLABLE_IF_NULL : 0) |
	       (probe->instr_stored ? 0 : KB_CALLABLE_INSTR) |
	       (!strncmp(opcode, "PRECALL", strlen("PRECALL")) ? KB_CALLABLE_PRECALL : 0);
}

/* What the BPF program takes a probe for; 0: it is not wanted. */
static uint64_t point_of(const struct kb_call_probes *probes, const struct kb_eval_probe *probe,
			 unsigned minor, uint32_t *n_entries, uint32_t *n_c_calls)
{
	bool first = probe->frame_register == DWARF_FIRST_ARGUMENT;
	bool in_register = probe->frame == KB_EVAL_FRAME_REGISTER;

	switch (probe->role) {
	case KB_EVAL_ENTRY:
		/* They come in the order of specialization: the general opcode first. */
		return KB_POINT_COOKIE(!in_register ? KB_POINT_ENTER
				       : first	    ? KB_POINT_ENTER_1
						    : KB_POINT_ENTER_2,
				       (*n_entries)++, 0);
	case KB_EVAL_RAISE:
		return KB_POINT_COOKIE(KB_POINT_RAISE, 0, 0);
	case KB_EVAL_YIELD:
		return probes->opts.ends ? KB_POINT_COOKIE(KB_POINT_YIELD, 0, 0) : 0;
	case KB_EVAL_EXIT:
		if (!probes->opts.ends)
			return 0;
		return KB_POINT_COOKIE(in_register ? first ? KB_POINT_LEAVE_1 : KB_POINT_LEAVE_2
				       : probe->frame == KB_EVAL_FRAME_LEFT ? KB_POINT_LEAVE_TOP
									    : KB_POINT_LEAVE,
				       0, 0);
	case KB_EVAL_C_CALL:
		return probes->opts.builtins
			       ? KB_POINT_COOKIE(KB_POINT_C, (*n_c_calls)++, shape_of(probe, minor))
			       : 0;
	default:
		return 0;
	}
}

/* Where the loop has the frame in a register that is still as it was, it need not be looked for. */
static uint64_t register_of(const struct kb_eval_probes *found, const struct kb_eval_probe *probe)
{
	if (probe->frame != KB_EVAL_FRAME_CURRENT || probe->opcode < 0 ||
	    found->frame == KB_REGISTER_NONE || probe->at.written & KB_REGISTER_BIT(found->frame))
		return 0;
	return KB_POINT_IN_REGISTER(found->frame);
}

static void set_opcode(uint64_t *set, unsigned minor, const char *name)
{
	int number = kb_opcode__number(minor, name);

	if (number >= 0)
		set[number / 64] |= 1ull << number % 64;
}

/*
 * Where a suspended generator's frame stands: behind the yield from 3.13 on, at it before
 * (Python/bytecodes.c, YIELD_VALUE).
 */
static void set_thrown(uint64_t *set, unsigned minor)
{
	/* 3.11 moves it on, to the end of the loop that awaits something, when that has raised. */
	static const char *const at[] = { "YIELD_VALUE", "INSTRUMENTED_YIELD_VALUE",
					  "JUMP_BACKWARD_NO_INTERRUPT" };
	static const char *const behind[] = { "RESUME", "RESUME_CHECK", "RESUME_CHECK_JIT",
					      "INSTRUMENTED_RESUME" };

	for (size_t i = 0; i < sizeof(at) / sizeof(*at) && minor < 13; i++)
		set_opcode(set, minor, at[i]);
	for (size_t i = 0; i < sizeof(behind) / sizeof(*behind) && minor >= 13; i++)
		set_opcode(set, minor, behind[i]);
}

#define RESUME_AT_GENERATOR_START 4 /* 3.15: Include/internal/pycore_opcode_utils.h */

/*
 * Below what a counter of specialization has run out. Its low bits are the backoff, of
 * which 3.14 and later take the largest as "never" (backoff_counter_triggers() in
 * Include/internal/pycore_backoff.h).
 */
static unsigned counter_out(unsigned minor)
{
	static const unsigned by_minor[] = { [11] = 16, 16, 16, 15, 7 };
	const unsigned n = sizeof(by_minor) / sizeof(*by_minor);

	return by_minor[minor < n ? minor : n - 1];
}

/* What is a C function's, and where the loop has what it calls. */
static struct kb_error *describe_c(const struct kb_elf_file *elf, unsigned minor,
				   const struct kb_eval_probes *found, struct kb_call_image *call)
{
	/* From the version on in which cProfile is told of their calls (Python/ceval.c,
	 * Modules/_lsprof.c). */
	const struct {
		const char *name;
		unsigned since;
		kb_u64 *address;
	} types[] = { { "PyCFunction_Type", 6, &call->function_type },
		      { "PyCMethod_Type", 9, &call->method_type },
		      { "PyMethodDescr_Type", 7, &call->descr_type },
		      { "PyMethod_Type", 14, &call->bound_type },
		      { "PyType_Type", 6, &call->type_type } };

	for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++) {
		struct kb_elf_symbol symbol;

		if (minor < types[i].since)
			continue;
		if (!kb_elf_file__symbol(elf, types[i].name, &symbol))
			return kb_unsupported("the interpreter does not export %s", types[i].name);
		*types[i].address = symbol.address;
	}
	call->stack_pointer = 1 + found->stack_pointer;
	call->counter_out = counter_out(minor);
	call->counter_is_reset = minor >= 12;
	if (found->instr != KB_REGISTER_NONE)
		call->instr = 1 + found->instr;
	return NULL;
}

#define TYPE_DEALLOC 48 /* PyTypeObject.tp_dealloc, 3.6 to 3.15: Include/cpython/object.h */

/* Where code objects are freed: in what their type says. */
static bool find_freeing(const struct kb_elf_file *elf, const struct kb_image_info *info,
			 struct kb_probe_address *at)
{
	uint64_t function;
	struct kb_error *err;

	if (!kb_elf_file__read(elf, info->image.code_type + TYPE_DEALLOC, &function, 8))
		return false;
	err = kb_probe_address__find(elf, function, 0, 0, at);
	if (err)
		kb_debug("freeing of code objects is not seen: %s", kb_error__text(err));
	kb_error__destroy(err);
	return !err;
}

static struct kb_error *describe(struct kb_call_probes *probes, const struct kb_elf_file *elf,
				 const struct file *file, const struct kb_image_info *info,
				 const struct kb_eval_probes *found)
{
	int init_check = kb_opcode__number(info->layout.version_minor, "EXIT_INIT_CHECK");
	const struct kb_layout *layout = &info->layout;
	struct kb_call_image call = { .code_type = info->image.code_type };
	uint16_t last = layout->code_name > layout->code_filename ? layout->code_name
								  : layout->code_filename;

	/* From the first line to the name: both, the file's name and what lies between. */
	call.identity = layout->code_firstlineno & ~7u;
	call.identity_bytes = last + 8 - call.identity;
	if (last < call.identity || call.identity_bytes > KB_IDENTITY_MAX)
		return kb_unsupported("code objects of an unknown shape");
	if (layout->version_minor >= 15)
		call.skip_resume = RESUME_AT_GENERATOR_START;
	if (found->oparg.number != KB_REGISTER_NONE) {
		call.oparg_base = 1 + found->oparg.number;
		call.oparg_memory = found->oparg.memory;
		call.oparg_at = found->oparg.displacement;
	}
	if (init_check > 0)
		call.init_check = init_check;
	call.sees_freed = file->cookies[0] == KB_POINT_CODE_FREED;
	set_thrown((uint64_t *)call.thrown, layout->version_minor);
	if (probes->opts.builtins)
		KB_TRY(describe_c(elf, layout->version_minor, found, &call));
	return kb_call_programs__add_image(probes->calls, file->image, &call);
}

/* Why counts would not be exact; NULL: they are. */
static const char *doubt(const struct kb_call_probes *probes, const struct kb_image_info *info,
			 const struct kb_eval_probes *found)
{
	if (info->free_threaded)
		return "free-threaded builds run copies of the bytecode: not supported yet";
	if (found->tail_calls)
		return "the interpreter's instructions are functions that call each other: not "
		       "supported yet";
	if (info->layout.version_minor >= 11 && found->targets.mismatches)
		return "the table of its instructions was not found for certain";
	if (info->layout.version_minor >= 15 && found->oparg.number == KB_REGISTER_NONE)
		return "where the loop has its instructions' arguments was not found";
	if (probes->opts.ends && found->exits_missing)
		return found->exits_missing;
	if (probes->opts.builtins && found->c_calls_missing)
		return found->c_calls_missing;
	return NULL;
}

#define BREAKPOINT_BYTES 1 /* int3 */

static struct kb_error *set_aside(struct kb_call_probes *probes, uint32_t image,
				  const struct kb_probe_address *at)
{
	/* Behind the breakpoint it stands until the kernel has found out whose that is. */
	const uint64_t places[] = { at->address, at->address + BREAKPOINT_BYTES, at->next[0],
				    at->next[1] };

	for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++)
		if (places[i])
			KB_TRY(kb_call_programs__set_aside(probes->calls, image, places[i]));
	return NULL;
}

static struct kb_error *add_point(struct kb_call_probes *probes, struct file *file, uint64_t cookie,
				  const struct kb_probe_address *at)
{
	file->cookies[file->n] = cookie;
	file->offsets[file->n++] = at->offset;
	return set_aside(probes, file->image, at);
}

static struct kb_error *find_in(struct kb_call_probes *probes, const struct kb_elf_file *elf,
				const struct kb_image_info *info, struct file *file)
{
	struct kb_eval_probes found;
	struct kb_probe_address freeing;
	uint32_t n_entries = 0, n_c_calls = 0;
	const char *reason;

	KB_TRY(kb_eval_probes__find(elf, info, &found));
	reason = doubt(probes, info, &found);
	if (reason)
		return kb_unsupported("calls cannot be counted: %s", reason);
	/* The first to be attached: when calls are seen, so is that. */
	if (find_freeing(elf, info, &freeing))
		KB_TRY(add_point(probes, file, KB_POINT_CODE_FREED, &freeing));
	for (uint32_t i = 0; i < found.n; i++) {
		uint64_t cookie = point_of(probes, &found.probes[i], info->layout.version_minor,
					   &n_entries, &n_c_calls);

		if (!cookie)
			continue;
		cookie |= register_of(&found, &found.probes[i]);
		if (found.probes[i].specializes)
			cookie |= KB_POINT_SPECIALIZES;
		kb_debug("%s at 0x%" PRIx64, kb_eval_role__name(found.probes[i].role),
			 found.probes[i].at.address);
		KB_TRY(add_point(probes, file, cookie, &found.probes[i].at));
	}
	return describe(probes, elf, file, info, &found);
}

static struct kb_error *find(struct kb_call_probes *probes, const struct kb_image_info *info,
			     struct file *file)
{
	struct kb_elf_file *elf;
	struct kb_error *err;

	KB_TRY(kb_elf_file__open(file->fd, &elf));
	if (!elf)
		return kb_unsupported("no ELF file");
	err = find_in(probes, elf, info, file);
	kb_elf_file__close(elf);
	return err;
}

/* pid 0: everywhere. */
static struct kb_error *attach_file(struct kb_call_probes *probes, const struct file *file,
				    pid_t pid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", file->fd);
	return kb_call_programs__attach(probes->calls, path, file->offsets, file->cookies, file->n,
					pid);
}

struct kb_error *kb_call_probes__add_image(uint32_t image, const struct kb_image_info *info,
					   const char *path, void *context)
{
	struct kb_call_probes *probes = context;
	struct file *files, file = { .image = image };
	struct kb_error *err;

	files = kb_array__grow(probes->files, &probes->capacity, probes->n_files + 1,
			       sizeof(*files), FILES_MAX);
	if (!files)
		return kb_failed("more than %d files with interpreters", FILES_MAX);
	probes->files = files;
	file.fd = open(path, O_RDONLY | O_CLOEXEC);
	if (file.fd < 0)
		return kb_error__from_errno(errno, KB_STATUS_FAILED, "cannot open %s", path);
	err = find(probes, info, &file);
	if (!err && probes->on && probes->everywhere)
		err = attach_file(probes, &file, 0);
	if (err) {
		close(file.fd);
		return err;
	}
	files[probes->n_files++] = file;
	return NULL;
}

/* ---------------------------------------------------------------- attaching */

static struct kb_error *attach_once(struct kb_call_probes *probes, uint32_t file, pid_t pid)
{
	struct attached *attached;

	for (uint32_t i = 0; i < probes->n_attached; i++)
		if (probes->attached[i].pid == pid && probes->attached[i].file == file)
			return NULL;
	attached = kb_array__grow(probes->attached, &probes->attached_capacity,
				  probes->n_attached + 1, sizeof(*attached), ATTACHED_MAX);
	if (!attached)
		return kb_failed("more than %d processes to probe at the same time", ATTACHED_MAX);
	probes->attached = attached;
	KB_TRY(attach_file(probes, &probes->files[file], pid));
	attached[probes->n_attached++] = (struct attached){ .pid = pid, .file = file };
	return NULL;
}

struct kb_error *kb_call_probes__attach_process(struct kb_call_probes *probes, uint32_t image,
						pid_t pid)
{
	if (!probes->on || probes->everywhere)
		return NULL;
	/* It may have any of the files with its image; a probe in one that it has not mapped costs
	 * nothing. */
	for (uint32_t i = 0; i < probes->n_files; i++)
		if (probes->files[i].image == image)
			KB_TRY(attach_once(probes, i, pid));
	return NULL;
}

static bool is_gone(pid_t pid)
{
	struct kb_process_stat stat;

	return !kb_process__stat(pid, &stat) || stat.state == 'Z';
}

static struct kb_error *attach_present(struct kb_call_probes *probes)
{
	uint32_t tgid = 0;
	struct kb_proc proc;

	while (kb_programs__next_proc(probes->programs, &tgid)) {
		struct kb_error *err;

		if (!kb_programs__get_proc(probes->programs, tgid, &proc) ||
		    proc.state != KB_PROC_PYTHON)
			continue;
		err = kb_call_probes__attach_process(probes, proc.image, tgid);
		if (err && !is_gone(tgid))
			return err;
		kb_error__destroy(err);
	}
	return NULL;
}

struct kb_error *kb_call_probes__attach(struct kb_call_probes *probes, bool everywhere)
{
	probes->on = true;
	probes->everywhere = everywhere;
	if (!everywhere)
		return attach_present(probes);
	for (uint32_t i = 0; i < probes->n_files; i++)
		KB_TRY(attach_file(probes, &probes->files[i], 0));
	return NULL;
}

void kb_call_probes__detach(struct kb_call_probes *probes)
{
	probes->on = false;
	probes->n_attached = 0;
	kb_call_programs__detach(probes->calls);
}
