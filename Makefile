# leased: one Makefile for everything. `make help` lists targets and variables.
#
# How it works: sources are found by wildcard, each folder src/<layer> becomes an archive, and scripts/layers.mk says which
# archives a layer (and so its tests) may link. A variant (debug, asan, ...) is a whole build of its own in $(BUILD)/<variant>.

VERSION    ?= 0.1.0
BUILD      ?= build
VARIANT    ?= release
PREFIX     ?= /usr/local
SYSCONFDIR ?= /etc
DESTDIR    ?=
BINDIR     ?= $(PREFIX)/bin
SBINDIR    ?= $(PREFIX)/sbin
INCLUDEDIR ?= $(PREFIX)/include
LIBDIR     ?= $(PREFIX)/lib
MANDIR     ?= $(PREFIX)/share/man
UNITDIR    ?= $(PREFIX)/lib/systemd/system
PLUGINDIR  ?= $(LIBDIR)/leased/plugins
TIME       ?= 60
COVERAGE_FLOOR ?= 80

ifeq ($(origin CC),default)
CC := gcc
endif
FUZZ_CC ?= clang
PKG_CONFIG ?= pkg-config
NPROC := $(shell nproc 2>/dev/null || echo 2)

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS += --no-builtin-rules
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
bare_goals := help clean distclean check-style check-layers check-format format tags dist setup scripts-test \
	asan ubsan tsan valgrind debug release coverage fuzz lint test check test-run
goals := $(or $(MAKECMDGOALS),all)
compiles := $(filter-out $(bare_goals),$(goals))
wants_tests := $(filter-out all opts install uninstall run e2e bench,$(compiles))

# ------------------------------------------------------------------------------------------------------------ libraries
# name:minimum:Debian package. All that are missing are named at once.
libraries := libuv:1.44:libuv1-dev libcurl:7.88:libcurl4-openssl-dev jansson:2.14:libjansson-dev openssl:3.0:libssl-dev \
	libmicrohttpd:0.9.75:libmicrohttpd-dev libfyaml:0.7:libfyaml-dev
test_libraries := cmocka:1.1.5:libcmocka-dev

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
libs_access  := jansson openssl
libs_lease   := jansson openssl
libs_backend := jansson openssl
libs_serve   := jansson openssl
libs_io      := libuv libcurl libmicrohttpd jansson openssl
libs_daemon  := jansson openssl
libs_cli     := libcurl jansson openssl
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
variant_cflags_debug    := -O0 -g3 -DLEASED_FAULTS=1
variant_cflags_asan     := $(sanitizer_common) -fsanitize=address
variant_cflags_ubsan    := $(sanitizer_common) -fsanitize=undefined
variant_cflags_tsan     := $(sanitizer_common) -fsanitize=thread
variant_cflags_coverage := -O0 -g --coverage -DLEASED_FAULTS=1
variant_cflags_fuzz     := $(sanitizer_common) -fsanitize=fuzzer-no-link,address,undefined
variant_ldflags_asan     := -fsanitize=address
variant_ldflags_ubsan    := -fsanitize=undefined
variant_ldflags_tsan     := -fsanitize=thread
variant_ldflags_coverage := --coverage
variant_ldflags_fuzz     := -fsanitize=address,undefined
hardened := $(filter release lint,$(VARIANT))

ifneq ($(compiles),)
probed := $(BUILD)/probe/$(subst /,_,$(subst $() ,_,$(CC))).mk
include $(probed)
$(probed): scripts/probe-flags
	$(Q)mkdir -p $(@D)
	$(Q)scripts/probe-flags '$(CC)' warnings $(optional_warnings) -- hardening $(optional_hardening) \
		-- analyzer -fanalyzer > $@
endif

all_cflags = $(language) $(warnings) $(probed_warnings) $(if $(hardened),$(hardening) $(probed_hardening)) \
	$(variant_cflags_$(VARIANT)) $(if $(WERROR),-Werror) $(pkg_cflags)
all_ldflags = $(variant_ldflags_$(VARIANT)) $(link_hardening) -Wl,--as-needed
defines := -DLEASED_VERSION='"$(VERSION)"' -DLEASED_SYSCONFDIR='"$(SYSCONFDIR)"' -DLEASED_PLUGINDIR='"$(PLUGINDIR)"'

inc_src    := -Isrc -Iinclude
inc_plugin := -Iinclude
inc_tests  := -Isrc -Iinclude -Itests

# $(call remember,FILE,TEXT): rewrites FILE only when TEXT is new, so that what depends on it is rebuilt exactly then.
remember = $(if $(call same,$(file <$1),$(strip $2)),,$(shell mkdir -p $(dir $1))$(file >$1,$(strip $2)))

ifneq ($(compiles),)
flags_stamp := $(OUT)/.flags
$(call remember,$(flags_stamp),$(CC) $(all_cflags) $(CFLAGS) $(defines) $(all_ldflags) $(LDFLAGS))
endif

# -------------------------------------------------------------------------------------------------------------- objects
compile = $(CC) $(all_cflags) $1 $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<
link    = $(CC) $(all_cflags) -pie $(CFLAGS) $(all_ldflags) $(LDFLAGS) -o $@ $(filter %.o,$^) $(filter %.a,$^) $1
analyze = $(if $(filter lint,$(VARIANT)),$(probed_analyzer))

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
present := $(foreach l,$(layers),$(if $(call layer_sources,$l),$l))
# $(call archives,LAYERS): the archives of those layers that have code yet, in the order given.
archives = $(foreach l,$(filter $(present),$1),$(LIB)/lib$l.a)

ifneq ($(compiles),)
$(foreach l,$(present),$(eval $(call archive_rule,$l,$(call objects,$(call layer_sources,$l)))))
endif

# -------------------------------------------------------------------------------------------------------------- plugins
BUILTIN_PLUGINS ?= vault
plugins := $(notdir $(patsubst %/,%,$(dir $(wildcard plugins/*/*.c))))
plugins := $(sort $(plugins))
builtin := $(filter $(BUILTIN_PLUGINS),$(plugins))
loadable := $(filter-out $(BUILTIN_PLUGINS),$(plugins))
builtin_archives := $(builtin:%=$(LIB)/libplugin_%.a)
plugin_objects := $(foreach p,$(plugins),$(call objects,$(wildcard plugins/$p/*.c)))

# A built-in plugin's entry point gets its name, because several of them share one program.
$(foreach p,$(builtin),$(eval $(OBJ)/plugins/$p/%.o: private extra := -fPIE -Dleased_plugin_entry=leased_plugin_entry_$p))
$(foreach p,$(loadable),$(eval $(OBJ)/plugins/$p/%.o: private extra := -fPIC))
$(OBJ)/plugins/%.o: plugins/%.c $(flags_stamp)
	$(Q)mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(call compile,$(inc_plugin) $(extra) $(analyze))

define loadable_rule
$(OUT)/plugins/$1.so: $(call objects,$(wildcard plugins/$1/*.c)) $(flags_stamp)
	$$(Q)mkdir -p $$(@D)
	$$(call say,LD,$$@)
	$$(Q)$$(CC) $$(all_cflags) -shared $$(CFLAGS) $$(all_ldflags) $$(LDFLAGS) -o $$@ $$(filter %.o,$$^) $$(call ext,plugin)
endef
ifneq ($(compiles),)
$(foreach p,$(builtin),$(eval $(call archive_rule,plugin_$p,$(call objects,$(wildcard plugins/$p/*.c)))))
$(foreach p,$(loadable),$(eval $(call loadable_rule,$p)))
endif

# ------------------------------------------------------------------------------------------------------------- programs
programs := $(if $(wildcard src/daemon/main.c),$(OUT)/leased) $(if $(wildcard src/cli/main.c),$(OUT)/lease) \
	$(loadable:%=$(OUT)/plugins/%.so)

$(OUT)/leased: $(OBJ)/src/daemon/main.o $(call archives,daemon) $(builtin_archives) $(call archives,$(uses_daemon)) $(flags_stamp)
	$(call say,LD,$@)
	$(Q)$(call link,$(call ext,daemon plugin $(uses_daemon)))

$(OUT)/lease: $(OBJ)/src/cli/main.o $(call archives,cli $(uses_cli)) $(flags_stamp)
	$(call say,LD,$@)
	$(Q)$(call link,$(call ext,cli $(uses_cli)))

# ---------------------------------------------------------------------------------------------------------------- tests
# Each tests/<suite>/test_*.c is a program. Other files of the folder go into an archive that its tests link.
tests_of = $(wildcard $1/test_*.c)
bins_of  = $(patsubst %.c,$(OUT)/%,$(call tests_of,$1))
helpers  = $(filter-out $(wildcard $1/test_*.c $1/fuzz_*.c $1/replay_main.c),$(wildcard $1/*.c $1/*/*.c))
filter_o := $(if $(wildcard tests/cmocka_filter.c),$(OBJ)/tests/cmocka_filter.o)
name_of  = $(subst /,_,$1)
support_archive := $(if $(wildcard tests/support/*.c),$(LIB)/libtestsupport.a)

# $(call suite_rule,FOLDER,LAYERS,MORE ARCHIVES,MORE LIBRARY SETS)
define suite_rule
$(if $(call helpers,$1),$(call archive_rule,$(call name_of,$1),$(call objects,$(call helpers,$1))))
$(call bins_of,$1): $(OUT)/$1/%: $(OBJ)/$1/%.o $(filter_o) $(if $(call helpers,$1),$(LIB)/lib$(call name_of,$1).a) \
		$3 $(support_archive) $(call archives,$2) $(flags_stamp)
	$$(Q)mkdir -p $$(@D)
	$$(call say,LD,$$@)
	$$(Q)$$(call link,$$(call ext,$2 $4) $$(call pkg_libs,cmocka))
endef

unit_folders := $(sort $(patsubst %/,%,$(dir $(wildcard tests/unit/*/test_*.c))))
ifneq ($(wants_tests),)
$(if $(support_archive),$(eval $(call archive_rule,testsupport,$(call objects,$(wildcard tests/support/*.c)))))
$(foreach f,$(filter $(layers:%=tests/unit/%),$(unit_folders)),$(eval $(call suite_rule,$f,$(notdir $f) $(uses_$(notdir $f)),$(if \
	$(filter daemon,$(notdir $f)),$(builtin_archives)),$(if $(filter daemon,$(notdir $f)),plugin))))
$(foreach p,$(builtin),$(if $(filter tests/unit/plugin_$p,$(unit_folders)),$(eval $(call suite_rule,tests/unit/plugin_$p,base,$(LIB)/libplugin_$p.a,plugin))))
$(eval $(call suite_rule,tests/io,$(tests_io)))
$(eval $(call suite_rule,tests/sim,$(tests_sim),$(builtin_archives),plugin))
$(eval $(call suite_rule,tests/abi,$(tests_abi),$(builtin_archives),plugin))
$(foreach p,$(builtin),$(eval $(OBJ)/tests/unit/plugin_$p/%.o: private extra := -Iplugins/$p -Dleased_plugin_entry=leased_plugin_entry_$p))
endif

unit_bins := $(foreach f,$(unit_folders),$(call bins_of,$f))
io_bins   := $(call bins_of,tests/io)
sim_bins  := $(call bins_of,tests/sim)
abi_bins  := $(call bins_of,tests/abi)

# T= narrows a suite: by a part of the program's path, else by a part of a test function's name.
narrow = $(if $(T),$(or $(call by_path,$1),$(call by_text,$1)),$1)
by_path = $(strip $(foreach b,$1,$(if $(findstring $(T),$(b:$(OUT)/tests/%=%)),$b)))
by_text = $(strip $(foreach b,$1,$(if $(shell grep -l -e '$(T)' $(b:$(OUT)/%=%.c)),$b)))

all: $(programs) $(call archives,$(layers)) $(builtin_archives)

# Environment of test programs; run-tests explains its options itself.
export ASAN_OPTIONS ?= detect_leaks=1:strict_string_checks=1:detect_stack_use_after_return=1:check_initialization_order=1
export UBSAN_OPTIONS ?= print_stacktrace=1:halt_on_error=1
export TSAN_OPTIONS ?= halt_on_error=1:second_deadlock_stack=1
export SEED STEPS
# How much slower than release this variant runs: tests divide their volume by it.
slowdown := $(or $(if $(VALGRIND),20),$(if $(filter asan ubsan debug coverage,$(VARIANT)),2),$(if $(filter tsan,$(VARIANT)),8),1)
valgrind_supp := $(wildcard tests/valgrind.supp)
wrap := $(if $(VALGRIND),--wrap 'valgrind -q --error-exitcode=99 --leak-check=full --show-leak-kinds=definite$(comma)possible \
	--errors-for-leak-kinds=definite$(comma)possible --num-callers=30 --child-silent-after-fork=yes \
	$(valgrind_supp:%=--suppressions=%)')
run_tests = TEST_SLOWDOWN=$(slowdown) scripts/run-tests --root $(OUT)/tests --timeout $(if $(VALGRIND),1200,120) $(wrap) \
	$(if $(T),--filter '$(T)') $(if $(V),--verbose)

unit_run := $(call narrow,$(unit_bins))
io_run   := $(call narrow,$(io_bins))
sim_run  := $(call narrow,$(sim_bins))
abi_run  := $(call narrow,$(abi_bins))

.PHONY: all unit io sim abi
unit: $(unit_run)
	$(Q)$(run_tests) --suite unit $^
io: $(io_run)
	$(Q)$(run_tests) --suite io $^
sim: $(sim_run)
	$(Q)$(run_tests) --suite sim $^
abi: $(abi_run)
	$(Q)$(run_tests) --suite abi $^

clean:
	$(Q)rm -rf $(BUILD)

-include $(shell find $(OBJ) -name '*.d' 2>/dev/null)
