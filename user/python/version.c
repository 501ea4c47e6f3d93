// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "python/decode.h"
#include "python/version.h"

/* Levels of PY_VERSION_HEX, Include/patchlevel.h. */
#define LEVEL_ALPHA	0xau
#define LEVEL_BETA	0xbu
#define LEVEL_CANDIDATE 0xcu
#define LEVEL_FINAL	0xfu

/* Addresses that Py_GetVersion uses: buffer, format, version and a few more. */
#define ADDRESSES_MAX 16
/* The longest PY_VERSION so far has 10 characters ("3.10.0rc2+"). */
#define TEXT_MAX	 16
#define RODATA_BYTES_MAX (64u << 20)

/* A number of at most two digits; advances the text. */
static bool number(const char **text, unsigned int *value)
{
	int digits = 0;

	for (*value = 0; isdigit((unsigned char)**text); (*text)++, digits++)
		*value = *value * 10 + (unsigned int)(**text - '0');
	return digits == 1 || digits == 2;
}

static bool level(const char **text, unsigned int *value)
{
	static const struct {
		const char *name;
		unsigned int value;
	} levels[] = { { "rc", LEVEL_CANDIDATE },
		       { "c", LEVEL_CANDIDATE },
		       { "a", LEVEL_ALPHA },
		       { "b", LEVEL_BETA } };

	for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++)
		if (!strncmp(*text, levels[i].name, strlen(levels[i].name))) {
			*text += strlen(levels[i].name);
			*value = levels[i].value;
			return true;
		}
	return false;
}

/* major.minor[.micro[level serial]], and then a "+" of a development build or the end. */
static bool parse(const char *text, bool need_micro, uint32_t *version_hex)
{
	unsigned int major, minor, micro = 0, release = 0, serial = 0;

	if (!number(&text, &major) || *text++ != '.' || !number(&text, &minor))
		return false;
	if (*text == '.') {
		text++;
		if (!number(&text, &micro))
			return false;
		if (!level(&text, &release))
			release = LEVEL_FINAL;
		else if (!number(&text, &serial) || serial > 0xf)
			return false;
		text += *text == '+';
		if (*text)
			return false;
	} else if (need_micro) {
		return false;
	}
	*version_hex = major << 24 | minor << 16 | micro << 8 | release << 4 | serial;
	return true;
}

bool kb_version__parse(const char *text, uint32_t *version_hex)
{
	return parse(text, true, version_hex);
}

void kb_version__format(uint32_t version_hex, char *text, size_t size)
{
	unsigned int major = version_hex >> 24, minor = version_hex >> 16 & 0xff;
	unsigned int micro = version_hex >> 8 & 0xff, release = version_hex >> 4 & 0xf;
	const char *name = release == LEVEL_ALPHA	? "a"
			   : release == LEVEL_BETA	? "b"
			   : release == LEVEL_CANDIDATE ? "rc"
							: NULL;

	if (!release)
		snprintf(text, size, "%u.%u", major, minor);
	else if (name)
		snprintf(text, size, "%u.%u.%u%s%u", major, minor, micro, name, version_hex & 0xf);
	else
		snprintf(text, size, "%u.%u.%u", major, minor, micro);
}

static bool from_variable(const struct kb_elf_file *file, uint32_t *version_hex)
{
	struct kb_elf_symbol symbol;
	unsigned long value;

	if (!kb_elf_file__symbol(file, "Py_Version", &symbol) ||
	    !kb_elf_file__read(file, symbol.address, &value, sizeof(value)) || value > UINT32_MAX)
		return false;
	*version_hex = (uint32_t)value;
	return true;
}

/* PY_VERSION is one of the strings that Py_GetVersion() hands to PyOS_snprintf. */
static bool from_function(const struct kb_elf_file *file, uint32_t *version_hex)
{
	uint64_t addresses[ADDRESSES_MAX];
	struct kb_elf_symbol symbol;
	size_t n;

	if (!kb_elf_file__symbol(file, "Py_GetVersion", &symbol) || !symbol.function)
		return false;
	n = kb_decode__addresses(file, symbol.address, symbol.size, addresses, ADDRESSES_MAX);
	for (size_t i = 0; i < n; i++) {
		char text[TEXT_MAX + 1] = "";

		if (kb_elf_file__read(file, addresses[i], text, TEXT_MAX) &&
		    kb_version__parse(text, version_hex))
			return true;
	}
	return false;
}

/* The 3.x after "python" in libpython3.9.so.1.0, python3.9, libpython3.6m.so.1.0, lib/python3.9. */
static bool from_name(const char *name, uint32_t *version_hex)
{
	const char *slash = strrchr(name, '/'), *at;
	unsigned int major, minor;

	at = strstr(slash ? slash : name, "python");
	if (!at)
		return false;
	at += strlen("python");
	if (!number(&at, &major) || *at++ != '.' || !number(&at, &minor))
		return false;
	*version_hex = major << 24 | minor << 16;
	return true;
}

/* The directory of the standard library as Modules/getpath.c has it; the last way out. */
static bool from_library_directory(const struct kb_elf_file *file, uint32_t *version_hex)
{
	static const char prefix[] = "lib/python3.";
	struct kb_elf_section section;
	bool found = false;
	char *bytes, *at;

	if (!kb_elf_file__section(file, ".rodata", &section) || section.size > RODATA_BYTES_MAX)
		return false;
	bytes = calloc(1, section.size + 1);
	if (bytes && kb_elf_file__read_offset(file, section.offset, bytes, section.size)) {
		at = memmem(bytes, section.size, prefix, sizeof(prefix) - 1);
		found = at && from_name(at + strlen("lib"), version_hex);
	}
	free(bytes);
	return found;
}

bool kb_version__find(const struct kb_elf_file *file, const char *path, uint32_t *version_hex)
{
	const char *soname;

	if (from_variable(file, version_hex) || from_function(file, version_hex))
		return true;
	soname = kb_elf_file__soname(file);
	return (soname && from_name(soname, version_hex)) || from_name(path, version_hex) ||
	       from_library_directory(file, version_hex);
}
