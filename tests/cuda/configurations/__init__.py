"""What the gate compiles: one module per file of kernels, each with a dict CONFIGURATIONS."""
