"""Is every text in a packet UTF-8?

The codec (mqtt5 0.8.0) does not refuse other bytes: it panics, and prints so. A walk over the packet finds them first.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

_CONNECT, _PUBLISH, _SUBSCRIBE, _UNSUBSCRIBE, _PINGREQ, _PINGRESP = 1, 3, 8, 10, 12, 13

#: Bytes of a property's value by its identifier (MQTT 5, 2.2.2.2).
_FIXED: Final = dict.fromkeys((0x01, 0x17, 0x19, 0x24, 0x25, 0x28, 0x29, 0x2A), 1)
_FIXED.update(dict.fromkeys((0x13, 0x21, 0x22, 0x23), 2))
_FIXED.update(dict.fromkeys((0x02, 0x11, 0x18, 0x27), 4))
_VARIABLE: Final = 0x0B
_BINARY: Final = (0x09, 0x16)
_TEXT: Final = (0x03, 0x08, 0x12, 0x15, 0x1A, 0x1C, 0x1F)
_TEXT_PAIR: Final = 0x26


def texts_are_utf8(raw: bytes) -> bool:
    """Whether a whole packet's texts are; also when it is otherwise broken, which is the codec's to say."""
    try:
        for text in _texts(_Walk(raw)):
            text.decode()
    except UnicodeDecodeError:
        return False
    except IndexError:
        return True
    return True


class _Walk:
    """A position in a packet. Reading past its end raises IndexError."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._at = 0

    @property
    def position(self) -> int:
        return self._at

    @property
    def ended(self) -> bool:
        return self._at >= len(self._raw)

    def take(self, count: int) -> bytes:
        end = self._at + count
        if end > len(self._raw):
            raise IndexError
        taken, self._at = self._raw[self._at : end], end
        return taken

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def variable(self) -> int:
        value = 0
        for position in range(4):
            byte = self.number(1)
            value |= (byte & 0x7F) << (7 * position)
            if byte < 0x80:
                break
        return value

    def sized(self) -> bytes:
        return self.take(self.number(2))


def _texts(walk: _Walk) -> Iterator[bytes]:
    first = walk.number(1)
    walk.variable()
    kind, flags = first >> 4, first & 0x0F
    if kind == _CONNECT:
        yield from _connect_texts(walk)
    elif kind == _PUBLISH:
        yield walk.sized()
        walk.take(2 if flags & 0x06 else 0)
        yield from _property_texts(walk)
    elif kind not in (_PINGREQ, _PINGRESP) and not walk.ended:
        yield from _other_texts(walk, kind)


def _connect_texts(walk: _Walk) -> Iterator[bytes]:
    yield walk.sized()  # protocol name
    walk.take(1)
    flags = walk.number(1)
    walk.take(2)
    yield from _property_texts(walk)
    yield walk.sized()  # client id
    if flags & 0x04:
        yield from _property_texts(walk)
        yield walk.sized()
        walk.sized()
    if flags & 0x80:
        yield walk.sized()


def _other_texts(walk: _Walk, kind: int) -> Iterator[bytes]:
    """Acknowledgements, subscriptions, DISCONNECT and AUTH: what precedes the properties differs."""
    before = {2: 2, 14: 1, 15: 1, 4: 3, 5: 3, 6: 3, 7: 3}  # by packet type: flags, reason code, packet id
    walk.take(before.get(kind, 2))
    if walk.ended:
        return
    yield from _property_texts(walk)
    if kind in (_SUBSCRIBE, _UNSUBSCRIBE):
        while not walk.ended:
            yield walk.sized()
            walk.take(1 if kind == _SUBSCRIBE else 0)


def _property_texts(walk: _Walk) -> Iterator[bytes]:
    length = walk.variable()
    end = walk.position + length
    while walk.position < end:
        identifier = walk.variable()
        if identifier in _FIXED:
            walk.take(_FIXED[identifier])
        elif identifier == _VARIABLE:
            walk.variable()
        elif identifier in _BINARY:
            walk.sized()
        elif identifier in _TEXT:
            yield walk.sized()
        elif identifier == _TEXT_PAIR:
            yield walk.sized()
            yield walk.sized()
        else:
            raise IndexError
