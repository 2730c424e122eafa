"""Hyperliquid: what is changed in ccxt's class. Its signing and addresses stay; what it does of its own accord goes.

Signing: https://hyperliquid.gitbook.io/hyperliquid-docs/for-developers/api/signing and .../nonces-and-api-wallets.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from node.venues.call import Answer, Ccxt

#: In a read's parameters: what the node itself wants to know with the answer. Never sent.
CARRIED: Final = "node"


def derived(plain: Any) -> Any:  # noqa: ANN401 - ccxt has no types
    """A class like *plain* with two endpoints that answer together with what was asked.

    ``askInfo(params)`` is one POST /info, ``sendAction({"action": ..., "vaultAddress": ...})`` one POST /exchange,
    signed when it leaves: a request that had to wait for its turn is not stale.
    """

    async def ask_info(self: Ccxt, params: Mapping[str, Any]) -> Answer:
        answer = await self.publicPostInfo({name: value for name, value in params.items() if name != CARRIED})
        return {"asked": params, "answer": answer}

    async def send_action(self: Ccxt, params: Mapping[str, Any]) -> Answer:
        return {"asked": params, "answer": await self.privatePostExchange(params)}

    def sign(self: Ccxt, path: str, api: Any, method: str, params: Mapping[str, Any]) -> Any:  # noqa: ANN401
        unsigned = path == "exchange" and "signature" not in params
        return plain.sign(self, path, api, method, _signed(self, params) if unsigned else params)

    def nonce(self: Ccxt) -> int:
        """The venue's time: nonces and expiry are held against it."""
        return int(self.milliseconds() - self.options.get("timeDifference", 0))

    async def initialize_client(_self: Ccxt) -> bool:
        """In place of ccxt's, which approves a builder's fee and sets a referrer before it does anything."""
        return True

    def handle_errors(self: Ccxt, *told: Any) -> Any:  # noqa: ANN401 - ccxt's hook
        """An answer with a status for each order is no error as a whole, whatever became of one of them."""
        url, response = told[2], told[6]
        if url.endswith("/exchange") and isinstance(response, dict) and response.get("status") == "ok":
            return None
        return plain.handle_errors(self, *told)

    own = {
        "askInfo": ask_info,
        "sendAction": send_action,
        "sign": sign,
        "nonce": nonce,
        "initialize_client": initialize_client,
        "handle_errors": handle_errors,
    }
    return type("hyperliquid", (plain,), own)


def _signed(exchange: Ccxt, params: Mapping[str, Any]) -> dict[str, Any]:
    """An action as POST /exchange takes it. After ``expiresAfter`` the venue will not carry it out any more."""
    action, vault = params["action"], params.get("vaultAddress")
    nonce = exchange.incrementing_nonce()
    expires = exchange.nonce() + exchange.options["recvWindow"]
    signature = exchange.sign_l1_action(action, nonce, exchange.format_vault_address(vault), expires)
    of_vault = {"vaultAddress": vault} if vault else {}
    return {"action": action, "nonce": nonce, "signature": signature, **of_vault, "expiresAfter": expires}
