"""``python -m service.cli`` is ``enrich``."""

from service.cli import main

if __name__ == "__main__":
    main()
