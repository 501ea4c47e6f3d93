# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Everything that is made goes to build/. `make help` lists the targets.

VERSION := 0.1.0
SOVERSION := 0

PREFIX  ?= /usr/local
BINDIR  ?= $(PREFIX)/bin
LIBDIR  ?= $(PREFIX)/lib
INCDIR  ?= $(PREFIX)/include
DATADIR ?= $(PREFIX)/share
MANDIR  ?= $(DATADIR)/man
DESTDIR ?=

CC        ?= gcc
CLANG     ?= clang
BPFTOOL   ?= $(firstword $(wildcard /usr/sbin/bpftool /usr/bin/bpftool) bpftool)
PROTOC_C  ?= protoc-c
PYTHON    ?= /usr/bin/python3
LLVM_STRIP ?= $(firstword $(wildcard /usr/bin/llvm-strip /usr/bin/llvm-strip-*) llvm-strip)

# SANITIZE=1 builds everything with address and undefined-behaviour checks, in its own directory.
ifeq ($(SANITIZE),1)
B := build/sanitize
SAN_FLAGS := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
else
B := build
SAN_FLAGS :=
endif

ifeq ($(V),1)
Q :=
msg = @:
else
Q := @
msg = @printf '  %-8s %s\n' "$(1)" "$(2)"
endif

.DELETE_ON_ERROR:
.DEFAULT_GOAL := all

# ---------------------------------------------------------------- flags

PKGS := libbpf libelf libdw liblzma zlib libzstd capstone json-c libprotobuf-c libpcre2-8
PKG_CFLAGS = $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
PKG_LIBS   = $(shell pkg-config --libs $(PKGS) 2>/dev/null)
# Without a pkg-config file.
OTHER_LIBS := -liberty -lm
# Only of the program: the live view, the browser of statistics.
TUI_LIBS   = $(shell pkg-config --libs ncursesw libedit 2>/dev/null)

OPT ?= -O2
WARN := -Wall -Wextra -Wno-unused-parameter -Wno-missing-field-initializers -Wshadow \
	-Wstrict-prototypes -Wmissing-prototypes -Werror
CPPFLAGS_ALL := -D_GNU_SOURCE -DKB_VERSION='"$(VERSION)"' -I. -Iinclude -Iuser -I$(B) -I$(B)/gen $(CPPFLAGS)
CFLAGS_ALL = -std=gnu11 -g $(OPT) -fPIC -fvisibility=hidden $(WARN) $(SAN_FLAGS) $(PKG_CFLAGS) $(CFLAGS)
LDFLAGS_ALL = $(SAN_FLAGS) $(LDFLAGS)

ARCH := $(shell uname -m | sed -e 's/aarch64/arm64/' -e 's/x86_64/x86/')
MULTIARCH_x86 := x86_64-linux-gnu
MULTIARCH_arm64 := aarch64-linux-gnu
BPF_WARN := -Wall -Wextra -Wno-unused-parameter -Wno-missing-field-initializers -Wno-sign-compare \
	-Wno-compare-distinct-pointer-types -Werror
bpf_flags = -target bpf -mcpu=v3 -g -O2 -std=gnu11 $(BPF_WARN) -D__TARGET_ARCH_$(1) -I. -Ibpf -Ivmlinux \
	-idirafter /usr/include/$(MULTIARCH_$(1)) -idirafter /usr/$(MULTIARCH_$(1))/include

# ---------------------------------------------------------------- sources

LIB_LAYERS := base system python kernel symbols model format collect inspect export api
LIB_SRC  := $(sort $(wildcard $(addprefix user/,$(addsuffix /*.c,$(LIB_LAYERS)))))
TUI_SRC  := $(sort $(wildcard user/tui/*.c))
CLI_SRC  := $(TUI_SRC) $(sort $(wildcard user/cli/*.c))
LIB_OBJ  := $(LIB_SRC:%.c=$(B)/obj/%.o)
TUI_OBJ  := $(TUI_SRC:%.c=$(B)/obj/%.o)
CLI_OBJ  := $(CLI_SRC:%.c=$(B)/obj/%.o)

# A program file per capability; parts that several share are linked in by `bpftool gen object`.
BPF_PROGRAMS := collect registers
BPF_SRC_registers := bpf/registers.bpf.c
BPF_SRC_collect := bpf/common/maps.bpf.c bpf/common/tracker.bpf.c bpf/python/thread.bpf.c bpf/python/walk.bpf.c \
	bpf/python/state.bpf.c bpf/python/tasks.bpf.c bpf/python/task_name.bpf.c bpf/python/task_waiter.bpf.c \
	bpf/python/tail.bpf.c bpf/python/code.bpf.c bpf/native/unwind.bpf.c bpf/stack.bpf.c \
	bpf/offcpu.bpf.c bpf/calls_stack.bpf.c bpf/calls_caller.bpf.c bpf/calls.bpf.c bpf/calls_c.bpf.c \
	bpf/breakpoints.bpf.c bpf/sample.bpf.c \
	bpf/faults.bpf.c bpf/faults_sent.bpf.c bpf/faults_hold.bpf.c \
	bpf/memory_stack.bpf.c bpf/memory.bpf.c bpf/memory_drop.bpf.c bpf/refs.bpf.c \
	bpf/audit/value.bpf.c bpf/audit/arguments.bpf.c bpf/audit.bpf.c
BPF_SKEL := $(BPF_PROGRAMS:%=$(B)/gen/%.skel.h)
BPF_HDR  := $(wildcard bpf/*.h bpf/*/*.h vmlinux/*.h)
BPF_ALL_SRC := $(sort $(foreach p,$(BPF_PROGRAMS),$(BPF_SRC_$(p))))

# Files that are embedded in the program as text.
EMBED := $(sort $(wildcard user/format/*.html user/format/*.css user/format/*.js))
EMBED_HDR := $(EMBED:user/format/%=$(B)/gen/embed/%.h)

# Code that protoc-c makes of message definitions.
PROTO_C := $(patsubst user/format/%.proto,$(B)/gen/%.pb-c.c,$(sort $(wildcard user/format/*.proto)))
PROTO_HDR := $(PROTO_C:.c=.h)
LIB_OBJ += $(PROTO_C:$(B)/gen/%.c=$(B)/obj/gen/%.o)

UNIT_SRC := $(sort $(wildcard tests/unit/test_*.c))
UNIT_BIN := $(UNIT_SRC:tests/unit/%.c=$(B)/tests/unit/%)
HOST_BPF_SRC := $(sort $(wildcard tests/host_bpf/test_*.c))
HOST_BPF_BIN := $(HOST_BPF_SRC:tests/host_bpf/%.c=$(B)/tests/host_bpf/%)
KERNEL_BPF_SRC := $(sort $(wildcard tests/kernel_bpf/test_*.c))
KERNEL_BPF_BIN := $(KERNEL_BPF_SRC:tests/kernel_bpf/%.c=$(B)/tests/kernel_bpf/%)
BENCH_BIN := $(patsubst tests/bench/%.c,$(B)/tests/bench/%,$(sort $(wildcard tests/bench/*.c)))
FUZZ_BIN := $(patsubst tests/fuzz/%.c,$(B)/fuzz/%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
TOOLS_BIN := $(patsubst tests/tools/%.c,$(B)/tests/tools/%,$(sort $(wildcard tests/tools/*.c)))
EXAMPLE_BIN := $(patsubst examples/%.c,$(B)/examples/%,$(sort $(wildcard examples/*.c)))

# ---------------------------------------------------------------- targets

.PHONY: all help deps check check-static check-unit check-functional check-sanitize check-arm64 \
	bench soak demo install clean fuzz build

all: deps-quick build ## Build (installs missing build dependencies when run as root)
build: $(B)/keelback $(B)/libkeelback.so $(B)/keelback.pc

help: ## This list
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "  %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo "  Variables: SANITIZE=1 V=1 PREFIX= DESTDIR= CC= CLANG= OPT="

deps: ## Install what building and testing need (Debian packages, as root)
	$(Q)scripts/deps.sh all

.PHONY: deps-quick
deps-quick:
	$(Q)if [ "$$(id -u)" = 0 ]; then scripts/deps.sh build; fi

# ---------------------------------------------------------------- BPF

$(B)/bpf/%.o: %.bpf.c $(BPF_HDR)
	$(call msg,BPF,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(call bpf_flags,$(ARCH)) -c $< -o $@
	$(Q)$(LLVM_STRIP) -g $@

define bpf_program
$(B)/bpf/$(1).linked.o: $(BPF_SRC_$(1):%.bpf.c=$(B)/bpf/%.o)
	$$(call msg,BPF-LD,$$@)
	$(Q)$(BPFTOOL) gen object $$@ $$^
$(B)/gen/$(1).skel.h: $(B)/bpf/$(1).linked.o
	$$(call msg,SKEL,$$@)
	$(Q)mkdir -p $$(@D)
	$(Q)$(BPFTOOL) gen skeleton $$< name kb_$(1)_bpf > $$@
endef
$(foreach p,$(BPF_PROGRAMS),$(eval $(call bpf_program,$(p))))

# ---------------------------------------------------------------- user space

$(B)/gen/embed/%.h: user/format/%
	$(call msg,EMBED,$<)
	$(Q)mkdir -p $(@D)
	$(Q)od -An -v -tx1 $< | sed -e 's/ \([0-9a-f][0-9a-f]\)/0x\1,/g' > $@

.SECONDARY: $(PROTO_C) $(PROTO_HDR)
$(B)/gen/%.pb-c.c $(B)/gen/%.pb-c.h: user/format/%.proto
	$(call msg,PROTO,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(PROTOC_C) --c_out=$(B)/gen -Iuser/format $<

$(B)/obj/gen/%.o: $(B)/gen/%.c
	$(call msg,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -c $< -o $@

$(B)/obj/%.o: %.c | $(BPF_SKEL) $(EMBED_HDR) $(PROTO_HDR)
	$(call msg,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -MMD -MP -c $< -o $@

$(B)/libkeelback.a: $(LIB_OBJ)
	$(call msg,AR,$@)
	$(Q)rm -f $@; ar rcs $@ $^

# For tests: parts of the live view that need no terminal.
$(B)/libtui.a: $(TUI_OBJ)
	$(call msg,AR,$@)
	$(Q)rm -f $@; ar rcs $@ $^

$(B)/libkeelback.so: $(LIB_OBJ) include/libkeelback.map
	$(call msg,LD,$@)
	$(Q)$(CC) -shared -Wl,-soname,libkeelback.so.$(SOVERSION) -Wl,--version-script=include/libkeelback.map \
		$(LDFLAGS_ALL) $(LIB_OBJ) -o $@ $(PKG_LIBS) $(OTHER_LIBS)
	$(Q)ln -sf libkeelback.so $@.$(SOVERSION)

$(B)/keelback: $(CLI_OBJ) $(B)/libkeelback.a
	$(call msg,LD,$@)
	$(Q)$(CC) $(LDFLAGS_ALL) $(CLI_OBJ) $(B)/libkeelback.a -o $@ $(PKG_LIBS) $(TUI_LIBS) $(OTHER_LIBS)

$(B)/keelback.pc: include/keelback.pc.in Makefile
	$(Q)sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(LIBDIR)|' -e 's|@INCDIR@|$(INCDIR)|' \
		-e 's|@VERSION@|$(VERSION)|' -e 's|@PKGS@|$(PKGS)|' $< > $@

# Tests link the archive: they see the inside.
$(B)/tests/%: tests/%.c $(B)/libkeelback.a $(B)/libtui.a
	$(call msg,TEST,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS_ALL) -Itests -Ibpf $(CFLAGS_ALL) -MMD -MP $< -o $@ $(LDFLAGS_ALL) \
		$(B)/libtui.a $(B)/libkeelback.a -lcmocka $(PKG_LIBS) $(TUI_LIBS) $(OTHER_LIBS)

# Examples see only what is installed.
$(B)/examples/%: examples/%.c $(B)/libkeelback.so
	$(call msg,EXAMPLE,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 -g -Wall -Wextra -Werror -Iinclude $(SAN_FLAGS) $< -o $@ -L$(B) -lkeelback -Wl,-rpath,$(abspath $(B))

$(B)/fuzz/%: tests/fuzz/%.c $(LIB_SRC) $(PROTO_C) | $(BPF_SKEL) $(EMBED_HDR)
	$(call msg,FUZZ,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(CPPFLAGS_ALL) -std=gnu11 -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined \
		$< $(LIB_SRC) $(PROTO_C) -o $@ $(PKG_LIBS) $(OTHER_LIBS)

-include $(LIB_OBJ:.o=.d) $(CLI_OBJ:.o=.d) $(UNIT_BIN:=.d) $(HOST_BPF_BIN:=.d) $(KERNEL_BPF_BIN:=.d) $(BENCH_BIN:=.d) $(TOOLS_BIN:=.d)

# ---------------------------------------------------------------- checks

include scripts/check.mk

# ---------------------------------------------------------------- install

install: build ## Install program, library, headers and man pages (PREFIX, DESTDIR)
	install -d $(DESTDIR)$(BINDIR) $(DESTDIR)$(LIBDIR)/pkgconfig $(DESTDIR)$(INCDIR)/keelback $(DESTDIR)$(MANDIR)/man1
	install -m 755 $(B)/keelback $(DESTDIR)$(BINDIR)/keelback
	install -m 755 $(B)/libkeelback.so $(DESTDIR)$(LIBDIR)/libkeelback.so.$(VERSION)
	ln -sf libkeelback.so.$(VERSION) $(DESTDIR)$(LIBDIR)/libkeelback.so.$(SOVERSION)
	ln -sf libkeelback.so.$(SOVERSION) $(DESTDIR)$(LIBDIR)/libkeelback.so
	install -m 644 $(B)/libkeelback.a $(DESTDIR)$(LIBDIR)/libkeelback.a
	install -m 644 include/keelback/*.h $(DESTDIR)$(INCDIR)/keelback/
	install -m 644 $(B)/keelback.pc $(DESTDIR)$(LIBDIR)/pkgconfig/keelback.pc
	install -m 644 docs/man/*.1 $(DESTDIR)$(MANDIR)/man1/
	install -d $(DESTDIR)$(DATADIR)/bash-completion/completions $(DESTDIR)$(DATADIR)/doc/keelback
	install -m 644 scripts/completion/keelback.bash $(DESTDIR)$(DATADIR)/bash-completion/completions/keelback
	install -m 644 LICENSE LICENSES/* README.md $(DESTDIR)$(DATADIR)/doc/keelback/

clean: ## Remove build/
	rm -rf build
