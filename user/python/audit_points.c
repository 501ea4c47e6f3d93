// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdio.h>
#include <string.h>
#include "base/error.h"
#include "python/audit_points.h"
#include "python/method_names.h"
#include "python/probe_address.h"
#include "system/usdt_note.h"

#define AUDIT_SINCE  8 /* PEP 578 */
#define TSTATE_SINCE 9 /* _PySys_Audit() */

/* Arguments that are passed on in registers, of which a probe needs all. */
#define VARARGS_REGISTERS 6
#define SYS_REGISTERS	  3

/* ---------------------------------------------------------------- static probes */

/* One argument in a note, "8@%r13", at *text, which moves behind it. Objects have 8 bytes. */
static bool next_operand(const char **text, uint64_t *operand)
{
	char one[64];
	int n = 0, size = 0;

	if (sscanf(*text, " %d@%63s%n", &size, one, &n) != 2 || (size != 8 && size != -8))
		return false;
	*text += n;
	return kb_audit_points__operand(one, operand);
}

static void find_static(const struct kb_elf_file *elf, struct kb_audit_points *points)
{
	struct kb_usdt_note note;
	size_t at = 0;

	while (kb_usdt_note__next(elf, &at, &note)) {
		struct kb_audit_point *point = &points->at[points->n];
		const char *text = note.arguments;
		uint64_t event, tuple;

		if (strcmp(note.provider, "python") || strcmp(note.name, "audit"))
			continue;
		/* One that cannot be used spoils all: its events would be missing. */
		if (points->n == KB_AUDIT_POINTS_MAX || !next_operand(&text, &event) ||
		    !next_operand(&text, &tuple)) {
			points->n = 0;
			return;
		}
		point->kind = KB_AUDIT_AT_USDT;
		point->address = note.address;
		point->offset = note.offset;
		point->semaphore_offset = note.semaphore_offset;
		point->detail = event | tuple << KB_AUDIT_OPERAND_BITS;
		points->n++;
	}
}

/* ---------------------------------------------------------------- functions */

static struct kb_error *add_function(const struct kb_elf_file *elf, enum kb_audit_point_kind kind,
				     uint64_t start, unsigned int registers,
				     struct kb_audit_points *points)
{
	struct kb_audit_point *point = &points->at[points->n];
	kb_register_set arguments = kb_registers__arguments(registers);
	struct kb_probe_address place;

	KB_TRY(kb_probe_address__find(elf, start, 0, arguments, &place));
	point->detail = 0;
	if (kind != KB_AUDIT_AT_SYS && place.written & KB_REGISTER_STACK &&
	    !kb_audit_points__stack_depth(elf, start, place.address, &point->detail))
		KB_TRY(kb_probe_address__find(elf, start, 0, arguments | KB_REGISTER_STACK,
					      &place));
	point->kind = kind;
	point->address = place.address;
	point->offset = place.offset;
	point->semaphore_offset = 0;
	points->n++;
	return NULL;
}

static uint64_t function_address(const struct kb_elf_file *elf, const char *name)
{
	struct kb_elf_symbol symbol;

	return kb_elf_file__symbol(elf, name, &symbol) && symbol.function ? symbol.address : 0;
}

/* sys.audit, by its symbol or by the table of the module's functions. */
static struct kb_error *sys_function(const struct kb_elf_file *elf, uint64_t *address)
{
	struct kb_method_names names;

	*address = function_address(elf, "sys_audit");
	if (*address)
		return NULL;
	KB_TRY(kb_method_names__read(elf, &names));
	for (size_t i = 0; i < names.n && !*address; i++) {
		if (!strcmp(names.names[i].name, "sys.audit"))
			*address = names.names[i].address;
	}
	kb_method_names__free(&names);
	return NULL;
}

static struct kb_error *find_functions(const struct kb_elf_file *elf, unsigned int minor,
				       struct kb_audit_points *points)
{
	uint64_t public = function_address(elf, "PySys_Audit"), internal = 0, sys;

	if (!public)
		return kb_unsupported("PySys_Audit is not exported: its audit events cannot be "
				      "seen");
	KB_TRY(sys_function(elf, &sys));
	if (minor >= TSTATE_SINCE) {
		internal = function_address(elf, "_PySys_Audit");
		if (!internal)
			internal = kb_audit_points__tstate_function(elf);
		points->no_tstate = !internal;
	}
	points->no_sys = !sys;
	KB_TRY(add_function(elf, KB_AUDIT_AT_VARARGS, public, VARARGS_REGISTERS, points));
	if (internal)
		KB_TRY(add_function(elf, KB_AUDIT_AT_TSTATE, internal, VARARGS_REGISTERS, points));
	if (sys)
		KB_TRY(add_function(elf, KB_AUDIT_AT_SYS, sys, SYS_REGISTERS, points));
	return NULL;
}

struct kb_error *kb_audit_points__find(const struct kb_elf_file *elf,
				       const struct kb_image_info *info,
				       struct kb_audit_points *points)
{
	unsigned int minor = info->layout.version_minor;

	*points = (struct kb_audit_points){ 0 };
	if (minor < AUDIT_SINCE)
		return kb_unsupported("Python %s has no audit events: they came with 3.%d (PEP "
				      "578)",
				      info->version, AUDIT_SINCE);
	find_static(elf, points);
	return points->n ? NULL : find_functions(elf, minor, points);
}

/* ---------------------------------------------------------------- objects */

/* PurePath._str, the slot that str(path) fills, and os.fspath() with it: slots are laid out by name
 * (Objects/typeobject.c, type_new_slots()); Lib/pathlib.py, from 3.13 on in a package. */
static uint16_t path_text(unsigned int minor)
{
	if (minor >= 14)
		return 56;
	return minor == 13 ? 72 : 64;
}

static uint64_t data_address(const struct kb_elf_file *elf, const char *name)
{
	struct kb_elf_symbol symbol;

	return kb_elf_file__symbol(elf, name, &symbol) && !symbol.tls ? symbol.address : 0;
}

void kb_audit_points__layout(const struct kb_elf_file *elf, const struct kb_image_info *info,
			     struct kb_audit_layout *layout)
{
	const struct kb_object_layout *objects = &info->objects;
	uint16_t head = info->layout.object_type + sizeof(uint64_t);

	*layout = (struct kb_audit_layout){
		.code_type = info->image.code_type,
		.none = info->image.none,
		.true_object = data_address(elf, "_Py_TrueStruct"),
		.false_object = data_address(elf, "_Py_FalseStruct"),
		.float_type = data_address(elf, "PyFloat_Type"),
		.object_type = info->layout.object_type,
		.var_size = objects->var_size,
		.type_name = objects->type_name,
		.type_flags = objects->type_flags,
		.type_base = objects->type_base,
		.long_tag = objects->long_tag,
		.long_digits = objects->long_digits,
		.float_value = objects->float_value,
		.tuple_items = objects->tuple_items,
		.list_items = objects->list_items,
		.dict_used = objects->dict_used,
		.dict_keys = objects->dict_keys,
		.dict_values = objects->dict_values,
		.keys_log2_index_bytes = objects->keys_log2_index_bytes,
		.keys_kind = objects->keys_kind,
		.keys_size = objects->keys_size,
		.keys_nentries = objects->keys_nentries,
		.keys_indices = objects->keys_indices,
		.values_items = objects->values_items,
		/* Both follow the header, whatever its size: Modules/posixmodule.c, DirEntry. */
		.path_text = path_text(info->layout.version_minor) - 16 + head,
		.entry_path = head + sizeof(uint64_t),
	};
}
