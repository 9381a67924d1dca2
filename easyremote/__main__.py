"""``python -m easyremote``: the command line."""

from easyremote.cli.main import main

if __name__ == "__main__":
    main()
