# leased: one Makefile for everything. `make help` lists targets and variables.
#
# How it works: sources are found by wildcard, each folder src/<layer> becomes an archive, and scripts/layers.mk says which
# archives a layer (and so its tests) may link. A variant (debug, asan, ...) is a whole build of its own in $(BUILD)/<variant>.
# Lines that begin with #: are what `make help` prints.

VERSION ?= 0.1.0

#: variables
#:   BUILD=build          where everything goes; parallel builds of one tree need one each
BUILD ?= build
#:   VARIANT=release      debug asan ubsan tsan coverage; any target works with any variant
VARIANT ?= release
#:   CC CFLAGS LDFLAGS    honoured, and appended to ours; WERROR=1 makes warnings errors; V=1 shows commands and test output
#:   DESTDIR PREFIX=/usr/local SYSCONFDIR=/etc   for install
PREFIX     ?= /usr/local
SYSCONFDIR ?= /etc
BINDIR     ?= $(PREFIX)/bin
SBINDIR    ?= $(PREFIX)/sbin
INCLUDEDIR ?= $(PREFIX)/include
LIBDIR     ?= $(PREFIX)/lib
DATADIR    ?= $(PREFIX)/share
UNITDIR    ?= $(PREFIX)/lib/systemd/system
PLUGINDIR  ?= $(LIBDIR)/leased/plugins
#:   BUILTIN_PLUGINS      plugins linked into leased; the others become plugins/<name>.so
BUILTIN_PLUGINS ?= aws entra exec gcp github kubernetes localca vault
#:   T=name               only tests with this in the program's path, or else in a test function's name
#:   SEED= STEPS=         of the simulator; SEEDS= FROM=1 how many, from which on
#:   F= TIME=60           fuzz target and its seconds (TIME is soak's too)
TIME ?= 60
#:   COVERAGE_FLOOR=80    per cent of lines below which `coverage` fails
COVERAGE_FLOOR ?= 80

ifeq ($(origin CC),default)
CC := gcc
endif
FUZZ_CC ?= clang
PKG_CONFIG ?= pkg-config
CLANG_FORMAT ?= clang-format
CLANG_TIDY ?= clang-tidy
CPPCHECK ?= cppcheck
NPROC := $(shell nproc 2>/dev/null || echo 2)

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS += --no-builtin-rules --no-print-directory
.SUFFIXES:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := all

Q   := $(if $(V),,@)
say  = $(if $(V),,@printf '  %-7s %s\n' '$1' '$(patsubst $(CURDIR)/%,%,$2)')
comma := ,
define newline


endef
same = $(if $(subst x$1,,x$2)$(subst x$2,,x$1),,yes)

include scripts/layers.mk

variants := release debug asan ubsan tsan coverage lint fuzz
ifeq ($(filter $(VARIANT),$(variants)),)
$(error VARIANT=$(VARIANT) is unknown; one of: $(variants))
endif
OUT := $(if $(filter release,$(VARIANT)),$(BUILD),$(BUILD)/$(VARIANT))
OBJ := $(OUT)/obj
LIB := $(OUT)/lib

# ---------------------------------------------------------------------------------------------------------------- goals
# Goals that compile nothing need no libraries, so they work on a bare machine.
bare_goals := help clean distclean check-style check-layers check-format check-unit format tags dist compile_commands.json \
	asan ubsan tsan valgrind debug coverage fuzz lint
goals := $(or $(MAKECMDGOALS),all)
compiles := $(filter-out $(bare_goals),$(goals))
wants_tests := $(filter-out all opts install uninstall run e2e check-abi check-hardening,$(compiles))

# ------------------------------------------------------------------------------------------------------------ libraries
# name:minimum:Debian package. All that are missing are named at once.
libraries := libuv:1.44:libuv1-dev libcurl:7.88:libcurl4-openssl-dev jansson:2.14:libjansson-dev openssl:3.0:libssl-dev \
	libmicrohttpd:0.9.75:libmicrohttpd-dev gnutls:3.7:libgnutls28-dev libfyaml:0.7:libfyaml-dev libpcre2-8:10.42:libpcre2-dev \
	sqlite3:3.40:libsqlite3-dev
test_libraries := cmocka:1.1.5:libcmocka-dev jose:11:libjose-dev

ifneq ($(compiles),)
missing := $(shell scripts/probe-libraries '$(PKG_CONFIG)' $(libraries) $(if $(wants_tests),$(test_libraries)))
ifneq ($(missing),)
$(info $(subst ;,$(newline),$(missing)))
$(error libraries are missing; `scripts/setup --test` installs everything)
endif
pkg_libs = $(shell $(PKG_CONFIG) --libs $1)
pkg_cflags := $(shell $(PKG_CONFIG) --cflags $(foreach l,$(libraries),$(firstword $(subst :, ,$l))))
endif

libs_base    :=
libs_env     := jansson openssl
libs_wire    := jansson openssl libfyaml
libs_audit   := jansson openssl
libs_access  := jansson openssl libpcre2-8
libs_lease   := jansson openssl
libs_backend := jansson openssl
libs_serve   := jansson openssl
libs_helper  :=
libs_io      := libuv libcurl libmicrohttpd gnutls jansson openssl sqlite3
libs_daemon  := jansson openssl
libs_cli     := libcurl jansson openssl sqlite3
libs_plugin  := jansson openssl

# $(call ext,LAYERS): -l flags of the third-party libraries behind these layers.
ext = $(if $(sort $(foreach l,$1,$(libs_$l))),$(call pkg_libs,$(sort $(foreach l,$1,$(libs_$l)))))

# ---------------------------------------------------------------------------------------------------------------- flags
warnings := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wstrict-prototypes -Wmissing-prototypes -Wvla \
	-Wformat=2 -Wcast-qual -Wdouble-promotion -Wundef -Wimplicit-fallthrough -Werror=format-security -Werror=implicit \
	-Werror=incompatible-pointer-types -Werror=int-conversion
hardening := -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3 -fstack-protector-strong
# Tried one by one, kept where the compiler knows them (scripts/probe-flags).
optional_warnings := -Wtrampolines -Wbidi-chars=any
optional_hardening := -fstack-clash-protection -fcf-protection=full -ftrivial-auto-var-init=zero \
	-fzero-call-used-regs=used-gpr -fstrict-flex-arrays=3 -mbranch-protection=standard
language := -std=c17 -D_GNU_SOURCE -fvisibility=hidden -fno-delete-null-pointer-checks -fno-strict-overflow \
	-fno-strict-aliasing -fexceptions -fno-common -ffile-prefix-map=$(CURDIR)=.
link_hardening := -Wl,-z,relro,-z,now,-z,noexecstack,-z,separate-code,--no-copy-dt-needed-entries
sanitizer_common := -O1 -g -fno-omit-frame-pointer -fno-sanitize-recover=all -DLEASED_FAULTS=1

variant_cflags_release  := -O2 -g
variant_cflags_lint     := -O2 -g -Werror
variant_cflags_debug    := -O0 -g3 -DLEASED_FAULTS=1 -DLEASED_DUMPABLE=1
variant_cflags_asan     := $(sanitizer_common) -fsanitize=address,undefined
variant_cflags_ubsan    := $(sanitizer_common) -fsanitize=undefined
variant_cflags_tsan     := $(sanitizer_common) -fsanitize=thread
variant_cflags_coverage := -O0 -g --coverage -DLEASED_FAULTS=1
variant_cflags_fuzz     := $(sanitizer_common) -fsanitize=fuzzer-no-link,address,undefined
variant_ldflags_asan     := -fsanitize=address,undefined
variant_ldflags_ubsan    := -fsanitize=undefined
variant_ldflags_tsan     := -fsanitize=thread
variant_ldflags_coverage := --coverage
variant_ldflags_fuzz     := -fsanitize=address,undefined
hardened := $(filter release lint,$(VARIANT))

ifneq ($(compiles),)
probed := $(BUILD)/probe/$(subst /,_,$(subst $() ,_,$(CC))).mk
include $(probed)
$(probed): scripts/probe-flags Makefile
	$(Q)mkdir -p $(@D)
	$(Q)scripts/probe-flags '$(CC)' warnings $(optional_warnings) -- hardening $(optional_hardening) \
		-- analyzer -fanalyzer -Wno-analyzer-use-of-uninitialized-value > $@
endif

all_cflags = $(language) $(warnings) $(probed_warnings) $(if $(hardened),$(hardening) $(probed_hardening)) \
	$(variant_cflags_$(VARIANT)) $(if $(WERROR),-Werror) $(pkg_cflags)
all_ldflags = $(variant_ldflags_$(VARIANT)) $(link_hardening) -Wl,--as-needed
defines := -DLEASED_VERSION='"$(VERSION)"' -DLEASED_SYSCONFDIR='"$(SYSCONFDIR)"' -DLEASED_PLUGINDIR='"$(PLUGINDIR)"'

inc_src    := -Isrc -Iinclude
inc_plugin := -Iinclude -Iplugins
inc_tests  := -Isrc -Iinclude -Itests -Iplugins

# $(call remember,FILE,TEXT): rewrites FILE only when TEXT is new, so that what depends on it is rebuilt exactly then.
remember = $(if $(call same,$(file <$1),$(strip $2)),,$(shell mkdir -p $(dir $1))$(file >$1,$(strip $2)))

ifneq ($(compiles),)
flags_stamp := $(OUT)/.flags
$(call remember,$(flags_stamp),$(CC) $(all_cflags) $(CFLAGS) $(defines) $(all_ldflags) $(LDFLAGS))
endif

# -------------------------------------------------------------------------------------------------------------- objects
compile = $(CC) $(all_cflags) $1 $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<
link    = $(CC) $(all_cflags) -pie $(CFLAGS) $(all_ldflags) $(LDFLAGS) -o $@ $(filter %.o,$^) $(filter %.a,$^) $1
# gcc 12's analyzer is wrong about uninitialised values (arrays filled by loops, -ftrivial-auto-var-init): -Wmaybe-uninitialized,
# clang's analyzer and valgrind look for them. Nor does it see that the allocator hands out the middle of a block.
analyze = $(if $(filter lint,$(VARIANT)),$(probed_analyzer))
$(OBJ)/src/base/mem.o: private extra := $(if $(filter lint,$(VARIANT)),-Wno-analyzer-malloc-leak)

$(OBJ)/src/daemon/%.o $(OBJ)/src/cli/%.o: private extra := $(defines)
$(OBJ)/src/%.o: src/%.c $(flags_stamp)
	$(Q)mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(call compile,-fPIE $(inc_src) $(extra) $(analyze))

$(OBJ)/tests/%.o: tests/%.c $(flags_stamp)
	$(Q)mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(call compile,-fPIE $(inc_tests) $(extra))

sources := $(wildcard src/*/*.c)
objects = $(patsubst %.c,$(OBJ)/%.o,$1)

# $(call archive_rule,NAME,OBJECTS): lib<NAME>.a, made anew when the list of members changes.
define archive_rule
$$(call remember,$(LIB)/lib$1.list,$2)
$(LIB)/lib$1.a: $2 $(LIB)/lib$1.list
	$$(call say,AR,$$@)
	$$(Q)rm -f $$@ && $$(AR) rcsD $$@ $$(filter %.o,$$^)
$(LIB)/lib$1.list: ;
endef

layer_sources = $(filter-out src/daemon/main.c src/cli/main.c,$(wildcard src/$1/*.c))
present := $(strip $(foreach l,$(layers),$(if $(call layer_sources,$l),$l)))
# $(call archives,LAYERS): the archives of those layers that have code yet, in the order given.
archives = $(foreach l,$(filter $(present),$1),$(LIB)/lib$l.a)

ifneq ($(compiles),)
$(foreach l,$(present),$(eval $(call archive_rule,$l,$(call objects,$(call layer_sources,$l)))))
endif

# -------------------------------------------------------------------------------------------------------------- plugins
plugins := $(notdir $(patsubst %/,%,$(dir $(wildcard plugins/*/*.c))))
plugins := $(filter-out common,$(sort $(plugins)))
builtin := $(filter $(BUILTIN_PLUGINS),$(plugins))
loadable := $(filter-out $(BUILTIN_PLUGINS),$(plugins))
# A plugin's name has no _, and its file is called as it is: example_backend becomes example-backend.so.
so_of = $(foreach p,$1,$(OUT)/plugins/$(subst _,-,$p).so)
builtin_archives := $(builtin:%=$(LIB)/libplugin_%.a) $(LIB)/libplugin_common.a
plugin_objects := $(foreach p,common $(plugins),$(call objects,$(wildcard plugins/$p/*.c)))

# A built-in plugin's entry point gets its name, because several of them share one program.
$(foreach p,$(builtin),$(eval $(OBJ)/plugins/$p/%.o: private extra := -fPIE -Dleased_plugin_entry=leased_plugin_entry_$p))
$(foreach p,common $(loadable),$(eval $(OBJ)/plugins/$p/%.o: private extra := -fPIC))
$(OBJ)/plugins/%.o: plugins/%.c $(flags_stamp)
	$(Q)mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(call compile,$(inc_plugin) $(extra) $(analyze))

define loadable_rule
$(call so_of,$1): $(call objects,$(wildcard plugins/$1/*.c)) $(flags_stamp)
	$$(Q)mkdir -p $$(@D)
	$$(call say,LD,$$@)
	$$(Q)$$(CC) $$(all_cflags) -shared $$(CFLAGS) $$(all_ldflags) $$(LDFLAGS) -o $$@ $$(filter %.o,$$^) $$(call ext,plugin)
endef
ifneq ($(compiles),)
$(foreach p,common $(builtin),$(eval $(call archive_rule,plugin_$p,$(call objects,$(wildcard plugins/$p/*.c)))))
$(foreach p,$(loadable),$(eval $(call loadable_rule,$p)))
endif

# ------------------------------------------------------------------------------------------------------------- programs
programs := $(if $(wildcard src/daemon/main.c),$(OUT)/leased) $(if $(wildcard src/cli/main.c),$(OUT)/lease) \
	$(OUT)/leased-plugin-check $(call so_of,$(loadable))

$(OUT)/leased: $(OBJ)/src/daemon/main.o $(call archives,daemon) $(builtin_archives) $(call archives,$(uses_daemon)) $(flags_stamp)
	$(call say,LD,$@)
	$(Q)$(call link,$(call ext,daemon plugin $(uses_daemon)))

$(OUT)/lease: $(OBJ)/src/cli/main.o $(call archives,cli $(uses_cli)) $(flags_stamp)
	$(call say,LD,$@)
	$(Q)$(call link,$(call ext,cli $(uses_cli)))

# The conformance suite of the plugins' interface: built from tests, installed for who writes plugins.
plugin_check_sources := $(filter-out tests/support/token% tests/support/rsa_key.c,$(wildcard tests/conformance/*.c tests/support/*.c))
$(OUT)/leased-plugin-check: $(call objects,$(plugin_check_sources)) $(call archives,$(tests_conformance)) $(builtin_archives) $(flags_stamp)
	$(call say,LD,$@)
	$(Q)$(call link,$(call ext,plugin $(tests_conformance)))

# ---------------------------------------------------------------------------------------------------------------- tests
# Each tests/<suite>/test_*.c is a program. Other files of the folder, but *_main.c, go into an archive that its tests link.
tests_of = $(wildcard $1/test_*.c)
bins_of  = $(patsubst %.c,$(OUT)/%,$(call tests_of,$1))
helpers  = $(filter-out $(wildcard $1/test_*.c $1/fuzz_*.c $1/*_main.c),$(wildcard $1/*.c $1/*/*.c))
filter_o := $(if $(wildcard tests/cmocka_filter.c),$(OBJ)/tests/cmocka_filter.o)
name_of  = $(subst /,_,$1)
support_archive := $(if $(wildcard tests/support/*.c),$(LIB)/libtestsupport.a)

# $(call suite_rule,FOLDER,LAYERS,ARCHIVES ABOVE,ARCHIVES BELOW)
define suite_rule
$(if $(call helpers,$1),$(call archive_rule,$(call name_of,$1),$(call objects,$(call helpers,$1))))
$(call bins_of,$1): $(OUT)/$1/%: $(OBJ)/$1/%.o $(filter_o) $(if $(call helpers,$1),$(LIB)/lib$(call name_of,$1).a) \
		$3 $(support_archive) $(call archives,$2) $4 $(flags_stamp)
	$$(Q)mkdir -p $$(@D)
	$$(call say,LD,$$@)
	$$(Q)$$(call link,$$(call ext,$2 $(if $4,plugin)) $$(call pkg_libs,cmocka jose))
endef

unit_folders := $(sort $(patsubst %/,%,$(dir $(wildcard tests/unit/*/test_*.c))))
ifneq ($(wants_tests),)
$(if $(support_archive),$(eval $(call archive_rule,testsupport,$(call objects,$(wildcard tests/support/*.c)))))
$(foreach f,$(filter $(layers:%=tests/unit/%),$(unit_folders)),$(eval $(call suite_rule,$f,$(notdir $f) $(uses_$(notdir $f)),,$(if \
	$(filter daemon,$(notdir $f)),$(builtin_archives)))))
$(foreach p,$(builtin),$(if $(filter tests/unit/plugin_$p,$(unit_folders)),$(eval $(call \
	suite_rule,tests/unit/plugin_$p,base,$(LIB)/libplugin_$p.a,$(LIB)/libplugin_$p.a $(LIB)/libplugin_common.a))))
$(eval $(call suite_rule,tests/io,$(tests_io)))
$(eval $(call suite_rule,tests/sim,$(tests_sim),,$(builtin_archives)))
$(eval $(call suite_rule,tests/abi,$(tests_abi),,$(builtin_archives)))
$(OUT)/tests/abi/test_conformance: $(OUT)/leased-plugin-check $(call so_of,$(loadable))
$(eval $(call suite_rule,tests/plugins,$(tests_plugins),,$(builtin_archives)))
$(eval $(call suite_rule,tests/oom,$(core),$(if $(call helpers,tests/sim),$(LIB)/libtests_sim.a),$(builtin_archives)))
$(foreach p,$(builtin),$(eval $(OBJ)/tests/unit/plugin_$p/%.o: private extra := -Iplugins/$p -Iplugins -Dleased_plugin_entry=leased_plugin_entry_$p))
endif

# The simulator with one deliberate bug each (src/base/mutant.h): the sources that have it are compiled anew and linked before the archives.
mutant_numbers := $(if $(filter mutants,$(goals)),$(shell seq $$(sed -n 's/^.define MUTANT_COUNT //p' src/base/mutant.h)))
mutant_bins := $(mutant_numbers:%=$(OUT)/tests/mutants/sim_%)
$(mutant_bins): $(OUT)/tests/mutants/sim_%: $(OBJ)/tests/sim/test_sim.o $(filter_o) $(LIB)/libtests_sim.a $(support_archive) \
		$(call archives,$(tests_sim)) $(builtin_archives) $(flags_stamp)
	$(Q)mkdir -p $(@D)
	$(call say,MUTANT,$@)
	$(Q)for source in $$(grep -lE 'MUTATED\($*\)|MUTANT == $*( |$$)' -r src plugins --include=*.c); do \
		$(CC) $(all_cflags) -fPIE $(inc_src) -Iplugins -Dleased_plugin_entry=leased_plugin_entry_$$(basename $$(dirname $$source)) -DMUTANT=$* $(CPPFLAGS) $(CFLAGS) \
			-c -o $@.$$(basename $$source .c).o $$source; done
	$(Q)$(CC) $(all_cflags) -pie $(CFLAGS) $(all_ldflags) $(LDFLAGS) -o $@ $@.*.o $(filter %.o,$^) $(filter %.a,$^) \
		$(call ext,$(tests_sim) plugin) $(call pkg_libs,cmocka)

# The model Vault as a program, which tests/e2e compares with a real server.
model := $(if $(wildcard tests/sim/model_main.c),$(OUT)/tests/sim/sim_vault_model)
model_sources := $(foreach f,model_main sim_issuer sim_vault sim_vault_api sim_vault_token sim_random,tests/sim/$f.c)
$(OUT)/tests/sim/sim_vault_model: $(call objects,$(model_sources)) $(call archives,base) $(flags_stamp)
	$(Q)mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(call link,$(call ext,env))

# Fuzz targets: libFuzzer programs in the fuzz variant, programs that replay the corpora in every other.
fuzz_names := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
fuzz_lib := $(if $(call helpers,tests/fuzz),$(LIB)/libtests_fuzz.a) $(if $(call helpers,tests/sim),$(LIB)/libtests_sim.a)
fuzz_bins := $(fuzz_names:%=$(OUT)/tests/fuzz/fuzz_%)
replay_bins := $(fuzz_names:%=$(OUT)/tests/fuzz/replay_%)
bench_bins := $(patsubst tests/bench/%.c,$(OUT)/bench/%,$(wildcard tests/bench/*.c))
below := $(fuzz_lib) $(support_archive) $(call archives,$(tests_fuzz)) $(builtin_archives)
ifneq ($(wants_tests),)
$(if $(call helpers,tests/fuzz),$(eval $(call archive_rule,tests_fuzz,$(call objects,$(call helpers,tests/fuzz)))))
$(fuzz_bins): $(OUT)/tests/fuzz/%: $(OBJ)/tests/fuzz/%.o $(below) $(flags_stamp)
	$(Q)mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(call link,-fsanitize=fuzzer $(call ext,plugin $(tests_fuzz)))
$(replay_bins): $(OUT)/tests/fuzz/replay_%: $(OBJ)/tests/fuzz/fuzz_%.o $(OBJ)/tests/fuzz/replay_main.o $(below) $(flags_stamp)
	$(Q)mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(call link,$(call ext,plugin $(tests_fuzz)))
$(bench_bins): $(OUT)/bench/%: $(OBJ)/tests/bench/%.o $(support_archive) $(call archives,$(tests_bench)) $(builtin_archives) \
		$(flags_stamp)
	$(Q)mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(call link,$(call ext,plugin $(tests_bench)))
endif

unit_bins := $(foreach f,$(unit_folders),$(call bins_of,$f))
io_bins   := $(call bins_of,tests/io)
sim_bins  := $(call bins_of,tests/sim)
abi_bins  := $(call bins_of,tests/abi)
plugin_bins := $(call bins_of,tests/plugins)

# T= narrows a suite: by a part of the program's path, else by a part of a test function's name.
narrow = $(if $(T),$(or $(call by_path,$1),$(call by_text,$1)),$1)
by_path = $(strip $(foreach b,$1,$(if $(findstring $(T),$(b:$(OUT)/tests/%=%)),$b)))
by_text = $(strip $(foreach b,$1,$(if $(shell grep -ls -e '$(T)' $(subst /replay_,/fuzz_,$(b:$(OUT)/%=%.c))),$b)))

#: targets
#:   all                  leased, lease and plugins (release flags with debug info); the default
all: $(programs) $(call archives,$(layers)) $(builtin_archives)

#:   debug                the same without optimisation, in $(BUILD)/debug
debug:
	$(Q)$(MAKE) VARIANT=debug all

all_objects := $(call objects,$(sources) $(shell find tests -name '*.c' 2>/dev/null)) $(plugin_objects)
#:   objects              compiles everything, links nothing
objects: $(all_objects)

#:   opts                 prints the effective compiler and flags
opts:
	@printf '%s\n' 'CC       $(CC)' 'CFLAGS   $(strip $(all_cflags) $(CFLAGS))' \
		'LDFLAGS  $(strip -pie $(all_ldflags) $(LDFLAGS))' 'BUILD    $(OUT)' 'LAYERS   $(present)' \
		'PLUGINS  built in: $(builtin); loadable: $(loadable)'

# ----------------------------------------------------------------------------------------------------------- test goals
export ASAN_OPTIONS ?= detect_leaks=1:strict_string_checks=1:detect_stack_use_after_return=1:check_initialization_order=1
export UBSAN_OPTIONS ?= print_stacktrace=1:halt_on_error=1
export TSAN_OPTIONS ?= halt_on_error=1:second_deadlock_stack=1
ifdef SEED
export SEED
endif
ifdef STEPS
export STEPS
endif
ifdef SEEDS
export SEEDS
endif
ifdef FROM
export FROM
endif
# How much slower than release this variant is; tests divide their volume by it.
slowdown := $(or $(if $(VALGRIND),20),$(if $(filter asan ubsan debug coverage,$(VARIANT)),2),$(if $(filter tsan,$(VARIANT)),8),1)
valgrind_wrap := valgrind -q --error-exitcode=99 --leak-check=full --show-leak-kinds=definite,possible \
	--errors-for-leak-kinds=definite,possible --num-callers=30 --child-silent-after-fork=yes \
	$(patsubst %,--suppressions=%,$(wildcard tests/valgrind.supp))
run_tests = TEST_SLOWDOWN=$(slowdown) CC='$(CC)' scripts/run-tests --root $(OUT)/tests --timeout $(if $(VALGRIND),1200,120) \
	$(if $(VALGRIND),--wrap '$(valgrind_wrap)') $(if $(T),--filter '$(T)') $(if $(V),--verbose)

unit_run := $(call narrow,$(unit_bins))
io_run   := $(call narrow,$(io_bins))
sim_run  := $(call narrow,$(sim_bins))
abi_run  := $(call narrow,$(abi_bins))
plugins_run := $(call narrow,$(plugin_bins))
oom_run  := $(call narrow,$(call bins_of,tests/oom))
fuzz_run := $(if $(wildcard tests/fuzz/replay_main.c),$(call narrow,$(replay_bins)))
suites = $(if $(strip $2),--suite $1 $2)

checks := 'scripts/check-style --self-test' 'scripts/check-layers --self-test' 'scripts/check-abi --self-test' \
	scripts/check-style scripts/check-layers scripts/check-abi 'scripts/check-hardening $(programs)'
# The checks of the tree belong to the release variant's run; the others repeat the programs only.
check_run = $(if $(filter release,$(VARIANT)),$(if $(T),,$(checks)))
total := $(or $(if $(VALGRIND),valgrind),$(if $(filter release,$(VARIANT)),test),$(VARIANT))

#:   test, check          unit, io, sim, abi, plugins, fuzz corpora and the checks of the tree: no root, no network, < 2 min
check: test
test: $(if $(T),,$(programs)) $(unit_run) $(io_run) $(sim_run) $(abi_run) $(plugins_run) $(oom_run) $(if $(VALGRIND),,$(fuzz_run))
	$(Q)$(run_tests) --total $(total) $(call suites,unit,$(unit_run)) $(call suites,io,$(io_run)) \
		$(call suites,sim,$(sim_run)) $(call suites,abi,$(abi_run)) $(call suites,plugins,$(plugins_run)) $(call suites,oom,$(oom_run)) \
		$(if $(VALGRIND),,$(call suites,fuzz,$(fuzz_run)) $(call suites,checks,$(check_run)))

#:   unit io sim abi plugins  one suite; `make unit T=wheel`, `make sim SEED=7 STEPS=200000 V=1`, `make sim SEEDS=500 STEPS=20000`
unit: $(unit_run)
	$(Q)$(run_tests) --suite $@ $^
io: $(io_run)
	$(Q)$(run_tests) --suite $@ $^
ifdef SEEDS
sim: $(OUT)/tests/sim/test_sim
	$(Q)scripts/sim-soak $<
else
sim: $(sim_run)
	$(Q)$(run_tests) --suite $@ $^
endif
abi: $(abi_run)
	$(Q)$(run_tests) --suite $@ $^
plugins: $(plugins_run)
	$(Q)$(run_tests) --suite $@ $^
ifneq ($(wildcard tests/oom),)
#:   oom                  allocation failures, one after the other; test runs every 13th (STRIDE=13)
oom: $(oom_run) $(if $(T),,$(OUT)/tests/unit/lease/test_oom)
	$(Q)STRIDE=$(or $(STRIDE),1) $(run_tests) --timeout 1800 --suite $@ $^
endif

#:   fuzz-corpora         replays tests/fuzz/corpus (part of test)
fuzz-corpora: $(fuzz_run)
	$(Q)$(run_tests) --suite fuzz $^

#:   e2e                  against a real bao and PostgreSQL: needs root, and scripts/setup --test
e2e: $(programs) $(model)
	$(Q)scripts/run-e2e $(OUT) '$(T)'

#:   mutants              builds the simulator with each deliberate bug, and demands that it finds it
mutants: $(mutant_bins)
	$(Q)scripts/sim-soak --mutants $(OUT)/tests/mutants

#:   soak                 the simulator with fresh seeds for TIME seconds; prints the seed that fails
soak: $(sim_bins)
	$(Q)scripts/soak $(TIME) $^

#:   asan ubsan tsan      a build of its own in $(BUILD)/<name>, and test on it; asan looks for what ubsan finds, too
asan ubsan tsan:
	$(Q)$(MAKE) VARIANT=$@ test

#:   valgrind             the debug build's tests under valgrind
valgrind:
	$(Q)command -v valgrind >/dev/null || { echo 'valgrind not found: apt-get install valgrind'; exit 1; }
	$(Q)$(MAKE) VARIANT=debug VALGRIND=1 test

#:   coverage             lines that test reaches, as html; fails under COVERAGE_FLOOR
coverage:
	$(Q)command -v gcovr >/dev/null || { echo 'gcovr not found: apt-get install gcovr'; exit 1; }
	$(Q)find $(BUILD)/coverage -name '*.gcda' -delete 2>/dev/null || true
	$(Q)$(MAKE) VARIANT=coverage test
	$(Q)mkdir -p $(BUILD)/coverage/html
	$(Q)gcovr --root . --object-directory $(BUILD)/coverage/obj --filter src/ --filter plugins/ --exclude-throw-branches \
		--html-details $(BUILD)/coverage/html/index.html --print-summary --fail-under-line $(COVERAGE_FLOOR) \
		$(BUILD)/coverage/obj > $(BUILD)/coverage/summary.txt || status=$$?; \
		sed -n 's/^lines: /coverage: lines /p' $(BUILD)/coverage/summary.txt; exit $${status:-0}

#:   fuzz                 libFuzzer for TIME seconds on F=name (default: each target), where clang is installed
fuzz:
ifeq ($(shell command -v $(FUZZ_CC)),)
	@echo '$(FUZZ_CC) not found (apt-get install clang libclang-rt-14-dev): replaying the corpora'
	$(Q)$(MAKE) fuzz-corpora $(if $(F),T=$(F))
else
	$(Q)$(MAKE) VARIANT=fuzz CC=$(FUZZ_CC) BUILD=$(BUILD) fuzz-programs
	$(Q)scripts/fuzz $(BUILD) $(TIME) $(or $(F),$(fuzz_names))
endif
fuzz-programs: $(if $(F),$(OUT)/tests/fuzz/fuzz_$(F),$(fuzz_bins))

#:   bench                numbers with units, and as $(BUILD)/bench.json; installs the peers that it compares with
bench: $(programs) $(bench_bins)
	$(Q)scripts/setup --test --bench
	$(Q)scripts/bench $(BUILD) $(filter-out %_server %_load,$(bench_bins))

# ----------------------------------------------------------------------------------------------------------------- lint
# varFuncNullUB: NULL ends argument lists, and is a pointer in every libc that this runs on.
c_files := $(sort $(shell find src include plugins tests -name '*.[ch]' 2>/dev/null))
linted := $(sources) $(wildcard plugins/*/*.c)
tidy_stamps := $(linted:%.c=$(OUT)/tidy/%.ok)
parallel = $(if $(filter -j% --jobserver%,$(MAKEFLAGS)),,-j$(NPROC))

#:   lint                 warnings as errors, -fanalyzer, cppcheck, clang-tidy, clang-format and the checks below
lint:
	$(Q)$(MAKE) $(parallel) --keep-going --output-sync=target VARIANT=lint lint-all
	@echo 'lint: clean'
lint-all: objects lint-tidy lint-cppcheck check-format check-style check-layers check-abi check-unit
lint-tidy: $(tidy_stamps)
$(OUT)/tidy/%.ok: %.c $(OBJ)/%.o .clang-tidy
	$(Q)mkdir -p $(@D)
	$(call say,TIDY,$<)
	$(Q)$(CLANG_TIDY) --quiet $< -- -std=c17 -D_GNU_SOURCE $(defines) $(if $(filter plugins/%,$<),$(inc_plugin),$(inc_src)) \
		> $@.log 2>&1 || { cat $@.log; exit 1; }
	$(Q)touch $@
lint-cppcheck:
	$(Q)mkdir -p $(OUT)/cppcheck
	$(Q)$(CPPCHECK) --enable=warning,performance,portability --inline-suppr --suppress=varFuncNullUB --error-exitcode=1 --quiet -j$(NPROC) --std=c11 \
		--cppcheck-build-dir=$(OUT)/cppcheck -D_GNU_SOURCE -Isrc -Iinclude $(linted)

#:   check-format         what clang-format would change;  format changes it
check-format:
	$(Q)$(CLANG_FORMAT) --dry-run -Werror $(c_files) 2>&1 | sed -n 's/: error: .*/: format: run make format/p' | sort -u -t: -k1,1; \
		test $${PIPESTATUS[0]} -eq 0
format:
	$(Q)$(CLANG_FORMAT) -i $(c_files)
#:   check-style check-layers check-abi check-hardening check-unit    file:line and the rule's name
check-style:
	$(Q)scripts/check-style
check-layers:
	$(Q)scripts/check-layers
check-abi:
	$(Q)CC='$(CC)' scripts/check-abi
check-unit:
	$(Q)scripts/check-unit config/leased.service
	$(Q)scripts/check-unit config/leased-poweroff.service
check-hardening: $(programs)
	$(Q)scripts/check-hardening $^

# -------------------------------------------------------------------------------------------------------------- the rest
etc := $(DESTDIR)$(SYSCONFDIR)/leased
doc := $(DESTDIR)$(DATADIR)/doc/leased
# The examples are to be read, not to be loaded.
installed := $(filter-out example_%,$(loadable))
units := $(wildcard config/*.service config/*.socket systemd/*.service systemd/*.socket)
guides := $(wildcard config/*.md)
folders := $(patsubst %/,%,$(wildcard config/*/))
settings := $(filter-out $(units) $(guides) $(folders),$(wildcard config/*.*))
# /etc/leased may be the configuration, all of its *.yaml: the others are to be read.
configuration := $(wildcard config/leased.yaml)
examples := $(sort $(notdir $(patsubst %/,%,$(dir $(wildcard config/*/*)))))
pages := $(wildcard man/*.[1-8])
# Made by lease itself, so that they know what it knows.
completions := bash:$(DATADIR)/bash-completion/completions/lease zsh:$(DATADIR)/zsh/site-functions/_lease \
	fish:$(DATADIR)/fish/vendor_completions.d/lease.fish

# Names by which git and docker look for lease.
helpers_of_others := git-credential-leased docker-credential-leased

#:   install uninstall    leased, lease, plugins, header, config (never over an existing one), units, man pages, completions
install: all
	install -D -m 755 $(OUT)/leased $(DESTDIR)$(SBINDIR)/leased
	install -D -m 755 -t $(DESTDIR)$(BINDIR) $(OUT)/lease $(OUT)/leased-plugin-check
	$(foreach h,$(helpers_of_others),ln -sf lease $(DESTDIR)$(BINDIR)/$h$(newline)	)
	install -D -m 644 -t $(DESTDIR)$(INCLUDEDIR)/leased include/leased/plugin.h
	$(if $(installed),install -D -m 644 -t $(DESTDIR)$(PLUGINDIR) $(call so_of,$(installed)))
	install -D -m 644 plugins/README.md $(doc)/plugins.md
	install -D -m 644 -t $(doc) README.md $(guides)
	$(foreach p,$(builtin),install -D -m 644 plugins/$p/README.md $(doc)/plugins/$p.md$(newline)	)
	install -D -m 644 -t $(doc)/examples $(wildcard plugins/example_*/*.c)
	$(if $(units),install -D -m 644 -t $(DESTDIR)$(UNITDIR) $(units))
	$(if $(settings),install -D -m 644 -t $(doc) $(settings))
	$(foreach e,$(examples),install -D -m 644 -t $(doc)/$e $(wildcard config/$e/*)$(newline)	)
	$(foreach f,$(configuration),test -e $(etc)/$(notdir $f) || install -D -m 644 $f $(etc)/$(notdir $f)$(newline)	)
	$(foreach f,$(pages),install -D -m 644 -t $(DESTDIR)$(DATADIR)/man/man$(subst .,,$(suffix $f)) $f$(newline)	)
	$(foreach c,$(completions),$(OUT)/lease completion $(firstword $(subst :, ,$c)) | \
		install -D -m 644 /dev/stdin $(DESTDIR)$(lastword $(subst :, ,$c))$(newline)	)
uninstall:
	rm -f $(DESTDIR)$(SBINDIR)/leased $(DESTDIR)$(BINDIR)/lease $(DESTDIR)$(BINDIR)/leased-plugin-check $(DESTDIR)$(INCLUDEDIR)/leased/plugin.h
	rm -f $(foreach h,$(helpers_of_others),$(DESTDIR)$(BINDIR)/$h)
	rm -f $(foreach p,$(installed),$(DESTDIR)$(PLUGINDIR)/$(subst _,-,$p).so) $(foreach f,$(units),$(DESTDIR)$(UNITDIR)/$(notdir $f))
	rm -f $(foreach f,$(pages),$(DESTDIR)$(DATADIR)/man/man$(subst .,,$(suffix $f))/$(notdir $f)) \
		$(foreach c,$(completions),$(DESTDIR)$(lastword $(subst :, ,$c)))
	rm -rf $(doc)
	@echo 'left: $(etc)'

#:   dist                 $(BUILD)/leased-$(VERSION).tar.gz of the committed tree
dist:
	$(Q)mkdir -p $(BUILD)
	$(Q)git archive --format=tar --prefix=leased-$(VERSION)/ HEAD | gzip -n > $(BUILD)/leased-$(VERSION).tar.gz
	@echo $(BUILD)/leased-$(VERSION).tar.gz

#:   run                  leased in the foreground beside a development bao that can issue certificates
run: all
	$(Q)scripts/run $(OUT)

#:   tags, compile_commands.json    for editors
tags:
	$(Q)command -v ctags >/dev/null || { echo 'ctags not found: apt-get install universal-ctags'; exit 1; }
	$(Q)ctags -R src include plugins tests
compile_commands.json:
	$(Q)$(MAKE) --no-print-directory -n -B V=1 objects | scripts/compile-commands > $@

#:   clean, distclean     removes $(BUILD); and what setup and the editors' targets made
clean:
	$(Q)rm -rf $(BUILD)
distclean: clean
	$(Q)rm -rf .venv tags compile_commands.json

help:
	@sed -n 's/^#: \{0,1\}//p' Makefile | sed 's/^\(variables\|targets\)$$/\n\1:/'

.PHONY: all debug objects opts check test unit io sim mutants abi plugins oom fuzz-corpora e2e soak asan ubsan tsan valgrind coverage fuzz \
	fuzz-programs bench lint lint-all lint-tidy lint-cppcheck check-format format check-style check-layers check-abi check-unit \
	check-hardening install uninstall dist run tags compile_commands.json clean distclean help

-include $(shell find $(OBJ) -name '*.d' 2>/dev/null)
