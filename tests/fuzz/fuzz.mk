# Fuzzers: one tests/fuzz/fuzz_NAME.c per parser, seeds in tests/fuzz/corpus/NAME/. What libFuzzer finds is kept under
# $(B)/fuzz: corpus/NAME/ (new coverage, used again by the next run) and found/NAME-crash-… (inputs that fail).
#   make fuzz                       each parser for FUZZ_SECONDS
#   make fuzz-smoke                 each for 5 seconds
#   make fuzz FUZZ="yml mime"       these only
FUZZ_CC      ?= clang
FUZZ_SECONDS ?= 600
FUZZ         ?= $(patsubst tests/fuzz/fuzz_%.c,%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))

# -max_len: as large as user-data may be; -timeout: nothing of that size may take a second, let alone 5.
FUZZ_FLAGS   = -max_len=16384 -timeout=5 -rss_limit_mb=1024 -print_final_stats=1
FUZZ_CFLAGS  = -std=c17 -D_GNU_SOURCE -Iagent -Itests/fuzz -include base/banned.h -g -O1 $(WARN) -Wno-format-nonliteral -MMD -MP \
               $(PKG_CFLAGS) -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
FUZZ_SRC     = $(sort $(wildcard agent/base/*.c agent/fmt/*.c agent/recipe/cond*.c) agent/io/arc.c agent/io/http_answer.c agent/io/http_date.c \
               $(addprefix agent/aws/,s3_page.c s3_file.c s3key.c s3filter.c s3url.c s3index_record.c sigv4.c call_decode.c) \
               $(addprefix agent/sys/gpu_,kmsg.c kmsg_text.c smi_csv.c) \
               $(addprefix agent/steps/python_,req.c version.c marker.c))
# What told runs are made of; the look of the page is the build's.
FUZZ_STORY   = $(addprefix agent/engine/,event.c event_text.c) \
               $(addprefix agent/report/,story.c lines.c status_js.c word.c told.c told_js.c page.c page_timeline.c page_parts.c show.c show_step.c)
FUZZ_LIBS    = $(shell pkg-config --libs openssl yaml-0.1 jansson expat zlib libarchive 2>/dev/null)

.PHONY: fuzz fuzz-smoke fuzz-build
fuzz-build: $(FUZZ:%=$(B)/fuzz/fuzz_%)

fuzz: fuzz-build
	@for name in $(FUZZ); do \
		mkdir -p $(B)/fuzz/corpus/$$name $(B)/fuzz/found; \
		$(B)/fuzz/fuzz_$$name $(FUZZ_FLAGS) -max_total_time=$(FUZZ_SECONDS) \
			-artifact_prefix=$(B)/fuzz/found/$$name- \
			$(B)/fuzz/corpus/$$name tests/fuzz/corpus/$$name >$(B)/fuzz/$$name.log 2>&1 || \
			{ echo "FAILED fuzz $$name"; tail -n 60 $(B)/fuzz/$$name.log; exit 1; }; \
		printf 'fuzz %-8s %s s, inputs tried: %s\n' $$name $(FUZZ_SECONDS) \
			"$$(sed -n 's/^stat::number_of_executed_units: *//p' $(B)/fuzz/$$name.log)"; \
	done

fuzz-smoke:
	@$(MAKE) --no-print-directory fuzz FUZZ_SECONDS=5

$(B)/fuzz/fuzz_story: $(FUZZ_STORY:%.c=$(B)/fuzz/%.o)
$(B)/fuzz/fuzz_%: $(B)/fuzz/tests/fuzz/fuzz_%.o $(FUZZ_SRC:%.c=$(B)/fuzz/%.o)
	$(call say,LINK,$@)
	$(Q)$(FUZZ_CC) -fsanitize=fuzzer,address,undefined -o $@ $^ $(FUZZ_LIBS)

.PRECIOUS: $(B)/fuzz/%.o
$(B)/fuzz/%.o: %.c
	@mkdir -p $(@D)
	$(call say,FUZZ,$<)
	$(Q)$(FUZZ_CC) $(FUZZ_CFLAGS) -c -o $@ $<

-include $(shell find $(B)/fuzz -name '*.d' -type f 2>/dev/null)
