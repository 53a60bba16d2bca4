# One program without any library of the machine: musl and everything else from source.
STATIC_ARCH  ?= $(shell uname -m)
STATIC_ARCHS := x86_64 aarch64
STATIC       := build/static/$(STATIC_ARCH)
STATIC_BIN   := build/static/dsagent-$(STATIC_ARCH)
# What the libraries want handed on with it, of either architecture.
STATIC_NOTICES := build/static/THIRD-PARTY-NOTICES
STATIC_LIBS  := -lcurl -lcares -lssl -lcrypto -lyaml -ljansson -lexpat -larchive -lzstd -llzma -lz -lpthread -lm
STATIC_LD     = -static-pie -Wl,-z,relro,-z,now,-z,noexecstack,--gc-sections,--build-id=none$(STATIC_RELR)
# Small relocations; for aarch64 binutils have them from 2.43 on.
STATIC_RELR   = $(if $(filter x86_64,$(STATIC_ARCH)),$(comma)-z$(comma)pack-relative-relocs)
comma        := ,
# At -Os gcc sees truncations that the sizes rule out. cmocka.h takes another libc's macro for the sign of a uintptr_t.
STATIC_CFLAGS := -fno-asynchronous-unwind-tables -fno-unwind-tables -Wno-format-truncation -DHAVE_UINTPTR_T
STATIC_STRIP  = $(if $(filter $(STATIC_ARCH),$(shell uname -m)),,$(STATIC_ARCH)-linux-gnu-)strip
# What starts a program of STATIC_ARCH here: nothing, or qemu.
STATIC_RUN    = $(if $(filter $(STATIC_ARCH),$(shell uname -m)),,$(shell sh tests/static/qemu.sh $(STATIC_ARCH) build/static/qemu))
# Released sizes: user-data fetches it at every first boot, and it lies beside the system on small images.
STATIC_MAX    := 4500000
STATIC_XZ_MAX := 1600000

# The agent's own makefile with musl's compiler.
STATIC_MAKE = PATH="$(CURDIR)/$(STATIC)/bin:$$PATH" nice -n 10 $(MAKE) -s --no-print-directory $(if $(filter -j%,$(MAKEFLAGS)),,-j2) \
	-o $(STATIC)/agent/.deps B=$(STATIC)/agent CC=musl-gcc OPT=-Os SAN= LDFLAGS= CFLAGS='$(STATIC_CFLAGS)' \
	PKG_CFLAGS='-isystem $(CURDIR)/$(STATIC)/include' ALL_LDFLAGS='$(STATIC_LD)' \
	PKG_LIBS='$(CURDIR)/$(STATIC)/lib/mimalloc.o -L$(CURDIR)/$(STATIC)/lib $(STATIC_LIBS)'

.PHONY: static static-all static-deps static-news static-unit static-reproducible sbom \
	test-static test-static-smoke test-static-aarch64
static: $(STATIC_BIN) $(STATIC_NOTICES)

static-all:
	@sh packaging/deps.sh install static
	@for a in $(STATIC_ARCHS); do $(MAKE) --no-print-directory static STATIC_ARCH=$$a || exit 1; done

# What is in place already is left alone. Other libraries or flags begin the agent anew.
static-deps:
	@sh packaging/static/fetch.sh build/static/src $(STATIC_WITH)
	@nice -n 10 sh packaging/static/build.sh $(STATIC_ARCH) build/static/src $(STATIC) $(STATIC_WITH)
	@if [ ! -f $(STATIC)/agent/.deps ] || [ -n "$$(find $(STATIC)/done packaging/static/static.mk -type f ! -name cmocka \
		-newer $(STATIC)/agent/.deps)" ]; then rm -rf $(STATIC)/agent && mkdir -p $(STATIC)/agent && touch $(STATIC)/agent/.deps; fi

# Asked anew each time: the second make knows what changed in the agent.
.PHONY: $(STATIC_BIN)
$(STATIC_BIN): static-deps
	@$(STATIC_MAKE) $(STATIC)/agent/dsagent
	@$(STATIC_STRIP) -s -R .comment -o $@.part $(STATIC)/agent/dsagent
	@if [ -f $@ ] && cmp -s $@.part $@ && [ -z "$$(find packaging/static -newer $@)" ]; then rm $@.part; \
		else sh packaging/static/gate.sh $@.part $(STATIC_MAX) $(STATIC_XZ_MAX) $(CURDIR) && mv $@.part $@; fi
	@printf '  %s: %s bytes\n' $@ "$$(wc -c <$@)"

$(STATIC_NOTICES): $(addprefix packaging/static/,manifest notices.sh rows.awk) | static-deps
	@sh packaging/static/notices.sh texts build/static/src > $@.part
	@mv $@.part $@

# Built once more in another folder, deeper, with another -j, umask, home and time zone: the same, bit for bit.
static-reproducible: $(STATIC_BIN)
	@sh packaging/static/reproducible.sh $(STATIC_ARCH) $(STATIC_BIN)

sbom: $(STATIC_BIN) $(STATIC_NOTICES)
	@python3 packaging/static/sbom.py --sources build/static/src --version $(VERSION) --arch $(STATIC_ARCH) \
		--compiler "$$($(STATIC_STRIP:%strip=%gcc) -dumpfullversion)" $(STATIC_BIN) > $(STATIC_BIN).cdx.json.part
	@mv $(STATIC_BIN).cdx.json.part $(STATIC_BIN).cdx.json
	@echo '  $(STATIC_BIN).cdx.json'

static-news:
	@sh packaging/static/news.sh

# The unit tests, linked as the program is; arc_test makes .xz archives, which this libarchive only reads.
STATIC_UNIT = $(filter-out %/arc_test,$(UNIT_SRC:%.c=$(STATIC)/agent/%))
static-unit:
	@$(MAKE) --no-print-directory static-deps STATIC_ARCH=$(STATIC_ARCH) STATIC_WITH=tests
	@$(STATIC_MAKE) $(STATIC_UNIT)
	@sh tests/static/unit.sh "$(STATIC_RUN)" $(STATIC_UNIT)

# Everything that drives the program, on the static one; ARGS are pytest's. The smoke is what CI runs.
STATIC_SMOKE  := cli validate apply imds step_download sync
STATIC_PYTEST  = DSAGENT_BUILD=$(B) DSAGENT=$(STATIC_BIN) $(PYTEST)
test-static: sbom $(B)/tests/world $(B)/tests/fleet-sim $(B)/tests/sign $(B)/tests/tree $(VENV)/.made
	@$(MAKE) --no-print-directory static-unit
	$(STATIC_PYTEST) tests/static tests/e2e $(ARGS)

test-static-smoke: sbom $(B)/tests/world $(VENV)/.made
	$(STATIC_PYTEST) tests/static $(STATIC_SMOKE:%=tests/e2e/test_%.py)

# The other architecture under qemu. A script stands for the program, so what starts itself anew (boot), reads the list of
# processes (apply) or is killed in its midst (kill) is left to the real one.
STATIC_QEMU   := cli gpu imds manifest packages_stub plan status_wait step_cert step_conda step_download tags validate volume
test-static-aarch64: $(B)/tests/world $(VENV)/.made
	@sh packaging/deps.sh install static test
	@$(MAKE) --no-print-directory static static-unit STATIC_ARCH=aarch64
	@printf '#!/bin/sh\nexec %s %s "$$@"\n' "$$(sh tests/static/qemu.sh aarch64 build/static/qemu)" \
		$(CURDIR)/build/static/dsagent-aarch64 > build/static/qemu/dsagent && chmod +x build/static/qemu/dsagent
	DSAGENT_BUILD=$(B) DSAGENT=build/static/qemu/dsagent $(PYTEST) $(STATIC_QEMU:%=tests/e2e/test_%.py) $(ARGS)
