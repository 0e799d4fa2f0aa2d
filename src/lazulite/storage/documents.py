"""The XML that storage clients send and read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from urllib.parse import quote
from xml.etree import ElementTree
from xml.sax.saxutils import escape, quoteattr

from lazulite.storage.errors import StorageError

HEAD = '<?xml version="1.0" encoding="utf-8"?>'
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_MAX_DEPTH_BYTES = b"<!DOCTYPE"
#: Two for each line of the longest block list, and room for the rest.
_MOST_ELEMENT_MARKS = 2 * 50_000 + 1000


def element(name: str, value: object) -> str:
    """`<name>value</name>`, escaped; characters that XML cannot hold are dropped."""
    return f"<{name}>{escape(_FORBIDDEN.sub('', str(value)))}</{name}>"


def name_element(value: str, tag: str = "Name") -> str:
    """A blob's name; percent-encoded and marked so when XML cannot hold it."""
    if _FORBIDDEN.search(value):
        return f'<{tag} Encoded="true">{quote(value)}</{tag}>'
    return f"<{tag}>{escape(value)}</{tag}>"


def attribute(value: str) -> str:
    """A quoted attribute value."""
    return quoteattr(_FORBIDDEN.sub("", value))


def metadata_element(metadata: Mapping[str, str]) -> str:
    return "<Metadata>" + "".join(element(name, value) for name, value in metadata.items()) + "</Metadata>"


def tags_element(tags: Mapping[str, str]) -> str:
    items = "".join(f"<Tag>{element('Key', key)}{element('Value', value)}</Tag>" for key, value in tags.items())
    return f"<Tags><TagSet>{items}</TagSet></Tags>"


def tags_document(tags: Mapping[str, str]) -> bytes:
    return (HEAD + tags_element(tags)).encode()


def parse(data: bytes, root: str) -> ElementTree.Element:
    """The document's root element. Raises StorageError 400 when it is not XML, declares entities or is not `root`."""
    if _MAX_DEPTH_BYTES in data[:4096]:
        raise StorageError("InvalidXmlDocument", "The XML document must not have a DOCTYPE.")
    if data.count(b"<") > _MOST_ELEMENT_MARKS:
        raise StorageError("InvalidXmlDocument", "The XML document has more elements than any operation takes.")
    try:
        found = ElementTree.fromstring(data)  # noqa: S314 - entities are refused above
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise StorageError("InvalidXmlDocument", f"The body is not an XML document: {error}.") from None
    if found.tag != root:
        raise StorageError("InvalidXmlDocument", f"The document's root is <{found.tag}>; <{root}> is expected.")
    return found


def parse_block_list(data: bytes) -> list[tuple[str, str]]:
    """(`Committed` | `Uncommitted` | `Latest`, block id) of each line of a block list."""
    lines = []
    for line in parse(data, "BlockList"):
        if line.tag not in ("Committed", "Uncommitted", "Latest") or not line.text:
            raise StorageError("InvalidXmlNodeValue", f"<{line.tag}> in a block list must hold a block id.")
        lines.append((line.tag, line.text.strip()))
    return lines


def parse_tags(data: bytes) -> dict[str, str]:
    found: dict[str, str] = {}
    for tag in parse(data, "Tags").iter("Tag"):
        key, value = tag.findtext("Key"), tag.findtext("Value") or ""
        if not key or len(key) > 128 or len(value) > 256 or key in found:
            raise StorageError("InvalidXmlNodeValue", "A tag needs its own key of 1 to 128 characters and a value.")
        found[key] = value
    if len(found) > 10:
        raise StorageError("InvalidXmlNodeValue", "A blob has at most ten tags.")
    return found


def block_list_document(sections: Iterable[tuple[str, Iterable[tuple[str, int]]]]) -> bytes:
    parts = [HEAD, "<BlockList>"]
    for section, blocks in sections:
        lines = "".join(f"<Block>{element('Name', name)}<Size>{size}</Size></Block>" for name, size in blocks)
        parts.append(f"<{section}>{lines}</{section}>")
    return ("".join(parts) + "</BlockList>").encode()
