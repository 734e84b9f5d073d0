"""``python -m hashers``."""

from hashers.cli import main

if __name__ == "__main__":
    main()
