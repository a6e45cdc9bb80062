"""What the commands are made of, and ``commands``: one module for each."""
