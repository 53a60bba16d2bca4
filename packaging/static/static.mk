# One program without any library of the machine: musl and everything else from source.
STATIC_ARCH ?= x86_64
STATIC      := build/static/$(STATIC_ARCH)
STATIC_LIBS := -lcurl -lcares -lssl -lcrypto -lyaml -ljansson -lexpat -larchive -lzstd -llzma -lz -lpthread -lm
STATIC_LD   := -static-pie -Wl,-z,relro,-z,now,-z,noexecstack,-z,pack-relative-relocs,--gc-sections,--build-id=none
# At -Os gcc sees truncations that the sizes rule out.
STATIC_CFLAGS := -fno-asynchronous-unwind-tables -fno-unwind-tables -Wno-format-truncation
STATIC_STRIP  = $(if $(filter $(STATIC_ARCH),$(shell uname -m)),,$(STATIC_ARCH)-linux-gnu-)strip

.PHONY: static static-deps
static: build/static/dsagent-$(STATIC_ARCH)

# What is in place already is left alone.
static-deps:
	@sh packaging/static/fetch.sh build/static/src
	@nice -n 10 sh packaging/static/build.sh $(STATIC_ARCH) build/static/src $(STATIC)

# Asked anew each time: the second make knows what changed in the agent. Other libraries or flags begin it anew.
.PHONY: build/static/dsagent-$(STATIC_ARCH)
build/static/dsagent-$(STATIC_ARCH): static-deps
	@if [ ! -f $(STATIC)/agent/.deps ] || \
		[ -n "$$(find $(STATIC)/done packaging/static/static.mk -type f -newer $(STATIC)/agent/.deps)" ]; then \
		rm -rf $(STATIC)/agent && mkdir -p $(STATIC)/agent && touch $(STATIC)/agent/.deps; fi
	@PATH="$(CURDIR)/$(STATIC)/bin:$$PATH" nice -n 10 $(MAKE) -s --no-print-directory $(if $(filter -j%,$(MAKEFLAGS)),,-j2) \
		-o $(STATIC)/agent/.deps B=$(STATIC)/agent CC=musl-gcc OPT=-Os SAN= LDFLAGS= CFLAGS='$(STATIC_CFLAGS)' \
		PKG_CFLAGS='-isystem $(CURDIR)/$(STATIC)/include' ALL_LDFLAGS='$(STATIC_LD)' \
		PKG_LIBS='$(CURDIR)/$(STATIC)/lib/mimalloc.o -L$(CURDIR)/$(STATIC)/lib $(STATIC_LIBS)' $(STATIC)/agent/dsagent
	@$(STATIC_STRIP) -s -R .comment -o $@.part $(STATIC)/agent/dsagent
	@sh packaging/static/gate.sh $@.part && mv $@.part $@
	@printf '  %s: %s bytes\n' $@ "$$(wc -c <$@)"
