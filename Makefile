# Makefile - a thin front of the CMake presets; `make help` lists it. ./dev installs what these need first.
BUILD   := build
PREFIX  ?= /usr/local
ARGS    ?=
TESTS   ?= .
SECONDS ?= 600
export DESTDIR

# ThreadSanitizer and AddressSanitizer want the addresses where they expect them; not every kernel or container obliges.
FIXED := $(shell setarch -R true 2>/dev/null && echo setarch -R)
# Debian's redis-tools holds the server too, under the name of its file checker: no service needs to be installed.
RIVALS = $(BUILD)/rivals
PATH  := $(abspath $(RIVALS)):$(PATH)
export PATH

.DEFAULT_GOAL := build
.PHONY: build serve test bench versus count soak fuzz install format lint clean help configure-tests rivals npm

build: $(BUILD)/build.ninja ## the program: build/weir, and the library
	cmake --build $(BUILD) --target weir weir_shared weir_static

serve: build ## build, then run `weir serve`; ARGS='--cores 2 --redis-port 6380'
	@exec $(BUILD)/weir serve $(ARGS)

test: configure-tests rivals npm ## all tests, then under sanitizers; TESTS=regex for some
	cmake --build $(BUILD)
	ctest --preset release -R '$(TESTS)'
	cmake --preset asan && cmake --build --preset asan
	$(FIXED) ctest --preset asan -R '$(TESTS)'
	cmake --preset tsan && cmake --build --preset tsan
	$(FIXED) ctest --preset tsan -R '$(TESTS)'

bench: rivals ## the numbers: micro-benchmarks, with rivals in the same run
	cmake --preset bench && cmake --build $(BUILD)
	bench/run $(ARGS)

versus: rivals ## the budgets: ratios against the best of each field
	cmake --preset bench && cmake --build $(BUILD)
	bench/versus $(ARGS)

count: rivals ## instructions an operation, by callgrind; fails 2 % above the committed baseline
	cmake --preset bench && cmake --build $(BUILD)
	bench/count $(ARGS)

soak: configure-tests rivals ## a long run under load; SECONDS=600
	cmake --build $(BUILD)
	SECONDS=$(SECONDS) tests/soak/run $(SECONDS)

fuzz: configure-tests ## each codec under libFuzzer for SECONDS=600; what it finds is in build/tests
	cmake --build $(BUILD)
	@for program in $(BUILD)/tests/*.fuzz; do \
		name=$$(basename $$program .fuzz) && mkdir -p $(BUILD)/tests/$$name.found && \
		$$program -max_total_time=$(SECONDS) -timeout=10 -print_final_stats=1 \
			-artifact_prefix=$(BUILD)/tests/$$name.found/ $(BUILD)/tests/$$name.found \
			tests/$$(echo $${name%.*} | tr . /)/corpus || exit 1; done

install: build ## library, headers, program, pages; PREFIX=/usr/local DESTDIR=
	cmake -DCMAKE_INSTALL_PREFIX='$(PREFIX)' $(BUILD)
	cmake --install $(BUILD)

format: ## clang-format over every source
	git ls-files '*.c' '*.h' '*.cc' | xargs clang-format -i

lint: configure-tests ## clang-tidy over every source; no warning is let through
	git ls-files '*.c' | grep -v -e _model -e _fuzz -e ^bench/ -e ^tests/install/ | xargs -n 1 -P 2 clang-tidy --quiet -p $(BUILD)

clean: ## forget everything built
	rm -rf $(BUILD)

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /  \1\t/p' $(firstword $(MAKEFILE_LIST)) | expand -t 12

$(BUILD)/build.ninja:
	cmake --preset release

configure-tests:
	cmake --preset test

rivals:
	@mkdir -p $(RIVALS)
	@command -v redis-server >/dev/null || ! command -v redis-check-rdb >/dev/null || \
		ln -sf "$$(command -v redis-check-rdb)" $(RIVALS)/redis-server

# The unmodified clients some tests and examples drive. Those tests skip themselves where this could not install them.
npm: $(patsubst %package.json,%node_modules/.package-lock.json,$(wildcard examples/*/package.json tests/*/package.json tests/*/*/package.json))

%/node_modules/.package-lock.json: %/package.json
	@cd $(@D)/.. && npm install --no-audit --no-fund --no-package-lock --loglevel=error && touch node_modules/.package-lock.json || \
		echo "npm: could not install the clients of $<"
