"""From a delivery to a request of a certain sender: retained flag, topic, signature, claims."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from node.domain.command import Door, RejectCode, ReplyTo, Request
from node.engine.ports import Delivery, Junk, Rejection
from node.transport.envelope import EnvelopeRejected, EnvelopeVerifier, SignedRequest
from node.transport.topics import CommandTopic, TopicError, Topics


class Gatekeeper:
    """Implements the engine's Verifier for messages of a broker."""

    def __init__(
        self,
        verifier: EnvelopeVerifier,
        topics: Topics,
        *,
        others: Callable[[Request], bool] = lambda _request: False,
    ) -> None:
        self._verifier = verifier
        self._topics = topics
        #: Whether a request is for another node to answer.
        self._others = others

    def __call__(self, delivery: Delivery) -> Request | Junk | tuple[Request, Rejection]:
        """The request; or junk; or a known issuer's request that cannot be accepted as it came."""
        try:
            signed = self._verifier.verify(delivery.payload)
        except EnvelopeRejected as error:
            return Junk(code=error.code, message=str(error), issuer=error.issuer, command_id=error.command_id)
        request = self._request(signed, delivery)
        if self._others(request):
            return Junk(code=RejectCode.UNKNOWN_ACCOUNT, message="left to other nodes")
        if delivery.retained:
            return request, Rejection(code=RejectCode.RETAINED, message="a retained command would fire for ever")
        try:
            topic = self._topics.parse(delivery.topic)
        except TopicError:
            topic = None
        if not isinstance(topic, CommandTopic) or topic.account != signed.account:
            return request, Rejection(code=RejectCode.MALFORMED, message="topic and claim name different accounts")
        return request

    def _request(self, signed: SignedRequest, delivery: Delivery) -> Request:
        wanted = delivery.response_topic
        reply_to = (
            ReplyTo(topic=wanted, correlation_data=delivery.correlation_data)
            if wanted and self._topics.is_response(wanted)
            else None
        )
        return Request(
            command_id=signed.command_id,
            account_id=signed.account if isinstance(signed.account, UUID) else None,
            action=signed.action,
            issuer=signed.issuer,
            door=Door.MQTT,
            symbols=signed.symbols,
            latch=signed.latch,
            dry_run=signed.dry_run,
            reason=signed.reason,
            epoch=signed.epoch,
            issued_at=signed.issued_at,
            expires_at=signed.expires_at,
            envelope=signed.envelope,
            reply_to=reply_to,
        )
