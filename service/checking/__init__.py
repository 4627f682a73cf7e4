"""What ``enrich check`` looks at: the stores file by itself, then each store live. Nothing is written anywhere."""

from service.checking.findings import Finding, Level

__all__ = ["Finding", "Level"]
