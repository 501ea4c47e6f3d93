/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_SYSTEM_ARCH_H
#define KB_SYSTEM_ARCH_H

#include <elf.h>
#include <stdint.h>

/* What differs between processors when reading ELF files: one header per processor, the host's is
 * taken. */
#if defined(__x86_64__)
#include "system/arch_x86.h"
#elif defined(__aarch64__)
#include "system/arch_arm64.h"
#else
#error "this processor is not supported"
#endif

#endif
