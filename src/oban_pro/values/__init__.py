"""Values that jobs pass on: encoding, decoding, nesting, and the context of a cascade."""
