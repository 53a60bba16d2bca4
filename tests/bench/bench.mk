# make bench: figures beside named peers in one run; BENCH_ARGS="--only no-change --runs 3" for a short one.
.PHONY: bench
bench: $(B)/dsagent $(B)/tests/world
	python3 tests/bench/bench.py --agent $(B)/dsagent $(BENCH_ARGS)

# Small programs of the S3 measurements: sums of a tree, a client that drops what it receives.
$(B)/tests/tree: tests/bench/tree.c tests/world/sums.c tests/world/sums.h | $(B)/.deps
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $(filter %.c,$^)

$(B)/tests/discard: tests/bench/discard.c | $(B)/.deps
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $(filter %.c,$^)
