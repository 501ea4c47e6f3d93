// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * From an ELF file to what is known of its interpreter. Everything rests on
 * exported symbols, which every build that can load extension modules has, so
 * that stripped builds are read like others; .symtab and DWARF only add to it.
 */
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "base/log.h"
#include "python/debug_offsets.h"
#include "python/decode.h"
#include "python/image.h"
#include "python/layout.h"
#include "python/task_layout.h"
#include "python/tls.h"
#include "python/version.h"

/* The largest _PyRuntime is 3.12's, 460 kB. */
#define RUNTIME_BYTES_MAX (4u << 20)
/* .rodata is searched in a few builds only; 3.15's has 2.8 MB. */
#define RODATA_BYTES_MAX (64u << 20)

/* 3.6: the parts of the GIL are variables of one file, 184 bytes and padding. */
#define GIL_SPREAD_MAX 1024

_Static_assert(KB_INIT_FUNCTIONS_MAX == KB_IMAGE_INIT_MAX, "one init function per slot");

/*
 * Every start of an interpreter enters at least one of these: Py_InitializeFromConfig from
 * 3.8, _Py_InitializeCore in 3.7, _Py_InitializeEx_Private in 3.6. The others are for builds
 * where one of them was inlined.
 */
static const char *const init_functions[KB_INIT_FUNCTIONS_MAX] = {
	"Py_InitializeFromConfig",  "_Py_InitializeCore",     "_Py_InitializeMainInterpreter",
	"_Py_InitializeEx_Private", "Py_InitializeEx",	      "Py_Initialize",
	"_Py_InitializeMain",	    "PyInterpreterState_New",
};

/* What is passed around while one file is looked at. */
struct reading {
	const struct kb_elf_file *file;
	const char *path;
	uint64_t runtime, runtime_size;
	uint64_t words[KB_DEBUG_OFFSETS_WORDS]; /* what _PyRuntime begins with */
	struct kb_image_info *info;
};

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

bool kb_image__plausible_name(const char *path)
{
	const char *name = base_name(path);

	return !strncmp(name, "libpython", 9) || !strncmp(name, "python", 6);
}

static uint64_t symbol_address(const struct kb_elf_file *file, const char *name)
{
	struct kb_elf_symbol symbol;

	return kb_elf_file__symbol(file, name, &symbol) && !symbol.tls ? symbol.address : 0;
}

/* _PyRuntime, by its symbol or by the section that it has for itself from 3.8 on. */
static void find_runtime(struct reading *reading)
{
	struct kb_elf_section section;
	struct kb_elf_symbol symbol;

	if (kb_elf_file__symbol(reading->file, "_PyRuntime", &symbol)) {
		reading->runtime = symbol.address;
		reading->runtime_size = symbol.size;
	} else if (kb_elf_file__section(reading->file, ".PyRuntime", &section)) {
		reading->runtime = section.address;
		reading->runtime_size = section.size;
	}
	if (reading->runtime_size > RUNTIME_BYTES_MAX)
		reading->runtime_size = RUNTIME_BYTES_MAX;
}

/* ---------------------------------------------------------------- layout */

/* 3.13 and later describe themselves. */
static struct kb_error *read_debug_offsets(struct reading *reading, bool *present)
{
	size_t size = sizeof(reading->words);

	*present = false;
	if (size > reading->runtime_size)
		size = reading->runtime_size;
	if (!reading->runtime || !size ||
	    !kb_elf_file__read(reading->file, reading->runtime, reading->words, size))
		return NULL;
	KB_TRY(kb_debug_offsets__parse(reading->words, present, &reading->info->version_hex,
				       &reading->info->layout));
	reading->info->layout_source = KB_LAYOUT_DEBUG_OFFSETS;
	return NULL;
}

static struct kb_error *find_layout(struct reading *reading, unsigned int minor)
{
	struct kb_image_info *info = reading->info;

	if (kb_layout__from_dwarf(reading->file, reading->path, minor, &info->layout)) {
		info->layout_source = KB_LAYOUT_DWARF;
		return NULL;
	}
	if (kb_layout__from_table(minor, &info->layout)) {
		info->layout_source = KB_LAYOUT_BUILT_IN;
		return NULL;
	}
	return kb_unsupported("no layout known for Python 3.%u", minor);
}

static struct kb_error *read_layout(struct reading *reading)
{
	struct kb_image_info *info = reading->info;
	unsigned int major, minor;
	bool present;

	KB_TRY(read_debug_offsets(reading, &present));
	if (!present && !kb_version__find(reading->file, reading->path, &info->version_hex))
		return kb_unsupported("the version of this Python cannot be told");
	major = info->version_hex >> 24;
	minor = info->version_hex >> 16 & 0xff;
	if (major != 3 || minor < KB_PYTHON_MINOR_MIN || minor > KB_PYTHON_MINOR_MAX)
		return kb_unsupported("Python %u.%u is not supported (3.%u to 3.%u are)", major,
				      minor, KB_PYTHON_MINOR_MIN, KB_PYTHON_MINOR_MAX);
	if (minor >= 7 && !reading->runtime)
		return kb_unsupported("_PyRuntime not found");
	if (!present)
		KB_TRY(find_layout(reading, minor));
	KB_TRY(kb_layout__finish(&info->layout));
	kb_object_layout__init(&info->objects, &info->layout);
	if (present)
		kb_debug_offsets__objects(reading->words, minor, &info->objects);
	return NULL;
}

/* ---------------------------------------------------------------- addresses */

static bool in_runtime(const struct reading *reading, uint64_t address)
{
	return reading->runtime && address - reading->runtime < reading->runtime_size;
}

/* Link-time address of the data that an exported function returns or passes on, 0 when it cannot be
 * told. */
static uint64_t decoded_variable(const struct kb_elf_file *file, const char *function,
				 bool argument, bool *contents)
{
	struct kb_decode_value value;
	struct kb_elf_symbol symbol;
	bool ok;

	*contents = false;
	if (!kb_elf_file__symbol(file, function, &symbol) || !symbol.function)
		return 0;
	ok = argument ? kb_decode__argument(file, symbol.address, &value)
		      : kb_decode__result(file, symbol.address, &value);
	if (!ok || value.where != KB_DECODE_ADDRESS)
		return 0;
	*contents = value.contents;
	return (uint64_t)value.displacement;
}

/*
 * Offsets in _PyRuntime that are not in _Py_DebugOffsets, and that moved within a minor version:
 * the code itself says where they are, and is right where the built-in table might not be.
 */
static void decode_runtime_offsets(struct reading *reading)
{
	struct kb_layout *layout = &reading->info->layout;
	unsigned int minor = layout->version_minor;
	bool contents;
	uint64_t at;

	if (reading->info->layout_source == KB_LAYOUT_DWARF)
		return;
	if (minor >= 7 && minor <= 11) {
		at = decoded_variable(reading->file, "_PyThreadState_UncheckedGet", false,
				      &contents);
		if (in_runtime(reading, at) && contents)
			layout->runtime_tstate_current = (uint32_t)(at - reading->runtime);
	}
	if (minor >= 7 && minor <= 14) {
		at = decoded_variable(reading->file, "PyGILState_GetThisThreadState", true,
				      &contents);
		/* Either &key structure is passed to PyThread_tss_get, or its second int to
		 * pthread_getspecific. */
		if (contents)
			at -= 4;
		if (in_runtime(reading, at))
			layout->runtime_tss_key = (uint32_t)(at - reading->runtime);
	}
}

static uint64_t runtime_member(const struct reading *reading, uint32_t offset, uint32_t add)
{
	return offset == KB_NO_OFFSET ? 0 : reading->runtime + offset + add;
}

/*
 * 3.6: what later versions have in one struct are static variables of ceval_gil.h, side by side.
 * Only .symtab knows them.
 */
static void find_gil_3_6(struct reading *reading)
{
	static const struct {
		const char *name;
		size_t bytes;
	} parts[] = {
		{ "gil_cond", sizeof(pthread_cond_t) },
		{ "gil_mutex", sizeof(pthread_mutex_t) },
		{ "switch_cond", sizeof(pthread_cond_t) },
		{ "switch_mutex", sizeof(pthread_mutex_t) },
	};
	struct kb_image *image = &reading->info->image;
	uint64_t start = UINT64_MAX, end = 0;

	for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
		uint64_t at = symbol_address(reading->file, parts[i].name);

		if (!at)
			return;
		start = at < start ? at : start;
		end = at + parts[i].bytes > end ? at + parts[i].bytes : end;
	}
	if (end - start > GIL_SPREAD_MAX)
		return;
	image->gil = start;
	image->gil_holder = symbol_address(reading->file, "gil_last_holder");
	reading->info->layout.gil_bytes = (uint16_t)(end - start);
}

/* 3.6 has no _PyRuntime: its globals are static variables of pystate.c. */
static void read_globals_3_6(struct reading *reading)
{
	struct kb_image *image = &reading->info->image;
	bool contents;

	image->interp_head = symbol_address(reading->file, "interp_head");
	if (!image->interp_head)
		image->interp_head = decoded_variable(reading->file, "PyInterpreterState_Head",
						      false, &contents);
	image->tstate_current = symbol_address(reading->file, "_PyThreadState_Current");
	image->tss_key = symbol_address(reading->file, "autoTLSkey");
	if (!image->tss_key)
		image->tss_key = decoded_variable(reading->file, "PyGILState_GetThisThreadState",
						  true, &contents);
	find_gil_3_6(reading);
	image->gc_collecting = symbol_address(reading->file, "collecting");
}

static void read_globals(struct reading *reading)
{
	const struct kb_layout *layout = &reading->info->layout;
	struct kb_image *image = &reading->info->image;

	decode_runtime_offsets(reading);
	image->runtime = reading->runtime;
	image->interp_head = runtime_member(reading, layout->runtime_interpreters_head, 0);
	image->tstate_current = runtime_member(reading, layout->runtime_tstate_current, 0);
	/* Py_tss_t is a flag and the key, both int: Include/pythread.h. */
	image->tss_key = runtime_member(reading, layout->runtime_tss_key, 4);
	image->gil = runtime_member(reading, layout->runtime_gil, 0);
	image->gil_holder = runtime_member(reading, layout->runtime_gil, KB_GIL_LAST_HOLDER);
	image->gc_collecting = runtime_member(reading, layout->runtime_gc_collecting, 0);
}

static struct kb_error *read_addresses(struct reading *reading)
{
	struct kb_image *image = &reading->info->image;
	unsigned int minor = reading->info->layout.version_minor;

	image->code_type = symbol_address(reading->file, "PyCode_Type");
	if (!image->code_type)
		return kb_unsupported("PyCode_Type is not exported");
	image->none = symbol_address(reading->file, "_Py_NoneStruct");
	if (minor == 6)
		read_globals_3_6(reading);
	else
		read_globals(reading);
	if (!image->interp_head)
		return kb_unsupported("the list of interpreters cannot be found");
	if (minor >= 12)
		image->tstate_tls = kb_tls__find(reading->file,
						 minor == 12 ? "_PyThreadState_UncheckedGet"
							     : "PyThreadState_GetUnchecked",
						 "_Py_tss_tstate");
	if (minor >= 15)
		image->gilstate_tls = kb_tls__find(reading->file, "PyGILState_GetThisThreadState",
						   "_Py_tss_gilstate");
	return NULL;
}

static void read_init_functions(struct reading *reading)
{
	struct kb_image_info *info = reading->info;

	for (size_t i = 0; i < KB_INIT_FUNCTIONS_MAX; i++) {
		struct kb_elf_symbol symbol;
		uint64_t offset;

		if (!kb_elf_file__symbol(reading->file, init_functions[i], &symbol) ||
		    !symbol.function ||
		    !kb_elf_file__offset_of(reading->file, symbol.address, &offset))
			continue;
		info->init_offset[info->n_init] = offset;
		info->init_address[info->n_init] = symbol.address;
		info->image.init[info->n_init++] = symbol.address;
	}
}

/* ---------------------------------------------------------------- traits */

/* Builds with the JIT read this variable of the environment: Python/pylifecycle.c,
 * init_interp_main(). */
static bool has_jit(const struct kb_elf_file *file)
{
	static const char name[] = "\0PYTHON_JIT";
	struct kb_elf_section section;
	bool found = false;
	char *bytes;

	if (!kb_elf_file__section(file, ".rodata", &section) || section.size > RODATA_BYTES_MAX)
		return false;
	bytes = malloc(section.size);
	if (bytes && kb_elf_file__read_offset(file, section.offset, bytes, section.size))
		found = memmem(bytes, section.size, name, sizeof(name));
	free(bytes);
	return found;
}

static void read_traits(struct reading *reading)
{
	struct kb_image_info *info = reading->info;

	info->load_address = kb_elf_file__load_address(reading->file);
	info->shared = kb_elf_file__is_shared(reading->file);
	info->symbols = kb_elf_file__has_symtab(reading->file);
	info->free_threaded = info->layout.flags & KB_LAYOUT_FREE_THREADED;
	info->jit = info->layout.version_minor >= 13 && has_jit(reading->file);
	info->build_id_bytes = (uint32_t)kb_elf_file__build_id(reading->file, info->build_id);
	kb_version__format(info->version_hex, info->version, sizeof(info->version));
}

static bool holds_interpreter(struct reading *reading)
{
	find_runtime(reading);
	return reading->runtime || (symbol_address(reading->file, "PyCode_Type") &&
				    symbol_address(reading->file, "PyInterpreterState_Head"));
}

static struct kb_error *read_interpreter(struct reading *reading)
{
	KB_TRY(read_layout(reading));
	KB_TRY(read_addresses(reading));
	read_init_functions(reading);
	read_traits(reading);
	kb_task_layout__read(reading->file, reading->info, &reading->info->tasks);
	return NULL;
}

struct kb_error *kb_image__read(int fd, const char *path, bool *is_python,
				struct kb_image_info *info)
{
	struct kb_image_info made = { 0 };
	struct reading reading = { .path = path, .info = &made };
	struct kb_error *err = NULL;
	struct kb_elf_file *file;
	bool found;

	KB_TRY(kb_elf_file__open(fd, &file));
	if (!file) {
		*is_python = false;
		return NULL;
	}
	reading.file = file;
	found = holds_interpreter(&reading);
	if (found)
		err = read_interpreter(&reading);
	kb_elf_file__close(file);
	if (err)
		return kb_error__prefix(err, "%s", path);
	*is_python = found;
	if (found)
		*info = made;
	return NULL;
}
