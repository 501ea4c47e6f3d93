// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include "keelback/profile.h"
#include "python/opcode.h"

#define OPCODES 256

/* Names are looked up once for each instruction of a line that is met: they need no index. */
struct version {
	const char *names;	   /* one behind the other, by number; "" where there is none */
	const uint8_t (*bases)[2]; /* number of a specialized one, and of what it stands for */
	size_t n_bases;
};

#include "python/opcode_table.inc.h"

#define N_VERSIONS (sizeof(versions) / sizeof(versions[0]))

const char *kb_opcode__name(unsigned minor, unsigned opcode)
{
	const char *name = minor < N_VERSIONS ? versions[minor].names : NULL;

	if (!name || opcode >= OPCODES)
		return NULL;
	while (opcode--)
		name += strlen(name) + 1;
	return *name ? name : NULL;
}

const char *kb_opcode__base(unsigned minor, unsigned opcode)
{
	const struct version *version = minor < N_VERSIONS ? &versions[minor] : NULL;

	for (size_t i = 0; version && i < version->n_bases; i++)
		if (version->bases[i][0] == opcode)
			return kb_opcode__name(minor, version->bases[i][1]);
	return kb_opcode__name(minor, opcode);
}

int kb_opcode__number(unsigned minor, const char *name)
{
	const char *at = minor < N_VERSIONS ? versions[minor].names : NULL;

	for (int opcode = 0; at && opcode < OPCODES; opcode++) {
		if (!strcmp(at, name))
			return opcode;
		at += strlen(at) + 1;
	}
	return -1;
}

const char *kb_opcode__base_of(const char *name)
{
	for (unsigned minor = N_VERSIONS; minor-- > 0;) {
		int opcode = *name ? kb_opcode__number(minor, name) : -1;
		const char *base = opcode < 0 ? NULL : kb_opcode__base(minor, (unsigned)opcode);

		if (base && strcmp(base, name))
			return base;
	}
	return name;
}
