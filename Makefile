# make            build everything into build/
# make demo       install what is missing, build, and show several processes doing one operation
# make check      install what the tests need, and run them
# make asan       the same tests under AddressSanitizer and UndefinedBehaviorSanitizer
# make delays     the same tests with commands of which some calls, at random, take longer: DELAYS (8) in a thousand
# make browser    the page of dpl-serve in Chromium; make pictures: those of docs/, made anew
# make lint       warnings as errors in gcc and clang, manual pages, scripts, layers
# make faults     every system call of every changing command goes wrong, one in FAULTS_ONE_IN of them
# make soak       32 processes killed at random for SECONDS (60), by SEED (1), then the invariants
# make power      power cuts on ext4, xfs and btrfs, POWER_CUTS (20) of each; alone on the machine
# make planted    bugs that are put in must each be caught by the test that is named for them
# make fuzz       each parser under libFuzzer, FUZZ_SECONDS each
# make bench      measure against other tools (docs/benchmarks.md); make bench-serve, bench-page: dpl-serve or its page alone
# make install    PREFIX=/usr/local, DESTDIR=

VERSION := $(shell sed -n 's/.*define DPL_VERSION "\(.*\)"/\1/p' lib/version.h)
PREFIX  ?= /usr/local
BUILD   ?= build
CC      ?= cc

bindir     = $(PREFIX)/bin
libdir     = $(PREFIX)/lib
includedir = $(PREFIX)/include
mandir     = $(PREFIX)/share/man
docdir     = $(PREFIX)/share/doc/dpl
unitdir    = $(PREFIX)/lib/systemd

# Commands are static musl programs where that compiler is there: they start in a third of the time.
# It sees jsmn.h and linux/*.h behind its own headers.
MULTIARCH := $(shell $(CC) -print-multiarch 2>/dev/null)
ifneq ($(shell command -v musl-gcc 2>/dev/null),)
CMD_CC      ?= musl-gcc -idirafter /usr/include -idirafter /usr/include/$(MULTIARCH)
# Two segments instead of four, and no unwind tables: fewer mappings and page faults at every start.
CMD_LDFLAGS ?= -static -no-pie -s -Wl,--gc-sections,-z,noseparate-code,-z,norelro,--build-id=none
CMD_HEAP    ?= lib/heap.c
CMD_CFLAGS  ?= -O2 -fno-pie -ffunction-sections -fdata-sections -fno-asynchronous-unwind-tables
else
CMD_CC      ?= $(CC)
CMD_CFLAGS  ?= -O2 -ffunction-sections -fdata-sections
CMD_LDFLAGS ?= -s -Wl,--gc-sections
endif

WARN     = -Wall -Wextra -Wpedantic -Wshadow -Werror
CPPFLAGS += -D_GNU_SOURCE -Ilib -I$(BUILD)
CFLAGS   ?= -O2 -g
FUZZ_SECONDS ?= 20
FAULTS_ONE_IN ?= 1
# banned.h turns the functions that we never use into errors.
STD      = -std=c11 $(WARN) -MMD -MP -include lib/banned.h

# What only the commands use; heap.c replaces malloc in the static ones.
FACE     = arrive bars board cli cli_call cli_calls cli_keeper cli_left cli_run cli_sync detach explain outline overview phrase picture reader render svg timeline trail until
LIB_SRC  = $(filter-out $(FACE:%=lib/%.c) lib/heap.c,$(wildcard lib/*.c))
CLI_SRC  = $(filter-out lib/dpl.c lib/heap.c,$(wildcard lib/*.c)) $(CMD_HEAP)
# Commands that speak HTTP need libraries: ordinary programs of $(CC), left out where these are not installed.
have     = $(shell pkg-config --exists '$(1)' 2>/dev/null && echo yes)
NET_ALL  = dpl-discover dpl-remote-http dpl-serve
NET      = $(if $(call have,libcurl >= 7.87),dpl-discover dpl-remote-http) $(if $(call have,openssl >= 3),dpl-serve)
FILE_TOOLS = $(filter-out $(NET_ALL),$(patsubst cmd/%.c,%,$(wildcard cmd/*.c)))
TOOLS    = $(sort $(FILE_TOOLS) $(NET))
UNITS    = $(patsubst tests/unit/%.c,$(BUILD)/unit/%,$(wildcard tests/unit/test_*.c))
PAGES    = $(wildcard man/*.[1-9])

BIN      = $(TOOLS:%=$(BUILD)/bin/%)
CLI_OBJ  = $(CLI_SRC:lib/%.c=$(BUILD)/cmd/%.o)
LIB_OBJ  = $(LIB_SRC:lib/%.c=$(BUILD)/lib/%.o)
# The rooms of the HTTP server, which nothing else is linked with.
SERVE_SRC = $(wildcard lib/serve/*.c)
SERVE_OBJ = $(SERVE_SRC:lib/serve/%.c=$(BUILD)/serve/%.o)
# What commands that speak HTTP need of the library: all but what is public, and the face that they have.
NET_OBJ  = $(filter-out $(BUILD)/lib/dpl.o,$(LIB_OBJ)) $(BUILD)/lib/cli.o $(BUILD)/lib/render.o

REMOTE_OBJ = $(patsubst lib/%.c,$(BUILD)/lib/%.o,$(wildcard lib/remote/*.c))
NET_LDFLAGS ?= -s -Wl,--gc-sections

all: $(BIN) $(BUILD)/libdpl.a $(if $(filter-out $(NET),$(NET_ALL)),net-left-out)

# --- commands ---

$(BUILD)/bin/%: $(BUILD)/cmd/tool/%.o $(BUILD)/libcli.a
	@mkdir -p $(@D)
	$(CMD_CC) $(CMD_CFLAGS) $(CMD_LDFLAGS) -o $@ $(filter %.o,$^) $(filter %.a,$^)

$(BUILD)/bin/dpl-serve: $(BUILD)/net/dpl-serve.o $(SERVE_OBJ) $(NET_OBJ)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(NET_LDFLAGS) -pthread -o $@ $^ $(shell pkg-config --libs openssl)

$(BUILD)/bin/dpl-remote-http $(BUILD)/bin/dpl-discover: $(BUILD)/bin/%: $(BUILD)/net/%.o $(REMOTE_OBJ) $(NET_OBJ)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(NET_LDFLAGS) -o $@ $^ $(shell pkg-config --libs libcurl)

$(BUILD)/net/%.o: cmd/%.c
	@mkdir -p $(@D)
	$(CC) $(STD) $(CPPFLAGS) -Ilib/serve $(CFLAGS) -c -o $@ $<

net-left-out:
	@echo 'make: left out: $(filter-out $(NET),$(NET_ALL)), for want of libcurl (libcurl4-openssl-dev) or OpenSSL (libssl-dev)'

$(BUILD)/serve/route.o: $(BUILD)/openapi.h $(BUILD)/page.h

$(BUILD)/openapi.h: lib/serve/openapi.json scripts/embed-bytes
	@mkdir -p $(@D)
	scripts/embed-bytes openapi lib/serve/openapi.json > $@

$(BUILD)/page.h: scripts/embed-page $(wildcard web/*)
	@mkdir -p $(@D)
	scripts/embed-page web/index.html > $@

# The simulator's rooms, and the scenarios that it brings.
SIM_OBJ  = $(patsubst lib/sim/%.c,$(BUILD)/cmd/sim/%.o,$(wildcard lib/sim/*.c))
$(BUILD)/bin/dpl-sim: $(SIM_OBJ)

$(BUILD)/cmd/sim/%.o: lib/sim/%.c
	@mkdir -p $(@D)
	$(CMD_CC) $(STD) $(CPPFLAGS) -Ilib/sim $(CMD_CFLAGS) -c -o $@ $<

$(BUILD)/cmd/tool/dpl-sim.o: private CPPFLAGS += -Ilib/sim
$(BUILD)/cmd/tool/dpl-sim.o: $(BUILD)/scenarios.h
$(BUILD)/scenarios.h: scripts/embed-scenarios $(wildcard lib/sim/scenarios/*.scenario)
	@mkdir -p $(@D)
	scripts/embed-scenarios $(sort $(wildcard lib/sim/scenarios/*.scenario)) > $@

$(BUILD)/libcli.a: $(CLI_OBJ)
	@rm -f $@
	$(AR) rcs $@ $^

$(BUILD)/cmd/tool/%.o: cmd/%.c
	@mkdir -p $(@D)
	$(CMD_CC) $(STD) $(CPPFLAGS) $(CMD_CFLAGS) -c -o $@ $<

$(BUILD)/cmd/%.o: lib/%.c
	@mkdir -p $(@D)
	$(CMD_CC) $(STD) $(CPPFLAGS) $(CMD_CFLAGS) -c -o $@ $<

# What dpl(1) knows: the first line of each command, and the guide for agents.
$(BUILD)/cmd/tool/dpl.o: $(BUILD)/tools.h $(BUILD)/agents.h

# Helpers are nothing that anybody types.
LISTED   = $(sort $(filter-out cmd/dpl-remote-%,$(TOOLS:%=cmd/%.c)))

$(BUILD)/tools.h: $(LISTED) scripts/list-tools
	@mkdir -p $(@D)
	scripts/list-tools $(LISTED) > $@

$(BUILD)/agents.h: man/agents.txt scripts/embed-text
	@mkdir -p $(@D)
	scripts/embed-text agents_guide man/agents.txt > $@

# --- the library: one object in which only the names of dpl.h are global ---

$(BUILD)/lib/%.o: lib/%.c
	@mkdir -p $(@D)
	$(CC) $(STD) $(CPPFLAGS) $(CFLAGS) -fPIC -fvisibility=hidden -c -o $@ $<

$(BUILD)/libdpl.a: $(LIB_OBJ)
	$(LD) -r -o $(BUILD)/libdpl.o $^
	objcopy --localize-hidden $(BUILD)/libdpl.o
	@rm -f $@
	$(AR) rcs $@ $(BUILD)/libdpl.o

# --- the server ---

$(BUILD)/serve/%.o: lib/serve/%.c
	@mkdir -p $(@D)
	$(CC) $(STD) $(CPPFLAGS) -Ilib/serve $(CFLAGS) -c -o $@ $<

# --- tests ---

$(BUILD)/unit/%: tests/unit/%.c tests/unit/unit.h $(LIB_OBJ)
	@mkdir -p $(@D)
	$(CC) $(STD) $(CPPFLAGS) -Itests/unit $(CFLAGS) -o $@ $(filter %.c %.o,$^)

$(BUILD)/unit/test_http: private CPPFLAGS += -Ilib/serve
$(BUILD)/unit/test_http: $(BUILD)/serve/http.o
$(BUILD)/unit/test_timeline: $(addprefix $(BUILD)/lib/,bars.o outline.o picture.o render.o svg.o timeline.o)

$(BUILD)/unit/test_scenario: private CPPFLAGS += -Ilib/sim
$(BUILD)/unit/test_scenario: lib/sim/line.c lib/sim/scenario.c

$(BUILD)/tools/%: tests/tools/%.c
	@mkdir -p $(@D)
	$(CC) $(STD) $(CPPFLAGS) $(CFLAGS) -o $@ $(filter %.c %.o,$^)

$(BUILD)/tools/beatfile $(BUILD)/tools/removing: $(LIB_OBJ)
$(BUILD)/tools/faultat: tests/faults/inject.c
$(BUILD)/tools/faults: $(wildcard tests/faults/*.c) $(LIB_OBJ)
$(BUILD)/tools/soak: tests/soak/check.c $(LIB_OBJ)
$(BUILD)/tools/power: $(LIB_OBJ)

# The commands once more, with a wall clock that a test can set.
STEPPED = $(FILE_TOOLS:%=$(BUILD)/tools/stepped/%)
$(STEPPED): $(BUILD)/tools/stepped/%: $(BUILD)/cmd/tool/%.o $(BUILD)/cmd/stepped.o $(BUILD)/libcli.a
	@mkdir -p $(@D)
	$(CMD_CC) $(CMD_CFLAGS) $(CMD_LDFLAGS) -Wl,--wrap=clock_gettime,--wrap=syscall,--wrap=time -o $@ $(filter %.o,$^) $(filter %.a,$^)

$(BUILD)/tools/stepped/dpl-sim: $(SIM_OBJ)

$(BUILD)/cmd/stepped.o: tests/tools/stepped.c
	@mkdir -p $(@D)
	$(CMD_CC) $(STD) $(CPPFLAGS) $(CMD_CFLAGS) -c -o $@ $<

TEST_TOOLS = $(patsubst tests/tools/%.c,$(BUILD)/tools/%,$(filter-out %/delays.c %/stepped.c,$(wildcard tests/tools/*.c))) $(STEPPED)

units: $(UNITS)
test-tools: $(TEST_TOOLS)

demo:
	scripts/need demo
	@$(MAKE) --no-print-directory all
	PATH="$(abspath $(BUILD))/bin:$$PATH" examples/build-farm.sh
	PATH="$(abspath $(BUILD))/bin:$$PATH" examples/who-is-alive.sh
	PATH="$(abspath $(BUILD))/bin:$$PATH" examples/after-a-crash.sh
	"$(abspath $(BUILD))/bin/dpl-sim" run --scale 0.1 bridge_crash_during_copilot

# What is built for the tests is built by all processors, unless -j says otherwise.
AT_ONCE = $(if $(filter -j%,$(MAKEFLAGS)),,-j$(shell nproc))

check:
	scripts/need check
	@$(MAKE) --no-print-directory $(AT_ONCE) all units test-tools
	BUILD=$(BUILD) tests/run

# Debian's musl has no sanitizers, so the commands are built as glibc programs here.
SAN = -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -g -O1
asan:
	scripts/need check
	@$(MAKE) --no-print-directory BUILD=build-asan CMD_CC="$(CC)" CMD_CFLAGS="$(SAN)" CMD_LDFLAGS= CMD_HEAP= NET_LDFLAGS= CFLAGS="$(SAN)" $(AT_ONCE) all units test-tools
	BUILD=build-asan SANITIZED=1 tests/run

DELAYS ?= 8
DELAYED = close connect fcntl fdatasync flock fork fsync ftruncate kill linkat mkdirat open openat pipe2 poll pread read recv renameat send setpgid \
	unlinkat wait4 waitid waitpid write
delays:
	scripts/need check
	@mkdir -p build-delays
	$(CMD_CC) $(STD) $(CPPFLAGS) $(CMD_CFLAGS) -c -o build-delays/command.o tests/tools/delays.c
	$(CC) $(STD) $(CPPFLAGS) $(CFLAGS) -c -o build-delays/net.o tests/tools/delays.c
	@$(MAKE) --no-print-directory BUILD=build-delays CMD_LDFLAGS="$(CMD_LDFLAGS) $(DELAYED:%=-Wl,--wrap=%) build-delays/command.o" \
		NET_LDFLAGS="$(NET_LDFLAGS) $(DELAYED:%=-Wl,--wrap=%) build-delays/net.o" $(AT_ONCE) all units test-tools
	BUILD=build-delays DELAYS=$(DELAYS) tests/run

browser:
	scripts/need browser
	@$(MAKE) --no-print-directory all
	BUILD=$(BUILD) tests/browser/run

pictures:
	scripts/need browser
	@$(MAKE) --no-print-directory all
	BUILD=$(BUILD) tests/browser/run pictures.mjs

# An hour and more for all of them.
faults:
	scripts/need check
	@$(MAKE) --no-print-directory all test-tools
	$(BUILD)/tools/faults -j 2 -f $(FAULTS_ONE_IN)

SECONDS ?= 60
SEED    ?= 1
soak:
	scripts/need check
	@$(MAKE) --no-print-directory all test-tools
	BUILD=$(BUILD) SOAK_SECONDS=$(SECONDS) SOAK_SEED=$(SEED) tests/run tests/soak.bats

POWER_CUTS ?= 20
power:
	scripts/need check
	@$(MAKE) --no-print-directory all test-tools
	POWER_CUTS=$(POWER_CUTS) BUILD=$(abspath $(BUILD)) bats tests/power.bats

planted:
	scripts/need check
	scripts/planted

lint:
	scripts/need lint
	scripts/lint

bench: all
	scripts/need bench
	BUILD=$(BUILD) scripts/bench

bench-serve: all
	scripts/need bench
	BUILD=$(BUILD) scripts/bench serve

bench-page: all
	scripts/need browser
	BUILD=$(BUILD) tests/browser/run measure.mjs

# Each parser under libFuzzer, from the corpus in the tree; what it finds beyond that stays in build-fuzz/.
FUZZERS = $(patsubst tests/fuzz/%.c,build-fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
fuzz:
	scripts/need fuzz
	@$(MAKE) --no-print-directory $(FUZZERS)
	for f in $(FUZZERS); do \
		mkdir -p build-fuzz/corpus/$${f##*/} && \
		$$f -max_total_time=$(FUZZ_SECONDS) -max_len=4096 -print_final_stats=1 build-fuzz/corpus/$${f##*/} tests/fuzz/corpus/$${f##*_} || exit 1; \
	done

build-fuzz/%: tests/fuzz/%.c $(LIB_SRC)
	@mkdir -p $(@D)
	clang -std=c11 $(WARN) $(CPPFLAGS) -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -o $@ $(filter %.c,$^)

build-fuzz/fuzz_http: private CPPFLAGS += -Ilib/serve
build-fuzz/fuzz_http: lib/serve/http.c
build-fuzz/fuzz_scenario: private CPPFLAGS += -Ilib/sim
build-fuzz/fuzz_scenario: lib/sim/line.c lib/sim/scenario.c

# --- install ---

install: all
	install -d $(DESTDIR)$(bindir) $(DESTDIR)$(libdir)/pkgconfig $(DESTDIR)$(includedir) $(DESTDIR)$(docdir)
	install -m 755 $(BIN) $(DESTDIR)$(bindir)
	install -m 644 $(BUILD)/libdpl.a $(DESTDIR)$(libdir)
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@VERSION@|$(VERSION)|' scripts/dpl.pc.in > $(DESTDIR)$(libdir)/pkgconfig/dpl.pc
	chmod 644 $(DESTDIR)$(libdir)/pkgconfig/dpl.pc
	install -m 644 lib/dpl.h $(DESTDIR)$(includedir)
	for p in $(PAGES); do d=$(DESTDIR)$(mandir)/man$${p##*.}; install -d $$d && install -m 644 $$p $$d || exit 1; done
	install -m 644 README.md NEWS.md LICENSE man/agents.txt scripts/dpl-cleanup.cron $(DESTDIR)$(docdir)
	for k in system user; do \
		d=$(DESTDIR)$(unitdir)/$$k; f=scripts/systemd/dpl-cleanup; \
		[ $$k = system ] || f=$$f-user; \
		install -d $$d && install -m 644 scripts/systemd/dpl-cleanup@.timer $$d && \
		sed 's|@PREFIX@|$(PREFIX)|' $$f@.service.in > $$d/dpl-cleanup@.service && chmod 644 $$d/dpl-cleanup@.service || exit 1; \
	done
	sed 's|@PREFIX@|$(PREFIX)|' scripts/systemd/dpl-serve@.service.in > $(DESTDIR)$(unitdir)/system/dpl-serve@.service
	chmod 644 $(DESTDIR)$(unitdir)/system/dpl-serve@.service
	install -d $(DESTDIR)$(PREFIX)/share/bash-completion/completions $(DESTDIR)$(PREFIX)/share/zsh/site-functions $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d
	install -m 644 scripts/completions/dpl.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/dpl
	for t in $(filter-out dpl dpl-remote-%,$(TOOLS)); do ln -sf dpl $(DESTDIR)$(PREFIX)/share/bash-completion/completions/$$t || exit 1; done
	install -m 644 scripts/completions/_dpl $(DESTDIR)$(PREFIX)/share/zsh/site-functions
	install -m 644 scripts/completions/dpl.fish $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d
	for t in $(filter-out dpl dpl-remote-%,$(TOOLS)); do ln -sf dpl.fish $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/$$t.fish || exit 1; done

uninstall:
	rm -f $(TOOLS:%=$(DESTDIR)$(bindir)/%) $(DESTDIR)$(libdir)/libdpl.a $(DESTDIR)$(libdir)/pkgconfig/dpl.pc $(DESTDIR)$(includedir)/dpl.h
	for p in $(PAGES); do rm -f $(DESTDIR)$(mandir)/man$${p##*.}/$${p##*/}; done
	rm -rf $(DESTDIR)$(docdir)
	rm -f $(DESTDIR)$(unitdir)/system/dpl-serve@.service
	for k in system user; do rm -f $(DESTDIR)$(unitdir)/$$k/dpl-cleanup@.service $(DESTDIR)$(unitdir)/$$k/dpl-cleanup@.timer; done
	rm -f $(TOOLS:%=$(DESTDIR)$(PREFIX)/share/bash-completion/completions/%) $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_dpl $(TOOLS:%=$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/%.fish)

dist:
	mkdir -p $(BUILD)
	git archive --format=tar --prefix=dpl-$(VERSION)/ HEAD | gzip -n > $(BUILD)/dpl-$(VERSION).tar.gz
	@echo $(BUILD)/dpl-$(VERSION).tar.gz

clean:
	rm -rf build build-*

.PHONY: all asan bench bench-page bench-serve browser check clean delays demo dist faults fuzz install lint net-left-out pictures planted power soak test-tools uninstall units
.DELETE_ON_ERROR:
.SECONDARY:

-include $(wildcard $(BUILD)/cmd/*.d $(BUILD)/cmd/sim/*.d $(BUILD)/cmd/tool/*.d $(BUILD)/lib/*.d $(BUILD)/lib/remote/*.d $(BUILD)/serve/*.d $(BUILD)/net/*.d $(BUILD)/unit/*.d)
