"""Detached calls: the gateway is their client, and its journal holds what a client would hold."""
