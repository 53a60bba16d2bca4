# make fleet-sim: a thousand reporters on a virtual clock against EC2's limit; FLEET_ARGS="--agents 5000 --minutes 60".
$(B)/tests/fleet-sim: $(B)/tests/fleet/fleet_sim.o $(B)/libdsagent.a
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $< $(B)/libdsagent.a $(PKG_LIBS)

.PHONY: fleet-sim
fleet-sim: $(B)/tests/fleet-sim
	@$(B)/tests/fleet-sim $(FLEET_ARGS)
