from tests.fakes.stacks.loader_stack import open_stack, stack

__all__ = ["open_stack", "stack"]
