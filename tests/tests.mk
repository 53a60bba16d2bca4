# Unit tests: tests/unit/<module>_test.c, one cmocka program each, linked with everything but main().
UNIT_SRC := $(sort $(wildcard tests/unit/*_test.c))
UNIT_BIN := $(UNIT_SRC:%.c=$(B)/%)

$(B)/tests/unit/%: $(B)/tests/unit/%.o $(B)/libdsagent.a
	$(CC) $(ALL_LDFLAGS) -o $@ $< $(B)/libdsagent.a $(PKG_LIBS) -lcmocka

.PHONY: unit
unit: $(UNIT_BIN)
	@fail=0; for t in $(UNIT_BIN); do $$t >$$t.log 2>&1 || { fail=1; echo "FAILED $$t"; cat $$t.log; }; done; exit $$fail
