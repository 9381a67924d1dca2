"""The widgets of remote cells, shown here."""
