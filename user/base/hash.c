// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * SipHash-1-3: the function of Aumasson and Bernstein, "SipHash: a fast
 * short-input PRF" (2012), with one round per word and three at the end, which is what
 * hash tables of several languages use.
 */
#include <pthread.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include "base/hash.h"

static uint64_t hash_key[2];
static pthread_once_t hash_key_once = PTHREAD_ONCE_INIT;

static void make_key(void)
{
	struct timespec now;

	if (getrandom(hash_key, sizeof(hash_key), GRND_NONBLOCK) == sizeof(hash_key))
		return;
	/* Early in boot: harder to guess than nothing. */
	clock_gettime(CLOCK_MONOTONIC, &now);
	hash_key[0] = (uint64_t)now.tv_nsec << 32 ^ (uint64_t)now.tv_sec;
	hash_key[1] = (uintptr_t)&now;
}

static uint64_t rotate(uint64_t x, int bits)
{
	return x << bits | x >> (64 - bits);
}

static void round_once(uint64_t v[4])
{
	v[0] += v[1];
	v[2] += v[3];
	v[1] = rotate(v[1], 13) ^ v[0];
	v[3] = rotate(v[3], 16) ^ v[2];
	v[0] = rotate(v[0], 32);
	v[2] += v[1];
	v[0] += v[3];
	v[1] = rotate(v[1], 17) ^ v[2];
	v[3] = rotate(v[3], 21) ^ v[0];
	v[2] = rotate(v[2], 32);
}

static void mix(uint64_t v[4], uint64_t word)
{
	v[3] ^= word;
	round_once(v);
	v[0] ^= word;
}

uint64_t kb_hash__bytes(const void *bytes, size_t size)
{
	const uint8_t *at = bytes;
	uint64_t last = (uint64_t)size << 56, word, v[4];
	size_t i;

	pthread_once(&hash_key_once, make_key);
	/* "somepseudorandomlygeneratedbytes", the paper's constants. */
	v[0] = hash_key[0] ^ UINT64_C(0x736f6d6570736575);
	v[1] = hash_key[1] ^ UINT64_C(0x646f72616e646f6d);
	v[2] = hash_key[0] ^ UINT64_C(0x6c7967656e657261);
	v[3] = hash_key[1] ^ UINT64_C(0x7465646279746573);
	for (i = 0; i + 8 <= size; i += 8) {
		memcpy(&word, at + i, sizeof(word));
		mix(v, word);
	}
	for (; i < size; i++)
		last |= (uint64_t)at[i] << 8 * (i % 8);
	mix(v, last);
	v[2] ^= 0xff;
	for (i = 0; i < 3; i++)
		round_once(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}
