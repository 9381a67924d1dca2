"""Which call runs where and when, and why a call waits. Pure: time is an argument everywhere."""
