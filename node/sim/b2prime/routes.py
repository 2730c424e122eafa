"""Which call is answered by whom."""

from __future__ import annotations

from functools import partial
from typing import Any

from node.sim.b2prime import history_calls, order_entry, position_calls, settings_calls
from node.sim.b2prime.calls import Call, Endpoint, NeedsAccount
from node.sim.b2prime.errors import bad_request, unauthorized
from node.sim.b2prime.webhooks import Webhooks
from node.sim.faults import Intent

API = "/frontoffice/api"
#: The kinds of market by the part of the path that names them.
PLACES = {"v3": "Spot", "cfd/v4": "Cfd", "perpetual/v4": "Perp"}


def exchange_token(call: Call) -> dict[str, Any]:
    """An access token for an API token."""
    token = call.body.get("token")
    if not isinstance(token, str):
        raise bad_request("The field 'token' is required.")
    key = call.state.setup.keys.by_public.get(token)
    if key is None or key.revoked:
        raise unauthorized()
    return {"accessToken": call.state.tokens.issue(key, call.state.now_ms)}


def endpoints(webhooks: Webhooks) -> list[Endpoint]:
    """All of them."""
    return [*_settings(), *_webhooks(webhooks), *_orders(), *_positions(), *_history()]


def _settings() -> list[Endpoint]:
    maybe, margin = NeedsAccount.MAYBE, f"{API}/v4/account-margin-settings/assets"
    rows: list[tuple[str, str, Any, Intent, NeedsAccount]] = [
        ("GET", f"{API}/v3/accounts", settings_calls.accounts, Intent.RIGHTS, NeedsAccount.NO),
        ("GET", f"{API}/v3/assets", settings_calls.assets, Intent.MARKETS, NeedsAccount.NO),
        ("GET", f"{API}/v6/markets", settings_calls.markets, Intent.MARKETS, maybe),
        ("GET", f"{API}/v6/markets/{{}}", settings_calls.market, Intent.MARKETS, maybe),
        ("POST", f"{API}/v6/markets/favorites/add", settings_calls.add_favourite, Intent.OTHER, maybe),
        ("POST", f"{API}/v6/markets/favorites/delete", settings_calls.remove_favourite, Intent.OTHER, maybe),
        ("GET", margin, settings_calls.margin_assets, Intent.OTHER, maybe),
        ("POST", f"{margin}/{{}}", settings_calls.select_margin_asset, Intent.OTHER, maybe),
        ("DELETE", f"{margin}/{{}}", settings_calls.disable_margin_asset, Intent.OTHER, maybe),
        ("GET", f"{API}/v3/info", settings_calls.info, Intent.TIME, NeedsAccount.NO),
        ("GET", f"{API}/v3/info/time-zones", settings_calls.time_zones, Intent.OTHER, NeedsAccount.NO),
    ]
    token = Endpoint(method="POST", pattern=f"{API}/v4/access-token", handler=exchange_token, public=True)
    return [
        token,
        *(
            Endpoint(method=method, pattern=pattern, handler=handler, intent=intent, account=account)
            for method, pattern, handler, intent, account in rows
        ),
    ]


def _webhooks(webhooks: Webhooks) -> list[Endpoint]:
    keys = f"{API}/v3/webhook/api-keys"
    return [
        Endpoint(method="POST", pattern=keys, handler=webhooks.create),
        Endpoint(method="GET", pattern=keys, handler=webhooks.listed),
        Endpoint(method="DELETE", pattern=f"{keys}/{{}}", handler=webhooks.revoke),
        Endpoint(
            method="POST",
            pattern=f"{API}/v3/webhook/alerts/{{}}",
            handler=webhooks.alert,
            intent=Intent.PLACE,
            public=True,
        ),
    ]


def _orders() -> list[Endpoint]:
    rows: list[tuple[str, str, Any, Intent]] = [
        ("DELETE", f"{API}/v3/orders/{{}}", order_entry.cancel, Intent.CANCEL),
        ("DELETE", f"{API}/v3/stop-orders/{{}}", partial(order_entry.cancel, stop=True), Intent.CANCEL),
        ("POST", f"{API}/v3/order-data", order_entry.preview_spot, Intent.OTHER),
    ]
    for place, kind in PLACES.items():
        rows.append(("POST", f"{API}/{place}/orders", partial(order_entry.place, kind=kind), Intent.PLACE))
        stop = partial(order_entry.place, kind=kind, stop=True)
        rows.append(("POST", f"{API}/{place}/stop-orders", stop, Intent.PLACE))
        if kind != "Spot":
            preview = partial(order_entry.preview_contract, kind=kind)
            rows.append(("POST", f"{API}/{place}/order-data", preview, Intent.OTHER))
    return _of_account(rows)


def _positions() -> list[Endpoint]:
    one = f"{API}/v4/positions/{{}}"
    return _of_account(
        [
            ("POST", f"{one}/close", position_calls.close, Intent.PLACE),
            ("POST", f"{API}/v4/positions/bulk-close", position_calls.bulk_close, Intent.PLACE),
            ("PUT", f"{one}/triggers", position_calls.set_triggers, Intent.OTHER),
            ("POST", f"{one}/trigger-data", position_calls.trigger_data, Intent.OTHER),
        ]
    )


def _history() -> list[Endpoint]:
    rows: list[tuple[str, str, Any, Intent]] = [
        ("POST", f"{API}/v4/positions/executions/list", history_calls.of_positions, Intent.ORDER),
        ("POST", f"{API}/v4/positions/{{}}/executions/list", history_calls.of_position, Intent.ORDER),
        ("POST", f"{API}/v4/orders/closed-positions", history_calls.closed_positions, Intent.ORDER),
    ]
    for version in ("v4", "v5"):  # the heading says one, the example the other
        rows.append(("POST", f"{API}/{version}/orders/executions/list", history_calls.of_pairs, Intent.ORDER))
        rows.append(("POST", f"{API}/{version}/orders/{{}}/executions/list", history_calls.of_order, Intent.ORDER))
    return _of_account(rows)


def _of_account(rows: list[tuple[str, str, Any, Intent]]) -> list[Endpoint]:
    return [
        Endpoint(method=method, pattern=pattern, handler=handler, intent=intent, account=NeedsAccount.YES)
        for method, pattern, handler, intent in rows
    ]
