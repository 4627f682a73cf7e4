"""``python -m workers``: what ``enrich worker`` runs."""

import sys

from service.memory import load_unadorned

if __name__ == "__main__":
    load_unadorned()
    from workers.starting import main

    sys.exit(main())
