"""%remote_panel: nodes and jobs in a notebook without the sidebar."""
