# dsagent: `make` builds build/dsagent, `make test` tests it, `make help` lists the rest.
VERSION := 0.1.0
B       ?= build
CC      ?= cc
PREFIX  ?= /usr

PKGS    := libcurl openssl yaml-0.1 jansson expat zlib
WARN    := -Wall -Wextra -Wshadow -Wvla -Wformat=2 -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
           -Wwrite-strings -Wundef -Wno-unused-parameter
HARDEN  := -fstack-protector-strong -fstack-clash-protection -fPIE -D_FORTIFY_SOURCE=2
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
PKG_CFLAGS  = $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
PKG_LIBS    = $(shell pkg-config --libs $(PKGS) 2>/dev/null)

SRC     := $(sort $(wildcard agent/*/*.c))
LIBSRC  := $(filter-out agent/cli/main.c,$(SRC))
OBJ     := $(SRC:%.c=$(B)/%.o) $(B)/gen/builtin.o
LIBOBJ  := $(LIBSRC:%.c=$(B)/%.o) $(B)/gen/builtin.o

.DELETE_ON_ERROR:
.SUFFIXES:
.PHONY: all help
all: $(B)/dsagent

include $(wildcard tests/tests.mk)

$(B)/dsagent: $(OBJ)
	$(CC) $(ALL_LDFLAGS) -o $@ $(OBJ) $(PKG_LIBS)

# Everything but main(), for the unit tests and fuzzers.
$(B)/libdsagent.a: $(LIBOBJ)
	rm -f $@ && $(AR) rcs $@ $(LIBOBJ)

$(B)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -c -o $@ $<

$(B)/gen/%.o: $(B)/gen/%.c
	$(CC) $(ALL_CFLAGS) -c -o $@ $<

# Built-in recipes and pip sets, compiled in.
$(B)/gen/builtin.c: agent/embed.sh $(wildcard recipes/*.yaml recipes/sets/*.txt)
	@mkdir -p $(@D)
	sh agent/embed.sh recipes > $@

-include $(shell find $(B)/agent $(B)/gen $(B)/tests -name '*.d' 2>/dev/null)
