/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KEELBACK_KEELBACK_H
#define KEELBACK_KEELBACK_H

/* Everything. examples/sample.c is a complete program. */
#include "keelback/error.h"
#include "keelback/target.h"
#include "keelback/profile.h"
#include "keelback/sample.h"
#include "keelback/format.h"
#include "keelback/inspect.h"
#include "keelback/dump.h"
#include "keelback/calls.h"
#include "keelback/calls_format.h"
#include "keelback/call_counter.h"
#include "keelback/census.h"
#include "keelback/faults.h"
#include "keelback/audit.h"

#endif
