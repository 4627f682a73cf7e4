"""``python -m workers``: what ``enrich worker`` runs."""

import sys

from service.process.lean_imports import import_lean_libraries

if __name__ == "__main__":
    import_lean_libraries()
    from workers.startup import main

    sys.exit(main())
