"""joblib's backend "easyremote": what runs its tasks on nodes. ``joblib_entry.py`` registers it."""
