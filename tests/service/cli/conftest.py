from tests.fakes.command import enrich, folder, keep

__all__ = ["enrich", "folder", "keep"]
