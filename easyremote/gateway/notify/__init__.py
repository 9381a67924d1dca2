"""Tells people that a call is over: by webhook, e-mail, ntfy and whatever else apprise knows."""
