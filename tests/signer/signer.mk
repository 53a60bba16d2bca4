# What the product would sign and where it would send it, for the comparison with botocore.
$(B)/tests/sign: $(B)/tests/signer/sign.o $(B)/libdsagent.a
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $< $(B)/libdsagent.a $(PKG_LIBS)
