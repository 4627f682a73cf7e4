from tests.fakes.cli import enrich, folder, keep

__all__ = ["enrich", "folder", "keep"]
