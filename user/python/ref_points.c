// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdlib.h>
#include "base/array.h"
#include "base/error.h"
#include "bpf/shared/refs.h"
#include "python/probe_address.h"
#include "python/ref_points.h"

#define CALLS_MAX 4096 /* of one function: PyObject_Free() has some hundreds */

struct kb_error *kb_ref_points__add(struct kb_ref_points *points, const struct kb_elf_file *elf,
				    uint64_t address, uint64_t cookie)
{
	struct kb_ref_point *at, point = { .address = address, .cookie = cookie };

	/* Two loads may come to one jump. */
	for (uint32_t i = 0; i < points->n; i++)
		if (points->at[i].address == address) {
			points->not_understood += points->at[i].cookie != cookie;
			return NULL;
		}
	if (!kb_elf_file__offset_of(elf, address, &point.offset))
		return kb_failed("0x%llx is no address of code", (unsigned long long)address);
	at = kb_array__grow(points->at, &points->capacity, points->n + 1, sizeof(*at),
			    KB_REF_POINTS_MAX);
	if (!at)
		return kb_failed("more than %d places that create or destroy objects",
				 KB_REF_POINTS_MAX);
	points->at = at;
	at[points->n++] = point;
	points->creating += !KB_REF_COOKIE_DESTROYS(cookie);
	return NULL;
}

void kb_ref_points__free(struct kb_ref_points *points)
{
	free(points->at);
	*points = (struct kb_ref_points){ 0 };
}

/* Code is looked at in pieces. */
static uint64_t chunk_end(uint64_t start, uint64_t end)
{
	return end - start < KB_CODE_BYTES_MAX ? end : start + KB_CODE_BYTES_MAX;
}

/* Where a function is entered with the object as its first argument. */
static struct kb_error *add_function(struct kb_ref_points *points, const struct kb_elf_file *elf,
				     const struct kb_elf_symbol *function, bool destroys)
{
	struct kb_probe_address at;

	KB_TRY(kb_probe_address__find(elf, function->address, function->address + function->size,
				      kb_registers__arguments(1), &at));
	return kb_ref_points__add(points, elf, at.address,
				  KB_REF_COOKIE(destroys, 0, kb_register__argument(0), 0));
}

static bool in(const struct kb_elf_symbol *function, uint64_t address)
{
	return address - function->address < function->size;
}

#define TP_DEALLOC     48  /* in PyTypeObject: Include/cpython/object.h, 3.11 to 3.13 */
#define SLOT_CALLS_MIN 100 /* the eval loop has some 230 */

/*
 * Python/ceval.c has macros for Py_DECREF() that call tp_dealloc themselves: 3.11 to 3.13.0. Other
 * calls through a slot of this number are told apart where they happen: there the register has not
 * the object's type.
 */
static struct kb_error *add_slot_calls(struct kb_ref_points *points, const struct kb_elf_file *elf,
				       uint64_t dealloc, bool *complete)
{
	struct kb_code_slot_call calls[CALLS_MAX];
	uint32_t before = points->n;
	struct kb_elf_symbol function;
	const char *name;

	if (!kb_elf_file__has_symtab(elf))
		return NULL;
	for (size_t i = 0; kb_elf_file__function_at(elf, true, i, &function, &name); i++) {
		size_t n;

		if (!name || !function.size || function.address == dealloc)
			continue;
		n = kb_code__slot_calls(elf, function.address, function.address + function.size,
					TP_DEALLOC, calls, CALLS_MAX);
		for (size_t j = 0; j < n; j++)
			KB_TRY(kb_ref_points__add(points, elf, calls[j].address,
						  KB_REF_COOKIE(1, 0, kb_register__argument(0), 0) |
							  KB_REF_COOKIE_OF_TYPE(calls[j].number)));
	}
	*complete = points->n - before >= SLOT_CALLS_MIN;
	return NULL;
}

/* Every call of a function, in all of the code. */
static struct kb_error *add_calls(struct kb_ref_points *points, const struct kb_elf_file *elf,
				  const char *callee, const char *but, uint64_t cookie, bool *found)
{
	struct kb_elf_symbol function, excepted = { 0 };
	struct kb_elf_segment segment;
	uint64_t calls[CALLS_MAX];

	*found = kb_elf_file__symbol(elf, callee, &function);
	if (but)
		kb_elf_file__symbol(elf, but, &excepted);
	for (size_t i = 0; *found && kb_elf_file__segment_at(elf, i, &segment); i++) {
		uint64_t end = segment.address + segment.size;

		for (uint64_t start = segment.address; segment.executable && start < end;
		     start += KB_CODE_BYTES_MAX) {
			size_t n = kb_code__calls(elf, start, chunk_end(start, end),
						  function.address, calls, CALLS_MAX);

			for (size_t j = 0; j < n; j++)
				if (!in(&excepted, calls[j]))
					KB_TRY(kb_ref_points__add(points, elf, calls[j], cookie));
			*found = n < CALLS_MAX;
		}
	}
	return NULL;
}

/*
 * Where the type is known, a destructor is called without it: _Py_DECREF_SPECIALIZED(), 3.11 to
 * 3.13.0, in the eval loop, in sum() and with ints. An int's is PyObject_Free(), which frees other
 * things as well.
 */
static struct kb_error *add_specialized(struct kb_ref_points *points, const struct kb_elf_file *elf,
					bool *complete)
{
	uint64_t cookie = KB_REF_COOKIE(1, 0, kb_register__argument(0), 0);
	bool ints, floats, strs;

	KB_TRY(add_calls(points, elf, "PyObject_Free", NULL, cookie | KB_REF_COOKIE_INTS, &ints));
	/* That is what _Py_Dealloc() has called. */
	KB_TRY(add_calls(points, elf, "_PyFloat_ExactDealloc", "float_dealloc", cookie, &floats));
	KB_TRY(add_calls(points, elf, "_PyUnicode_ExactDealloc", NULL, cookie, &strs));
	*complete = ints && floats && strs;
	return NULL;
}

static struct kb_error *add_silent(struct kb_ref_points *points, const struct kb_elf_file *elf)
{
	bool slots = false, specialized = false;
	struct kb_elf_symbol dealloc;

	if (kb_elf_file__symbol(elf, "_Py_Dealloc", &dealloc))
		KB_TRY(add_slot_calls(points, elf, dealloc.address, &slots));
	KB_TRY(add_specialized(points, elf, &specialized));
	if (!slots || !specialized)
		points->no_destructions = "those of the eval loop are not found";
	return NULL;
}

/* Does the eval loop ask, or does it destroy in silence? */
static bool eval_loop_asks(const struct kb_ref_points *points, const struct kb_elf_file *elf)
{
	struct kb_elf_symbol loop;

	if (!kb_elf_file__has_symtab(elf) ||
	    !kb_elf_file__symbol(elf, "_PyEval_EvalFrameDefault", &loop))
		return true;
	for (uint32_t i = 0; i < points->n; i++)
		if (KB_REF_COOKIE_DESTROYS(points->at[i].cookie) &&
		    in(&loop, points->at[i].address))
			return true;
	return false;
}

struct kb_error *kb_ref_points__check_calls(struct kb_ref_points *points,
					    const struct kb_elf_file *elf, uint64_t callee,
					    const uint64_t *calls, uint32_t n)
{
	struct kb_elf_segment segment;
	uint64_t all[CALLS_MAX];

	for (size_t i = 0; kb_elf_file__segment_at(elf, i, &segment); i++) {
		uint64_t end = segment.address + segment.size;

		for (uint64_t start = segment.address; segment.executable && start < end;
		     start += KB_CODE_BYTES_MAX) {
			size_t n_all = kb_code__calls(elf, start, chunk_end(start, end), callee,
						      all, CALLS_MAX);

			for (size_t j = 0; j < n_all; j++) {
				uint32_t k = 0;

				while (k < n && calls[k] != all[j])
					k++;
				points->not_understood += k == n;
			}
		}
	}
	return NULL;
}

/* _Py_NewReference() alone tells tracemalloc. */
static bool is_inlined(const struct kb_elf_file *elf, const struct kb_elf_symbol functions[2])
{
	struct kb_elf_segment segment;
	struct kb_elf_symbol callee;
	uint64_t calls[CALLS_MAX];

	if (!kb_elf_file__symbol(elf, "_PyTraceMalloc_NewReference", &callee))
		return true;
	for (size_t i = 0; kb_elf_file__segment_at(elf, i, &segment); i++) {
		uint64_t end = segment.address + segment.size;

		for (uint64_t start = segment.address; segment.executable && start < end;
		     start += KB_CODE_BYTES_MAX) {
			size_t n = kb_code__calls(
				elf, start,
				end - start < KB_CODE_BYTES_MAX ? end : start + KB_CODE_BYTES_MAX,
				callee.address, calls, CALLS_MAX);

			for (size_t j = 0; j < n; j++)
				if (!in(&functions[0], calls[j]) && !in(&functions[1], calls[j]))
					return true;
		}
	}
	return false;
}

/* Where the compiler has put copies of _Py_NewReference(); those of _Py_Dealloc() are not told from
 * other calls. */
static struct kb_error *find_inlined(struct kb_ref_points *points, const struct kb_elf_file *elf)
{
	KB_TRY(kb_ref_points__tracemalloc(elf, points));
	if (!points->n || points->not_understood)
		return kb_unsupported("its compiler has inlined _Py_NewReference and _Py_Dealloc");
	points->way = "exact (where tracemalloc would be told)";
	points->no_destructions = "its compiler has inlined _Py_Dealloc";
	return NULL;
}

static struct kb_error *find_functions(struct kb_ref_points *points, const struct kb_elf_file *elf,
				       const struct kb_image_info *info)
{
	struct kb_elf_symbol created[2] = { 0 }, destroyed;

	if (!kb_elf_file__symbol(elf, "_Py_NewReference", &created[0]) ||
	    !kb_elf_file__symbol(elf, "_Py_Dealloc", &destroyed))
		return kb_unsupported("_Py_NewReference and _Py_Dealloc are not there");
	/* 3.12: what is only moved is a new reference that does not count (_PyBytes_Resize …). */
	kb_elf_file__symbol(elf, "_Py_NewReferenceNoTotal", &created[1]);
	points->way = "exact (_Py_NewReference and _Py_Dealloc)";
	if (is_inlined(elf, created))
		return find_inlined(points, elf);
	for (int i = 0; i < 2; i++)
		if (created[i].address)
			KB_TRY(add_function(points, elf, &created[i], false));
	KB_TRY(add_function(points, elf, &destroyed, true));
	return info->layout.version_minor >= 11 ? add_silent(points, elf) : NULL;
}

static struct kb_error *find(struct kb_ref_points *points, const struct kb_elf_file *elf,
			     const struct kb_image_info *info)
{
	if (info->free_threaded)
		return kb_unsupported("free-threaded builds are not supported yet");
	if (info->layout.version_minor < 9)
		return kb_unsupported("before Python 3.9 they are macros, and nothing is called");
	if (info->layout.version_minor < 13)
		return find_functions(points, elf, info);
	points->way = "exact (where a PyRefTracer would be told)";
	KB_TRY(kb_ref_points__tracer(elf, info, points));
	if (!points->creating || points->creating == points->n)
		return kb_unsupported("where it asks for a tracer was not found");
	if (points->not_understood)
		return kb_unsupported("%u of %u places were not understood", points->not_understood,
				      points->n + points->not_understood);
	return eval_loop_asks(points, elf) ? NULL : add_silent(points, elf);
}

struct kb_error *kb_ref_points__find(const struct kb_elf_file *elf,
				     const struct kb_image_info *info, struct kb_ref_points *points)
{
	struct kb_error *err;

	*points = (struct kb_ref_points){ 0 };
	err = find(points, elf, info);
	if (err)
		kb_ref_points__free(points);
	return err;
}
