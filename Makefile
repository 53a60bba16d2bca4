# dsagent: `make` builds build/dsagent, `make test` tests it, `make help` lists the rest.
VERSION := 0.1.0
B       ?= build
CC      ?= cc
PREFIX  ?= /usr

PKGS    := libcurl openssl yaml-0.1 jansson expat zlib libarchive
WARN    := -Wall -Wextra -Wshadow -Wvla -Wformat=2 -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
           -Wwrite-strings -Wundef -Wno-unused-parameter
HARDEN  := -fstack-protector-strong -fstack-clash-protection -fPIE -D_FORTIFY_SOURCE=2 -ffunction-sections -fdata-sections
OPT     ?= -O2
SAN     ?=
ifneq ($(SAN),)
OPT     := -O1
HARDEN  := -fPIE
SANFLAGS := -fsanitize=$(SAN) -fno-sanitize-recover=all -fno-omit-frame-pointer
endif

ALL_CFLAGS  = -std=c17 -D_GNU_SOURCE -DDSAGENT_VERSION='"$(VERSION)"' -Iagent -include base/banned.h -g $(OPT) $(WARN) $(HARDEN) \
              $(SANFLAGS) -MMD -MP $(PKG_CFLAGS) $(CFLAGS)
ALL_LDFLAGS = -pie -Wl,-z,relro,-z,now -Wl,--gc-sections $(SANFLAGS) $(LDFLAGS)
# Asked once, and only when something is compiled: deps may have come in since make started.
PKG_CFLAGS  = $(eval PKG_CFLAGS := $$(shell pkg-config --cflags $(PKGS)))$(PKG_CFLAGS)
PKG_LIBS    = $(eval PKG_LIBS := $$(shell pkg-config --libs $(PKGS)))$(PKG_LIBS)

SRC     := $(sort $(wildcard agent/*/*.c))
LIBSRC  := $(filter-out agent/cli/main.c,$(SRC))
GEN     := $(B)/gen/builtin.o $(B)/gen/packaged.o $(B)/gen/page.o
OBJ     := $(SRC:%.c=$(B)/%.o) $(GEN)
LIBOBJ  := $(LIBSRC:%.c=$(B)/%.o) $(GEN)

# One short line a file; V=1 shows the whole commands.
ifeq ($(V),)
Q       := @
say      = @printf '  %-5s %s\n' $(1) $(2)
endif

.DELETE_ON_ERROR:
.SUFFIXES:
.PHONY: all help deps deps-test lint format check-layers install clean
all: $(B)/dsagent

help:
	@echo 'make                build/dsagent, against the distribution'"'"'s libraries'
	@echo 'make demo           build it, play a small EC2 on loopback, apply the quickstart recipe, show the tags'
	@echo 'make test           unit tests, golden cases, end-to-end tests, real package managers in throw-away roots'
	@echo 'make bench          figures beside ansible-playbook, bash and pip, in one run'
	@echo 'make static         build/static/dsagent-x86_64: one program that needs no library of the machine'
	@echo 'make lint           clang-format, clang-tidy, cppcheck, gcc -fanalyzer, layers'
	@echo 'make fuzz           every parser under libFuzzer, FUZZ_SECONDS=600 each'
	@echo 'make deps           install the packages it is built with (as root)'
	@echo 'V=1, SAN=address,undefined, CC=clang, B=DIR, DESTDIR= and PREFIX= do what they do everywhere'

deps:
	@sh packaging/deps.sh install build
deps-test:
	@sh packaging/deps.sh install build demo test

$(B)/.deps: packaging/deps.sh
	@command -v pkg-config >/dev/null && pkg-config --exists $(PKGS) || sh packaging/deps.sh check build
	@mkdir -p $(@D) && touch $@

include $(wildcard tests/*.mk tests/*/*.mk packaging/*/*.mk)

$(B)/dsagent: $(OBJ)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $(OBJ) $(PKG_LIBS)

# Everything but main(), for the unit tests and fuzzers.
$(B)/libdsagent.a: $(LIBOBJ)
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcs $@ $(LIBOBJ)

$(B)/%.o: %.c | $(B)/.deps
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(ALL_CFLAGS) -c -o $@ $<

$(B)/gen/%.o: $(B)/gen/%.c
	$(call say,CC,$<)
	$(Q)$(CC) $(ALL_CFLAGS) -c -o $@ $<

# Built-in recipes and pip sets, compiled in.
$(B)/gen/builtin.c: agent/embed.sh $(wildcard recipes/*.yaml recipes/sets/*.txt)
	@mkdir -p $(@D)
	$(Q)sh agent/embed.sh recipes > $@

# What `dsagent boot` and `dsagent userdata` write: the same files that packages bring.
$(B)/gen/packaged.c: agent/embed.sh packaging/dsagent.service packaging/user-data.sh
	@mkdir -p $(@D)
	$(Q)sh agent/embed.sh --text cli/packaged.h packaged_service=packaging/dsagent.service \
		packaged_user_data=packaging/user-data.sh > $@

# The look of `dsagent report --html`.
$(B)/gen/page.c: agent/embed.sh agent/report/page.css
	@mkdir -p $(@D)
	$(Q)sh agent/embed.sh --text report/page.h page_css=agent/report/page.css > $@

install: $(B)/dsagent
	install -D -m 0755 $(B)/dsagent $(DESTDIR)$(PREFIX)/bin/dsagent
	install -d -m 0755 $(DESTDIR)/etc/dsagent/recipes.d $(DESTDIR)$(PREFIX)/lib/systemd/system
	sed 's|/usr/bin/|$(PREFIX)/bin/|' packaging/dsagent.service > $(DESTDIR)$(PREFIX)/lib/systemd/system/dsagent.service
	chmod 0644 $(DESTDIR)$(PREFIX)/lib/systemd/system/dsagent.service
	install -D -m 0644 packaging/90-dsagent.preset $(DESTDIR)$(PREFIX)/lib/systemd/system-preset/90-dsagent.preset
	install -D -m 0644 packaging/dsagent.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/dsagent

clean:
	rm -rf $(B)

# Layout, tidiness and layers. The analyzers see the code as the compiler does.
FORMATTED := $(wildcard agent/*/*.[ch] tests/*/*.[ch])
TIDY      := $(SRC:%.c=$(B)/tidy/%.ok)
ANALYZED  := $(SRC:%.c=$(B)/analyze/%.o)

format:
	clang-format -i $(FORMATTED)

check-layers:
	@sh agent/check-layers.sh

lint: check-layers $(TIDY) $(ANALYZED)
	@clang-format --dry-run -Werror $(FORMATTED) && echo 'format: ok'
	@cppcheck -q --std=c11 --language=c --enable=warning,performance,portability --inline-suppr --error-exitcode=1 \
		--suppress=missingIncludeSystem -D_GNU_SOURCE -Iagent agent && echo 'cppcheck: ok'
	@echo 'lint: ok'

$(B)/tidy/%.ok: %.c .clang-tidy | $(B)/.deps
	@mkdir -p $(@D)
	$(call say,TIDY,$<)
	$(Q)clang-tidy --quiet --warnings-as-errors='*' $< -- $(filter-out -MMD -MP,$(ALL_CFLAGS)) -Wno-unknown-warning-option 2>/dev/null
	@touch $@

$(B)/analyze/%.o: %.c | $(B)/.deps
	@mkdir -p $(@D)
	$(call say,CHECK,$<)
	$(Q)$(CC) $(ALL_CFLAGS) -fanalyzer -Werror -c -o $@ $<

-include $(shell find $(B)/agent $(B)/gen $(B)/tests -name '*.d' 2>/dev/null)
