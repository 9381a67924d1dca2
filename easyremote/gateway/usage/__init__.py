"""Who has used what: every call is counted once, by key, node, function and hour."""
