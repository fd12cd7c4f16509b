"""One file an input: where records come from."""
