"""A command on its way to the nodes, as the gateway remembers it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from node.domain.command import ALL_ACCOUNTS, Action, Command, Door, child_id
from node.transport.topics import AccountTarget


@dataclass(frozen=True, slots=True, kw_only=True)
class SentCommand:
    """What was signed, for whom, and until when it is worth anything."""

    command_id: UUID
    #: None: every account.
    account_id: UUID | None
    action: Action
    #: Who asked at this gateway; the nodes see the gateway's own issuer.
    issuer: str
    door: Door
    content_digest: str
    #: The signed bytes.
    envelope: bytes
    dry_run: bool
    reason: str | None
    #: Which must confirm it.
    accounts: tuple[UUID, ...]
    issued_at: datetime
    expires_at: datetime

    @property
    def target(self) -> AccountTarget:
        """As topics and claims name it."""
        return ALL_ACCOUNTS if self.account_id is None else self.account_id

    @property
    def children(self) -> dict[UUID, UUID]:
        """Account to the id under which its node carries the command out."""
        if self.account_id is not None:
            return {self.account_id: self.command_id}
        return {account: child_id(self.command_id, account) for account in self.accounts}

    def as_command(self) -> Command:
        """For documents of the gateway's own."""
        return Command(
            command_id=self.command_id,
            account_id=self.account_id,
            action=self.action,
            issuer=self.issuer,
            door=self.door,
            dry_run=self.dry_run,
            reason=self.reason,
            issued_at=self.issued_at,
            received_at=self.issued_at,
            content_digest=self.content_digest,
        )
