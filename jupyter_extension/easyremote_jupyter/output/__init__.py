"""What a remote cell shows here: output, bars, errors, background displays."""
