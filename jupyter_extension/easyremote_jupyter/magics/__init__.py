"""The magics: what people type, its options and its completion."""
