/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_FORMAT_MARSHAL_TYPES_H
#define KB_FORMAT_MARSHAL_TYPES_H

/* Type bytes of Python/marshal.c, those that are read or written here. */
enum kb_marshal_type {
	KB_MARSHAL_TYPE_NULL = '0',
	KB_MARSHAL_TYPE_NONE = 'N',
	KB_MARSHAL_TYPE_FALSE = 'F',
	KB_MARSHAL_TYPE_TRUE = 'T',
	KB_MARSHAL_TYPE_INT = 'i',
	KB_MARSHAL_TYPE_INT64 = 'I',
	KB_MARSHAL_TYPE_LONG = 'l',
	KB_MARSHAL_TYPE_FLOAT = 'f',
	KB_MARSHAL_TYPE_BINARY_FLOAT = 'g',
	KB_MARSHAL_TYPE_UNICODE = 'u',
	KB_MARSHAL_TYPE_INTERNED = 't',
	KB_MARSHAL_TYPE_ASCII = 'a',
	KB_MARSHAL_TYPE_ASCII_INTERNED = 'A',
	KB_MARSHAL_TYPE_SHORT_ASCII = 'z',
	KB_MARSHAL_TYPE_SHORT_ASCII_INTERNED = 'Z',
	KB_MARSHAL_TYPE_TUPLE = '(',
	KB_MARSHAL_TYPE_SMALL_TUPLE = ')',
	KB_MARSHAL_TYPE_DICT = '{',
	KB_MARSHAL_TYPE_REF = 'r',
};

/* The reader gives the object the next reference number, before it reads a container's items. */
#define KB_MARSHAL_FLAG_REF 0x80

/* Digits of long integers have 15 bits, whatever the interpreter uses itself. */
#define KB_MARSHAL_DIGIT_BITS 15

#endif
