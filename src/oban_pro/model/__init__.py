"""The vocabulary of the package: states, counts, explanations, keys. No input or output."""
