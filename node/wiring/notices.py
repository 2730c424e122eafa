"""Notifications: the webhook, and what it is told."""

from __future__ import annotations

from itertools import product

from node.clock import Clock
from node.engine.lock_ledger import LockLedger
from node.errors import ConfigError
from node.notify.notifier import DELIVERED, DROPPED, Notifier, Poster, Teller
from node.notify.webhook import Webhook
from node.observe.logging import scrub
from node.observe.metrics import Metrics
from node.secrets import Secrets
from node.settings import Settings
from node.settings_base import CredentialReference
from node.settings_notify import Happening, NotifySettings, webhook_url


def webhook_address(notify: NotifySettings, secrets: Secrets) -> str:
    """Where notifications are posted to.

    Raises:
        ConfigError: the credential holds no usable address.
    """
    if not isinstance(notify.url, CredentialReference):
        return notify.url
    try:
        return webhook_url(secrets.of(notify.url).get_secret_value())
    except ValueError as error:
        raise ConfigError([f"notify.url: credential {notify.url.credential}: {error}"]) from None


def webhook(settings: Settings, secrets: Secrets, clock: Clock) -> Webhook | None:
    """The webhook where there is one.

    Raises:
        ConfigError: its address or its certificate authority cannot be used.
    """
    notify = settings.notify
    if notify is None:
        return None
    secret = None if notify.secret is None else secrets.of(notify.secret).get_secret_value().encode()
    try:
        return Webhook(
            webhook_address(notify, secrets),
            secret=secret,
            timeout_s=notify.timeout_s,
            ca_file=notify.ca_file,
            now_s=lambda: clock.now().timestamp(),
        )
    except OSError as error:
        raise ConfigError([f"notify.ca_file: {notify.ca_file}: {error.strerror or error}"]) from None


def notifier(settings: Settings, poster: Poster, ledger: LockLedger, metrics: Metrics, clock: Clock) -> Notifier:
    """Tells the webhook of what is worth it; it hears of locks from now on."""
    assert settings.notify is not None  # noqa: S101  (there is a webhook)
    for happening, outcome in product(Happening, (DELIVERED, DROPPED)):
        metrics.notifications_total.labels(kind=happening.value, outcome=outcome)
    made = Notifier(
        poster,
        Teller(
            tenant=settings.node.tenant,
            node_id=settings.node.id,
            names={account.id: account.name for account in settings.accounts},
            happenings=frozenset(settings.notify.events),
            scrub=scrub,
            on_outcome=lambda kind, outcome: metrics.notifications_total.labels(kind=kind, outcome=outcome).inc(),
            on_depth=metrics.notify_queue_depth.set,
        ),
        clock,
    )
    made.begin(ledger.all())
    ledger.add_listener(made.lock_changed)
    return made
