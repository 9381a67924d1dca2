"""Detached calls: the gateway keeps them, whoever is gone; any process with the key finds them."""
