"""Where a run's figures are shown while it runs, one tracker per file.

A file has PACKAGES, the packages that it needs, and `begin(place)`, which returns a `Tracker`; its
name is what `[track] to` calls it. All are told the same names, in the same units (`_values`). What
they do happens in a thread of its own: one that fails or hangs never stops or slows a run.
"""

from accord.tracking._place import Place, Tracker
from accord.tracking._trackers import Trackers, check_installed, tracker_names
from accord.tracking._values import values_of

__all__ = ["Place", "Tracker", "Trackers", "check_installed", "tracker_names", "values_of"]
