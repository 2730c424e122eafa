"""How B2PRIME is spoken to: addresses, headers, access tokens, errors and first messages of streams."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias
from urllib.parse import quote, urlencode

import aiohttp
from ccxt.async_support.base.exchange import Exchange
from ccxt.base import errors
from ccxt.base.types import Entry

from node.venues.b2prime import endpoints, tokens
from node.venues.b2prime.hub import Hub, HubError
from node.venues.b2prime.tokens import AccessToken

Json: TypeAlias = Any
Params: TypeAlias = Mapping[str, Any] | None

_ACCOUNT: Final = "accountId"
#: After an early renewal has failed, the next is this many seconds later; the old token serves meanwhile.
_RENEWAL_PAUSE_S: Final = 30.0
#: What has been heard is not held up by the server's goodbye.
_GOODBYE: Final = aiohttp.ClientWSTimeout(ws_close=0.01)
#: Where an error's own words may be found; the body's schema is not documented.
_WORDS: Final = ("message", "detail", "title", "error", "errors", "code")
_MESSAGE_MAX: Final = 300


class AccessTokenRefused(errors.AuthenticationError):  # type: ignore[misc]
    """401: nothing was done, and a new access token may help."""


class Session(Exchange):  # type: ignore[misc]
    """What every request has in common."""

    def __init__(self, config: Params = None) -> None:
        self._access: AccessToken | None = None
        self._renewing = asyncio.Lock()
        self._renew_not_before_s = 0.0
        super().__init__(dict(config or {}))

    # Addresses and headers

    def sign(self, path: str, api: Json = "private", method: str = "GET", params: Json = None) -> dict[str, Json]:
        """A request exactly as the documentation shows it.

        Raises:
            ArgumentsRequired: a part of the path, the host or the account is not known.
        """
        endpoint = endpoints.BY_PLACE[(method, path)]
        given = dict(params or {})
        headers: dict[str, str] = {}
        if endpoint.private:
            headers["Authorization"] = f"Bearer {self._bearer()}"
        if self._carries_account(endpoint):
            headers[_ACCOUNT] = self.account_id(given)
            given.pop(_ACCOUNT, None)
        place = path
        for name in self.extract_params(path):
            if not given.get(name):
                raise errors.ArgumentsRequired(f"{self.id} {path} needs {name}")
            place = place.replace(f"{{{name}}}", quote(str(given.pop(name)), safe=""))
        url, body = f"https://{self.host()}/{place}", None
        if endpoint.body:
            kind = "application/json"
            headers["Content-Type"] = f"{kind}; x-api-version={endpoint.version}" if endpoint.version else kind
            body = None if given.pop("noBody", False) else json.dumps(given, separators=(",", ":"))
        elif given:
            url += "?" + urlencode({name: _query(value) for name, value in given.items()})
        if endpoint.accept:
            headers["Accept"] = "*/*"
        return {"url": url, "method": method, "body": body, "headers": headers}

    def host(self) -> str:
        """The broker's host; the venue has none of its own.

        Raises:
            ArgumentsRequired: it is not configured.
        """
        host = self.options.get("hostname") or self.hostname
        if not host:
            raise errors.ArgumentsRequired(f"{self.id} needs the broker's host in options.hostname")
        return str(host)

    def account_id(self, params: Params = None) -> str:
        """The account that a request is about.

        Raises:
            ArgumentsRequired: none is configured or given.
        """
        account = (params or {}).get(_ACCOUNT) or self.options.get(_ACCOUNT)
        if not account:
            raise errors.ArgumentsRequired(f"{self.id} needs options.accountId; fetch_accounts lists them")
        return str(account)

    def _carries_account(self, endpoint: endpoints.Endpoint) -> bool:
        if "account-margin-settings" in endpoint.path:
            return bool(self.options["accountIdWithMarginSettings"])
        if endpoint.path.endswith("v6/markets"):  # only in the example: without a configured account it is left out
            return bool(self.options.get(_ACCOUNT))
        return endpoint.account

    # Access tokens

    async def request(
        self, path: str, api: Json = "private", method: str = "GET", params: Json = None, config: Json = None
    ) -> Json:
        """Send with a token that is not about to end; after 401 once more with a new one.

        401 says that nothing was done, so that the second attempt cannot do anything twice.
        """
        arguments = (path, api, method, {} if params is None else params, config or {})
        if not endpoints.BY_PLACE[(method, path)].private:
            return await super().request(*arguments)
        used = await self.authorize()
        try:
            return await super().request(*arguments)
        except AccessTokenRefused:
            if not self.options["exchangeToken"]:
                raise
            await self.authorize(instead_of=used)
            self.before_repetition()
            return await super().request(*arguments)

    def before_repetition(self) -> None:
        """Called before a refused request is sent once more."""

    def before_connecting(self, url: str) -> None:
        """Called with the address, token and all, before a connection to a hub is opened; to raise keeps it closed."""

    async def authorize(self, instead_of: str | None = None) -> str:
        """Have an access token, another than *instead_of*; requests that need one together ask once.

        Raises:
            AuthenticationError: the venue does not accept the API token.
        """
        if not self.options["exchangeToken"]:
            return str(self.token)
        now_s, known = time.monotonic(), self._access
        good = known is not None and not known.expired(now_s) and known.value != instead_of
        if known is not None and good and (self._renewing.locked() or not known.due(now_s)):
            return known.value  # whoever renews it early keeps nobody waiting
        async with self._renewing:
            now_s, known = time.monotonic(), self._access
            if known is None or known.expired(now_s) or known.value == instead_of:
                self._access = None
                self._access = await self._exchange_token()
            elif known.due(now_s) and now_s >= self._renew_not_before_s:
                self._renew_not_before_s = now_s + _RENEWAL_PAUSE_S
                with contextlib.suppress(errors.BaseError):  # it is early: what we have is still good
                    self._access = await self._exchange_token()
            return self._bearer()

    async def _exchange_token(self) -> AccessToken:
        self.check_required_credentials()
        asked_s = time.monotonic()
        answer = await super().request(endpoints.TOKEN.path, "public", "POST", {"token": self.token}, {})
        value = answer.get("accessToken") if isinstance(answer, dict) else None
        if not isinstance(value, str) or not value:
            raise errors.BadResponse(f"{self.id} the answer to the token exchange has no accessToken")
        life_s = tokens.life_s(value, float(self.options["accessTokenLife"]), time.time())
        return AccessToken(value=value, obtained_s=asked_s, life_s=life_s)

    def _bearer(self) -> str:
        if not self.options["exchangeToken"]:
            return str(self.token)
        if self._access is None:
            raise errors.AuthenticationError(f"{self.id} has no access token")
        return self._access.value

    # Errors

    def handle_errors(
        self,
        status: int,
        reason: str,
        url: str,
        method: str,
        headers: Json,
        body: str,
        response: Json,
        *_request: Json,
    ) -> None:
        """Raise what the status says; the body's schema is not documented, so that it gives the words only."""
        if 200 <= status < 300:
            return
        words = f"{self.id} {method} {url.partition('?')[0]} {status} {error_words(response, body)}"
        raise _error_class(status, url)(words)

    def handle_http_status_code(self, code: int, reason: str, url: str, method: str, body: str) -> None:
        """Said by ``handle_errors``; ccxt's own would repeat the whole body."""

    # Streams

    async def first_items(
        self, names: Sequence[str], params: Params = None, *, arguments: Sequence[Json] = ()
    ) -> list[Json]:
        """The first message of a fresh subscription to each stream (``endpoints.STREAMS``), all at once.

        *arguments* follow the account's in each subscription.

        Raises:
            RequestTimeout: a stream said nothing in time, which is never the same as an empty list.
            ExchangeNotAvailable: the connection, or a stream, ended before.
            BadResponse: what came is no SignalR.
        """
        await self.authorize()
        wanted_of = [self.account_id(params), *arguments]
        hubs: dict[str, list[str]] = {}
        for name in names:
            hubs.setdefault(endpoints.STREAMS[name][0], []).append(name)
        for _ in hubs if self.enableRateLimit else ():
            await self.throttle(1)
        found: dict[str, Json] = {}
        tasks = [
            asyncio.create_task(self._listen(path, wanted, wanted_of), name=f"{self.id}:first:{wanted[0]}")
            for path, wanted in hubs.items()
        ]
        try:
            async with asyncio.timeout(float(self.options["firstMessageTimeout"]) / 1000):
                for items in await asyncio.gather(*tasks):
                    found.update(items)
        except TimeoutError:
            raise errors.RequestTimeout(f"{self.id} {', '.join(names)}: no first message in time") from None
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return [found[name] for name in names]

    async def _listen(self, path: str, names: Sequence[str], arguments: list[Json]) -> dict[str, Json]:
        used = self._bearer()
        try:
            return await self._listen_once(path, names, arguments)
        except AccessTokenRefused:
            if not self.options["exchangeToken"]:
                raise
            await self.authorize(instead_of=used)
            return await self._listen_once(path, names, arguments)

    async def _listen_once(self, path: str, names: Sequence[str], arguments: list[Json]) -> dict[str, Json]:
        found: dict[str, Json] = {}
        self.open(True)
        # The token is part of the address, as documented: no error may carry that address.
        url = await self._hub_url(path)
        self.before_connecting(url)
        try:
            opening = self.session.ws_connect(
                url, proxy=self._hub_proxy(), autoping=True, max_msg_size=0, timeout=_GOODBYE
            )
            async with opening as socket:
                hub = Hub(socket)
                await hub.open()
                streams = {await hub.subscribe(endpoints.STREAMS[name][1], arguments): name for name in names}
                async for stream, item in hub.items():
                    if stream in streams:
                        found.setdefault(streams[stream], item)
                    if len(found) == len(names):
                        break
        except aiohttp.WSServerHandshakeError as error:
            self._told(error.status, url, dict(error.headers or {}), "")
            raise _error_class(error.status, path)(f"{self.id} /{path} answered {error.status}") from None
        except HubError as error:
            raise errors.ExchangeNotAvailable(f"{self.id} /{path}: {error}") from None
        except (aiohttp.ClientError, OSError) as error:
            raise errors.ExchangeNotAvailable(f"{self.id} /{path}: {type(error).__name__}") from None
        self._told(200, url, {}, json.dumps(found))
        return found

    def _told(self, status: int, url: str, headers: Mapping[str, str], body: str) -> None:
        """What a hub answered, for whoever looks at raw answers, as ccxt does it after each request."""
        self.on_rest_response(status, "", url, "GET", headers, body, {}, None)

    async def _hub_url(self, path: str) -> str:
        query = {"access_token": self._bearer()}
        if self.options["negotiate"]:
            answer = await self.request(f"{path}/negotiate", "private", "POST", {"negotiateVersion": 1})
            token = answer.get("connectionToken") if isinstance(answer, dict) else None
            if not isinstance(token, str) or not token:
                raise errors.BadResponse(f"{self.id} /{path}: the negotiation names no connection")
            query = {"id": token, **query}
        return f"wss://{self.host()}/{path}?{urlencode(query)}"

    def _hub_proxy(self) -> str | None:
        http, https, socks = self.check_ws_proxy_settings()
        if socks:
            raise errors.NotSupported(f"{self.id} streams do not go through a SOCKS proxy")
        return http or https or self.aiohttp_proxy or None


def error_words(response: Json, body: str) -> str:
    """What an error says, whatever its form: problem+json, an object with a message, plain text, nothing."""
    found: Json = response
    if isinstance(response, dict):
        found = next((response[name] for name in _WORDS if response.get(name)), None)
    elif response is None:
        found = body.strip()
    return (found if isinstance(found, str) else json.dumps(found))[:_MESSAGE_MAX] if found else "without a reason"


def _error_class(status: int, url: str) -> type[Exception]:
    """ccxt's class for a status; those that say for certain that nothing was done are the 4xx, except for 408."""
    known: dict[int, type[Exception]] = {
        400: errors.BadRequest,
        401: AccessTokenRefused,
        403: errors.PermissionDenied,
        404: errors.OrderNotFound if "orders/" in url else errors.BadRequest,
        408: errors.RequestTimeout,
        409: errors.OperationRejected,
        422: errors.BadRequest,
        429: errors.RateLimitExceeded,
    }
    return known.get(status) or (errors.ExchangeNotAvailable if status >= 500 else errors.ExchangeError)


def _query(value: Json) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


# ccxt's own classes have such methods from generated code.
for _each in endpoints.ENDPOINTS:
    _api = ["private" if _each.private else "public"]
    setattr(Session, _each.call, Entry(_each.path, _api, _each.method, {"cost": 1}))
