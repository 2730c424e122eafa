"""Exceptions, grouped by what the operator must do about them.

Each class has a stable ``code``; its docstring is the default message.
"""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID


class SovereignError(Exception):
    """Something went wrong in Sovereign Node."""

    code: ClassVar[str] = "INTERNAL"

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").strip().splitlines()[0])


class ConfigError(SovereignError):
    """The configuration is wrong: nothing was started."""

    code = "CONFIG"

    def __init__(self, faults: list[str]) -> None:
        #: One line a fault: where, and why.
        self.faults = faults
        super().__init__("; ".join(faults))


class Transient(SovereignError):
    """It will pass by itself: try again."""

    code = "TRANSIENT"


class TransportUnavailable(Transient):
    """The broker is not connected."""

    code = "TRANSPORT_UNAVAILABLE"


class TransportRefused(SovereignError):
    """The broker refuses a message for good: check its access list and size limit."""

    code = "TRANSPORT_REFUSED"


class JournalUnavailable(SovereignError):
    """The journal cannot be written: check disk space and the state directory."""

    code = "JOURNAL_UNAVAILABLE"


class StateDirectoryBusy(SovereignError):
    """Another process holds the state directory: stop it first."""

    code = "STATE_DIRECTORY_BUSY"


class NotConfirmed(Transient):
    """No node has confirmed the command in time: it may still be carried out. Ask again by its id."""

    code = "TIMEOUT"

    def __init__(self, message: str | None = None, *, command_id: UUID, account_id: UUID | None) -> None:
        #: Under which the result may be asked for later.
        self.command_id = command_id
        #: None: every account.
        self.account_id = account_id
        super().__init__(message)


class NotAvailable(SovereignError):
    """This cannot be done from here: do it at the node itself."""

    code = "NOT_AVAILABLE"


class VenueError(SovereignError):
    """The venue did not do what was asked."""

    code = "VENUE"


class VenueUnavailable(VenueError):
    """The venue could not be reached, or did not answer in time."""

    code = "VENUE_UNAVAILABLE"


class VenueLimited(VenueError):
    """The venue refuses for the number of requests: back off."""

    code = "VENUE_RATE_LIMITED"

    def __init__(self, message: str | None = None, *, retry_after_s: float | None = None) -> None:
        #: What the venue asked us to wait, where it said so.
        self.retry_after_s = retry_after_s
        super().__init__(message)


class VenueDenied(VenueError):
    """The venue refuses the key, its rights or its address: a person must act."""

    code = "VENUE_DENIED"


class VenueAnswerUnknown(VenueError):
    """The venue answered in a shape that is not understood: nothing may be concluded from it."""

    code = "VENUE_ANSWER_UNKNOWN"
