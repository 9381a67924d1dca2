"""What a plain program shows of code on a node: its text, its questions, its progress bars."""
