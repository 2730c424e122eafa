"""Accounts: what the venue layer and the engine must know of each, and their actors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from uuid import UUID

from node.clock import Clock
from node.domain.command import Command
from node.domain.flatten import FlattenTerms
from node.domain.result import Document
from node.engine.account import AccountTerms, ExecutionTerms
from node.engine.actor import AccountActor
from node.engine.departures import Departures
from node.engine.desk import Desk
from node.engine.dispatcher import Dispatcher
from node.engine.drill_schedule import DrillSchedule
from node.engine.inbox import Inbox
from node.engine.lock_ledger import LockLedger
from node.engine.outbox import Outbox
from node.engine.ports import Journal
from node.engine.pursuit import AccountContext
from node.engine.scribe import Scribe
from node.engine.venue_port import Venue
from node.engine.view import AccountView
from node.notify.notifier import Notifier
from node.observe.telemetry import Telemetry
from node.secrets import Secrets
from node.settings import AccountSettings, LockOnClose, Settings
from node.transport.topics import Topics
from node.venues.lane import background
from node.venues.options import VenueOptions


def venue_options(account: AccountSettings, settings: Settings, credentials: dict[str, str]) -> VenueOptions:
    """What the venue layer must know of an account."""
    return VenueOptions(
        exchange=account.exchange,
        credentials=credentials,
        permission=account.permission,
        slices=account.slices,
        connect_to=str(account.connect_to) if account.connect_to else None,
        ca_file=account.ca_file,
        local_address=account.local_address,
        sandbox=account.sandbox,
        options=account.options,
        refuse_withdrawal=account.withdrawal_right == "refuse",
        market_cache_dir=settings.node.state_dir / "markets",
    )


def revealed_options(account: AccountSettings, settings: Settings, secrets: Secrets) -> VenueOptions:
    """The same with the account's own credentials."""
    revealed = {name: secret.get_secret_value() for name, secret in secrets.of_account(account).items()}
    return venue_options(account, settings, revealed)


def account_terms(account: AccountSettings, settings: Settings) -> AccountTerms:
    """What the engine must know of an account."""
    execution = account.execution_with(settings.execution)
    return AccountTerms(
        account_id=account.id,
        name=account.name,
        owner=account.owner,
        exchange=account.exchange,
        permission=account.permission,
        execution=ExecutionTerms(
            deadline_s=execution.deadline_s,
            latch_by_default=execution.lock_on_close is LockOnClose.LATCH,
            settle_s=execution.settle_s,
            max_slippage=execution.max_slippage,
            resume_within=timedelta(seconds=execution.resume_within_s),
            guard=execution.guard,
            causal_proof=execution.causal_proof,
        ),
        flatten=FlattenTerms(
            base_currency=account.base_currency,
            keep=frozenset(account.flatten.keep),
            min_value=account.flatten.min_value,
            max_slippage=execution.max_slippage,
        ),
    )


def actor(
    account: AccountSettings,
    settings: Settings,
    venue: Venue,
    *,
    scribe: Scribe,
    clock: Clock,
    ledger: LockLedger,
    journal: Journal,
    departures: Departures,
    rehearsed: set[tuple[str, ...]],
    telemetry: Telemetry,
    on_guard: Callable[[AccountTerms, Document], None],
) -> AccountActor:
    """One account's actor with its terms."""
    terms = account_terms(account, settings)
    context = AccountContext(
        terms=terms,
        venue=venue,
        view=AccountView(venue, clock, background, number=settings.accounts.index(account)),
        scribe=scribe,
        clock=clock,
        ledger=ledger,
        journal=journal,
        departures=departures,
        rehearsed=rehearsed,
        on_guard=on_guard,
        on_step=telemetry.step,
    )
    return AccountActor(context, node_id=settings.node.id)


def guard_observer(topics: Topics, outbox: Outbox, telemetry: Telemetry) -> Callable[[AccountTerms, Document], None]:
    """Tell the broker and the metrics of each intervention of a guard."""

    def observe(terms: AccountTerms, document: Document) -> None:
        outbox.publish_notice(topics.guard_event(terms.account_id), document)
        telemetry.guarded(terms, document)

    return observe


def drill_schedule(
    settings: Settings, actors: list[AccountActor], inbox: Inbox, clock: Clock, drilled_at: Mapping[UUID, datetime]
) -> DrillSchedule | None:
    """Rehearsals by configuration; None where none are wanted."""
    if settings.drill is None:
        return None
    wanted = settings.accounts_of(settings.drill)
    by_id = {actor.context.terms.account_id: actor for actor in actors}
    return DrillSchedule(
        every=timedelta(seconds=settings.drill.every_s),
        action=settings.drill.action,
        actors={account_id: by_id[account_id] for account_id in wanted},
        inbox=inbox,
        clock=clock,
        drilled_at=drilled_at,
    )


def observers(
    dispatcher: Dispatcher, desk: Desk, telemetry: Telemetry, notifier: Notifier | None
) -> Callable[[Command, Document], None]:
    """Tell everybody who follows commands of each event."""

    def observe(command: Command, document: Document) -> None:
        dispatcher.observe(command, document)
        desk.observe(document)
        telemetry.event(command, document)
        if notifier is not None:
            notifier.command_event(command, document)

    return observe
