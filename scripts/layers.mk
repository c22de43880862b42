# The layers, written down once. make links by this table, scripts/check-layers checks includes by it.
#
# uses_LAYER := what it may include and link beside itself, top to bottom.

uses_base    :=
uses_env     := base
uses_wire    := base
uses_audit   := wire env base
uses_access  := wire env base
uses_lease   := access audit wire env base
uses_request := access audit wire env base
uses_backend := lease access audit wire env base
uses_serve   := backend request lease access audit wire env base
uses_io      := env wire base
uses_helper  := wire base
uses_daemon  := helper io serve backend request lease access audit wire env base
uses_cli     := access wire env base

layers := base env wire audit access lease request backend serve io helper daemon cli

# Folders of tests, by the layer set they link. tests/unit/LAYER links LAYER and what it uses.
core := serve $(uses_serve)
tests_io      := io $(uses_io)
tests_sim     := $(core)
tests_abi     := $(core)
tests_plugins := $(core)
tests_bench   := daemon $(uses_daemon)
tests_fuzz    := daemon $(uses_daemon)
tests_conformance := daemon $(uses_daemon)
tests_support := env base

# only_HEADER := who may include it: layers, or single files below src. A name that ends in / is a folder of headers.
only_uv.h            := io
only_curl/           := io cli/client.c cli/issuer.c cli/job_token.c
only_microhttpd.h    := io
only_gnutls/         := io
only_sqlite3.h       := io cli/ledger_file.c
only_libfyaml.h      := wire
only_pcre2.h         := access
only_leased/plugin.h := backend daemon
only_jansson.h       := env wire audit access lease request backend serve io daemon cli
only_openssl/        := env wire audit access lease backend serve io daemon cli

# What plugins may include beside libc, leased's header and their own headers.
plugin_headers := leased/plugin.h jansson.h openssl/
