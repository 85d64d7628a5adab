"""`TestingInput` resumed after its first item: upstream takes position 0 for none and gives that item again.

:upstream: a
:ours: b
"""

from bytewax.testing import TestingInput

source = TestingInput(["a", "b"])
part = source.build_part("iter", None)
part.next()
print(source.build_part("iter", part.snapshot()).next())
