# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# What `make check`, `make bench`, `make demo` and `make fuzz` do. Included by the Makefile.

# `make check K=pattern` runs the functional tests whose name holds the pattern.
K ?=
FUZZ_SECONDS ?= 30
CROSS ?= aarch64-linux-gnu-
# Under sanitizers: every path of the program, on one interpreter of each kind of layout.
SANITIZE_CASES ?= test_cli|test_formats|test_flamegraph|test_diff|test_heatmap|test_sample|test_dump|test_audit|test_stats|test_census|test_refs
SANITIZE_PYTHONS ?= 3.8 3.12 3.15

check: ## All tests on every Python of the matrix (as root; installs what is missing)
	$(Q)scripts/deps.sh all
	$(Q)scripts/python-matrix.sh make
	$(Q)scripts/python-matrix.sh check
	$(Q)$(MAKE) --no-print-directory build
	$(Q)scripts/check.sh

check-static: ## Layers, sizes, text, formatting
	$(Q)scripts/check_layers.py
	$(Q)scripts/check_sizes.py
	$(Q)scripts/check_text.sh
	$(Q)scripts/check_format.sh

BPF_LINKED := $(BPF_PROGRAMS:%=$(B)/bpf/%.linked.o)
check-unit: $(UNIT_BIN) $(HOST_BPF_BIN) $(BPF_LINKED) ## Unit tests and the walker over recorded memory (no root needed)
	$(Q)scripts/check_bpf_stack.py $(BPF_LINKED)
	$(Q)scripts/run_cmocka.sh $(UNIT_BIN) $(HOST_BPF_BIN)
	$(Q)$(PYTHON) -B -m unittest discover -q -s tests/unit

check-kernel: $(KERNEL_BPF_BIN) ## BPF programs in the running kernel (as root)
	$(Q)scripts/run_cmocka.sh $(KERNEL_BPF_BIN)

# Not a part of `check`: the machine is emulated, which takes some minutes.
check-vm: build $(B)/tests/kernel_bpf/test_load ## On Debian's own kernel, in a virtual machine (as root, some minutes); K=pattern
	$(Q)$(PYTHON) -B tests/vm/run.py --build $(B) --python $(PYTHON) $(if $(K),-k '$(K)')

check-functional: build tools $(EXAMPLE_BIN) ## The program on real interpreters, containers and files (as root); K=pattern
	$(Q)$(PYTHON) -B tests/functional/run.py --keelback $(B)/keelback $(if $(K),-k '$(K)')

check-sanitize: ## Unit, walker and core functional tests under address and undefined-behaviour sanitizers
	$(Q)$(MAKE) --no-print-directory SANITIZE=1 check-unit
	$(Q)$(MAKE) --no-print-directory SANITIZE=1 build tools
	$(Q)KEELBACK_TOOLS=build/sanitize/tests/tools $(PYTHON) -B tests/functional/run.py \
		--keelback build/sanitize/keelback -k '$(SANITIZE_CASES)' $(addprefix --python ,$(SANITIZE_PYTHONS))

.PHONY: tools check-kernel check-vm
tools: $(TOOLS_BIN)

# Compiled, not run: library headers come from this machine's packages, libc's from the cross compiler.
ARM64_OBJ := $(patsubst %.c,build/arm64/%.o,$(LIB_SRC) $(CLI_SRC))
ARM64_BPF := $(patsubst %.bpf.c,build/arm64/bpf/%.o,$(BPF_ALL_SRC))
check-arm64: $(ARM64_BPF) $(ARM64_OBJ) ## BPF objects and user space compile for arm64
	@echo "arm64: $(words $(ARM64_BPF)) BPF objects and $(words $(ARM64_OBJ)) files compiled"

build/arm64/bpf/%.o: %.bpf.c $(BPF_HDR)
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(call bpf_flags,arm64) -c $< -o $@

build/arm64/gen/%.skel.h: $(ARM64_BPF)
	$(Q)mkdir -p $(@D)
	$(Q)$(BPFTOOL) gen object build/arm64/bpf/$*.linked.o $(patsubst %.bpf.c,build/arm64/bpf/%.o,$(BPF_SRC_$*))
	$(Q)$(LLVM_STRIP) -g build/arm64/bpf/$*.linked.o
	$(Q)$(BPFTOOL) gen skeleton build/arm64/bpf/$*.linked.o name kb_$*_bpf > $@

build/arm64/%.o: %.c | $(BPF_PROGRAMS:%=build/arm64/gen/%.skel.h) $(EMBED_HDR) $(PROTO_HDR)
	$(call msg,CC-arm64,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CROSS)gcc -D_GNU_SOURCE -DKB_VERSION='"$(VERSION)"' -I. -Iinclude -Iuser -Ibuild/arm64/gen -Ibuild/arm64 -I$(B)/gen \
		-idirafter /usr/include -std=gnu11 $(OPT) $(WARN) -c $< -o $@

bench: build $(BENCH_BIN) ## Benchmarks beside profiling.sampling and austin; writes docs/BENCHMARKS.md (as root; QUICK=1, ONLY="calls audit")
	$(Q)scripts/deps.sh all
	$(Q)scripts/python-matrix.sh make
	$(Q)$(PYTHON) -B tests/bench/run.py --build $(B) $(if $(QUICK),--quick) $(ONLY)

soak: build ## keelback faults and audit for SOAK_MINUTES (10) at load: constant memory, all accounted for (as root)
	$(Q)$(PYTHON) -B tests/bench/soak.py --keelback $(B)/keelback --minutes $(or $(SOAK_MINUTES),10)

demo: ## Dependencies, build, and a profile of a real program (as root)
	$(Q)scripts/deps.sh build
	$(Q)$(MAKE) --no-print-directory build
	$(Q)scripts/demo.sh $(B)

fuzz: $(FUZZ_BIN) ## Fuzz the readers of hostile input; FUZZ_SECONDS each
	$(Q)for f in $(FUZZ_BIN); do n=$$(basename $$f) && mkdir -p build/corpus/$$n && \
		$(PYTHON) -B tests/fuzz/make_seeds.py $${n#fuzz_} build/corpus/$$n && \
		$$f -max_total_time=$(FUZZ_SECONDS) -print_final_stats=1 build/corpus/$$(basename $$f) || exit 1; done
