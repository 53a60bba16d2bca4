# Other people's S3 servers and clients, each by its own registry, kept in build/bin: tests need the servers, the
# measurements the clients. One job at a time: the linker of MinIO alone takes 2 GB.
S3_SERVERS := build/bin/versitygw-v1.7.0 build/bin/minio-20260212201848
S3_RIVALS  := build/s3-rivals/.made

go_tool     = mkdir -p build/bin/go && GOBIN=$(CURDIR)/build/bin/go GOFLAGS='-p=1 -mod=mod' nice go install $(1) && mv build/bin/go/$(2) $@

build/bin/versitygw-v1.7.0:
	$(call go_tool,github.com/versity/versitygw/cmd/versitygw@v1.7.0,versitygw)

# The last state of its source; the repository is archived.
build/bin/minio-20260212201848:
	$(call go_tool,github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c,minio)

build/s3-rivals/.made: tests/bench/rivals.txt
	python3 -m venv build/s3-rivals
	build/s3-rivals/bin/python -m pip install -q --disable-pip-version-check -r tests/bench/rivals.txt
	@touch $@

.PHONY: s3-tools s3-servers bench-s3 s3-kill s3-soak
s3-servers: $(S3_SERVERS)
s3-tools: $(S3_SERVERS) $(S3_RIVALS)

# make bench-s3: the S3 client beside its rivals, minutes; ARGS="--quick", or "--rows small-down --runs 3".
bench-s3: $(B)/dsagent $(B)/tests/world $(B)/tests/tree $(B)/tests/discard $(S3_RIVALS)
	DSAGENT_BUILD=$(B) python3 tests/bench/bench_s3.py --agent $(B)/dsagent $(ARGS)

# A thousand moments to kill it at; a million small objects with its memory watched.
s3-kill: $(B)/dsagent $(B)/tests/world $(B)/tests/tree $(VENV)/.made
	S3_KILLS=1000 $(TEST_ENV) $(PYTEST) tests/e2e/test_s3_kill.py $(ARGS)

s3-soak: $(B)/tests/world $(B)/tests/tree $(VENV)/.made
	@$(MAKE) --no-print-directory static
	S3_SOAK=1000000 DSAGENT_BUILD=$(B) DSAGENT=$(STATIC_BIN) $(PYTEST) -s tests/e2e/test_s3_soak.py $(ARGS)
