from tests.fakes.stacks.preview import reads_only, sandbox, served

__all__ = ["reads_only", "sandbox", "served"]
