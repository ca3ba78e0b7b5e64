"""What the doctor looks at: one module for each thing, each check a list of hops."""
