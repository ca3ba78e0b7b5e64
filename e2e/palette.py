"""
Make a screenshot small: 256 colours at most, which a page's flat colours and soft edges fit into.

The boxes of colours that differ most are split until there are enough, and each box is painted in
its most frequent colour, so that paper and ink stay exactly what they were.
"""

import struct
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from operator import itemgetter

COLOURS = 256
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHANNELS = {2: 3, 6: 4}  # RGB and RGBA, by PNG's colour type

Colour = bytes
Box = list[tuple[Colour, int]]


def shrink(png: bytes) -> bytes:
    """Return a picture as the browser writes it, of 8 bits a channel and opaque, in a palette."""
    chunks = dict(_chunks(png))
    width, height, depth, kind, _, _, interlaced = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    if depth != 8 or kind not in _CHANNELS or interlaced:
        raise ValueError("not a picture as the browser writes it")
    step = _CHANNELS[kind]
    rows = [
        [row[at : at + 3] for at in range(0, len(row), step)]
        for row in _rows(zlib.decompress(chunks[b"IDAT"]), width * step, step)
    ]
    painted = paint(Counter(colour for row in rows for colour in row))
    palette = sorted(set(painted.values()))
    index = {colour: palette.index(paint) for colour, paint in painted.items()}
    data = b"".join(b"\0" + bytes(map(index.__getitem__, row)) for row in rows)
    return _SIGNATURE + b"".join(
        _chunk(name, content)
        for name, content in (
            (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
            (b"PLTE", b"".join(palette)),
            (b"IDAT", zlib.compress(data, 9)),
            (b"IEND", b""),
        )
    )


def paint(counted: Counter[Colour]) -> dict[Colour, Colour]:
    """Return what each colour is painted in, given how often each is there."""
    boxes = [_weighed(list(counted.items()))]
    while len(boxes) < COLOURS:
        worst = max(boxes, key=itemgetter(0))
        error, channel, middle, box = worst
        if not error:
            break
        boxes.remove(worst)
        boxes.append(_weighed([each for each in box if each[0][channel] <= middle]))
        boxes.append(_weighed([each for each in box if each[0][channel] > middle]))
    return {colour: max(box, key=itemgetter(1))[0] for _, _, _, box in boxes for colour, _ in box}


def _weighed(box: Box) -> tuple[float, int, float, Box]:
    """Return how much a box errs, where to split it, and the box."""
    total = sum(number for _, number in box)
    errors = []
    for channel in range(3):
        mean = sum(colour[channel] * number for colour, number in box) / total
        error = sum((colour[channel] - mean) ** 2 * number for colour, number in box)
        errors.append((error, channel, mean))
    error, channel, mean = max(errors)
    return error, channel, mean, box


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield each chunk's name and content, the picture's own as one."""
    at, data = len(_SIGNATURE), b""
    while at < len(png):
        (length,) = struct.unpack_from(">I", png, at)
        name, content = png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        data += content if name == b"IDAT" else b""
        yield name, data if name == b"IDAT" else content
        at += length + 12


def _chunk(name: bytes, content: bytes) -> bytes:
    check = zlib.crc32(name + content)
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", check)


def _rows(data: bytes, length: int, step: int) -> Iterator[bytes]:
    """Yield each row as it was before PNG's filters, which keep differences."""
    above: Sequence[int] = bytes(length)
    for start in range(0, len(data), length + 1):
        kind, row = data[start], bytearray(data[start + 1 : start + 1 + length])
        for at in range(length):
            left = row[at - step] if at >= step else 0
            corner = above[at - step] if at >= step else 0
            row[at] = (row[at] + _predicted(kind, left, above[at], corner)) & 255
        yield bytes(row)
        above = row


def _predicted(kind: int, left: int, up: int, corner: int) -> int:
    """Return PNG's guess at a byte: none, left, up, their mean, or the nearest (Paeth's)."""
    if kind == 4:
        guess = left + up - corner
        return min((left, up, corner), key=lambda each: abs(guess - each))
    return (0, left, up, (left + up) // 2)[kind]
