# Unit tests: tests/unit/<module>_test.c, one cmocka program each, linked with everything but main().
UNIT_SRC := $(sort $(wildcard tests/unit/*_test.c))
UNIT_BIN := $(UNIT_SRC:%.c=$(B)/%)

$(B)/tests/unit/%: $(B)/tests/unit/%.o $(B)/libdsagent.a
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $< $(B)/libdsagent.a $(PKG_LIBS) -lcmocka

.PRECIOUS: $(B)/%.o

.PHONY: unit
unit: $(UNIT_BIN)
	@fail=0; for t in $(UNIT_BIN); do $$t >$$t.log 2>&1 || { fail=1; echo "FAILED $$t"; cat $$t.log; }; done; exit $$fail

# What has threads, under ThreadSanitizer.
.PHONY: unit-threads
unit-threads:
	@$(MAKE) --no-print-directory B=build/san-thread SAN=thread UNIT_SRC="$(addprefix tests/unit/,s3_worker_test.c s3_ranges_test.c s3_put_test.c)" unit

# Golden cases: recipes with what `dsagent validate` says about them.
.PHONY: cases
cases: $(B)/dsagent
	@sh tests/cases/run.sh $(B)/dsagent $(ARGS)

# The fake outside: its own program, with nothing of the agent in it.
WORLD_SRC := $(sort $(wildcard tests/world/*.c))
WORLD_OBJ := $(WORLD_SRC:tests/world/%.c=$(B)/tests/world-o/%.o)

$(B)/tests/world-o/%.o: tests/world/%.c | $(B)/.deps
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(ALL_CFLAGS) -c -o $@ $<

$(B)/tests/world: $(WORLD_OBJ)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $(WORLD_OBJ) -lcrypto -lpthread -lm

# What drives the shipped binary from outside. VENV is shared by all build folders.
VENV      := build/venv
PYTEST    := $(VENV)/bin/python -m pytest -q -rs -p no:cacheprovider --basetemp=$(B)/tests/tmp
TEST_ENV  := DSAGENT_BUILD=$(B) DSAGENT=$(or $(DSAGENT),$(B)/dsagent)

$(VENV)/.made: tests/requirements.txt
	python3 -m venv $(VENV)
	$(VENV)/bin/python -m pip install -q --disable-pip-version-check -r tests/requirements.txt
	@touch $@

.PHONY: test test-run e2e rig
# Everything; the last line is "N passed, N failed, N skipped" over unit tests, golden cases, e2e and rigs.
test:
	@sh packaging/deps.sh install build demo test
	@$(MAKE) --no-print-directory test-run

test-run: $(UNIT_BIN) $(B)/dsagent $(B)/tests/world $(B)/tests/fleet-sim $(B)/tests/sign $(B)/tests/tree $(VENV)/.made
	@$(TEST_ENV) sh tests/run.sh $(B) "$(UNIT_BIN)" "$(PYTEST)"

e2e: $(B)/dsagent $(B)/tests/world $(B)/tests/fleet-sim $(B)/tests/sign $(B)/tests/tree $(VENV)/.made
	$(TEST_ENV) $(PYTEST) tests/e2e $(ARGS)

# Real apt, dnf and pip in throw-away roots: minutes, root and the network.
rig: $(B)/dsagent $(B)/tests/world $(VENV)/.made
	$(TEST_ENV) $(PYTEST) tests/rig $(ARGS)

# A run killed at 100 random moments: the next apply always ends ready. KILL_SEED=N plays one again.
.PHONY: kill100
kill100: $(B)/dsagent $(B)/tests/world $(VENV)/.made
	KILL_MOMENTS=$(or $(KILL_MOMENTS),100) $(TEST_ENV) $(PYTEST) -rA --tb=short tests/e2e/test_kill_moments.py $(ARGS)
