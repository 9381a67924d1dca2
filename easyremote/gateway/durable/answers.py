"""What a client asks of its detached calls: to accept one, its outcome, which there are.

A key sees its own only. ``tests/gateway/durable/test_answers.py`` proves it.
"""
