"""What a handle does with a stored workflow: read it, steer it, wait for it, explain it."""
