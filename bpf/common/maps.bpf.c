// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#define KB_DEFINE_MAPS
#include "common/call_places.bpf.h"
#include "common/maps.bpf.h"

KB_SETTING struct kb_config config = {};
volatile struct kb_control control = {};
