"""Names for the array types that modules exchange."""

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float32]
Floats64 = npt.NDArray[np.float64]
