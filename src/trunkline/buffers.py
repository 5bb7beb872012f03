"""What counts as a buffer to a type checker; there is nothing here at run time."""

from typing import TYPE_CHECKING, Any, TypeAlias

__all__ = ["AnyBuffer", "Buffer"]

if TYPE_CHECKING:
    import numpy as np
    from typing_extensions import Buffer as AnyBuffer

    # numpy's stubs say only from Python 3.12 on that an array is a buffer.
    Buffer: TypeAlias = AnyBuffer | np.ndarray[Any, np.dtype[Any]]
