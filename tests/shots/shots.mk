# Chromium's own word on the page of `report --html`, and the pictures of packaging/doc. Not in `make test`: Chromium is
# 100 MB, and Ubuntu has it only as a snap. apt-get install chromium first.
.PHONY: report-shots
report-shots: $(B)/dsagent $(B)/tests/world $(VENV)/.made
	$(TEST_ENV) $(PYTEST) tests/shots $(ARGS)
