"""``python -m workers``: what ``enrich worker`` runs."""

import sys

from service.process.lean_imports import import_without_rich

if __name__ == "__main__":
    import_without_rich()
    from workers.startup import main

    sys.exit(main())
