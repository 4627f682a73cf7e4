"""``python -m workers``: what ``enrich worker`` runs."""

import sys

from service.process.gc_tuning import load_unadorned

if __name__ == "__main__":
    load_unadorned()
    from workers.startup import main

    sys.exit(main())
