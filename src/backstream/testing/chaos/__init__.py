"""Back-ends that fail on purpose: a server whose models are faults, and the faults as data."""

from backstream.testing.chaos.faults import FAULTS, find_fault
from backstream.testing.chaos.rows import ROWS, UNSHOWABLE
from backstream.testing.chaos.server import ChaosServer, Played
from backstream.testing.chaos.shape import Fault, Outcome

__all__ = ["FAULTS", "ROWS", "UNSHOWABLE", "ChaosServer", "Fault", "Outcome", "Played", "find_fault"]
