"""HTTP: the operator's socket, the public listener with its keys, the metrics."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from node.api.app import create_app
from node.api.key_gate import KeyGate
from node.api.keyring import Keyring, KeyStore, Owner
from node.api.operator_access import TOKEN_LENGTH_MIN, OperatorAccess
from node.api.origins import Origins
from node.api.rates import KeyRates, StrangerRates
from node.api.server import Listener, TcpListener, UnixListener
from node.api.sessions import SessionTerms
from node.clock import Clock
from node.engine.desk import Desk
from node.errors import ConfigError
from node.observe.metrics import Metrics, MetricsServer
from node.secrets import Secrets
from node.settings import Settings, Subscription
from node.settings_fields import web_origin


def keyring(settings: Settings, store: KeyStore, clock: Clock) -> Keyring:
    """The API keys of the configured owners."""
    owners = [
        Owner(
            id=owner.id,
            subscribed=owner.subscription is not Subscription.NONE,
            accounts=frozenset(account.id for account in settings.accounts if account.owner == owner.id),
        )
        for owner in settings.owners
    ]
    return Keyring(store, owners, clock=clock, rates=KeyRates(clock))


def operator_access(settings: Settings, secrets: Secrets, clock: Clock) -> OperatorAccess | None:
    """Opens the public listener to the operator; None where that is not wanted.

    Raises:
        ConfigError: the token could be guessed.
    """
    operator, http = settings.operator, settings.http
    if operator is None or http is None:
        return None
    token = secrets.of(operator.token)
    if len(token.get_secret_value()) < TOKEN_LENGTH_MIN:
        reason = f"shorter than {TOKEN_LENGTH_MIN} characters: let a program make one, like `openssl rand -hex 32`"
        raise ConfigError([f"operator.token: {reason}"])
    scheme = "http" if http.cert_file is None else "https"
    origins = Origins({web_origin(f"{scheme}://{http.listen}"), *operator.origins})
    terms = SessionTerms(idle_s=operator.idle_s, life_s=operator.session_s)
    return OperatorAccess(token, terms, clock, origins)


def listeners(
    settings: Settings,
    desk: Desk,
    keyring: Keyring,
    access: OperatorAccess | None,
    clock: Clock,
    liveness: Callable[[], Sequence[str]],
) -> list[Listener]:
    """The operator's socket, and the public listener where there is one."""

    listeners: list[Listener] = [
        UnixListener(
            app=create_app(desk, operator=True, keyring=keyring, liveness=liveness), path=settings.operator_socket
        )
    ]
    if settings.http is not None:
        gate = KeyGate(keyring, StrangerRates(clock))
        listeners.append(
            TcpListener(
                app=create_app(
                    desk, operator=False, authenticate=gate, access=access, keyring=keyring, liveness=liveness
                ),
                host=settings.http.listen.host,
                port=settings.http.listen.port,
                cert_file=settings.http.cert_file,
                key_file=settings.http.key_file,
            )
        )
    return listeners


def metrics_server(settings: Settings, metrics: Metrics) -> MetricsServer | None:
    """The Prometheus listener where there is one."""
    if settings.metrics is None:
        return None
    return MetricsServer(metrics, host=settings.metrics.listen.host, port=settings.metrics.listen.port)
