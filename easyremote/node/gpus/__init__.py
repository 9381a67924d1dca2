"""The GPUs of this machine: who holds their memory, and which calls get some of it."""
