"""Words that everything else is said in: states, counts, explanations, keys. No input or output."""
