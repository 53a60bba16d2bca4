# What packages are made of, and the packages: packaging/files is the list.
DIST        := build/dist
DIST_ARCHES ?= x86_64 aarch64

# make rpm, make deb: both architectures from their static programs; BIN=PATH: one package, of another program.
.PHONY: install rpm deb dist-static templates
# Of the last commit, so that the same source makes the same files.
install rpm deb: export SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || stat -c %Y Makefile)
# How a login shows messages here.
MOTD ?= $(if $(wildcard /etc/debian_version),update-motd.d,motd.d)
install: $(B)/dsagent
	sh packaging/install.sh install '$(DESTDIR)' '$(PREFIX)' $(B)/dsagent $(B)/dsagent file dir config license $(MOTD)

DIST_FROM = $(or $(BIN),$(DIST_ARCHES:%=build/static/dsagent-%))
rpm deb: $(B)/dsagent $(if $(BIN),,dist-static)
	@for program in $(DIST_FROM); do sh $@/build.sh $(VERSION) $$program $(B)/dsagent $(DIST) || exit; done

# Only what is not there: `make static` is for whoever has changed something.
dist-static:
	@for arch in $(DIST_ARCHES); do \
		{ [ -f build/static/dsagent-$$arch ] && [ -f $(STATIC_NOTICES) ]; } || $(MAKE) --no-print-directory static STATIC_ARCH=$$arch || exit; done

# user-data.sh has changed: so do the templates that carry it.
templates:
	@sh packaging/templates.sh
