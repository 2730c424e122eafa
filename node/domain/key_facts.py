"""What a venue says about a key and the account that it opens."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFacts:
    """What a venue says about a key and its account. None: it does not tell."""

    may_trade: bool | None = None
    may_withdraw: bool | None = None
    #: Whether the key works from named addresses only.
    bound_to_addresses: bool | None = None
    #: The account's kind, in the words of ``options.account``.
    account: str | None = None
    #: The position mode: one-way or hedge, where it is one for the whole account.
    hedged: bool | None = None
    #: Parts of the venue that the key opens.
    opens: tuple[str, ...] = ()

    def joined(self, other: KeyFacts) -> KeyFacts:
        """Both together; what *other* tells goes before."""
        told = {each.name: getattr(other, each.name) for each in fields(other)}
        kept = {name: value for name, value in told.items() if value is not None and name != "opens"}
        return replace(self, **kept, opens=(*self.opens, *other.opens))
