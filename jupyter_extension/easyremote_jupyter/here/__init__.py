"""What a remote cell leaves behind exists here: imports, values, generators of random numbers."""
