"""Many small cases in one test: a test by itself costs more than most of them."""

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any

Test = Callable[..., None]


def looped(names: str, values: Iterable[Any]) -> Callable[[Test], Test]:
    """Like `pytest.mark.parametrize`, but one test for all values; a failure names its case.

    Args:
        names: of the test's arguments, with commas between them.
        values: of the argument, or one of each for each case.
    """
    arguments, cases = [each.strip() for each in names.split(",")], list(values)

    def decorate(test: Test) -> Test:
        @functools.wraps(test)
        def every(**others: Any) -> None:
            assert cases
            for value in cases:
                ours = dict(zip(arguments, value if len(arguments) > 1 else [value], strict=True))
                try:
                    test(**ours, **others)
                except AssertionError as error:
                    error.add_note(f"with {ours}")
                    raise

        signature = inspect.signature(test)
        left = [
            parameter for name, parameter in signature.parameters.items() if name not in arguments
        ]
        every.__signature__ = signature.replace(parameters=left)  # type: ignore[attr-defined]
        return every

    return decorate
