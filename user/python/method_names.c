// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Every word of a file's data that points to a name is tried for the start of a:
 *
 *   PyMethodDef    { ml_name, ml_meth, int ml_flags, ml_doc }, arrays end with a NULL name
 *   PyModuleDef    { PyModuleDef_Base of five words; m_name, m_doc, m_size, m_methods … }
 *   PyType_Spec    { name, int basicsize, int itemsize, unsigned flags, slots }; slots are
 *                  { int slot, void *function } up to a slot 0
 *   PyTypeObject   from tp_name on (what is before it has another size in free-threaded builds)
 *
 * (Include/methodobject.h, moduleobject.h, object.h, cpython/object.h; the same from 3.6 on.) Each
 * has enough words that must point to code, to data, or be small, that nothing else looks like it.
 * First the methods' owners are found, then the functions.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/array.h"
#include "base/error.h"
#include "python/method_names.h"

/* An interpreter has 4 MB of data, a large extension module 20. */
#define DATA_MAX     (64u << 20)
#define SEGMENTS_MAX 16
/* An interpreter names 12,000 functions. */
#define NAMES_MAX 1000000
/* Of one type or module: the os module has 330. */
#define METHODS_MAX 4096
#define SLOTS_MAX   128
#define TEXT_MAX    100
/* All METH_* flags. */
#define FLAGS_MAX 0x3ff

#define SLOT_METHODS 64
#define SLOT_GETSET  73
/* Words of PyTypeObject behind tp_name. */
#define TYPE_WORDS   48
#define TYPE_METHODS 26
#define TYPE_GETSET  28

struct segment {
	uint64_t address, size;
	uint8_t *bytes; /* NULL: code, which is not read */
};

struct found {
	uint64_t address;
	uint64_t owner, member; /* addresses of the names; 0: none */
	const char *slot;	/* or a name that is not in the file */
};

struct reader {
	const struct kb_elf_file *file;
	struct segment segments[SEGMENTS_MAX];
	size_t n_segments;
	struct found *found;
	uint32_t n_found, capacity;
	bool full;
};

/* Structures that a type points to, and their members' places. */
enum group { TP, NB, SQ, MP, AM, BF, N_GROUPS };
static const struct {
	uint8_t number, group, word;
	const char *name;
} slots[] = {
#define SLOT(number, place, name) { number, place, #name },
#define TP(word)		  TP, word
#define NB(word)		  NB, word
#define SQ(word)		  SQ, word
#define MP(word)		  MP, word
#define AM(word)		  AM, word
#define BF(word)		  BF, word
#include "python/method_slots.inc.h"
#undef SLOT
#undef TP
#undef NB
#undef SQ
#undef MP
#undef AM
#undef BF
};
#define N_SLOTS (sizeof(slots) / sizeof(*slots))

/* Where a type has its pointer to each group, in words behind tp_name. */
static const uint8_t group_words[N_GROUPS] = {
	[NB] = 9, [SQ] = 10, [MP] = 11, [AM] = 7, [BF] = 17
};

/* ---------------------------------------------------------------- the file's data */

static const struct segment *segment_of(const struct reader *r, uint64_t address)
{
	for (size_t i = 0; i < r->n_segments; i++)
		if (address - r->segments[i].address < r->segments[i].size)
			return &r->segments[i];
	return NULL;
}

static bool is_code(const struct reader *r, uint64_t address)
{
	const struct segment *segment = segment_of(r, address);

	return segment && !segment->bytes;
}

static bool is_data(const struct reader *r, uint64_t address)
{
	const struct segment *segment = segment_of(r, address);

	return segment && segment->bytes;
}

static bool is_data_or_null(const struct reader *r, uint64_t address)
{
	return !address || is_data(r, address);
}

/* The word at an address, 0 outside the file. */
static uint64_t word_at(const struct reader *r, uint64_t address)
{
	const struct segment *segment = segment_of(r, address);
	uint64_t word;

	if (!segment || !segment->bytes ||
	    segment->size - (address - segment->address) < sizeof(word))
		return 0;
	memcpy(&word, segment->bytes + (address - segment->address), sizeof(word));
	return word;
}

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

/* A name as Python has them, with dots; NULL: there is none. */
static const char *name_at(const struct reader *r, uint64_t address)
{
	const struct segment *segment = segment_of(r, address);
	const char *text;
	uint64_t room;

	if (!segment || !segment->bytes)
		return NULL;
	text = (const char *)segment->bytes + (address - segment->address);
	room = segment->size - (address - segment->address);
	if (!is_letter(text[0]))
		return NULL;
	for (uint64_t i = 1; i < room && i < TEXT_MAX; i++) {
		if (!text[i])
			return text;
		if (!is_letter(text[i]) && text[i] != '.' && !(text[i] >= '0' && text[i] <= '9'))
			return NULL;
	}
	return NULL;
}

static struct kb_error *read_data(struct reader *r)
{
	struct kb_elf_segment segment;
	uint64_t bytes = 0;

	for (size_t i = 0; r->n_segments < SEGMENTS_MAX; i++) {
		struct segment *own = &r->segments[r->n_segments];

		if (!kb_elf_file__segment_at(r->file, i, &segment))
			break;
		*own = (struct segment){ segment.address, segment.size, NULL };
		if (!segment.executable) {
			if (segment.size > DATA_MAX - bytes)
				break;
			bytes += segment.size;
			own->bytes = malloc(segment.size + 1);
			if (!own->bytes)
				return kb_error__no_memory();
			if (!kb_elf_file__read(r->file, segment.address, own->bytes, segment.size))
				own->size = 0;
		}
		r->n_segments++;
	}
	return NULL;
}

/* ---------------------------------------------------------------- what is found */

static void add(struct reader *r, uint64_t address, uint64_t owner, uint64_t member,
		const char *slot)
{
	struct found *found =
		kb_array__grow(r->found, &r->capacity, r->n_found + 1, sizeof(*found), NAMES_MAX);

	if (!found) {
		r->full = true;
		return;
	}
	r->found = found;
	found[r->n_found++] = (struct found){ address, owner, member, slot };
}

static bool is_method(const struct reader *r, uint64_t at)
{
	uint64_t flags = word_at(r, at + 16);

	return name_at(r, word_at(r, at)) && is_code(r, word_at(r, at + 8)) && flags &&
	       flags <= FLAGS_MAX && is_data_or_null(r, word_at(r, at + 24));
}

static void add_methods(struct reader *r, uint64_t at, uint64_t owner)
{
	for (int i = 0; i < METHODS_MAX && is_method(r, at); i++, at += 32)
		add(r, word_at(r, at + 8), owner, word_at(r, at), NULL);
}

/* PyGetSetDef: { name, get, set, doc, closure }. */
static void add_getset(struct reader *r, uint64_t at, uint64_t owner)
{
	for (int i = 0; i < METHODS_MAX && name_at(r, word_at(r, at)); i++, at += 40) {
		if (is_code(r, word_at(r, at + 8)))
			add(r, word_at(r, at + 8), owner, word_at(r, at), NULL);
		if (is_code(r, word_at(r, at + 16)))
			add(r, word_at(r, at + 16), owner, word_at(r, at), NULL);
	}
}

/* ---------------------------------------------------------------- owners */

/* at: of the pointer to the name, in all of these. */
static bool is_module(const struct reader *r, uint64_t at)
{
	/* ob_type, m_init, m_index and m_copy of the base are set at run time. */
	for (int i = 1; i <= 4; i++)
		if (word_at(r, at - 8 * (uint64_t)i))
			return false;
	return is_data_or_null(r, word_at(r, at + 8)) && (int64_t)word_at(r, at + 16) >= -1 &&
	       (int64_t)word_at(r, at + 16) < INT32_MAX && is_method(r, word_at(r, at + 24));
}

static bool is_slot(const struct reader *r, uint64_t at)
{
	uint64_t number = word_at(r, at), value = word_at(r, at + 8);

	return number && number < SLOTS_MAX && (!value || segment_of(r, value));
}

static bool is_spec(const struct reader *r, uint64_t at)
{
	uint64_t sizes = word_at(r, at + 8), list = word_at(r, at + 24);

	if ((uint32_t)sizes > 1 << 20 || sizes >> 32 > 1 << 16 || word_at(r, at + 16) >> 32 ||
	    !is_data(r, list) || !is_slot(r, list))
		return false;
	for (int i = 1; i < SLOTS_MAX; i++)
		if (!is_slot(r, list + 16 * (uint64_t)i))
			return !word_at(r, list + 16 * (uint64_t)i);
	return false;
}

static void add_slots(struct reader *r, uint64_t at)
{
	uint64_t owner = word_at(r, at), list = word_at(r, at + 24);

	for (int i = 0; i < SLOTS_MAX && is_slot(r, list); i++, list += 16) {
		uint64_t number = word_at(r, list), value = word_at(r, list + 8);

		if (number == SLOT_METHODS)
			add_methods(r, value, owner);
		else if (number == SLOT_GETSET)
			add_getset(r, value, owner);
		for (size_t j = 0; j < N_SLOTS && is_code(r, value); j++)
			if (slots[j].number == number)
				add(r, value, owner, 0, slots[j].name);
	}
}

static bool is_type(const struct reader *r, uint64_t at)
{
	uint64_t basic = word_at(r, at + 8), item = word_at(r, at + 16);
	int functions = 0;

	if (word_at(r, at - 8) || basic < 16 || basic > 1 << 20 || item > 1 << 16)
		return false;
	for (size_t i = 0; i < N_SLOTS; i++) {
		uint64_t value;

		/* The last ones are younger than 3.6, or other fields in between. */
		if (slots[i].group != TP || slots[i].word > 38)
			continue;
		value = word_at(r, at + 8 * (uint64_t)slots[i].word);
		if (value && !is_code(r, value))
			return false;
		functions += value != 0;
	}
	for (int i = NB; i < N_GROUPS; i++)
		if (!is_data_or_null(r, word_at(r, at + 8 * (uint64_t)group_words[i])))
			return false;
	return functions >= 2 && is_data_or_null(r, word_at(r, at + 8 * TYPE_METHODS)) &&
	       is_data_or_null(r, word_at(r, at + 8 * TYPE_GETSET));
}

static void add_type(struct reader *r, uint64_t at)
{
	uint64_t owner = word_at(r, at);

	for (size_t i = 0; i < N_SLOTS; i++) {
		uint64_t table = at, value;

		if (slots[i].group != TP)
			table = word_at(r, at + 8 * (uint64_t)group_words[slots[i].group]);
		value = table ? word_at(r, table + 8 * (uint64_t)slots[i].word) : 0;
		if (is_code(r, value))
			add(r, value, owner, 0, slots[i].name);
	}
	add_methods(r, word_at(r, at + 8 * TYPE_METHODS), owner);
	add_getset(r, word_at(r, at + 8 * TYPE_GETSET), owner);
}

static void look_at(struct reader *r, uint64_t at)
{
	if (!name_at(r, word_at(r, at)))
		return;
	if (is_method(r, at))
		add(r, word_at(r, at + 8), 0, word_at(r, at), NULL);
	else if (is_module(r, at))
		add_methods(r, word_at(r, at + 24), word_at(r, at));
	else if (is_spec(r, at))
		add_slots(r, at);
	else if (is_type(r, at))
		add_type(r, at);
}

/* ---------------------------------------------------------------- names */

static const char *member_of(const struct reader *r, const struct found *found)
{
	return found->slot ? found->slot : name_at(r, found->member);
}

static int compare(const void *a, const void *b, void *reader)
{
	const struct found *x = a, *y = b;
	int difference;

	if (x->address != y->address)
		return x->address < y->address ? -1 : 1;
	/* Those with an owner first; methods before slots. */
	if (!x->owner != !y->owner)
		return x->owner ? -1 : 1;
	if (!x->slot != !y->slot)
		return x->slot ? 1 : -1;
	difference = strcmp(member_of(reader, x), member_of(reader, y));
	if (difference || !x->owner)
		return difference;
	return strcmp(name_at(reader, x->owner), name_at(reader, y->owner));
}

/* One name for the entries of one address, which are sorted; false: none says what it is. */
static bool make_name(const struct reader *r, const struct found *found, uint32_t n,
		      struct kb_method_name *name)
{
	const char *owner = found->owner ? name_at(r, found->owner) : NULL;
	const char *member = member_of(r, found);
	bool owners_differ = false, members_differ = false;

	for (uint32_t i = 1; i < n && found[i].owner; i++) {
		owners_differ |= strcmp(owner, name_at(r, found[i].owner)) != 0;
		members_differ |= strcmp(member, member_of(r, &found[i])) != 0;
	}
	if (owners_differ && members_differ)
		return false;
	name->address = found->address;
	if (owner && !owners_differ)
		snprintf(name->name, sizeof(name->name), "%.*s.%s", TEXT_MAX, owner, member);
	else
		snprintf(name->name, sizeof(name->name), "%s", member);
	return true;
}

static struct kb_error *make_names(struct reader *r, struct kb_method_names *names)
{
	uint32_t next;

	if (!r->n_found)
		return NULL;
	qsort_r(r->found, r->n_found, sizeof(*r->found), compare, r);
	names->names = calloc(r->n_found, sizeof(*names->names));
	if (!names->names)
		return kb_error__no_memory();
	for (uint32_t i = 0; i < r->n_found; i = next) {
		next = i + 1;
		while (next < r->n_found && r->found[next].address == r->found[i].address)
			next++;
		names->n += make_name(r, &r->found[i], next - i, &names->names[names->n]);
	}
	return NULL;
}

/* Extension modules export how they are initialized, and so does the interpreter for its own. */
static bool is_python(const struct kb_elf_file *file)
{
	struct kb_elf_symbol symbol;
	const char *name;

	for (size_t i = 1; kb_elf_file__function_at(file, false, i, &symbol, &name); i++)
		if (name && (!strncmp(name, "PyInit_", 7) || !strncmp(name, "PyModExport_", 12) ||
			     !strcmp(name, "_PyEval_EvalFrameDefault")))
			return true;
	return false;
}

struct kb_error *kb_method_names__read(const struct kb_elf_file *file,
				       struct kb_method_names *names)
{
	struct reader r = { .file = file };
	struct kb_error *err;

	*names = (struct kb_method_names){ 0 };
	if (!is_python(file))
		return NULL;
	err = read_data(&r);
	for (size_t i = 0; !err && i < r.n_segments; i++) {
		const struct segment *segment = &r.segments[i];

		for (uint64_t at = 7 & -segment->address;
		     segment->bytes && at + 8 <= segment->size && !r.full; at += 8)
			look_at(&r, segment->address + at);
	}
	if (!err)
		err = make_names(&r, names);
	for (size_t i = 0; i < r.n_segments; i++)
		free(r.segments[i].bytes);
	free(r.found);
	return err;
}

void kb_method_names__free(struct kb_method_names *names)
{
	free(names->names);
	*names = (struct kb_method_names){ 0 };
}
