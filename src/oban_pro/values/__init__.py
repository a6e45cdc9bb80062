"""Values that jobs pass on: how they are encoded, decoded, nested and handed to a cascade."""
