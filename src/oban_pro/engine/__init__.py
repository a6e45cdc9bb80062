"""What runs statements: the session, the store, inserting, grafting, and loading contexts."""
