# make demo: the README's first command. It needs nothing but git and make (and root, to install the rest).
.PHONY: demo
demo:
	@sh packaging/deps.sh install build demo
	@$(MAKE) --no-print-directory $(B)/dsagent $(B)/tests/world
	@sh tests/demo/demo.sh $(B)/dsagent $(B)/tests/world $(B)/demo
