"""What commands share; ``commands`` holds one module for each command."""
