# weir: build, run, test
#
#   make run        install what is missing, build, start `weir demo`
#   make check      install what is missing, build, pass every test (minutes)
#
#   make            build/weir
#   make install    program, manual pages, sample file, unit, completion
#                   (DESTDIR=, PREFIX=)
#   make deb        build/weir_VERSION_ARCH.deb
#   make clean      remove build/
#   make deps       install all Debian packages used (else print the command)
#
#   make unit       tests/*/test_*.c                       (ONLY=text filters)
#   make system     tests/system: the real program, scripted peers      (ONLY=)
#   make real       tests/real: real clients and servers                (ONLY=)
#                   make check leaves out tests/real/long
#   make asan       unit and system tests with AddressSanitizer and UBSan
#   make tsan       those of unit and system that have threads, with
#                   ThreadSanitizer
#   make fuzz       each target of tests/fuzz for FUZZ_SECONDS=30 (clang)
#   make soak       mixed load, faults and reloads for SOAK_MINUTES=20
#   make bench      what is in tests/bench
#   make layers     does every #include follow the order of the folders?
#   make lint       clang-tidy and cppcheck
#
# CC, CFLAGS, CPPFLAGS and LDFLAGS are yours; JOBS=2 is for the tests.
# VARIANT=release|asan|tsan|fuzz chooses what is built, in build/VARIANT.
# With CI=true a test that lacks its server fails instead of being skipped.
#
# SPDX-License-Identifier: MIT

VERSION = 0.1.0
VARIANT ?= release
JOBS ?= 2
ONLY ?=
FUZZ_SECONDS ?= 30
SOAK_MINUTES ?= 20
PREFIX ?= /usr/local
SYSCONFDIR ?= /etc
CFLAGS ?= -O2 -g
INSTALL ?= install
ifeq ($(origin CC),default)
CC := gcc
endif

MAKEFLAGS += --no-print-directory
.SUFFIXES:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := all

OUT := build/$(VARIANT)
WEIR := $(if $(filter release,$(VARIANT)),build/weir,$(OUT)/weir)

# ------------------------------------------------------------------ compiler

# Each is used where the compiler (and linker) has it.
PROBE_release := -U_FORTIFY_SOURCE\ -D_FORTIFY_SOURCE=3 \
	-U_FORTIFY_SOURCE\ -D_FORTIFY_SOURCE=2 -fstack-protector-strong \
	-fstack-clash-protection -fcf-protection -mbranch-protection=standard \
	-ftrivial-auto-var-init=zero -fPIE\ -pie -Wl,-z,relro -Wl,-z,now \
	-Wl,-z,noexecstack -Wl,--as-needed

VARIANT_release := $(CFLAGS)
# Reports of sanitizers name lines, not variables: -g1 is enough, and a third
# less to compile and link.
VARIANT_asan := -O1 -g1 -fno-omit-frame-pointer -fsanitize=address,undefined \
	-fno-sanitize-recover=all
VARIANT_tsan := -O1 -g1 -fno-omit-frame-pointer -fsanitize=thread
VARIANT_fuzz := $(VARIANT_asan) -fsanitize=fuzzer-no-link

ifeq ($(VARIANT_$(VARIANT)),)
$(error VARIANT=$(VARIANT): expected release, asan, tsan or fuzz)
endif

WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
	-Wpointer-arith -Wwrite-strings -Werror
BASE_CFLAGS := -std=c11 -D_GNU_SOURCE -I. -DWEIR_VERSION='"$(VERSION)"' \
	-pthread $(WARNINGS)
# libev brings no .pc file; xxhash may be used inline.
LIBS := -lev $(shell pkg-config --libs libconfig libcares jansson libssl \
	libcrypto libnghttp2 libidn libseccomp ncursesw 2>/dev/null || \
	echo -lconfig -lcares -ljansson -lssl -lcrypto -lnghttp2 -lidn \
	-lseccomp -lncursesw -ltinfo) \
	-lxxhash -ldl -lm

# Found out once for each compiler; not on the way to install one.
PROBED := $(OUT)/probed-$(notdir $(firstword $(CC))).mk
LATER := deps run bench check asan tsan fuzz clean help layers lint
ifneq ($(filter-out $(LATER),$(or $(MAKECMDGOALS),all)),)
include $(PROBED)
endif

$(PROBED): Makefile
	@mkdir -p $(@D)
	@command -v $(firstword $(CC)) >/dev/null || \
		{ echo "no compiler $(firstword $(CC)): make deps" >&2; exit 1; }
	@t=$(@D)/probe; printf '%s\n' '#include <stdio.h>' \
		'int main(void) { return puts("") < 0; }' >$$t.c; \
	for f in $(PROBE_$(VARIANT)); do \
		case $$f in *FORTIFY*) ! grep -q FORTIFY $@.new ;; esac && \
		$(CC) $(CFLAGS) -Werror $$f $$t.c -o $$t 2>/dev/null && \
		echo "HARDENED += $$f"; \
	done >$@.new; mv $@.new $@; rm -f $$t $$t.c

COMPILE = $(CC) $(BASE_CFLAGS) $(VARIANT_$(VARIANT)) \
	$(filter-out -pie -Wl$(comma)%,$(HARDENED)) $(CPPFLAGS)
LINK = $(CC) -pthread $(VARIANT_$(VARIANT)) $(HARDENED) $(LDFLAGS)
comma := ,

# Files that change when their text does: objects are as old as the commands
# that make them, and what is linked as old as the list of them (a source file
# that went away takes its object along).
SETTINGS := $(OUT)/settings
LINKED := $(OUT)/linked
$(SETTINGS): TEXT = $(COMPILE) $(LINK) $(LIBS)
$(LINKED): TEXT = $(OBJECTS) $(SUPPORT)
.PHONY: FORCE
$(SETTINGS) $(LINKED): FORCE
	@mkdir -p $(@D)
	@echo $(call quote,$(TEXT)) | cmp -s - $@ || \
		echo $(call quote,$(TEXT)) >$@
quote = '$(subst ','\'',$(1))'

# ------------------------------------------------------------------- objects

SOURCES := $(wildcard net/*.c conf/*.c pool/*.c health/*.c proxy/*.c \
	proxy/*/*.c proxy/proto/*/*.c)
EMBEDDED := $(OUT)/proxy/admin/dashboard_html.o
OBJECTS := $(SOURCES:%.c=$(OUT)/%.o) $(EMBEDDED)
MAIN := $(OUT)/proxy/main.o
SUPPORT := $(patsubst %.c,$(OUT)/%.o,$(wildcard tests/support/*.c))
TESTS := $(patsubst %.c,$(OUT)/%,$(wildcard $(addsuffix /test_*.c,tests/* \
	tests/*/* tests/*/*/* tests/*/*/*/*)))
FUZZERS := $(patsubst %.c,$(OUT)/%,$(wildcard tests/fuzz/fuzz_*.c))

# ThreadSanitizer sees nothing in a test that never has a second thread.
ifeq ($(VARIANT),tsan)
THREADED := $(shell grep -lE $\
	'pthread_create|(writer|lane)_start|dns_server\.h' $(TESTS:$(OUT)/%=%.c))
TESTS := $(THREADED:%.c=$(OUT)/%)
endif

.PHONY: all tests fuzzers
all: $(WEIR)
tests: $(TESTS)
fuzzers: $(FUZZERS)

$(WEIR): $(OBJECTS) $(LINKED)
	@mkdir -p $(@D)
	$(LINK) -o $@ $(OBJECTS) $(LIBS)

$(OUT)/%.o: %.c $(SETTINGS) Makefile
	@mkdir -p $(@D)
	$(COMPILE) -MMD -MP -c -o $@ $<

# The dashboard: page.html with style and scripts in it, without the lines that
# are comments. It becomes dashboard_html[] and dashboard_html_len, which
# dashboard.h declares. As C, because `ld -r -b binary` knows neither PIE nor
# the notes that -fcf-protection needs.
PAGE := proxy/admin/dashboard
SCRIPTS := $(addprefix $(PAGE)/,tools.js chart.js trouble.js dialog.js \
	listener.js upstream.js lists.js actions.js live.js)

$(OUT)/proxy/admin/dashboard.html: $(PAGE)/page.html $(PAGE)/style.css \
		$(SCRIPTS) Makefile
	@mkdir -p $(@D)
	@sed '/^\/\*/,/\*\//d' $(PAGE)/style.css >$@.css
	@sed '/^ *\/\//d' $(SCRIPTS) >$@.js
	@sed -e '/^<!--/,/-->$$/d' -e '/@style@/{' -e 'r $@.css' -e 'd' -e '}' \
		-e '/@script@/{' -e 'r $@.js' -e 'd' -e '}' $(PAGE)/page.html >$@

$(OUT)/%_html.c: $(OUT)/%.html Makefile
	@{ echo '#include <stddef.h>'; echo '#include "$*.h"'; \
	echo 'const char $(notdir $*)_html[] = {'; \
	od -An -v -tx1 $< | sed "s/ \([0-9a-f][0-9a-f]\)/'\\\\x\1',/g"; \
	echo '0 };'; echo 'const size_t $(notdir $*)_html_len ='; \
	echo '    sizeof($(notdir $*)_html) - 1;'; } >$@

$(OUT)/%_html.o: $(OUT)/%_html.c $(SETTINGS)
	$(COMPILE) -MMD -MP -c -o $@ $<

# Tests take from archives what they need, so that one that brings its own
# version of something is not in conflict with the real one.
$(OUT)/weir.a: $(filter-out $(MAIN),$(OBJECTS)) $(LINKED)
	@rm -f $@
	@ar rcs $@ $(filter %.o,$^)

$(OUT)/support.a: $(SUPPORT) $(LINKED)
	@rm -f $@
	@ar rcs $@ $(filter %.o,$^)

$(TESTS): %: %.o $(OUT)/support.a $(OUT)/weir.a
	$(LINK) -o $@ $< $(OUT)/support.a $(OUT)/weir.a -lcmocka $(LIBS)

# Fuzzers feed parsers: no more is built for them.
$(OUT)/parsers.a: $(filter $(addprefix $(OUT)/,net/% conf/% proxy/proto/%), \
		$(OBJECTS)) $(LINKED)
	@rm -f $@
	@ar rcs $@ $(filter %.o,$^)

# Without libFuzzer a program of tests/fuzz reads the input that it is given, once.
FUZZ_MAIN := $(OUT)/tests/fuzz/replay.o
ifeq ($(VARIANT),fuzz)
FUZZ_MAIN := -fsanitize=fuzzer
endif
# What a fuzzer compares weir with is linked with that fuzzer only.
$(OUT)/tests/fuzz/fuzz_redis_reply: RIVAL := -lhiredis
# A whole lane of the program.
WHOLE := $(addprefix $(OUT)/tests/fuzz/fuzz_,h2_front http_trace pg_wire \
	upgrade_message)
$(WHOLE): RIVAL := $(OUT)/support.a $(OUT)/weir.a -lcmocka
$(WHOLE): $(OUT)/support.a $(OUT)/weir.a
$(FUZZERS): %: %.o $(filter %.o,$(FUZZ_MAIN)) $(OUT)/parsers.a
	$(LINK) -o $@ $< $(FUZZ_MAIN) $(RIVAL) $(OUT)/parsers.a $(LIBS)

.SECONDARY:
-include $(patsubst %.o,%.d,$(OBJECTS) $(SUPPORT)) $(TESTS:%=%.d) \
	$(FUZZERS:%=%.d) $(OUT)/tests/fuzz/replay.d

# --------------------------------------------------------------------- tests

# Waits of system tests are bounds; sanitizers stretch them.
SLOW_release := 1
SLOW_asan := 3
SLOW_tsan := 6
# ThreadSanitizer of gcc 12 cannot live with the address layout of newer
# kernels unless it is switched off.
AROUND_tsan := $(shell setarch -R true 2>/dev/null && echo setarch -R)
# Only these have threads to look at.
SYSTEM_tsan = $(shell grep -lE 'workers *= *2' tests/system/test_*.py)
# With PLAN=FILE they are added to what `tests/run --all FILE` runs.
RUN_TESTS = WEIR='$(CURDIR)/$(WEIR)' \
	SLOW=$(SLOW_$(VARIANT)) VARIANT=$(VARIANT) CC='$(CC)' \
	UBSAN_OPTIONS=print_stacktrace=1 TSAN_OPTIONS=second_deadlock_stack=1 \
	tests/run -j $(JOBS) $(if $(PLAN),--later $(PLAN)) --only '$(ONLY)' \
	--around '$(AROUND_$(VARIANT))' --name '$@ $(VARIANT)'

.PHONY: unit system real
unit: $(TESTS)
	@$(RUN_TESTS) $(TESTS)

system: $(WEIR)
	@$(RUN_TESTS) $(or $(SYSTEM_$(VARIANT)),tests/system)

# BRIEF=1 leaves out what takes minutes.
real: $(WEIR)
	@$(RUN_TESTS) tests/real $(if $(BRIEF),,tests/real/long)

.PHONY: asan tsan
asan tsan:
	@$(MAKE) VARIANT=$@ all tests
	@bad=0; for t in unit system; do \
		$(MAKE) -s VARIANT=$@ $$t || bad=1; done; exit $$bad

# Everything is built before anything runs, and all of it runs as one: what
# one build's tests wait is another's time.
.PHONY: check $(addprefix built-,release asan tsan)
check:
	@packaging/deps build test
	@$(MAKE) -s layers
	@$(MAKE) -s -j$(JOBS) $(addprefix built-,release asan tsan)
	@rm -f build/plan
	@for t in unit system "BRIEF=1 real" "VARIANT=asan unit" \
		"VARIANT=asan system" "VARIANT=tsan unit" "VARIANT=tsan system" \
		"VARIANT=asan replay"; do \
		$(MAKE) -s PLAN=build/plan $$t || exit 1; done
	@tests/run -j $(JOBS) --name check --all build/plan

built-release built-tsan:
	@$(MAKE) VARIANT=$(@:built-%=%) all tests

built-asan:
	@$(MAKE) VARIANT=asan all tests fuzzers

.PHONY: fuzz fuzz-run replay
fuzz:
	@packaging/deps build test fuzz
	@$(MAKE) -s -j$(JOBS) VARIANT=fuzz CC=clang fuzz-run

# tests/fuzz/corpus/NAME is the known input of tests/fuzz/fuzz_NAME.c; what is
# new, and build/corpus/NAME-crash-..., stays under build/.
fuzz-run: $(FUZZERS)
	@for f in $(FUZZERS); do \
		name=$${f##*/}; name=$${name#fuzz_}; \
		mkdir -p build/corpus/$$name; \
		known=; test ! -d tests/fuzz/corpus/$$name || \
			known=tests/fuzz/corpus/$$name; \
		echo "fuzz $$name, $(FUZZ_SECONDS) s"; \
		$$f -max_total_time=$(FUZZ_SECONDS) -timeout=10 -verbosity=0 \
			-print_final_stats=1 -artifact_prefix=build/corpus/$$name- \
			build/corpus/$$name $$known || exit 1; \
	done

# A test for each target: the known input once more, nothing new.
replay: $(FUZZERS:=.replay)
	@$(RUN_TESTS) $^

%.replay: %
	@printf '#!/bin/sh\nexec %s %s\n' $< \
		$(wildcard tests/fuzz/corpus/$(patsubst fuzz_%,%,$(notdir $<))) >$@
	@chmod +x $@

.PHONY: soak
soak: $(WEIR)
	@WEIR='$(CURDIR)/$(WEIR)' CC='$(CC)' tests/soak/soak \
		--minutes $(SOAK_MINUTES)

.PHONY: bench
bench:
	@packaging/deps build bench
	@$(MAKE) -s all
	@for f in $(wildcard tests/bench/*.py tests/bench/*.sh); do \
		echo "$$f"; WEIR='$(CURDIR)/$(WEIR)' $$f || exit 1; done

.PHONY: layers lint
layers:
	@tests/layers

# unix.Malloc does not see that list_remove() unlinks what is freed next; what
# goes on a wire has no NUL at its end. cppcheck cannot expand a macro that stands
# for several arguments of another.
TIDY := -*,bugprone-*,clang-analyzer-*,misc-redundant-expression,$\
	readability-misleading-indentation,readability-redundant-declaration,$\
	-bugprone-easily-swappable-parameters,-bugprone-reserved-identifier,$\
	-bugprone-assignment-in-if-condition,-bugprone-narrowing-conversions,$\
	-bugprone-implicit-widening-of-multiplication-result,$\
	-bugprone-macro-parentheses,-bugprone-not-null-terminated-result,$\
	-bugprone-sizeof-expression,$\
	-clang-analyzer-security.insecureAPI.strcpy,-clang-analyzer-unix.Malloc,$\
	-clang-analyzer-security.insecureAPI.DeprecatedOrUnsafeBufferHandling
lint:
	@packaging/deps build lint
	@printf '%s\n' $(SOURCES) | xargs -P $(JOBS) -I '{}' clang-tidy --quiet \
		--warnings-as-errors='*' --checks='$(TIDY)' '{}' -- \
		-std=c11 -D_GNU_SOURCE -I. -DWEIR_VERSION='""'
	cppcheck --quiet --std=c11 --enable=warning,performance,portability \
		--inline-suppr --suppress=missingIncludeSystem \
		--suppress=preprocessorErrorDirective \
		--error-exitcode=1 -I. -DWEIR_VERSION='""' \
		'-Djson_array_foreach(a,i,v)=for (;;)' $(SOURCES)

# ------------------------------------------------------------- by the people

.PHONY: deps run install deb clean help
deps:
	@packaging/deps build test

run:
	@packaging/deps build
	@test -x build/weir || echo 'Building build/weir: a minute or two.'
	@$(MAKE) -s -j$(JOBS) all
	@exec build/weir demo

# What systemd, shells and Prometheus take, beside the program. The unit is one
# file; weir@.service is made of it.
UNITDIR ?= $(PREFIX)/lib/systemd/system
ZSHDIR ?= $(PREFIX)/share/zsh/site-functions
EXAMPLES := $(addprefix packaging/,systemd/weir.socket recipes container \
	kubernetes compose prometheus grafana)
UNIT = sed -e 's|@BINDIR@|$(PREFIX)/bin|; s|@CONF@|$(SYSCONFDIR)/weir/$(1)|; $\
	s|@NAME@|$(2)|' packaging/systemd/weir.service
PUT = $(INSTALL) -D -m 644

# In a folder of its own: what lies beside it could be executed from within the
# sandbox.
install: $(WEIR)
	$(INSTALL) -D -m 755 $(WEIR) $(DESTDIR)$(PREFIX)/lib/weir/weir
	$(INSTALL) -d $(DESTDIR)$(PREFIX)/bin
	ln -sf ../lib/weir/weir $(DESTDIR)$(PREFIX)/bin/weir
	@for page in packaging/man/*.[1-8]; do \
		$(PUT) $$page $(DESTDIR)$(PREFIX)/share/man/man$${page##*.}/$${page##*/} || \
			exit 1; done
	test -e $(DESTDIR)$(SYSCONFDIR)/weir/weir.conf || \
		$(PUT) packaging/weir.conf $(DESTDIR)$(SYSCONFDIR)/weir/weir.conf
	@$(INSTALL) -d $(DESTDIR)$(UNITDIR)
	$(call UNIT,weir.conf,weir) >$(DESTDIR)$(UNITDIR)/weir.service
	$(call UNIT,%i.conf,weir-%i) >$(DESTDIR)$(UNITDIR)/weir@.service
	$(PUT) packaging/systemd/weir.sysusers \
		$(DESTDIR)$(PREFIX)/lib/sysusers.d/weir.conf
	$(PUT) packaging/systemd/weir.logrotate \
		$(DESTDIR)$(SYSCONFDIR)/logrotate.d/weir
	$(PUT) packaging/completion/weir.bash \
		$(DESTDIR)$(PREFIX)/share/bash-completion/completions/weir
	$(PUT) packaging/completion/_weir $(DESTDIR)$(ZSHDIR)/_weir
	$(PUT) packaging/completion/weir.fish \
		$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/weir.fish
	$(INSTALL) -d $(DESTDIR)$(PREFIX)/share/doc/weir/examples
	cp -R $(EXAMPLES) $(DESTDIR)$(PREFIX)/share/doc/weir/examples

# The package is put together in build/deb/tree, which holds no more than
# debian/; debian/rules there comes back to this tree for the rest.
DEB = build/weir_$(VERSION)_$(shell dpkg --print-architecture).deb
DATE = $(shell git log -1 --format=%cD 2>/dev/null || date -R)
deb: all
	@packaging/deps deb
	@rm -rf build/deb; mkdir -p build/deb/tree
	@cp -R packaging/debian build/deb/tree/debian
	@printf '%s\n' 'weir ($(VERSION)) unstable; urgency=medium' '' \
		'  * See CHANGELOG.md.' '' \
		' -- weir maintainers <maintainers@weir.invalid>  $(DATE)' \
		>build/deb/tree/debian/changelog
	@cd build/deb/tree && SOURCE=$(CURDIR) MAKEFLAGS= \
		dpkg-buildpackage -b -uc -us -d >../log 2>&1 || \
		{ cat ../log; exit 1; }
	@mv build/deb/*.deb build/
	@echo $(DEB)

clean:
	rm -rf build

help:
	@sed -n '/^#/!q; /SPDX/q; s/^# \{0,1\}//p' Makefile
