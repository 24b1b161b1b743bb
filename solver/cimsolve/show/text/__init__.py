"""All that cimsolve prints. Results on stdout, live progress on stderr; `outcome` is what is reported on."""
