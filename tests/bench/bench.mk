# make bench: figures beside named peers in one run; BENCH_ARGS="--only no-change --runs 3" for a short one.
.PHONY: bench
bench: $(B)/dsagent $(B)/tests/world
	python3 tests/bench/bench.py --agent $(B)/dsagent $(BENCH_ARGS)
